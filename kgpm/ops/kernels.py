"""Kernels: whether networks run Keras's own, or those written for a CPU."""

import keras

from kgpm.errors import check_choice

KERNELS = ("auto", "keras", "cpu")

_chosen = "auto"


def choose_kernels(kernels: str) -> None:
    """Chooses what normalisations and transposed convolutions run.

    The numbers are the same to rounding, and so are the weights and their
    files. A function that was traced before keeps the kernels that it has.

    Args:
        kernels: `cpu`, those written for a CPU; `keras`, Keras's own; or
            `auto`, Keras's own where there is a GPU.

    Raises:
        UserError: anything else.
    """
    global _chosen
    check_choice("kernels", kernels, KERNELS)
    _chosen = kernels


def written_for_cpu() -> bool:
    """Whether layers are to run the kernels that are written for a CPU."""
    if _chosen == "auto":
        return not keras.distribution.list_devices("gpu")
    return _chosen == "cpu"
