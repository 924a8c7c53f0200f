"""The code in docs/ runs as it stands."""

import re
from pathlib import Path

import keras
import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.mark.slow
def test_your_own_memory_in_40_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "own_parts.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    body = blocks[0].split("@keras.saving", 1)[1]
    assert len([line for line in body.splitlines() if line.strip()]) <= 40
    names: dict = {}
    try:
        for block in blocks:
            exec(compile(block, "docs/own_parts.md", "exec"), names)
    finally:
        keras.saving.get_custom_objects().pop("my_project>HopfieldMemory")
    losses = names["history"].history["loss"]
    assert losses[-1] < losses[0]
    assert names["cleaned"].shape == (8, 3, 16, 28, 28, 1)
    assert names["new"].shape == (8, 10, 4, 28, 28, 1)
    assert names["table"]["figures"]["A"]["nelbo"]["mean"] > 0.0
    assert (tmp_path / "exports" / "hopfield" / "1").is_dir()
