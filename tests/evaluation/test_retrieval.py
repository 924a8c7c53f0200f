import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.errors import UserError
from kgpm.evaluation.retrieval import measure_retrieval


@pytest.fixture
def episodes():
    """5 binary images 2 x 2 in episodes of 2, one padded, one a batch."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, (3, 2, 2, 2, 1)).astype("float32")
    weights = np.ones((3, 2), "float32")
    weights[2, 1] = 0.0
    dataset = tf.data.Dataset.from_tensor_slices(
        {"images": images, "weights": weights}
    ).batch(1)
    return dataset, images.reshape(6, 2, 2, 1)[:5]


def invert(images, seed):
    return 1.0 - images


def test_errors_and_energies_by_hand(fake_model, episodes):
    dataset, images = episodes
    found = measure_retrieval(fake_model(), dataset, invert, num_steps=4)
    # All 4 pixels are wrong, and each read puts one more right.
    np.testing.assert_array_equal(found.query_errors, [4] * 5)
    np.testing.assert_array_equal(found.autoencoder_errors, [4] * 5)
    np.testing.assert_array_equal(found.read_errors, [[3, 2, 1, 0]] * 5)
    flat = images.reshape(5, 4)
    for step in range(5):
        right = np.arange(4) < step
        ones = np.where(right, flat, 1 - flat).sum(axis=1)
        np.testing.assert_array_equal(found.energies[:, step], 2 * ones)
        np.testing.assert_array_equal(found.residuals[:, step], 3 * ones)
    summary = found.summary()
    rises = np.diff(found.energies, axis=1) > 1e-3
    assert summary["energy_rises"] == rises.mean()
    assert summary["num_images"] == 5
    assert [entry["mean"] for entry in summary["reads"]] == [3, 2, 1, 0]
    assert summary["query"] == {"mean": 4.0, "standard_error": 0.0}
    assert summary["unit"] == "pixels that differ"


def test_examples_keep_clean_query_and_reads_together(fake_model, episodes):
    dataset, images = episodes
    found = measure_retrieval(
        fake_model(), dataset, invert, num_steps=4, num_examples=3
    )
    np.testing.assert_array_equal(found.clean, images[:3])
    np.testing.assert_array_equal(found.queries, 1 - images[:3])
    assert found.reads.shape == (4, 3, 2, 2, 1)
    np.testing.assert_array_equal(found.reads[-1], images[:3])


def test_stops_at_the_number_of_images_asked_for(fake_model, episodes):
    dataset, _ = episodes
    found = measure_retrieval(
        fake_model(), dataset, invert, num_steps=1, num_images=3
    )
    assert len(found.query_errors) == len(found.energies) == 3


def test_corruption_gets_another_seed_for_each_batch(fake_model, episodes):
    dataset, _ = episodes
    seeds = []

    def corrupt(images, seed):
        seeds.append(tuple(np.asarray(seed)))
        return images

    measure_retrieval(fake_model(), dataset, corrupt, num_steps=1, seed=3)
    expected = [
        tuple(np.asarray(ops.fold_in(ops.make_seed(3), batch)))
        for batch in range(3)
    ]
    assert seeds == expected
    assert len(set(seeds)) == 3


def test_grey_queries_of_binary_images_have_an_energy(fake_model, episodes):
    dataset, images = episodes
    found = measure_retrieval(
        fake_model(), dataset, lambda x, seed: x * 0.9, num_steps=1
    )
    np.testing.assert_array_equal(found.query_errors, [0] * 5)
    ones = images.reshape(5, 4).sum(axis=1)
    np.testing.assert_array_equal(found.energies[:, 0], 2 * ones)
    np.testing.assert_allclose(found.queries, 0.9 * images, rtol=1e-6)


def test_other_likelihoods_measure_root_mean_square(fake_model, episodes):
    dataset, _ = episodes
    model = fake_model()
    model.likelihood = type(model.likelihood)()
    model.likelihood.name = "gaussian"
    found = measure_retrieval(
        model, dataset, lambda x, seed: x + 0.25, num_steps=2
    )
    np.testing.assert_allclose(found.query_errors, 0.25, rtol=1e-6)
    # Two of four pixels are right after the second read.
    np.testing.assert_allclose(
        found.read_errors[:, 1], 0.25 * np.sqrt(0.5), rtol=1e-6
    )
    assert found.unit == "rms error"


def test_bad_arguments(fake_model, episodes):
    dataset, _ = episodes
    with pytest.raises(UserError, match="num_steps of at least 1"):
        measure_retrieval(fake_model(), dataset, invert, num_steps=0)
    with pytest.raises(UserError, match="received none"):
        measure_retrieval(fake_model(), dataset.take(0), invert)
