"""The flags of the models: one for each argument of a constructor."""

from typing import Any

from kgpm.cli.flag_groups import FlagValues
from kgpm.cli.flag_groups import definers
from kgpm.cli.flag_groups import flags_in_group
from kgpm.cli.flag_groups import integers_definer
from kgpm.cli.grid_flags import define_grid_flags
from kgpm.cli.memory_flags import define_memory_flags
from kgpm.cli.memory_flags import define_writing_flags
from kgpm.errors import UserError


def define_model_flags(values: FlagValues) -> None:
    """Defines which model, and every constructor argument of every model.

    A flag has the name and the default of the argument, or none where models
    differ in it. A model gets those that its constructor names
    (`model_arguments`).

    Args:
        values: the program's `FlagValues`.
    """
    # In the order in which `--help` shows them.
    _define_common_flags(values)
    define_memory_flags(values)
    define_grid_flags(values)
    define_writing_flags(values)


def model_arguments(
    values: FlagValues, constructor: type[Any]
) -> dict[str, Any]:
    """Picks the model flags that a constructor takes.

    Args:
        values: parsed flags.
        constructor: the model's class.

    Returns:
        Keyword arguments for the constructor; its own default for a flag that
        has none.

    Raises:
        UserError: if a flag was given another value than its default and the
            constructor has no such argument.
    """
    taken = constructor.constructor_arguments()
    arguments = {}
    for flag in flags_in_group(values, "model"):
        if flag.name == "model":
            continue
        if flag.name in taken:
            value = flag.value
            if value is None:
                value = taken[flag.name]
            arguments[flag.name] = value
        elif flag.value != flag.default:
            names = [
                f"--{other.name}"
                for other in flags_in_group(values, "model")
                if other.name in taken
            ]
            raise UserError(
                f"--model={values.model} does not take --{flag.name}: leave it "
                f"out (the model takes {', '.join(names)})"
            )
    return arguments


def _define_common_flags(values: FlagValues) -> None:
    """Defines which model, and what most models take."""
    string, integer, _, _, enum = definers(values, "model")
    integers = integers_definer(values, "model")
    string(
        "model",
        "gpm",
        "Name of the model: dkm (Dynamic Kanerva Machine), gpm (Generative "
        "Pseudo-Inverse Memory), km (Kanerva Machine), kpp (Kanerva++), "
        "kpp_dense (its ablation), vae (variational autoencoder), vma "
        "(Variational Memory Addressing), memory_vae (learned memory, soft "
        "read), variational_memory_vae (its addresses drawn), vq_vae (its "
        "nearest codes) or "
        "grid_autoencoder (theirs without a bottleneck).",
    )
    integer(
        "memory_size",
        None,
        "Rows of the memory (K), or the side of the square of cells (kpp); "
        "without it 32 (dkm, gpm, km), 64 (kpp, kpp_dense) or 512 "
        "(memory_vae, variational_memory_vae).",
        lower_bound=1,
    )
    integer(
        "code_size",
        None,
        "Dimension of a code (C); without it 100 (dkm, gpm, km, vae) or 512 "
        "(kpp, kpp_dense).",
        lower_bound=1,
    )
    integers(
        "width",
        None,
        "Channels of the encoder and decoder: one number, or for the residual "
        "networks one per scale, finest first, such as 32,64,128; without it "
        "16 (dkm, gpm, km, vae), 64 (kpp, kpp_dense), 48,64 (vma) or 64,128 "
        "(memory_vae, variational_memory_vae, vq_vae, grid_autoencoder).",
    )
    integer(
        "num_blocks",
        None,
        "Residual blocks at each scale of the encoder and decoder; without it "
        "1 (dkm, gpm, km, vae) or 2 (kpp, kpp_dense, memory_vae, "
        "variational_memory_vae, vq_vae, grid_autoencoder).",
        lower_bound=0,
    )
    enum(
        "encoder",
        None,
        ["residual", "tsm_resnet", "tsm_resnet_small"],
        "Encoder: small residual network, ResNet18 with a temporal shift, or "
        "that with the stem for small images; without it residual "
        "(dkm, gpm, km, vae) or tsm_resnet (kpp, kpp_dense).",
    )
    enum(
        "decoder",
        None,
        ["residual", "transposed"],
        "Decoder: small residual network, or plain transposed convolutions; "
        "without it residual (dkm, gpm, km, vae) or transposed (kpp, "
        "kpp_dense).",
    )
    enum(
        "likelihood",
        None,
        [
            "bernoulli",
            "gaussian",
            "fixed_gaussian",
            "discretized_logistic",
            "discretized_logistic_mixture",
        ],
        "Distribution of the pixels given the decoder's output; without it "
        "bernoulli (dkm, gpm, km, kpp, kpp_dense, vae, vma) or fixed_gaussian "
        "(memory_vae, variational_memory_vae, vq_vae, grid_autoencoder), whose "
        "variance is there --data_variance.",
    )
    enum(
        "normalization",
        "group",
        ["group", "none"],
        "Normalisation in the residual encoder and decoder.",
    )
