"""Likelihoods: a decoder's raw output in, nats and images out."""

from typing import Any

import keras

from kgpm.errors import UserError
from kgpm.errors import check_choice
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
        check_choice("likelihood", identifier, tuple(LIKELIHOODS))
        return LIKELIHOODS[identifier]()
    raise UserError(
        "Expected a likelihood's name, instance or configuration, received "
        f"{identifier!r}."
    )
