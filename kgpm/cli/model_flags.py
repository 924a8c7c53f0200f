"""The flags of the models: one for each argument of them and of their parts.

A flag has the name of the argument, and for each model that takes it the
default there. No TensorFlow, no NumPy.
"""

from kgpm.cli.flag import Flag

# The systems, by the names that `--model` takes.
MODELS = {
    "gpm": "Generative Pseudo-Inverse Memory",
    "sequential_gpm": "GPM written image by image (Kalman)",
    "slot_vae": "slot memory VAE, a slot explains an image",
    "km": "Kanerva Machine",
    "dkm": "Dynamic Kanerva Machine",
    "kpp": "Kanerva++",
    "kpp_dense": "Kanerva++ with a dense prior for its memory",
    "vma": "Variational Memory Addressing",
    "vae": "variational autoencoder, without a memory",
    "memory_vae": "external-memory VAE, soft read",
    "variational_memory_vae": "external-memory VAE, addresses drawn",
    "vq_vae": "VQ-VAE, nearest codes",
    "grid_autoencoder": "VQ-VAE without its bottleneck",
}

# Those that share arguments.
_GPM = ("gpm", "sequential_gpm")
_KANERVA = ("dkm", "km")
_WRITING = (*_GPM, "slot_vae", *_KANERVA)
_CODES = (*_WRITING, "vae")
_KPP = ("kpp", "kpp_dense")
_SOFT = ("memory_vae", "variational_memory_vae")
GRID = (*_SOFT, "vq_vae", "grid_autoencoder")
_VMA = ("vma",)
# Of Kanerva++'s memory, and of the one that its ablation matches.
_MATCHED = {"model": ("kpp",), "projection_size": (None,)}

# fmt: off
MODEL = (
    Flag("model", tuple(MODELS), "gpm", "The system."),
    Flag("likelihood",
         ("bernoulli", "gaussian", "fixed_gaussian", "discretized_logistic",
          "discretized_logistic_mixture"),
         {(*_CODES, *_KPP, *_VMA): "bernoulli", GRID: "fixed_gaussian"},
         "Distribution of the pixels given the decoder's output."),
    Flag("data_variance", "float", {tuple(MODELS): None},
         "Variance of the pixels on [0, 1], to which NMSE is relative.",
         unset="that of the training images",
         goes_with={"likelihood": ("fixed_gaussian",)}, least=0.0),
    Flag("memory_size", "integer", {_WRITING: 32, _KPP: 64, _SOFT: 512},
         "Rows of the memory (K); of Kanerva++ the side of the square of its "
         "cells.",
         goes_with={"model": (*_WRITING, "kpp", *_SOFT),
                    "projection_size": (None,)}, least=1),
    Flag("code_size", "integer", {_CODES: 100, _KPP: 512},
         "Dimension of a code (C).", least=1),
    Flag("latent_size", "integer", {_KPP: 100, _VMA: 64},
         "Length of the latent (L).", least=1),
    Flag("encoder", ("residual", "tsm_resnet", "tsm_resnet_small"),
         {_CODES: "residual", _KPP: "tsm_resnet"},
         "Small residual network, ResNet18 with a temporal shift, or that "
         "with the stem for small images."),
    Flag("decoder", ("residual", "transposed"),
         {_CODES: "residual", _KPP: "transposed"},
         "Small residual network, or plain transposed convolutions."),
    Flag("width", "integers",
         {_CODES: 16, _KPP: 64, _VMA: (48, 64), GRID: (64, 128)},
         "Channels of the encoder and decoder: one number, or for the "
         "residual networks one per scale, finest first, such as 32,64,128."),
    Flag("num_blocks", "integer", {_CODES: 1, (*_KPP, *GRID): 2},
         "Residual blocks at each scale of the encoder and decoder.",
         least=0),
    Flag("normalization", ("group", "none"), {(*_CODES, *_KPP): "group"},
         "Normalisation in the residual encoder and decoder.",
         goes_with={"encoder": ("residual",), "decoder": ("residual",)}),
    Flag("hidden_size", "integer",
         {("slot_vae", "km", "vae"): 128, _KPP: 512, _VMA: 100},
         "Units of the networks of keys and latents.",
         goes_with={"model": ("km", "vae", *_KPP, *_VMA),
                    "read": ("categorical",)}, least=1),

    # The memory.
    Flag("observation_noise", "float",
         {(*_GPM, "slot_vae"): 0.5, _KANERVA: 1.0},
         "Standard deviation of a code about what the memory predicts, or "
         "where it starts.", least=0.0),
    Flag("learn_observation_noise", "boolean",
         {("dkm",): False, ("km",): True},
         "Learn the observation noise."),
    Flag("learn_prior", "boolean", {("sequential_gpm", *_KANERVA): True},
         "Learn the memory's prior."),
    Flag("write_noise", "float", {(*_GPM, "slot_vae"): 0.5},
         "Standard deviation of the noise on written codes in training.",
         least=0.0),
    Flag("posterior", ("analytic", "per_slot"), {_GPM: "analytic"},
         "Covariance of the address's posterior: that of the exact Gaussian "
         "or a learned variance for each slot."),
    Flag("num_inner_reads", "integer", {("gpm",): 0},
         "Reads inside the likelihood: decode, encode, project on the "
         "memory's rows (the attractor read).", least=0),
    Flag("write_refine_steps", "integer", {("gpm",): 0},
         "Refinement steps after a write.", least=0),
    Flag("solver", ("ridge", "newton", "hyperpower", "svd", "reference"),
         {("gpm",): "ridge"}, "How the memory's pseudo-inverse is computed."),
    Flag("solver_iterations", "integer", {("gpm",): None},
         "Iterations of an iterative solver.", unset="the solver's own number",
         goes_with={"solver": ("newton", "hyperpower")}, least=1),
    Flag("read_ridge", ("bayes", "tiny"), {("gpm",): "bayes"},
         "Ridge of the read inside the bound: the observation noise's (the "
         "posterior mean) or a numerical one (a projection).",
         goes_with={"solver": ("ridge",)}),
    Flag("ordering", ("none", "lstm"), {("gpm",): "none"},
         "Let the keys of a write see the order of the episode."),
    Flag("shared_noise", "boolean", {("gpm",): False},
         "Draw one noise value for all of a batch as the published code "
         "does. The result is not a bound."),
    Flag("read", ("categorical", "softmax"), {("slot_vae",): "categorical"},
         "What is decoded of an address: one slot, something like one or "
         "something new; or softmax(beta w) M."),
    Flag("beta", "float", {("slot_vae",): 4.0},
         "Where the inverse temperature starts.",
         goes_with={"read": ("softmax",)}, least=0.0),
    Flag("address_noise", "float", {("dkm",): 1.0},
         "Standard deviation of an address's prior.", least=0.0),
    Flag("num_opt_iters", "integer", {("dkm",): 1},
         "Updates of each written code, all from the memory before it.",
         least=1),
    Flag("key_size", "integer", {("km",): 50}, "Length of a key.", least=1),

    # Kanerva++.
    Flag("num_reads", "integer", {_KPP: 2}, "Windows that a read takes.",
         least=1),
    Flag("memory_channels", "integer", {_KPP: 3},
         "Channels of a cell of the memory.", goes_with=_MATCHED, least=1),
    Flag("window_size", "integer", {_KPP: 32},
         "Points along each side of a window, at most memory_size.",
         goes_with=_MATCHED, least=2),
    Flag("key_transform", ("literal", "bounded"), {("kpp",): "literal"},
         "Take keys as scale and shift of a window, or keep windows inside "
         "the memory."),
    Flag("activation", ("relu", "linear"), {_KPP: "relu"},
         "Activation in the networks of keys and latents."),
    Flag("projection_size", "integer", {("kpp_dense",): None},
         "Units of the dense prior.",
         unset="as many as match the memory of kpp", least=1),

    # Variational Memory Addressing.
    Flag("feature_size", "integer", {_VMA: 128}, "Features of an image.",
         least=1),
    Flag("address_size", "integer", {_VMA: 200},
         "Length of what addresses compare.", least=1),
    Flag("context_size", "integer", {_VMA: 64},
         "Numbers of the picked entry that the decoder is given.", least=1),
    Flag("num_dummies", "integer", {_VMA: 2}, "Learned images in a memory.",
         least=1),
    Flag("share_encoder", "boolean", {_VMA: False},
         "One network for features and addresses."),
    Flag("address_gradient", ("vimco", "enumerate"), {_VMA: "vimco"},
         "Train the bound of several samples by VIMCO, or that of one sample "
         "summed over all addresses."),
    Flag("num_bound_samples", "integer", {_VMA: 4},
         "Samples of VIMCO's bound.",
         goes_with={"address_gradient": ("vimco",)}, least=2),
    Flag("vimco_baseline", ("geometric", "arithmetic"), {_VMA: "geometric"},
         "What a sample of VIMCO is compared with.",
         goes_with={"address_gradient": ("vimco",)}),

    # Grids of vectors through a bottleneck.
    Flag("embedding_dim", "integer", {GRID: 64},
         "Length of a code or memory row.", least=1),
    Flag("similarity", ("l2", "cosine", "reference"), {_SOFT: "l2"},
         "How rows are compared with a vector; reference has the published "
         "code's sign, by which the farthest weigh most."),
    Flag("temperature", "float", {("variational_memory_vae",): 1.0},
         "Of the relaxed draw of an address.", least=0.0),
    Flag("num_embeddings", "integer", {("vq_vae",): 512}, "Codes.", least=1),
    Flag("codebook", ("ema", "gradient"), {("vq_vae",): "ema"},
         "Codes that are running means, or trained by gradients."),
    Flag("commitment_cost", "float", {("vq_vae",): 0.25},
         "Weight of what pulls vectors to their codes.", least=0.0),
    Flag("decay", "float", {("vq_vae",): 0.99},
         "Of the running means of codes and of their use, a step.", least=0.0),
    Flag("restart_below", "float", {("vq_vae",): 0.01},
         "Move a code that is used less than this share of an even use; 0 "
         "never does.", least=0.0),
    Flag("prior", ("uniform", "pixel_cnn"), {("vq_vae",): "uniform"},
         "Distribution of the codes; pixel_cnn is trained beside the rest."),
    Flag("prior_width", "integer", {("vq_vae",): 64},
         "Channels of the PixelCNN.", goes_with={"prior": ("pixel_cnn",)},
         least=1),
    Flag("prior_blocks", "integer", {("vq_vae",): 4},
         "Blocks of the PixelCNN.", goes_with={"prior": ("pixel_cnn",)},
         least=1),
    Flag("residual_width", "integer", {GRID: 32},
         "Channels inside the residual blocks.", least=1),
    Flag("share_blocks", "boolean", {GRID: False},
         "Give all residual blocks the same weights, as a slip of published "
         "code has it."),

    # The loss.
    Flag("autoencoder_weight", "float",
         {(*_GPM, "slot_vae", "dkm"): 1.0, ("km",): 0.0},
         "Weight of the auxiliary autoencoder loss, never part of a bound.",
         least=0.0),
    Flag("memory_kl_weight", "float",
         {("sequential_gpm", "dkm"): 1.0, ("km",): 0.0},
         "Weight in the loss of the memory's divergence. Reports always show "
         "it in full.", least=0.0),
    Flag("held_out_weight", "float", {("slot_vae",): 0.0},
         "Weight in the loss of the bound of each image under a memory of "
         "the others.", least=0.0),
)
# fmt: on
