"""How far an evaluation says that it is."""

import re

from kgpm.evaluation.evaluation import evaluate
from kgpm.evaluation.progress import Progress


def places(text):
    """Batches done at each time that a bar was drawn."""
    return [float(n) for n in re.findall(r"([\d.]+)/2 batches", text)]


def test_a_bar_only_where_asked(fake_model, numbered_episodes, capsys):
    dataset = numbered_episodes(11, 3, 2)
    for shown in (None, False):
        evaluate(fake_model(), dataset, progress=shown)
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err == ""
    evaluate(fake_model(), dataset, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    drawn = places(captured.err)
    # From the first second on, and to the end.
    assert drawn[0] == 0.0 and drawn[-1] == 2.0
    assert "nelbo" in captured.err
    unknown = dataset.filter(lambda batch: True)
    evaluate(fake_model(), unknown, progress=True)
    assert "2 batches" in capsys.readouterr().err


def test_it_moves_within_a_batch(fake_model, numbered_episodes, monkeypatch):
    """While samples are drawn, and never beyond the batch."""
    seen = []

    class Recorded(Progress):
        def advance(self, decoded):
            super().advance(decoded)
            seen.append(self._bar.n)

        def end_batch(self, nelbo):
            super().end_batch(nelbo)
            seen.append(self._bar.n)

    monkeypatch.setattr("kgpm.evaluation.evaluation.Progress", Recorded)
    dataset = numbered_episodes(11, 3, 2)
    options = {"num_importance_samples": 50, "progress": True}
    evaluate(fake_model(), dataset, **options)
    assert seen == sorted(seen) and seen[-1] == 2.0
    assert len({round(n, 3) for n in seen if 0.0 < n < 1.0}) >= 4
    # What a batch takes is known well enough to end near its end.
    assert max(n for n in seen if n < 1.0) > 0.9
