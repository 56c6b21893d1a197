"""A GGUF with random weights: it writes nonsense for as long as it may, at a chosen speed."""

import json
from hashlib import sha256
from pathlib import Path

import gguf
import numpy as np

TEMPLATE = "<s>{% for m in messages %}{{ m.role }}:{{ m.content }}</s>{% endfor %}assistant:"
SPECIAL = {"<unk>": 0, "<s>": 1, "</s>": 2}
MANIFEST = {
    "schema": 1,
    "name": "random",
    "tokenizer": {"kind": "gguf", "special_tokens": SPECIAL},
    "suppress_token_ids": [0, 1, 2],
    "sampling": {"temperature": 0.7},
}


def write_random_model(folder: Path, *, layers: int, width: int, context_length: int) -> Path:
    """A model folder as the build writes one; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "random-f16.gguf"
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_block_count(layers)
    writer.add_context_length(context_length)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(4 * width)
    writer.add_head_count(width // 64)
    writer.add_layer_norm_eps(1e-5)
    size = _add_vocabulary(writer)
    _add_weights(writer, layers, width, context_length, size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    write_manifest(folder, path.name)
    return folder


def write_manifest(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    file = {"path": name, "size": len(data), "sha256": sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({**MANIFEST, "files": {"model": file}}))


def _add_vocabulary(writer: gguf.GGUFWriter) -> int:
    texts = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    texts += [chr(code) for code in range(0x3041, 0x3097)] + [f"token{i}" for i in range(681)]
    types = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.BYTE] * 256
    types += [gguf.TokenType.NORMAL] * (len(texts) - len(types))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(texts)
    writer.add_token_scores([-float(index) for index in range(len(texts))])
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)
    return len(texts)


def _add_weights(
    writer: gguf.GGUFWriter, layers: int, width: int, context_length: int, vocabulary: int
) -> None:
    random = np.random.default_rng(1)

    def add(name: str, *shape: int, scale: float) -> None:
        weights = random.standard_normal(shape, dtype=np.float32) * scale
        writer.add_tensor(f"{name}.weight", weights.astype(np.float16))

    def add_norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(width, np.float32))

    add("token_embd", vocabulary, width, scale=0.5)
    positions = random.standard_normal((context_length, width), dtype=np.float32)
    writer.add_tensor("position_embd.weight", positions * np.float32(0.5))
    add_norm("output_norm")
    for layer in range(layers):
        block = f"blk.{layer}"
        add_norm(f"{block}.attn_norm")
        add_norm(f"{block}.ffn_norm")
        for name, outputs, inputs in (
            ("attn_qkv", 3 * width, width),
            ("attn_output", width, width),
            ("ffn_up", 4 * width, width),
            ("ffn_down", width, 4 * width),
        ):
            add(f"{block}.{name}", outputs, inputs, scale=0.08)
            writer.add_tensor(f"{block}.{name}.bias", np.zeros(outputs, np.float32))
