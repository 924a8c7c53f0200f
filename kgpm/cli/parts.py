"""Flags into the parts of a model: the only module that knows both.

A part gets the flags whose names its constructor has, and the model gets those
that no part takes.
"""

import inspect
from collections.abc import Callable
from typing import Any

from kgpm import layers
from kgpm import likelihoods
from kgpm import models
from kgpm.cli import flags
from kgpm.cli.model_flags import GRID

# By --encoder and --decoder, or by the model where that has networks of its
# own.
_ENCODERS = {
    "residual": layers.ImageEncoder,
    "tsm_resnet": layers.TemporalShiftResNet,
    "tsm_resnet_small": layers.TemporalShiftResNet,
    "vma": layers.AddressEncoder,
    **dict.fromkeys(GRID, layers.GridEncoder),
}
_DECODERS = {
    "residual": layers.ImageDecoder,
    "transposed": layers.TransposedDecoder,
    "vma": layers.EntryDecoder,
    **dict.fromkeys(GRID, layers.GridDecoder),
}
_MEMORIES = {
    "gpm": layers.PseudoInverseMemory,
    "sequential_gpm": layers.SequentialMemory,
    "slot_vae": layers.SlotMemory,
    "km": layers.KanervaMemory,
    "dkm": layers.DynamicKanervaMemory,
    "kpp": layers.BlockMemory,
    "kpp_dense": layers.DenseMemory,
    "vma": layers.ImageMemory,
    "vae": layers.GaussianLatent,
    "memory_vae": layers.SoftBottleneck,
    "variational_memory_vae": layers.VariationalBottleneck,
    "vq_vae": layers.QuantizedBottleneck,
    "grid_autoencoder": layers.NoBottleneck,
}


def make_model(
    values: flags.FlagValues,
    image_shape: tuple,
    data_variance: Callable[[], float] | None = None,
) -> models.LatentModel:
    """Makes the model that the flags describe.

    Args:
        values: parsed flags with the group `model`.
        image_shape: `(H, W, C)`.
        data_variance: measures the variance of the pixels on [0, 1], called
            where the likelihood has one and no flag says it.

    Raises:
        UserError: flags that make no model.
    """
    given = {
        name: value
        for name, value in flags.effective_values(values, "model").items()
        if value is not None
    }
    model = given.pop("model")
    encoder_name = given.pop("encoder", model)
    decoder_name = given.pop("decoder", model)
    likelihood = likelihoods.get(given.pop("likelihood"))
    if isinstance(likelihood, likelihoods.FixedGaussian):
        variance = given.pop("data_variance", None)
        if variance is None and data_variance is not None:
            variance = data_variance()
        if variance is not None:
            likelihood = likelihoods.FixedGaussian(variance)
    # Left to the part, so that it is the same whether or not these have an
    # effect.
    left = {
        flag.name
        for flag in flags.flags_in_group(values, "model")
        if flag.row.goes_with and flag.value is None
    }
    taken: set[str] = set()

    def make(kind: Any, name: str, **fixed: Any) -> Any:
        arguments = {"name": name}
        for each, parameter in inspect.signature(
            kind.__init__
        ).parameters.items():
            taken.add(each)
            optional = parameter.default is not parameter.empty
            if each in fixed:
                arguments[each] = fixed[each]
            elif each in given and not (each in left and optional):
                arguments[each] = given[each]
        return kind(**arguments)

    encoder = make(
        _ENCODERS[encoder_name],
        "encoder",
        image_shape=image_shape,
        stem="small" if encoder_name == "tsm_resnet_small" else "standard",
    )
    decoder = make(
        _DECODERS[decoder_name],
        "decoder",
        image_shape=image_shape,
        # Of a latent, which is as long as a code where it has no size.
        code_size=given.get("latent_size", given.get("code_size")),
        num_parameters=likelihood.num_parameters(image_shape[-1]),
    )
    kind = _MEMORIES[model]
    if kind is layers.DenseMemory and "projection_size" not in given:
        memory = kind.matching(
            make(layers.BlockMemory, "matched"), name="memory"
        )
    else:
        grid_shape = getattr(encoder, "grid_shape", None)
        memory = make(kind, "memory", encoder=encoder, grid_shape=grid_shape)
    parts = {"encoder": encoder, "memory": memory, "decoder": decoder}
    if getattr(memory, "encoder", None) is encoder:
        # The model takes it from there.
        del parts["encoder"]
    of_the_model = {
        name: value for name, value in given.items() if name not in taken
    }
    return models.MODELS[model](
        image_shape=image_shape,
        likelihood=likelihood,
        **parts,
        **of_the_model,
    )
