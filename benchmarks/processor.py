"""The processor that a benchmark ran on, in words."""

import os
import platform
import subprocess

# What makes a factor of two, most first.
_FEATURES = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "avx")


def kind() -> str:
    """The most of its vector instructions: `avx512_bf16`, `avx2`, ..."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    if limit:
        return limit.lower()
    flags = _fields().get("Flags", "").split()
    return next((each for each in _FEATURES if each in flags), "unknown")


def name() -> str:
    """Model, cores and the most of its vector instructions.

    Such as `AMD EPYC, 2 cores, avx512_bf16`.
    """
    fields = _fields()
    words = [
        fields.get("Model name", platform.machine()),
        f"{len(os.sched_getaffinity(0))} cores",
        kind(),
    ]
    if "ONEDNN_MAX_CPU_ISA" in os.environ:
        words[-1] = f"oneDNN limited to {kind()}"
    return ", ".join(words)


def _fields() -> dict[str, str]:
    try:
        listed = subprocess.run(
            ["lscpu"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    pairs = [line.partition(":") for line in listed.splitlines()]
    return {key.strip(): value.strip() for key, _, value in pairs}
