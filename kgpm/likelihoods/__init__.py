"""Likelihoods: a decoder's raw output in, nats and images out."""

import difflib
from typing import Any

import keras

from kgpm.errors import UserError
from kgpm.likelihoods.bernoulli import Bernoulli
from kgpm.likelihoods.discretized_logistic import DiscretizedLogistic
from kgpm.likelihoods.discretized_logistic_mixture import (
    DiscretizedLogisticMixture,
)
from kgpm.likelihoods.fixed_gaussian import FixedGaussian
from kgpm.likelihoods.gaussian import Gaussian
from kgpm.likelihoods.likelihood import Likelihood

LIKELIHOODS: dict[str, type[Likelihood]] = {
    cls.name: cls
    for cls in (
        Bernoulli,
        Gaussian,
        FixedGaussian,
        DiscretizedLogistic,
        DiscretizedLogisticMixture,
    )
}

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "FixedGaussian",
    "Gaussian",
    "Likelihood",
    "get",
]


def get(identifier: Any) -> Likelihood:
    """The likelihood that a name, a saved configuration or itself names.

    Args:
        identifier: one of `LIKELIHOODS`' names (defaults are used), a
            `Likelihood`, or what `keras.saving.serialize_keras_object` made
            of one.

    Raises:
        UserError: it is none of these.
    """
    if isinstance(identifier, Likelihood):
        return identifier
    if isinstance(identifier, dict):
        likelihood = keras.saving.deserialize_keras_object(identifier)
        if isinstance(likelihood, Likelihood):
            return likelihood
    if isinstance(identifier, str):
        if identifier in LIKELIHOODS:
            return LIKELIHOODS[identifier]()
        close = difflib.get_close_matches(identifier, LIKELIHOODS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UserError(
            f"Expected a likelihood among {', '.join(LIKELIHOODS)}, received "
            f"{identifier!r}.{hint}"
        )
    raise UserError(
        "Expected a likelihood's name, instance or configuration, received "
        f"{identifier!r}."
    )
