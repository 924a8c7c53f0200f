"""Networks that all signatures of an export share."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


@contextlib.contextmanager
def shared_networks(model: keras.Model) -> Iterator[None]:
    """Within it, each layer of a model is traced once for all that call it.

    A signature is a graph of its own, and so is the body of a loop: encoder and
    decoder would be copied into each of them. As functions they are stored once
    and called by name.

    Args:
        model: whose layers are traced.
    """
    layers = model.layers
    for layer in layers:
        # Past Keras, which would take the function for a part to be saved.
        vars(layer)["call"] = tf.function(layer.call, autograph=False)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["call"]
