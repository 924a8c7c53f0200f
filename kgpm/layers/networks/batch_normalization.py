"""Batch normalisation to which absent images do not count."""

from typing import Any

import keras
from keras import ops

from kgpm.ops import sum_over_replicas


@keras.saving.register_keras_serializable(package="kgpm")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation of images, as the ResNets were published with.

    Its statistics are those of the images that are there, on all replicas.

    Args:
        momentum: of the running means.
        epsilon: added to variances.
        **kwargs: of `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: `[N, H, W, C]`.
        weights: `[N]`, 0 for an absent image; `None` for all present.
        training: whether to take the batch's statistics.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015.
    """

    def __init__(
        self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any
    ) -> None:
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(
        self, inputs: Any, weights: Any = None, training: bool | None = None
    ) -> Any:
        if weights is None:
            weights = ops.ones(ops.shape(inputs)[:1])
        # Keras wants a mask of every pixel, and hands it on as it is.
        return super().call(inputs, training, weights[:, None, None])

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        # Images are weighted after their pixels are added: no pass more over
        # the pixels. Keras counts each pixel, and on its own replica alone.
        weights = ops.cast(mask[:, 0], inputs.dtype)
        pixels = inputs.shape[1] * inputs.shape[2]
        sums = sum_over_replicas(
            ops.concatenate(
                [
                    ops.sum(weights * ops.sum(inputs, (1, 2)), 0),
                    ops.sum(weights * ops.sum(ops.square(inputs), (1, 2)), 0),
                    ops.sum(weights, 0) * pixels,
                ]
            )
        )
        channels = inputs.shape[3]
        count = ops.maximum(sums[-1], 1e-12)
        mean = sums[:channels] / count
        square = sums[channels : 2 * channels] / count
        return mean, ops.maximum(square - ops.square(mean), 0.0)
