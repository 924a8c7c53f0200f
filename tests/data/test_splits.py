import numpy as np
import pytest

from kgpm.data import splits


def test_parts_of_a_split_are_disjoint_and_complete():
    held_out = splits.split_off(100, 10, "validation", "validation")
    rest = splits.split_off(100, 10, "train", "validation")
    assert len(held_out) == 10
    np.testing.assert_array_equal(
        np.sort(np.concatenate([held_out, rest])), np.arange(100)
    )
    # Mixed, not the first or the last ten.
    assert held_out.max() - held_out.min() > 20


def test_the_permutation_never_changes():
    # A change here would move images between train and test.
    np.testing.assert_array_equal(
        splits.permutation(10), [1, 7, 6, 4, 0, 2, 5, 9, 3, 8]
    )


def test_parts_of_the_classes_share_no_class():
    labels = np.random.RandomState(0).permutation(np.repeat(range(0, 90, 3), 4))
    held_out = splits.split_off_classes(labels, 7, "validation", "validation")
    rest = splits.split_off_classes(labels, 7, "train", "validation")
    np.testing.assert_array_equal(
        np.sort(np.concatenate([held_out, rest])), np.arange(120)
    )
    chosen = np.unique(labels[held_out])
    assert len(chosen) == 7 and len(held_out) == 28
    assert not np.isin(labels[rest], chosen).any()
    # Mixed, not the first or the last seven.
    assert chosen.max() - chosen.min() > 21


@pytest.mark.parametrize(
    ("num", "asked", "expected"),
    [
        (60_000, None, 5000),
        (1000, None, 100),
        (24_345, 1345, 1345),
        (30, 1345, 3),
        (5, None, 1),
    ],
)
def test_validation_size(num, asked, expected):
    assert splits.validation_size(num, asked) == expected
