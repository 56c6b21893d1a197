"""The environment variables that Lambda gives to a function process."""

import time
import uuid
from collections.abc import Mapping

from local_gateway.event import ACCOUNT_ID
from local_gateway.settings import Settings

FUNCTION_NAME = "local"
REGION = "us-east-1"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{FUNCTION_NAME}"


def name_log_stream() -> str:
    """An execution environment's name: processes that follow each other in it share it."""
    return time.strftime("%Y/%m/%d", time.gmtime()) + f"/[$LATEST]{uuid.uuid4().hex}"


def build_environment(
    settings: Settings, runtime_api: str, log_stream: str, inherited: Mapping[str, str]
) -> dict[str, str]:
    """What the shell has, under it Lambda's defaults, over it what only the gateway can know."""
    defaults = {
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": inherited.get("AWS_REGION", REGION),
        "AWS_EXECUTION_ENV": "AWS_Lambda_Image",
        "AWS_LAMBDA_FUNCTION_NAME": FUNCTION_NAME,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{FUNCTION_NAME}",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
    }
    if not settings.lambda_limits:  # nobody collects them on a laptop
        defaults["POWERTOOLS_METRICS_DISABLED"] = "true"
    known = {
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": settings.initialization_type,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
    }
    return defaults | dict(inherited) | known
