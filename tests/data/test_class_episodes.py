import itertools

import numpy as np
import pytest
import tensorflow as tf

from kgpm.data import episodes
from kgpm.data import load_images
from kgpm.data import num_batches
from kgpm.errors import UserError
from tests.data.numbered import labelled
from tests.data.numbered import numbered
from tests.data.numbered import rows

# Images of each class, episode length, classes of an episode, batch size.
CASES = [
    ([20] * 30, 32, 8, 4),
    ([7, 30, 11, 12, 25, 9, 40], 6, 3, 2),
    # One class has more groups than there are episodes.
    ([100, 6, 7, 5], 4, 2, 3),
    ([13, 12, 11], 3, 3, 1),
    ([9, 8, 10, 4], 4, 1, 5),
]


def per_class(episode, labels):
    """How many images of each class are in an episode."""
    return np.unique(labels[episode[episode >= 0]], return_counts=True)[1]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_training_episodes_have_exactly_their_classes(case):
    counts, length, num_classes, batch_size = case
    images = labelled(counts)
    dataset = episodes(
        images,
        episode_length=length,
        batch_size=batch_size,
        classes_per_episode=num_classes,
    )
    assert dataset.element_spec["images"].shape.is_fully_defined()
    for _ in range(5):
        order = rows(dataset)
        # Nothing is padded, and no image is in an epoch twice.
        assert order.min() >= 0
        assert len(np.unique(order)) == order.size
        for episode in order:
            np.testing.assert_array_equal(
                per_class(episode, images.labels),
                [length // num_classes] * num_classes,
            )


def most_episodes(counts, size, num_classes):
    """By hand: take from the classes that have most left, one group each."""
    groups = np.array(counts) // size
    num = 0
    while (groups > 0).sum() >= num_classes:
        groups[np.argsort(-groups)[:num_classes]] -= 1
        num += 1
    return num


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_epoch_has_as_many_episodes_as_the_images_fill(case):
    counts, length, num_classes, batch_size = case
    images = labelled(counts)
    most = most_episodes(counts, length // num_classes, num_classes)
    for size in (1, batch_size):
        expected = max(most // size, 1)
        assert num_batches(images, length, size, True, num_classes) == expected
        dataset = episodes(
            images,
            episode_length=length,
            batch_size=size,
            classes_per_episode=num_classes,
        )
        assert len(list(dataset)) == int(dataset.cardinality()) == expected


@pytest.mark.slow
def test_what_an_epoch_leaves_out_is_in_another():
    dataset = episodes(
        labelled([7, 5, 9, 6, 8]),
        episode_length=4,
        batch_size=2,
        classes_per_episode=2,
    )
    epochs = [rows(dataset) for _ in range(12)]
    assert all(order.size < 35 for order in epochs)
    assert len(np.unique(np.concatenate(epochs))) == 35


def test_classes_meet_by_chance():
    images = labelled([24] * 5)
    dataset = episodes(
        images, "train", 4, 3, classes_per_episode=2, repeat=True
    )
    per_epoch = num_batches(images, 4, 3, True, 2)
    stream = iter(dataset)
    pairs = list(itertools.combinations(range(5), 2))
    shares = []
    for _ in range(60):
        order = rows(itertools.islice(stream, per_epoch))
        met = [tuple(np.unique(images.labels[row]) // 7) for row in order]
        shares.append([met.count(pair) / len(met) for pair in pairs])
    shares = np.array(shares)
    # Two classes have one half of the episodes, two the other, and one meets
    # all of them: 8 pairs of 10, of which chance seldom leaves one out.
    assert (shares > 0).sum(1).mean() > 7.5
    error = shares.std(0, ddof=1) / np.sqrt(len(shares))
    np.testing.assert_array_less(np.abs(shares.mean(0) - 1 / 10), 5 * error)


def test_classes_of_an_episode_are_mixed():
    images = labelled([200] * 10)
    order = rows(episodes(images, "train", 20, 5, classes_per_episode=2))
    labels = images.labels[order]
    same = (labels[:, 1:] == labels[:, :-1]).mean()
    # 9 of the 19 others are of the own class.
    assert abs(same - 9 / 19) < 0.05


@pytest.mark.parametrize("case", CASES)
def test_evaluation_scores_every_image_exactly_once(case):
    counts, length, num_classes, batch_size = case
    images = labelled(counts, "test")
    options = {"episode_length": length, "classes_per_episode": num_classes}
    dataset = episodes(images, batch_size=batch_size, **options)
    batches = list(dataset)
    assert len(batches) == int(dataset.cardinality())
    order = rows(batches)
    np.testing.assert_array_equal(
        np.sort(order[order >= 0]), np.arange(sum(counts))
    )
    for episode in order:
        found = per_class(episode, images.labels)
        assert 1 <= len(found) <= num_classes
        assert found.max() <= length // num_classes
        # What is missing is at the end.
        assert (np.diff((episode < 0).astype(int)) >= 0).all()
    for batch in batches:
        empty = batch["weights"].numpy() == 0
        assert (batch["images"].numpy()[empty] == 0).all()
    # The order depends neither on the seed nor on the batches.
    again = episodes(images, batch_size=batch_size + 1, seed=5, **options)
    np.testing.assert_array_equal(rows(again), order)
    groups = -(-np.array(counts) // (length // num_classes))
    fewest = max(groups.max(), -(-groups.sum() // num_classes))
    assert len(order) == fewest


def test_evaluation_pads_nothing_where_all_divides():
    images = labelled([20] * 16, "validation")
    order = rows(episodes(images, "", 32, 3, classes_per_episode=8))
    assert order.shape == (10, 32) and order.min() >= 0
    assert all(len(per_class(row, images.labels)) == 8 for row in order)


def test_a_seed_decides_the_orders():
    images = labelled([12] * 5)
    options = {"episode_length": 6, "batch_size": 2, "classes_per_episode": 3}
    a, b = (episodes(images, seed=3, **options) for _ in range(2))
    first = rows(a)
    np.testing.assert_array_equal(first, rows(b))
    # Another epoch, then another seed.
    assert (rows(a) != first).any()
    assert (rows(episodes(images, seed=4, **options)) != first).any()


@pytest.mark.slow
def test_a_resumed_stream_equals_the_uninterrupted_one():
    images = labelled([12] * 5)
    options = {"episode_length": 6, "batch_size": 2, "classes_per_episode": 3}
    per_epoch = num_batches(images, 6, 2, True, 3)
    assert per_epoch == 5
    whole = episodes(images, repeat=True, **options)
    resumed = episodes(images, repeat=True, first_epoch=2, **options)
    expected = rows(itertools.islice(whole, 2 * per_epoch, 4 * per_epoch))
    received = rows(itertools.islice(resumed, 2 * per_epoch))
    np.testing.assert_array_equal(received, expected)
    assert (received[:10] != received[10:]).any()


def test_labels_of_a_dataset_are_used():
    images = labelled([8, 9, 10])
    pairs = tf.data.Dataset.from_tensor_slices((images.images, images.labels))
    order = rows(episodes(pairs, "train", 4, 2, classes_per_episode=2))
    assert all((per_class(row, images.labels) == 2).all() for row in order)


def test_digits_by_class():
    images = load_images("digits", "test", image_size=8)
    dataset = episodes(images, "", 20, 4, classes_per_episode=10)
    weights = np.concatenate([batch["weights"] for batch in dataset])
    # 35 to 37 of each digit: 19 pairs of each, the last of some with one.
    assert weights.shape == (19, 20)
    assert weights.sum() == len(images) == 359


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes_per_episode": 0}, "classes_per_episode of at least 1"),
        ({"classes_per_episode": 2.5}, "classes_per_episode to be an integer"),
        ({"classes_per_episode": 4}, "a multiple of classes_per_episode 4"),
        (
            {"classes_per_episode": 5, "episode_length": 10},
            "at most the 4 classes of numbered train, received 5",
        ),
        (
            {"classes_per_episode": 2, "episode_length": 12},
            "at least .* = 6 images of each class, received a class of 5",
        ),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    images = labelled([8, 5, 7, 6])
    with pytest.raises(UserError, match=message):
        episodes(images, **{"episode_length": 6, **options})
    if isinstance(options["classes_per_episode"], int):
        length = options.get("episode_length", 6)
        num_classes = options["classes_per_episode"]
        with pytest.raises(UserError, match=message):
            num_batches(images, length, 1, True, num_classes)


def test_classes_need_labels():
    with pytest.raises(
        UserError, match="with labels .* numbered train without"
    ):
        episodes(numbered(10), episode_length=4, classes_per_episode=2)


def test_a_small_class_is_padded_in_evaluation_only():
    order = rows(
        episodes(
            labelled([8, 1], "test"),
            episode_length=4,
            batch_size=1,
            classes_per_episode=2,
        )
    )
    assert (order >= 0).sum() == 9
