import numpy as np

from kgpm.evaluation.retrieval import Retrieval
from kgpm.evaluation.retrieval_report import retrieval_panels
from kgpm.evaluation.retrieval_report import retrieval_table

SETTING = {
    "noise": "block",
    "level": 12.0,
    "split": "test",
    "description": "numbers, Burda-like",
    "episode_length": 16,
    "threshold": 0.5,
}


def retrieval(num_images):
    image = np.zeros((1, 2, 2, 1))
    steps = np.arange(3.0)
    return Retrieval(
        binary=True,
        query_errors=np.arange(num_images) + 50.0,
        autoencoder_errors=np.full(num_images, 30.0),
        read_errors=np.arange(num_images)[:, None] + 10.0 - steps[1:],
        energies=np.arange(num_images)[:, None] + 90.0 + 3.0 * steps,
        residuals=np.arange(num_images)[:, None] + 7.0 * steps,
        clean=image,
        queries=image,
        reads=image[None],
    )


def test_table_has_a_line_for_every_step():
    found = retrieval(4)
    lines = retrieval_table({**SETTING, **found.summary()}).splitlines()
    assert lines[0].startswith("block 12, test split, 4 images")
    assert lines[1] == "data: numbers, Burda-like"
    cells = {line[:24].strip(): line[24:].split() for line in lines if line}
    deviation = np.std(np.arange(4), ddof=1) / 2
    error, finer = f"{deviation:.2f}", f"{deviation:.3f}"
    assert cells["query"] == [
        *("51.50", "±", error, "91.50", "±", error),
        *("1.500", "±", finer),
    ]
    assert cells["encode and decode"] == ["30.00", "±", "0.00"]
    assert cells["read 2"] == [
        *("9.50", "±", error, "97.50", "±", error),
        *("15.500", "±", finer),
    ]
    assert "100.00% of all steps" in lines[-1]


def test_panels_begin_with_the_query():
    energy, error = retrieval_panels(retrieval(100), "a title")
    np.testing.assert_array_equal(energy.x, [0, 1, 2])
    np.testing.assert_allclose(energy.curves["mean"], [139.5, 142.5, 145.5])
    assert energy.thin.shape == (64, 3)
    values, errors = error.curves["read"]
    np.testing.assert_allclose(values, [99.5, 58.5, 57.5])
    np.testing.assert_allclose(errors, np.std(np.arange(100), ddof=1) / 10)
    assert error.levels == {"encode and decode": 30.0}
    single = retrieval_panels(retrieval(1))[1]
    assert single.curves["read"][1] is None
