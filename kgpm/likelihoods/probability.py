"""TensorFlow Probability, imported with the first density that needs it.

That takes half a second, and binary images need none of it to be scored.
"""

from typing import Any


def probability() -> Any:
    """The package itself."""
    import tensorflow_probability

    return tensorflow_probability


def distributions() -> Any:
    """Its distributions."""
    return probability().distributions
