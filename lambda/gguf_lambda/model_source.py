"""Where the model comes from: the image, read ahead, or S3, downloaded.

Begun before the slow imports; imports nothing slow itself.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from gguf_lambda.model_reader import read_ahead
from gguf_lambda.settings import Settings


def begin_fetch(settings: Settings) -> Future[Path]:
    """The model's folder or file, as soon as it is here; its failure is a ModelError."""
    return ThreadPoolExecutor(1, thread_name_prefix="model-source").submit(_fetch, settings)


def _fetch(settings: Settings) -> Path:
    if settings.model_uri is not None:
        from gguf_lambda.s3_model import download  # noqa: PLC0415  # boto3 is slow to import

        return download(settings.model_uri)
    path = Path(settings.model_path)
    read_ahead(path)
    return path
