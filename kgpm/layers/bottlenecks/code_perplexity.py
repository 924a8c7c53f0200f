"""How many codes are used, over all that was seen."""

from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured


@keras.saving.register_keras_serializable(package="kgpm")
class CodePerplexity(Configured, keras.metrics.Metric):
    """exp of the entropy of how often codes are used, from 1 to K.

    Of the uses of all batches together, not the mean of each batch's.

    Args:
        num_codes: K.
        name: of the metric.
        **kwargs: of `keras.metrics.Metric`.
    """

    def __init__(
        self, num_codes: int, name: str = "perplexity", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.num_codes = num_codes
        self.uses = self.add_variable((num_codes,), "zeros", name="uses")

    def update_state(self, usage: Any, sample_weight: Any = None) -> None:
        """Adds uses `[..., K]` of images of weights `[...]`."""
        if sample_weight is not None:
            usage = usage * sample_weight[..., None]
        total = ops.sum(ops.reshape(usage, (-1, self.num_codes)), axis=0)
        self.uses.assign_add(total)

    def result(self) -> Any:
        return perplexity(self.uses)


def perplexity(uses: Any) -> Any:
    """exp of the entropy of uses `[K]` that are added up already."""
    share = uses / ops.maximum(ops.sum(uses), 1e-30)
    # A code that is not used adds nothing.
    entropy = -ops.sum(share * ops.log(ops.maximum(share, 1e-30)))
    return ops.exp(entropy)
