"""The flags of the models: one for each argument of a constructor."""

from typing import Any

from kgpm.cli.flag_groups import FlagValues
from kgpm.cli.flag_groups import definers
from kgpm.cli.flag_groups import flags_in_group
from kgpm.cli.flag_groups import integers_definer
from kgpm.errors import UserError


def define_model_flags(values: FlagValues) -> None:
    """Defines which model, and every constructor argument of every model.

    A flag has the name and the default of the argument, or none where models
    differ in it. A model gets those that its constructor names
    (`model_arguments`).

    Args:
        values: the program's `FlagValues`.
    """
    string, integer, boolean, real, enum = definers(values, "model")
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
    real(
        "observation_noise",
        None,
        "Standard deviation of a code about what the memory predicts, or "
        "where it starts; without it 0.5 (gpm) or 1 (dkm, km).",
        lower_bound=0.0,
    )
    boolean(
        "learn_observation_noise",
        None,
        "Learn the observation noise; without it km does and dkm does not.",
    )
    boolean("learn_prior", True, "Learn the memory's prior (dkm, km).")
    real(
        "memory_kl_weight",
        None,
        "Weight in the loss of the memory's divergence, where it has one; "
        "without it 1 (dkm, gpm) or 0 (km). Reports always show it in full.",
        lower_bound=0.0,
    )
    real(
        "address_noise",
        1.0,
        "Standard deviation of an address's prior (dkm).",
        lower_bound=0.0,
    )
    integer(
        "num_opt_iters",
        1,
        "Updates of each written code, all from the memory before it (dkm).",
        lower_bound=1,
    )
    integer("key_size", 50, "Length of a key (km).", lower_bound=1)
    integer(
        "hidden_size",
        None,
        "Units of the networks of keys and latents; without it 128 (km, vae), "
        "512 (kpp, kpp_dense) or 100 (vma).",
        lower_bound=1,
    )
    integer(
        "latent_size",
        None,
        "Length of the latent; without it 100 (kpp, kpp_dense) or 64 (vma).",
        lower_bound=1,
    )
    integer("num_reads", 2, "Windows that a read takes (kpp).", lower_bound=1)
    integer(
        "memory_channels",
        3,
        "Channels of a cell of the memory (kpp).",
        lower_bound=1,
    )
    integer(
        "window_size",
        32,
        "Points along each side of a window, at most memory_size (kpp).",
        lower_bound=2,
    )
    enum(
        "key_transform",
        "literal",
        ["literal", "bounded"],
        "Take keys as scale and shift of a window, or keep windows inside the "
        "memory (kpp).",
    )
    enum(
        "activation",
        "relu",
        ["relu", "linear"],
        "Activation in the networks of keys and latents (kpp).",
    )
    integer(
        "projection_size",
        None,
        "Units of the dense prior; without it as many as match the "
        "parameters of kpp (kpp_dense).",
        lower_bound=1,
    )
    integer("feature_size", 128, "Features of an image (vma).", lower_bound=1)
    integer(
        "address_size",
        200,
        "Length of what addresses compare (vma).",
        lower_bound=1,
    )
    integer(
        "context_size",
        64,
        "Numbers of the picked entry that the decoder is given (vma).",
        lower_bound=1,
    )
    integer(
        "num_dummies", 2, "Learned images in a memory (vma).", lower_bound=1
    )
    boolean(
        "share_encoder",
        False,
        "One network for features and addresses (vma).",
    )
    enum(
        "address_gradient",
        "vimco",
        ["vimco", "enumerate"],
        "Train the bound of several samples by VIMCO, or that of one sample "
        "summed over all addresses (vma).",
    )
    integer(
        "num_bound_samples",
        4,
        "Samples of VIMCO's bound (vma).",
        lower_bound=2,
    )
    enum(
        "vimco_baseline",
        "geometric",
        ["geometric", "arithmetic"],
        "What a sample of VIMCO is compared with (vma).",
    )
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
    enum(
        "writer",
        "direct",
        ["direct", "sequential"],
        "Write an episode in one solve or image by image (Kalman).",
    )
    real(
        "write_noise",
        0.5,
        "Standard deviation of the noise on written codes in training.",
        lower_bound=0.0,
    )
    integer(
        "write_refine_steps",
        0,
        "Refinement steps after a direct write.",
        lower_bound=0,
    )
    enum(
        "solver",
        "ridge",
        ["ridge", "newton", "hyperpower", "svd", "reference"],
        "How the memory's pseudo-inverse is computed.",
    )
    integer(
        "solver_iterations",
        0,
        "Iterations of an iterative solver; 0 is the solver's own number.",
        lower_bound=0,
    )
    enum(
        "read_ridge",
        "bayes",
        ["bayes", "tiny"],
        "Ridge of the ridge solver's read inside the bound: the observation "
        "noise's (the posterior mean) or a numerical one (a projection).",
    )
    enum(
        "posterior",
        "analytic",
        ["analytic", "per_slot"],
        "Covariance of the address's posterior: that of the exact Gaussian or "
        "a learned variance for each slot.",
    )
    enum(
        "ordering",
        "none",
        ["none", "lstm"],
        "Let the keys of a direct write see the order of the episode.",
    )
    real(
        "autoencoder_weight",
        None,
        "Weight of the auxiliary autoencoder loss, never part of a bound; "
        "without it 1 (dkm, gpm) or 0 (km).",
        lower_bound=0.0,
    )
    boolean(
        "shared_noise",
        False,
        "Draw one noise value for all of a batch as the published code does. "
        "The result is not a bound.",
    )


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
