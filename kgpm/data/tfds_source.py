"""Images of TensorFlow Datasets, from a prepared copy on this machine."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm.data.image_set import ImageSet
from kgpm.data.preprocessing import Target
from kgpm.data.preprocessing import collect
from kgpm.data.preprocessing import transform
from kgpm.data.sources import Request
from kgpm.data.sources import get_source
from kgpm.data.splits import split_off
from kgpm.data.splits import split_off_classes
from kgpm.data.splits import validation_size
from kgpm.errors import UserError

_BATCH = 256


def load(name: str, request: Request) -> ImageSet:
    """Loads a split of a data set of `SOURCES`.

    Raises:
        UserError: it is not on this machine, or its copy is damaged.
    """
    facts, split = get_source(name), request.split
    target = Target.of(facts, request)
    reader = TFDSReader(
        str(facts.tfds_name), request.data_dir, request.download
    )
    native = {
        "train": "train",
        "validation": facts.validation or "train",
        "test": facts.test,
    }[split]
    # Whether train and validation are two parts of the source's train split.
    divided = split != "test" and facts.validation is None
    if divided and facts.num_validation_classes is not None:
        images, labels = reader.read([(native, None)], target)
        # A source of which classes are held out has labels.
        labels = np.asarray(labels)
        num = len(np.unique(labels))
        held_out = validation_size(num, facts.num_validation_classes)
        kept = split_off_classes(labels, held_out, split, "validation")
        images, labels = images[kept], labels[kept]
        part = f"{held_out} whole classes"
    else:
        indices = None
        if divided:
            num = reader.num_images(native)
            held_out = validation_size(num, facts.num_validation)
            indices = split_off(num, held_out, split, "validation")
        images, labels = reader.read([(native, indices)], target)
        part = "a seeded part"
    origin = f"validation is {part} of train" if divided else ""
    return ImageSet.described(images, labels, name, split, facts.note, origin)


class TFDSReader:
    """Reads chosen images of one data set of TensorFlow Datasets.

    Args:
        name: name in TensorFlow Datasets, such as "imagenet_resized/32x32".
        data_dir: folder of prepared data sets; `None` takes the environment
            variable `TFDS_DATA_DIR`, then the default of TensorFlow Datasets.
        download: whether to download and prepare what is not there. Without a
            network that blocks for minutes, so it must be asked for.

    Raises:
        UserError: if the data set is not there and `download` is false.
    """

    def __init__(
        self, name: str, data_dir: str | None = None, download: bool = False
    ):
        import tensorflow_datasets as tfds

        self._tfds = tfds
        data_dir = find_data_dir(data_dir)
        self.name = name
        self._data_dir = data_dir or str(tfds.core.constants.DATA_DIR)
        self._builder = tfds.builder(name, data_dir=data_dir)
        if download:
            try:
                self._builder.download_and_prepare()
            except Exception as error:
                # Whatever the network, the server or the disk raised, the
                # user needs to know that the download is what failed.
                reason = str(error).strip().splitlines() or [repr(error)]
                raise UserError(
                    f"Could not download the data set {name!r} into "
                    f"{self._data_dir} ({reason[0]}); check the connection or "
                    "pass --data_dir with a prepared copy."
                ) from error

    def num_images(self, split: str) -> int:
        """Number of images of a split of TensorFlow Datasets."""
        return int(self._read(split).cardinality())

    def read(
        self, parts: Sequence[tuple[str, np.ndarray | None]], target: Target
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Decodes chosen images and turns them into the target's shape.

        Args:
            parts: pairs of a split and the indices wanted of it, `None` for
                all of them. Images come in the order of the files.
            target: shape of the images and what else to do to them.

        Returns:
            Images uint8 `[N, H, W, C]` and labels int64 `[N]` or `None`.
        """
        dataset: Any = None
        num = 0
        for split, indices in parts:
            part = self._read(split)
            if indices is None:
                num += int(part.cardinality())
            else:
                num += len(indices)
                part = _choose(part, indices)
            dataset = part if dataset is None else dataset.concatenate(part)
        feature = self._builder.info.features["image"]

        def decode(example: dict) -> dict:
            if target.invert:
                # Ink has no colour, and decoding one channel instead of three
                # equal ones takes a quarter of the time.
                image = tf.io.decode_png(example["image"], channels=1)
                image = tf.ensure_shape(image, [*feature.shape[:2], 1])
            else:
                image = feature.decode_example(example["image"])
            return {**example, "image": image}

        def finish(batch: dict) -> dict:
            return {**batch, "image": transform(batch["image"], target)}

        dataset = (
            dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(_BATCH)
            .map(finish, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(2)
        )
        try:
            return collect(dataset, num, target, f"Reading {self.name}")
        except tf.errors.OpError as error:
            raise UserError(
                f"The copy of the data set {self.name!r} in {self._data_dir} "
                "cannot be read to its end; prepare it again."
            ) from error

    def _read(self, split: str) -> tf.data.Dataset:
        """Undecoded images of a split, in the order of the files."""
        tfds = self._tfds
        try:
            dataset = self._builder.as_dataset(
                split=split,
                shuffle_files=False,
                decoders={"image": tfds.decode.SkipDecoding()},
                # Each image is read once: a cache would only take memory.
                read_config=tfds.ReadConfig(try_autocache=False),
            )
        except (AssertionError, ValueError, OSError) as error:
            raise UserError(
                f"The {split} split of the data set {self.name!r} was not "
                f"found in {self._data_dir}; pass --data_dir (or set "
                "TFDS_DATA_DIR) to a folder with a prepared copy, or pass "
                "--download to fetch it."
            ) from error
        return dataset.map(_image_and_label)


def find_data_dir(data_dir: str | None) -> str | None:
    """The folder asked for, else that of `TFDS_DATA_DIR`, else `None`."""
    folder = data_dir or os.environ.get("TFDS_DATA_DIR")
    return os.path.expanduser(folder) if folder else None


def _image_and_label(example: dict) -> dict:
    return {key: example[key] for key in ("image", "label") if key in example}


def _choose(dataset: tf.data.Dataset, indices: np.ndarray) -> tf.data.Dataset:
    """Keeps the elements whose position is among `indices`."""
    chosen = np.zeros(int(dataset.cardinality()), bool)
    chosen[indices] = True
    mask = tf.constant(chosen)
    return (
        dataset.enumerate()
        .filter(lambda index, _: mask[index])
        .map(lambda _, example: example)
    )
