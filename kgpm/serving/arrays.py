"""What came, as arrays of numbers."""

from typing import Any

import numpy as np

from kgpm.errors import UserError


def as_array(name: str, value: Any) -> np.ndarray:
    """An array of what may be lists.

    Raises:
        UserError: lists of different lengths.
    """
    try:
        return np.asarray(value)
    except ValueError:
        raise UserError(
            f"Expected {name} to be an array, received lists of different "
            "lengths."
        ) from None
