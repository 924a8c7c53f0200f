"""The flags of the models that write images into a memory."""

from kgpm.cli.flag_groups import FlagValues
from kgpm.cli.flag_groups import definers


def define_memory_flags(values: FlagValues) -> None:
    """Defines what single ones of these models take, some of it VAE too.

    Args:
        values: the program's `FlagValues`.
    """
    _, integer, boolean, real, enum = definers(values, "model")
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
        "Units of the networks of keys and latents; without it 128 (km, vae, "
        "and gpm with --read=categorical), 512 (kpp, kpp_dense) or 100 (vma).",
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


def define_writing_flags(values: FlagValues) -> None:
    """Defines how codes are written, and the auxiliary terms of that.

    Args:
        values: the program's `FlagValues`.
    """
    _, integer, boolean, real, enum = definers(values, "model")
    enum(
        "read",
        "linear",
        ["linear", "attractor", "softmax", "categorical"],
        "What is decoded of an address (gpm): w M, that after inner reads, "
        "softmax(beta w) M over slots, or one slot, something like one or "
        "something new.",
    )
    integer(
        "num_inner_reads",
        2,
        "Reads inside the likelihood (gpm, --read=attractor).",
        lower_bound=1,
    )
    real(
        "beta",
        4.0,
        "Where the inverse temperature starts (gpm, --read=softmax).",
        lower_bound=0.0,
    )
    real(
        "held_out_weight",
        0.0,
        "Weight in the loss of the bound of each image under a memory of the "
        "others (gpm, --read=softmax or categorical).",
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
