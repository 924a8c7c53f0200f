"""Each benchmark runs and prints numbers; how large they are is not tested."""

import gc
import importlib
import re
import sys

import pytest

CASES = {
    "addressing": ["--quick"],
    "all_reduce": ["--configs", "configs/digits.cfg"],
    "kernels": ["--quick"],
    "compare_steps": ["--quick", "--models", "dkm", "km"],
    "memory_ops": ["--quick", "--gradients"],
    "serving": ["--quick", "--signatures", "read"],
    "serving_growth": ["--quick"],
    "time_to_quality": [
        "--targets",
        "100",
        "1",
        "--",
        "--dataset=digits",
        "--binarize=threshold",
        "--epochs=2",
        "--width=4",
    ],
    "train_step": ["--quick"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_it_prints_a_table(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, *CASES[name]])
    try:
        importlib.import_module(f"benchmarks.{name}").main()
    finally:
        gc.unfreeze()
    rows = capsys.readouterr().out.splitlines()
    assert any(len(re.findall(r"\d[\d,.]*", row)) > 2 for row in rows)
