"""What a layer was made of."""

import keras


def arguments_of(layer: keras.layers.Layer) -> dict:
    """A layer's configuration without what every layer of Keras has."""
    config = layer.get_config()
    for name in ("name", "trainable", "dtype"):
        del config[name]
    return config
