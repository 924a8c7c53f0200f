"""Each benchmark runs and prints numbers; how large they are is not tested."""

import gc
import importlib
import json
import re
import sys

import pytest

from benchmarks import guard
from benchmarks import processor
from kgpm.errors import UserError

CASES = {
    "addressing": ["--quick"],
    "around_the_step": ["--quick"],
    "all_reduce": ["--configs", "configs/digits.cfg"],
    "kernels": ["--quick"],
    "compare_steps": ["--quick", "--models", "dkm", "km"],
    "memory_ops": ["--quick", "--gradients"],
    "memory_scale": ["--quick"],
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
    "published": ["--quick", "--steps"],
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
    assert len(re.findall(r"\d[\d,.]*", capsys.readouterr().out)) > 1


@pytest.fixture
def guarded(monkeypatch, tmp_path):
    """Runs the guard on a ratio, where 2 is stored for a processor."""
    stored = tmp_path / "guard.json"
    stored.write_text(json.dumps({"avx2": {"step : matmul": 2.0}}))
    monkeypatch.setattr(guard, "STORED", stored)

    def run(ratio, *arguments, kind="avx2"):
        monkeypatch.setattr(processor, "kind", lambda: kind)
        monkeypatch.setattr(sys, "argv", ["guard", *arguments])
        monkeypatch.setattr(
            guard, "make_round", lambda *_: lambda: {"step : matmul": ratio}
        )
        guard.main()
        return json.loads(stored.read_text())

    return run


def test_the_guard_lets_pass_what_is_as_fast(guarded, capsys):
    guarded(2.28)
    assert "Nothing is slower" in capsys.readouterr().out


def test_the_guard_fails_beyond_its_margin(guarded):
    with pytest.raises(SystemExit, match="15%: step : matmul"):
        guarded(2.32)


def test_the_guard_stores_a_new_processor_beside_the_others(guarded):
    with pytest.raises(UserError, match="received those with avx2"):
        guarded(3.0, kind="amx_bf16")
    stored = guarded(3.0, "--store", kind="amx_bf16")
    assert stored == {
        "avx2": {"step : matmul": 2.0},
        "amx_bf16": {"step : matmul": 3.0},
    }


@pytest.mark.slow
def test_the_guard_measures(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(guard, "STORED", tmp_path / "guard.json")
    (tmp_path / "guard.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["guard", "--quick", "--store"])
    guard.main()
    stored = json.loads((tmp_path / "guard.json").read_text())
    ratios = stored[processor.kind()]
    assert len(ratios) == 4 and all(ratio > 0.0 for ratio in ratios.values())
