"""Omniglot at 28x28 in the split of Burda et al. (2015), or a stand-in."""

import pathlib

import numpy as np

from kgpm.data.image_set import ImageSet
from kgpm.data.preprocessing import Target
from kgpm.data.preprocessing import to_uint8
from kgpm.data.preprocessing import transform_array
from kgpm.data.sources import Request
from kgpm.data.sources import Source
from kgpm.data.sources import get_source
from kgpm.data.splits import permutation
from kgpm.data.splits import split_off
from kgpm.data.splits import validation_size
from kgpm.data.tfds_source import TFDSReader
from kgpm.data.tfds_source import find_data_dir
from kgpm.errors import UserError

NUM_TRAIN = 24_345
NUM_TEST = 8_070
MAT_FILE = "chardata.mat"
_SIDE = 28


def load(name: str, request: Request) -> ImageSet:
    """Loads a split of Omniglot with 24,345 images for training.

    With `chardata.mat` in `data_dir` it is the split of "Importance Weighted
    Autoencoders" (Burda et al., arXiv:1509.00519). Otherwise it is a fixed
    permutation of all Omniglot images of TensorFlow Datasets, which its
    description calls "Burda-like": other images, other stroke widths.

    Raises:
        UserError: neither is there, or `chardata.mat` is not Burda's.
    """
    facts, split = get_source(name), request.split
    target = Target.of(facts, request)
    folder = find_data_dir(request.data_dir)
    path = pathlib.Path(folder, MAT_FILE) if folder else None
    if path is not None and path.exists():
        images, labels = _load_mat(path, split, facts, target)
        origin = f"Burda's split, from {MAT_FILE}"
        label = name
    else:
        reader = TFDSReader(
            str(facts.tfds_name), request.data_dir, request.download
        )
        images, labels, num_train, num_test = _load_like(
            reader, split, facts, target
        )
        origin = (
            f"Burda-like split ({num_train:,} train, {num_test:,} test of the "
            "original images, area-resized; not comparable with figures on "
            "Burda's file)"
        )
        label = f"{name} (Burda-like)"
    return ImageSet.described(images, labels, name, split, origin, label=label)


def _load_mat(path: pathlib.Path, split: str, facts: Source, target: Target):
    from scipy import io

    try:
        matrix = io.loadmat(path)["testdata" if split == "test" else "data"]
    except Exception as error:
        # SciPy's reader raises whatever the damage to a file leads to.
        raise UserError(
            f"Expected {path} to be Burda's file with 'data' and 'testdata', "
            f"could not read it ({error}); fetch it again or remove it."
        ) from error
    if matrix.ndim != 2 or matrix.shape[0] != _SIDE**2:
        raise UserError(
            f"Expected {path} to hold {_SIDE**2} pixels a column, received "
            f"shape {list(matrix.shape)}; fetch it again or remove it."
        )
    expected = NUM_TEST if split == "test" else NUM_TRAIN
    if matrix.shape[1] != expected:
        raise UserError(
            f"Expected {path} to hold {expected:,} images for {split}, "
            f"received {matrix.shape[1]:,}; fetch it again or remove it."
        )
    # Each column is an image in MATLAB's column-major order, so the first
    # axis of a row-major reshape is the horizontal one.
    images = matrix.T.reshape(-1, _SIDE, _SIDE).transpose(0, 2, 1)
    images = np.ascontiguousarray(images)
    if split != "test":
        held_out = validation_size(len(images), facts.num_validation)
        images = images[split_off(len(images), held_out, split, "validation")]
    images = to_uint8(images, f"images in {path}")
    # The file already holds white strokes on black.
    return transform_array(images, target._replace(invert=False)), None


def _load_like(reader: TFDSReader, split: str, facts: Source, target: Target):
    num_background = reader.num_images("train")
    num = num_background + reader.num_images("test")
    num_train = NUM_TRAIN
    if num <= NUM_TRAIN:
        num_train = num * NUM_TRAIN // (NUM_TRAIN + NUM_TEST)
    order = permutation(num)
    chosen = order[num_train:]
    if split != "test":
        held_out = validation_size(num_train, facts.num_validation)
        inner = split_off(num_train, held_out, split, "validation")
        chosen = order[:num_train][inner]
    chosen = np.sort(chosen)
    parts = [
        ("train", chosen[chosen < num_background]),
        ("test", chosen[chosen >= num_background] - num_background),
    ]
    images, labels = reader.read(parts, target)
    return images, labels, num_train, num - num_train
