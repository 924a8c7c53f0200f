"""The flags of the models that pass a grid of vectors through a bottleneck."""

from kgpm.cli.flag_groups import FlagValues
from kgpm.cli.flag_groups import definers


def define_grid_flags(values: FlagValues) -> None:
    """Defines what only VQ-VAE and its relatives take.

    Args:
        values: the program's `FlagValues`.
    """
    _, integer, boolean, real, enum = definers(values, "model")
    integer(
        "embedding_dim",
        64,
        "Length of a code or memory row (vq_vae and its relatives).",
        lower_bound=1,
    )
    integer("num_embeddings", 512, "Codes (vq_vae).", lower_bound=1)
    enum(
        "similarity",
        "l2",
        ["l2", "cosine", "reference"],
        "How rows are compared with a vector; reference has the published "
        "code's sign, by which the farthest weigh most (memory_vae, "
        "variational_memory_vae).",
    )
    real(
        "temperature",
        1.0,
        "Of the relaxed draw of an address (variational_memory_vae).",
        lower_bound=0.0,
    )
    enum(
        "codebook",
        "ema",
        ["ema", "gradient"],
        "Codes that are running means, or trained by gradients (vq_vae).",
    )
    real(
        "commitment_cost",
        0.25,
        "Weight of what pulls vectors to their codes (vq_vae).",
        lower_bound=0.0,
    )
    real(
        "decay",
        0.99,
        "Of the running means of codes and of their use, a step (vq_vae).",
        lower_bound=0.0,
    )
    real(
        "restart_below",
        0.01,
        "Move a code that is used less than this share of an even use; 0 "
        "never does (vq_vae).",
        lower_bound=0.0,
    )
    enum(
        "prior",
        "uniform",
        ["uniform", "pixel_cnn"],
        "Distribution of the codes; pixel_cnn is trained beside the rest "
        "(vq_vae).",
    )
    integer(
        "prior_width", 64, "Channels of the PixelCNN (vq_vae).", lower_bound=1
    )
    integer(
        "prior_blocks", 4, "Blocks of the PixelCNN (vq_vae).", lower_bound=1
    )
    integer(
        "residual_width",
        32,
        "Channels inside the residual blocks (vq_vae and its relatives).",
        lower_bound=1,
    )
    boolean(
        "share_blocks",
        False,
        "Give all residual blocks the same weights, as a slip of published "
        "code has it (vq_vae and its relatives).",
    )
    real(
        "data_variance",
        None,
        "What NMSE is relative to; without it the variance of the training "
        "pixels on [0, 1] (vq_vae and its relatives).",
        lower_bound=0.0,
    )
