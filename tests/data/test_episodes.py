import itertools

import numpy as np
import pytest
import tensorflow as tf

from kgpm.data import ImageSet
from kgpm.data import episodes
from kgpm.data import load_images
from kgpm.data import num_batches
from kgpm.errors import UserError
from tests.data.numbered import epoch
from tests.data.numbered import indices
from tests.data.numbered import numbered


def test_evaluation_scores_every_image_exactly_once():
    dataset = episodes(numbered(1003, "test"), episode_length=10, batch_size=8)
    batches = list(dataset)
    assert len(batches) == int(dataset.cardinality()) == 13
    assert [len(batch["images"]) for batch in batches] == [8] * 12 + [5]
    order = epoch(batches)
    np.testing.assert_array_equal(np.sort(order[order >= 0]), np.arange(1003))
    # Padding: at the very end, black, of weight 0.
    last = batches[-1]
    np.testing.assert_array_equal(
        last["weights"][-1], [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    )
    assert (last["images"].numpy()[-1, 3:] == 0).all()
    assert all((b["weights"].numpy() == 1).all() for b in batches[:-1])


def test_evaluation_order_is_mixed_and_depends_on_nothing():
    images = numbered(400, "validation")
    first = epoch(episodes(images, episode_length=10, seed=0))
    again = epoch(episodes(images, episode_length=10, seed=5, batch_size=3))
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first, np.arange(400))[0, 1]) < 0.2


def test_training_uses_each_image_once_and_keeps_shapes_static():
    dataset = episodes(numbered(100), episode_length=4, batch_size=5)
    spec = dataset.element_spec
    assert spec["images"].shape == (5, 4, 2, 1, 1)
    assert spec["weights"].shape == (5, 4)
    order = epoch(dataset)
    np.testing.assert_array_equal(np.sort(order), np.arange(100))


def test_training_leaves_the_remainder_to_another_epoch():
    dataset = episodes(numbered(47), episode_length=4, batch_size=5)
    assert int(dataset.cardinality()) == 2
    seen = [epoch(dataset) for _ in range(6)]
    for order in seen:
        assert len(order) == len(np.unique(order)) == 40
        assert order.min() >= 0
    assert len(np.unique(np.concatenate(seen))) == 47


def test_training_on_few_images_pads():
    dataset = episodes(numbered(10), episode_length=4, batch_size=5)
    (batch,) = list(dataset)
    assert dataset.element_spec["images"].shape == (3, 4, 2, 1, 1)
    order = indices(batch).ravel()
    np.testing.assert_array_equal(np.sort(order), [-1, -1, *range(10)])


def test_each_iteration_is_a_new_epoch():
    dataset = episodes(numbered(100), episode_length=5, batch_size=2)
    first, second = epoch(dataset), epoch(dataset)
    assert (first != second).any()
    np.testing.assert_array_equal(np.sort(first), np.sort(second))


def test_iterations_follow_from_the_seed():
    options = {"episode_length": 5, "batch_size": 2}
    a, b = (episodes(numbered(100), seed=3, **options) for _ in range(2))
    for _ in range(2):
        np.testing.assert_array_equal(epoch(a), epoch(b))
    other = episodes(numbered(100), seed=4, **options)
    fresh = episodes(numbered(100), seed=3, **options)
    assert (epoch(other) != epoch(fresh)).any()


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_resumed_stream_equals_the_uninterrupted_one(dynamic):
    images = numbered(50, dynamic=dynamic)
    options = {"episode_length": 5, "batch_size": 2, "repeat": True, "seed": 1}
    per_epoch = num_batches(images, 5, 2, shuffle=True)
    assert per_epoch == 5
    whole = episodes(images, **options)
    resumed = episodes(images, first_epoch=2, **options)
    assert whole.cardinality() == tf.data.INFINITE_CARDINALITY
    stop = 4 * per_epoch
    expected = list(itertools.islice(whole, 2 * per_epoch, stop))
    received = list(itertools.islice(resumed, 2 * per_epoch))
    for a, b in zip(expected, received, strict=True):
        np.testing.assert_array_equal(a["images"], b["images"])
    assert any(
        (a["images"].numpy() != b["images"].numpy()).any()
        for a, b in zip(received[:5], received[5:], strict=True)
    )


def test_pixels_are_exactly_eight_bit_fractions():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    image_set = ImageSet(images, None, "levels", "test", "levels")
    (batch,) = episodes(image_set, episode_length=1, batch_size=1)
    expected = np.arange(256, dtype=np.float32) / np.float32(255)
    np.testing.assert_array_equal(batch["images"].numpy().ravel(), expected)


def test_dynamic_binarisation_draws_each_epoch():
    grey = np.full((600, 16, 16, 1), 64, np.uint8)
    image_set = load_images(grey, "train", binarize="dynamic")
    assert image_set.dynamic
    dataset = episodes(image_set, episode_length=10, batch_size=10)
    first, second = (
        np.concatenate([b["images"].numpy() for b in dataset]) for _ in range(2)
    )
    assert set(np.unique(first)) == {0.0, 1.0}
    assert (first != second).mean() > 0.3
    p = 64 / 255
    error = np.sqrt(p * (1 - p) / first.size)
    assert abs(first.mean() - p) < 5 * error
    # Batches of one epoch do not share their draw either.
    a, b = (batch["images"].numpy() for batch in dataset.take(2))
    assert (a != b).any()


@pytest.mark.parametrize("binarize", ["fixed", "dynamic"])
def test_evaluation_draws_once(binarize):
    grey = np.full((30, 4, 4, 1), 100, np.uint8)
    dataset = episodes(grey, "test", 10, 2, binarize=binarize)
    first, second = (
        np.concatenate([b["images"].numpy() for b in dataset]) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert set(np.unique(first)) == {0.0, 1.0}


def test_evaluating_a_dynamic_train_split_draws_once():
    images = numbered(30, dynamic=True)
    dataset = episodes(images, episode_length=5, batch_size=2, shuffle=False)
    first, second = (
        np.concatenate([b["images"].numpy() for b in dataset]) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_fixed_binarisation_is_the_same_in_every_epoch():
    grey = np.random.RandomState(0).randint(0, 256, (40, 4, 4, 1), np.uint8)
    image_set = load_images(grey, "train", binarize="fixed", seed=2)
    dataset = episodes(image_set, episode_length=4, batch_size=5)
    drawn = [
        {image.tobytes() for b in dataset for image in _flat(b)}
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 40


def _flat(batch) -> np.ndarray:
    images = batch["images"].numpy()
    return images.reshape(-1, *images.shape[2:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episode_length": 0}, "episode_length of at least 1, received 0"),
        ({"batch_size": 0}, "batch_size of at least 1, received 0"),
        ({"batch_size": 2.5}, "batch_size to be an integer"),
        ({"first_epoch": -1, "repeat": True}, "first_epoch"),
        ({"first_epoch": 1}, "repeat=True"),
        ({"binarize": "fixed"}, "source that load_images takes only"),
        ({"image_size": 3}, "source that load_images takes only"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        episodes(numbered(10), **options)
