"""Images that are already in memory, or stream from a `tf.data.Dataset`."""

import importlib.metadata
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm.data.image_set import ImageSet
from kgpm.data.preprocessing import Target
from kgpm.data.preprocessing import to_uint8
from kgpm.data.preprocessing import transform_array
from kgpm.data.sources import Request
from kgpm.data.sources import get_source
from kgpm.data.splits import permutation
from kgpm.data.splits import split_off
from kgpm.data.splits import validation_size
from kgpm.errors import UserError

_BATCH = 256


def load_array(
    images: Any,
    request: Request,
    labels: np.ndarray | None = None,
    name: str = "array",
) -> ImageSet:
    """Takes an array `[N, H, W]` or `[N, H, W, C]` whole.

    Raises:
        UserError: wrong shape, type or range.
    """
    images = to_uint8(images, "images")
    height, width = request.size or images.shape[1:3]
    target = Target(height, width, request.channels or images.shape[-1])
    images = transform_array(images, target)
    return ImageSet.described(images, labels, name, request.split)


def load_dataset(dataset: tf.data.Dataset, request: Request) -> ImageSet:
    """Takes a finite `tf.data.Dataset` whole.

    Its elements are images `[H, W]`, `[H, W, C]` or batches `[N, H, W, C]`, or
    dictionaries with "image" (and maybe "label"), or pairs (image, label).

    Raises:
        UserError: it is endless or empty, or its elements are something else.
    """
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise UserError(
            "Expected a finite tf.data.Dataset, received an endless one; "
            "take() as many images as you need."
        )
    image_key, label_key = _keys(dataset.element_spec)

    def select(*element: Any) -> dict:
        if image_key is None:
            return {"image": element[0]}
        whole = element if image_key == 0 else element[0]
        selected = {"image": whole[image_key]}
        if label_key is not None:
            selected["label"] = whole[label_key]
        return selected

    dataset = dataset.map(select, num_parallel_calls=tf.data.AUTOTUNE)
    spec = dataset.element_spec["image"]
    if spec.shape.rank not in (2, 3, 4):
        raise UserError(
            "Expected a tf.data.Dataset of images [H, W] or [H, W, C] or of "
            f"batches [N, H, W, C], received {spec.shape}."
        )
    batched = spec.shape.rank == 4
    if not batched:
        dataset = dataset.batch(_BATCH)
    batches = _run(dataset)
    if not batches:
        raise UserError(
            "Expected a tf.data.Dataset with at least one image, received an "
            "empty one; check its split and filters."
        )
    images = np.concatenate([batch["image"] for batch in batches])
    labels = None
    if "label" in batches[0]:
        labels = np.concatenate([batch["label"] for batch in batches])
        labels = labels.astype(np.int64) if labels.ndim == 1 else None
    return load_array(images, request, labels, "tf.data.Dataset")


def _run(dataset: tf.data.Dataset) -> list[dict]:
    try:
        return list(dataset.as_numpy_iterator())
    except tf.errors.InvalidArgumentError as error:
        raise UserError(
            "Expected a tf.data.Dataset whose images have one size, could not "
            f"batch them ({error.message.splitlines()[0]}); resize them in it."
        ) from error


def _keys(spec: Any) -> tuple[Any, Any]:
    """Where an element holds its image and its label (`None`: no label).

    Looked up in the specification: an error raised while tf.data traces a
    function would reach the user as something else.
    """
    if isinstance(spec, dict):
        if "image" not in spec:
            raise UserError(
                "Expected a tf.data.Dataset whose dictionaries have the key "
                f"'image', received the keys {sorted(spec)}; rename one."
            )
        return "image", "label" if "label" in spec else None
    if isinstance(spec, tuple) and len(spec) == 2:
        return 0, 1
    if not isinstance(spec, tf.TensorSpec):
        raise UserError(
            "Expected a tf.data.Dataset of images, of dictionaries with "
            "'image' or of pairs (image, label), received other elements; map "
            "it."
        )
    return None, None


def load_digits(name: str, request: Request) -> ImageSet:
    """Loads scikit-learn's 1,797 handwritten digits.

    A fifth of each class is the test split; validation is a part of the rest.
    """
    facts, split = get_source(name), request.split
    target = Target.of(facts, request)
    rows = _rows_of_digits()
    # Grey levels run from 0 to 16; the label comes last.
    images = to_uint8(rows[:, :-1].reshape(-1, 8, 8) / 16.0, "digits")
    labels = rows[:, -1].astype(np.int64)
    test = _stratified_fifth(labels)
    chosen = np.flatnonzero(test if split == "test" else ~test)
    if split != "test":
        held_out = validation_size(len(chosen), None)
        chosen = chosen[split_off(len(chosen), held_out, split, "validation")]
    images = transform_array(images[chosen], target)
    return ImageSet.described(images, labels[chosen], name, split, facts.note)


def _rows_of_digits() -> np.ndarray:
    """What `sklearn.datasets.load_digits` reads, `[1797, 65]`.

    From its file, because importing scikit-learn takes a second.
    """
    package = importlib.metadata.distribution("scikit-learn")
    path = package.locate_file("sklearn/datasets/data/digits.csv.gz")
    return np.loadtxt(str(path), delimiter=",")


def _stratified_fifth(labels: np.ndarray) -> np.ndarray:
    """Marks 20% of each class, the same ones always."""
    marked = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = permutation(len(members))
        marked[members[order[: round(len(members) / 5)]]] = True
    return marked
