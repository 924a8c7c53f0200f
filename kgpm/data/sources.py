"""The data sets known by name, and what is peculiar to each. No TensorFlow."""

import dataclasses
from typing import NamedTuple

from kgpm.errors import UserError
from kgpm.errors import did_you_mean

SPLITS = ("train", "validation", "test")
BINARIZATIONS = ("none", "threshold", "fixed", "dynamic")

# Which images belong to a split never depends on a user's seed: two runs that
# differ in their seed are scored on the same test images, and evaluating with
# another seed can never score images the model was trained on.
SPLIT_SEED = 20240213

DIGITS = "digits"
OMNIGLOT_BURDA = "omniglot_burda"


@dataclasses.dataclass(frozen=True)
class Source:
    """What this package knows about one named data set.

    Attributes:
        tfds_name: name in TensorFlow Datasets, `None` if it is not from there.
        image_size: default height and width in pixels.
        channels: default number of channels, 1 or 3.
        test: the split of TensorFlow Datasets used as test split.
        validation: its split used as validation split; `None` takes a part of
            its train split.
        num_validation: images taken from train for validation; `None` takes
            10%, at most 5,000.
        num_validation_classes: classes taken whole from train for validation
            instead, so that it has classes no training has seen.
        invert: black ink on white paper, turned so that strokes are 1.
        binary_codes: stored pixels are 0 and 1 instead of 0 and 255.
        nearest: resized to the nearest pixels, which keeps binary images
            binary, instead of area means.
        note: what a report must say about the splits or the size.
        licence: of the images, as their publishers state it.
    """

    tfds_name: str | None
    image_size: int = 28
    channels: int = 1
    test: str = "test"
    validation: str | None = None
    num_validation: int | None = None
    num_validation_classes: int | None = None
    invert: bool = False
    binary_codes: bool = False
    nearest: bool = False
    note: str = ""
    licence: str = "none stated by its publishers"


class Request(NamedTuple):
    """What a user wants of a source.

    Attributes:
        split: one of `SPLITS`.
        size: height and width in pixels; `None` keeps the source's own.
        channels: 1 or 3; `None` keeps the source's own.
        data_dir: folder of prepared data sets, if one is named.
        download: whether a missing data set may be downloaded.
    """

    split: str
    size: tuple[int, int] | None = None
    channels: int | None = None
    data_dir: str | None = None
    download: bool = False


_MNIST_LICENCE = "CC BY-SA 3.0 (Y. LeCun, C. Cortes)"
_OMNIGLOT_LICENCE = "MIT (B. Lake)"

SOURCES: dict[str, Source] = {
    DIGITS: Source(
        None,
        note="scikit-learn's 8x8 digits, stratified 80/20 split",
        licence="CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits)",
    ),
    "mnist": Source("mnist", licence=_MNIST_LICENCE),
    "binarized_mnist": Source(
        "binarized_mnist",
        validation="validation",
        binary_codes=True,
        note="Larochelle's fixed binarisation",
        licence=_MNIST_LICENCE,
    ),
    "fashion_mnist": Source("fashion_mnist", licence="MIT (Zalando SE)"),
    "omniglot": Source(
        "omniglot",
        num_validation_classes=50,
        invert=True,
        note="background (train) / evaluation (test) characters",
        licence=_OMNIGLOT_LICENCE,
    ),
    "omniglot_26": Source(
        "omniglot",
        image_size=26,
        num_validation_classes=50,
        invert=True,
        nearest=True,
        note="nearest pixels, background (train) / evaluation (test) "
        "characters",
        licence=_OMNIGLOT_LICENCE,
    ),
    OMNIGLOT_BURDA: Source(
        "omniglot",
        num_validation=1345,
        invert=True,
        licence=_OMNIGLOT_LICENCE,
    ),
    "cifar10": Source("cifar10", image_size=32, channels=3),
    "cifar100": Source("cifar100", image_size=32, channels=3),
    "celeb_a": Source(
        "celeb_a",
        image_size=64,
        channels=3,
        validation="validation",
        note="whole image, not cropped",
        licence="non-commercial research alone (CelebA agreement)",
    ),
    "imagenet_resized/32x32": Source(
        "imagenet_resized/32x32",
        image_size=32,
        channels=3,
        test="validation",
        note="the official validation split is the test split",
        licence="non-commercial research and teaching (ImageNet terms)",
    ),
    "dmlab": Source(
        "dmlab",
        image_size=64,
        channels=3,
        validation="validation",
        note="single frames of the VTAB data set",
    ),
}


def get_source(name: str) -> Source:
    """Looks a data set up by name.

    Raises:
        UserError: if there is none of that name.
    """
    if name in SOURCES:
        return SOURCES[name]
    raise UserError(
        "Expected a folder of images or one of the data sets "
        f"{', '.join(SOURCES)}, received {name!r}."
        f"{did_you_mean(name, SOURCES)}"
    )


def licence_of(name: str) -> str:
    """The licence of a data set's images, or of a folder's."""
    if name in SOURCES:
        return SOURCES[name].licence
    return "that of the folder's own images"
