"""The processor that a benchmark ran on, in words."""

import os
import platform
import subprocess

# What makes a factor of two, most first.
_FEATURES = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "avx")


def name() -> str:
    """Model, cores, the most of its vector instructions, and what is allowed.

    Such as `AMD EPYC, 2 cores, avx512_bf16`.
    """
    fields = {}
    try:
        listed = subprocess.run(
            ["lscpu"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        listed = ""
    for line in listed.splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    model = fields.get("Model name", platform.machine())
    flags = fields.get("Flags", "").split()
    most = [each for each in _FEATURES if each in flags][:1]
    words = [model, f"{len(os.sched_getaffinity(0))} cores", *most]
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    if limit:
        words.append(f"oneDNN limited to {limit}")
    return ", ".join(words)
