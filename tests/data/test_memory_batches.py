import numpy as np
import pytest
from scipy import stats

from kgpm.data import ImageSet
from kgpm.data import memory_batches
from kgpm.errors import UserError
from tests.data.numbered import labelled
from tests.data.numbered import numbered
from tests.data.numbered import numbers

EVEN = [20] * 6
UNEVEN = [9, 30, 12, 10, 25, 18]
# Images of each class, memory size, classes and other options.
CASES = [
    (EVEN, 19, 1, {}),
    (EVEN, 1, 1, {}),
    (EVEN, 8, 2, {}),
    (EVEN, 6, 6, {}),
    (UNEVEN, 9, 3, {}),
    (UNEVEN, 12, 4, {"own_images": 3}),
    (UNEVEN, 11, 5, {"own_images": 4}),
    (UNEVEN, 8, 3, {"exact": False}),
    (EVEN, 2, 5, {"exact": False}),
    (EVEN, 1, 2, {"exact": False}),
]


def drawn(images, *arguments, **options):
    """Numbers of the targets `[N]` and of their memories `[N, M]`."""
    batches = list(memory_batches(images, *arguments, **options))
    targets = np.concatenate([numbers(b["images"])[:, 0] for b in batches])
    return targets, np.concatenate([numbers(b["memory"]) for b in batches])


def class_counts(images, memories):
    """How many images of each class are in each memory, `[N, K]`."""
    classes = np.unique(images.labels)
    return (images.labels[memories][..., np.newaxis] == classes).sum(1)


def own_and_others(images, targets, memories):
    """Images of the own class `[N]`, and of each other class `[N, K - 1]`."""
    counts = class_counts(images, memories)
    is_own = images.labels[targets][:, np.newaxis] == np.unique(images.labels)
    return counts[is_own], counts[~is_own].reshape(len(counts), -1)


def many(num_classes, *arguments, **options):
    """Own and other counts of the memories of 2,000 images."""
    images = labelled([2000 // num_classes] * num_classes, "test")
    return own_and_others(images, *drawn(images, *arguments, 500, **options))


def assert_uniform(values, low, high):
    """Whether integers are uniform on low to high."""
    assert values.min() == low and values.max() == high
    counts = np.bincount(values)[low:]
    if low < high:
        assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_what_every_memory_holds(case):
    counts, size, num_classes, options = case
    images = labelled(counts, "test")
    targets, memories = drawn(images, size, num_classes, 50, **options)
    np.testing.assert_array_equal(targets, np.arange(sum(counts)))
    assert memories.shape == (len(targets), size)
    assert memories.min() >= 0
    assert not (memories == targets[:, np.newaxis]).any()
    assert (np.diff(np.sort(memories, axis=1)) > 0).all()
    own, others = own_and_others(images, targets, memories)
    assert own.min() >= 1
    present = 1 + (others > 0).sum(1)
    if options.get("exact", True):
        assert (present == num_classes).all()
    else:
        assert present.max() == min(num_classes, size)
        assert present.min() == 1
    if "own_images" in options:
        assert (own == options["own_images"]).all()
    # The other classes share what is left as evenly as can be.
    most = others.max(1)
    least = np.where(others > 0, others, size).min(1)
    assert (most - np.minimum(least, most) <= 1).all()


def test_batches():
    images = labelled(EVEN, "test")
    dataset = memory_batches(images, 5, 2, 50)
    assert int(dataset.cardinality()) == 3
    batches = list(dataset)
    assert [len(batch["images"]) for batch in batches] == [50, 50, 20]
    for batch in batches:
        size = len(batch["images"])
        assert batch["images"].shape == (size, 1, 2, 1, 1)
        assert batch["memory"].shape == (size, 5, 2, 1, 1)
        np.testing.assert_array_equal(batch["weights"], np.ones((size, 1)))


def test_the_own_count_is_uniform():
    own, _ = many(5, 6, 3)
    assert_uniform(own, 1, 4)
    own, _ = many(5, 7, 2)
    assert_uniform(own, 1, 6)


def test_up_to_two_classes():
    own, others = many(5, 7, 2, exact=False)
    alone = others.sum(1) == 0
    assert stats.binomtest(int(alone.sum()), len(alone)).pvalue > 1e-3
    assert (own[alone] == 7).all()
    assert_uniform(own[~alone], 1, 6)


def test_up_to_more_classes_than_images():
    for size, num_classes, most in ((6, 4, 4), (3, 5, 3), (1, 5, 1)):
        _, others = many(6, size, num_classes, exact=False)
        assert_uniform(1 + (others > 0).sum(1), 1, most)


def test_other_classes_are_drawn_evenly():
    # One image of the own class; of three others, one has 2 and two have 1.
    own, others = many(5, 5, 4, own_images=1)
    assert (own == 1).all()
    np.testing.assert_array_equal(
        np.sort(others, axis=1)[:, 1:].max(0), [1, 1, 2]
    )
    for number in (1, 2):
        shares = (others == number).mean(0)
        expected = {1: 2 / 4, 2: 1 / 4}[number]
        error = np.sqrt(expected * (1 - expected) / len(others))
        np.testing.assert_array_less(np.abs(shares - expected), 5 * error)


def test_images_of_a_class_are_drawn_evenly():
    images = labelled([8] * 4)
    rounds = [drawn(images, 6, 3, seed=seed)[1] for seed in range(20)]
    # Everywhere in the memory: it has no order.
    for place in (0, 3, 5):
        shown = np.concatenate([memory[:, place] for memory in rounds])
        # Each image is equally often in the memories of all the others.
        counts = np.bincount(shown, minlength=32)
        assert stats.chisquare(counts).pvalue > 1e-3


def test_the_own_class_is_anywhere_in_a_memory():
    images = labelled([15] * 4)
    targets, memories = drawn(images, 4, 4, own_images=1)
    own = images.labels[memories] == images.labels[targets][:, np.newaxis]
    assert_uniform(np.argmax(own, axis=1), 0, 3)


def test_a_seed_decides_the_memories_and_not_the_targets():
    images = labelled(EVEN, "test")
    first_targets, first = drawn(images, 5, 2, targets=30, seed=3)
    targets, memories = drawn(images, 5, 2, 7, targets=30, seed=3)
    np.testing.assert_array_equal(targets, first_targets)
    np.testing.assert_array_equal(memories, first)
    targets, memories = drawn(images, 5, 2, targets=30, seed=4)
    np.testing.assert_array_equal(targets, first_targets)
    assert (memories != first).any()
    # Other sizes are measured on the same targets, and more on more of them.
    targets, _ = drawn(images, 9, 3, targets=50)
    np.testing.assert_array_equal(targets[:30], first_targets)
    assert len(np.unique(targets)) == 50
    # Of all images, not the first of them.
    assert targets.max() > 80


def test_targets_can_be_named():
    images = labelled(EVEN, "test")
    targets, memories = drawn(images, 5, 2, 2, targets=[7, 3, 100])
    np.testing.assert_array_equal(targets, [7, 3, 100])
    assert memories.shape == (3, 5)


def test_dynamic_images_are_drawn_once():
    grey = np.full((40, 8, 8, 1), 100, np.uint8)
    images = ImageSet(
        grey, np.arange(40) // 10, "grey", "train", "grey", dynamic=True
    )
    dataset = memory_batches(images, 3, 2, 20)
    first, second = (
        np.concatenate([batch["memory"].numpy() for batch in dataset])
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert set(np.unique(first)) == {0.0, 1.0}
    assert (first[:20] != first[20:]).any()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 1), {}, "memory_size of at least 1, received 0"),
        ((5, 0), {}, "classes_per_memory of at least 1, received 0"),
        ((5, 2, 0), {}, "batch_size of at least 1, received 0"),
        ((5, 2.5), {}, "classes_per_memory to be an integer"),
        ((9, 7), {}, "at most the 6 classes of numbered test, received 7"),
        ((9, 7), {"exact": False}, "at most the 6 classes"),
        (
            (2, 3),
            {},
            "at least classes_per_memory 3, received 2; .*exact=False",
        ),
        ((5, 2), {"own_images": 0}, "own_images of at least 1"),
        ((5, 2), {"own_images": 5}, "own_images to be from 1 to 4"),
        ((5, 1), {"own_images": 3}, "own_images to be from 5 to 5"),
        (
            (5, 2),
            {"own_images": 3, "exact": False},
            "own_images with exact=True only",
        ),
        # The smallest class has 9 images, one of which is the target.
        ((9, 1), {}, "at least 10 images .* received a class of 9"),
        ((10, 2), {}, "at least 10 images .* received a class of 9"),
        (
            (9, 2),
            {"exact": False},
            "at least 10 images .* received a class of 9",
        ),
        (
            (12, 2),
            {"own_images": 2},
            "at least 10 images of each class, .* received a class of 9",
        ),
        ((5, 2), {"targets": 0}, "targets of at least 1"),
        ((5, 2), {"targets": 105}, "at most the 104 images"),
        ((5, 2), {"targets": [1, 2, 1]}, "different indices from 0 to 103"),
        ((5, 2), {"targets": [104]}, "different indices from 0 to 103"),
        ((5, 2), {"targets": [-1]}, "different indices"),
        ((5, 2), {"targets": []}, "different indices"),
        ((5, 2), {"targets": [0.5]}, "different indices"),
    ],
)
def test_wrong_arguments_are_refused(arguments, options, message):
    with pytest.raises(UserError, match=message):
        memory_batches(labelled(UNEVEN, "test"), *arguments, **options)


def test_a_small_class_may_serve_where_it_is_not_needed():
    images = labelled(UNEVEN, "test")
    # The classes of 9 and 10 are no target's, and 9 are taken of them at most.
    targets = np.flatnonzero(~np.isin(images.labels, [0, 21]))
    for arguments in ((9, 1), (8, 2), (10, 2)):
        drawn(images, *arguments, targets=targets)
    with pytest.raises(UserError, match="at least 10 images of each class"):
        drawn(images, 11, 2, targets=targets)


def test_classes_need_labels():
    with pytest.raises(UserError, match="with labels .* numbered test without"):
        memory_batches(numbered(10, "test"), 4, 2)
