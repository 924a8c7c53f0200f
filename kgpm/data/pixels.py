"""From stored images to the floats that a model takes."""

import tensorflow as tf

from kgpm.ops import uniform


def gather_pixels(
    images: tf.Tensor, chosen: tf.Tensor, dynamic_seed: tf.Tensor | None
) -> tf.Tensor:
    """Chosen images as float32 in [0, 1], `[..., H, W, C]`.

    Args:
        images: uint8 `[N, H, W, C]`.
        chosen: their indices `[...]`; any image for a negative one.
        dynamic_seed: `int32[2]` draws binary images of which the pixels are
            the probabilities; `None` takes the pixels.
    """
    batch = tf.gather(images, tf.maximum(chosen, 0))
    batch = tf.cast(batch, tf.float32) / 255.0
    if dynamic_seed is None:
        return batch
    return tf.cast(uniform(tf.shape(batch), dynamic_seed) < batch, tf.float32)
