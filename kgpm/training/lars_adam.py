"""Adam on gradients that are scaled as by LARS."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kgpm")
class LarsAdam(keras.optimizers.Adam):
    """LARS coupled with Adam, the optimiser of Kanerva++.

    For each variable p of more than one dimension, with gradient g,
    `g <- g + weight_decay p`, then
    `g <- trust_coefficient |p| / |g| g` (unscaled where either norm is 0);
    then Adam's step with it. Biases and the weights of normalisations, which
    have one dimension, go to Adam as they are.

    Adam is nearly invariant to a constant factor of its gradient, so the
    scaling acts as a normalisation of each step's gradient, not as a learning
    rate of each layer.

    Args:
        learning_rate: a rate or a schedule.
        weight_decay: coupled, in the gradient; 0 or `None` for none.
        trust_coefficient: norm of a scaled gradient over that of its variable.
        beta_1: of Adam.
        beta_2: of Adam.
        epsilon: of Adam.
        **kwargs: of `keras.optimizers.Adam`.

    Source: You et al., "Large Batch Training of Convolutional Networks",
    2017; Ramapuram et al., "Kanerva++", ICLR 2021.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-4,
        weight_decay: float | None = 1e-3,
        trust_coefficient: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        **kwargs: Any,
    ) -> None:
        # Keras's own decay is not in the gradient.
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            weight_decay=None,
            **kwargs,
        )
        self.coupled_decay = weight_decay or 0.0
        self.trust_coefficient = trust_coefficient

    def update_step(
        self, gradient: Any, variable: Any, learning_rate: Any
    ) -> None:
        if len(variable.shape) > 1:
            gradient = self._scale(gradient, ops.convert_to_tensor(variable))
        super().update_step(gradient, variable, learning_rate)

    def _scale(self, gradient: Any, value: Any) -> Any:
        gradient = ops.cast(gradient, value.dtype)
        gradient = gradient + self.coupled_decay * value
        size = ops.sqrt(ops.sum(ops.square(value)))
        steepness = ops.sqrt(ops.sum(ops.square(gradient)))
        usable = ops.logical_and(size > 0.0, steepness > 0.0)
        ratio = size / ops.where(usable, steepness, 1.0)
        return gradient * ops.where(usable, self.trust_coefficient * ratio, 1.0)

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            weight_decay=self.coupled_decay,
            trust_coefficient=self.trust_coefficient,
        )
        return config
