"""The averaged weights (EMA) of an optimiser, put into the model for a while.

`keras.callbacks.SwapEMAWeights` swaps by adding and subtracting, which rounds:
the weights that training goes on with would no longer be those that were
backed up. Here they are exchanged exactly.
"""

import contextlib
from collections.abc import Iterator

import keras


class AveragedWeights(keras.callbacks.Callback):
    """Validates with the averaged weights, trains with the raw ones.

    Does nothing for an optimiser without `use_ema`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()

    def on_test_begin(self, logs: dict | None = None) -> None:
        self._stack.enter_context(averaged_weights(self.model))

    def on_test_end(self, logs: dict | None = None) -> None:
        self._stack.close()


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Holds the averaged weights in the model inside the block.

    Args:
        model: a compiled model. Without `use_ema`, or before the first step,
            the block runs with the model as it is.
    """
    optimizer = model.optimizer
    if not getattr(optimizer, "use_ema", False) or not (
        optimizer.iterations.numpy()
    ):
        yield
        return
    # Keras gives no public name to the averages; its own callback uses this.
    averages = optimizer._model_variables_moving_average
    variables = optimizer._trainable_variables
    raw = [variable.value.numpy().copy() for variable in variables]
    for variable, average in zip(variables, averages, strict=True):
        variable.assign(average)
    try:
        yield
    finally:
        for variable, value in zip(variables, raw, strict=True):
            variable.assign(value)
