"""The table of flags: a row a flag, in groups. No TensorFlow, no NumPy."""

from kgpm.cli.flag import Flag
from kgpm.cli.model_flags import MODEL

# Rows, which the formatter would spread over eight lines each.
# fmt: off
_RUN = (
    Flag("model_dir", "string", None,
         "Directory of the run: flags.cfg, metrics, logs, checkpoints, "
         "backup. Training creates it.", required="the run's directory"),
    Flag("seed", "integer", 0,
         "Seed of the initial weights, the order of the data and all noise.",
         least=0, most=2**31 - 1),
    Flag("deterministic", "boolean", True,
         "Ask TensorFlow for operations whose result does not depend on the "
         "order in which threads finish."),
    Flag("dtype_policy", ("float32", "mixed_bfloat16"), "float32",
         "Keras dtype policy of the networks; the memory's algebra and the "
         "likelihood stay in float32."),
    Flag("kernels", ("auto", "keras", "cpu"), "auto",
         "Normalisations and transposed convolutions: written for a CPU "
         "(cpu), Keras's own (keras), or these where there is a GPU (auto). "
         "The numbers differ by rounding."),
)

_DATA = (
    Flag("dataset", "string", "digits",
         "Name of the data set (digits, mnist, binarized_mnist, "
         "fashion_mnist, omniglot, omniglot_26, omniglot_burda, cifar10, "
         "cifar100, celeb_a, imagenet_resized/32x32, dmlab) or path of a "
         "folder of images."),
    Flag("data_dir", "string", None,
         "Directory of prepared TFDS data sets, such as "
         "../shared/data/tfds.", unset="TFDS_DATA_DIR, then TFDS's own"),
    Flag("download", "boolean", False, "Download a data set that is missing."),
    Flag("image_size", "integer", None, "Height and width of an image.",
         unit="pixels", unset="the data set's own", least=1),
    Flag("channels", "integer", None, "1 for grey, 3 for RGB.",
         unset="the data set's own", least=1),
    Flag("binarize", ("none", "threshold", "fixed", "dynamic"), "none",
         "How grey values become 0 or 1: not at all, at one half, by one "
         "seeded draw for all epochs, by a new draw in each epoch."),
    Flag("episode_length", "integer", 32, "Images written in one episode.",
         least=1),
    Flag("classes_per_episode", "integer", 0,
         "Classes of an episode, each with the same share of its images; 0 "
         "takes images of any class.", least=0),
    Flag("batch_size", "integer", 32, "Episodes in one batch.", least=1),
)

_OPTIMISATION = (
    Flag("optimizer", ("adam", "adamw", "lamb", "lars_adam", "lion", "muon"),
         "adamw", "Keras optimiser."),
    Flag("learning_rate", "float", 3e-4, "Highest learning rate.",
         least=1e-12),
    Flag("schedule", ("cosine", "constant"), "cosine",
         "Learning rate after the warm-up: a cosine to 0 at the last epoch, "
         "or constant."),
    Flag("warmup_epochs", "float", None,
         "Time in which the learning rate rises from 0.", unit="epochs",
         unset="1, or half of a single epoch", least=0.0),
    Flag("weight_decay", "float", 1e-4,
         "Decoupled decay of the kernels, per unit of learning rate.",
         least=0.0),
    Flag("clip_norm", "float", 10.0,
         "Largest global norm of the gradient; 0 does not clip.", least=0.0),
    Flag("ema_momentum", "float", 0.0,
         "Momentum of the averaged weights that are validated and saved; 0 "
         "does not average.", least=0.0, most=0.999999),
    Flag("kl_warmup_epochs", "float", 0.0,
         "Time in which the weight of the KL terms in the loss rises from 0 "
         "to 1; metrics always have the full bound.", unit="epochs",
         least=0.0),
    Flag("kl_warmup_terms", "strings", None,
         "The KL terms that this holds back, such as kl_y.", unset="all",
         goes_with={"kl_warmup_epochs": ()}),
)

_TRAINING = (
    Flag("epochs", "integer", 10, "Passes over the training images.",
         least=1),
    Flag("augment", "strings", None,
         "Variants of training episodes, such as mirror,turn,shift: "
         "mirrored, turned by quarters, each image shifted by up to a 14th "
         "of its side.", unset="none"),
    Flag("steps_per_epoch", "integer", None, "Batches of one epoch.",
         unset="all", least=1),
    Flag("max_minutes", "float", None,
         "Time of training: no epoch starts that would end later.",
         unit="minutes", unset="no limit", least=0.0),
    Flag("patience", "integer", None,
         "Epochs without a better validation bound before training stops.",
         unset="all of --epochs", least=1),
    Flag("resume", "boolean", False, "Continue the run in --model_dir."),
    Flag("distribute", ("auto", "none", "mirrored", "multi_worker"), "auto",
         "Devices that share each batch: all GPUs of this machine if there "
         "is more than one (auto), one device (none), all GPUs, or without "
         "one all logical CPUs, of this machine (mirrored), or those of the "
         "hosts that TF_CONFIG names (multi_worker). --batch_size is that of "
         "all together."),
    Flag("worker_timeout", "float", 600.0,
         "Time that a host waits for the others, at the start and in a step, "
         "before it gives up; more than saving a checkpoint takes.",
         unit="seconds", goes_with={"distribute": ("multi_worker",)},
         least=1.0),
    Flag("xla", "boolean", False,
         "Compile the steps with XLA (on a CPU, compiled convolutions "
         "measured about half as fast as uncompiled ones)."),
    Flag("log_images_every", "integer", 1,
         "Epochs between pictures in TensorBoard, which take some tenths of "
         "a second; 0 writes none.", least=0),
    Flag("verbose", ("auto", "0", "1", "2"), "auto",
         "Progress: nothing (0), a bar (1), a line per epoch (2); auto is a "
         "bar on a terminal and else lines."),
)

_EVALUATION = (
    Flag("num_importance_samples", "integer", 100,
         "Samples per image of the importance-weighted bound in the final "
         "table; 0 leaves it out.", least=0),
)

_STORED = (
    Flag("split", ("train", "validation", "test"), "test",
         "The images to work on."),
    Flag("checkpoint", ("best", "last"), "best",
         "Which model of the run: that of the lowest validation bound, or "
         "that of the last epoch."),
)

_READING = (
    Flag("num_steps", "integer", 10,
         "How often each image is read, what was read being the next query.",
         least=1),
    Flag("threshold", "float", 0.5,
         "Probability from which a binary pixel counts as 1 when it is fed "
         "back; grey and RGB images are fed back as they are.",
         least=0.0, most=1.0),
)

_OUTPUT = (
    Flag("output", "string", None, "PNG file to write.",
         unset="a file in --model_dir"),
)

_SERVED = (
    Flag("export_dir", "string", None,
         "Directory of all versions of an export; its name is the name of "
         "the served model.",
         required="the export's directory, such as saved_models/NAME"),
    Flag("version", "integer", None, "Which of them.",
         unset="the highest there, and one more for a new one", least=1),
    Flag("host", "string", "127.0.0.1",
         "Address to listen on: 127.0.0.1 is for this machine alone, 0.0.0.0 "
         "for everybody who can reach it."),
)
# fmt: on

# By the names of the groups, in the order in which they are shown.
TABLE: dict[str, tuple[Flag, ...]] = {
    "run": _RUN,
    "data": _DATA,
    "model": MODEL,
    "optimisation": _OPTIMISATION,
    "training": _TRAINING,
    "evaluation": _EVALUATION,
    "stored": _STORED,
    "reading": _READING,
    "output": _OUTPUT,
    "served": _SERVED,
}
