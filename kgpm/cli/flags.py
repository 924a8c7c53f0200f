"""The command-line flags that the programs share, in groups.

Each program defines the groups that it needs on a `FlagValues` of its own, so
that several programs live in one process and no other library's flags appear
in a run's `flags.cfg`. Nothing here imports TensorFlow or NumPy: `--help`
answers at once.
"""

from kgpm.cli.flag_groups import GROUPS
from kgpm.cli.flag_groups import FlagValues
from kgpm.cli.flag_groups import definers
from kgpm.cli.flag_groups import flags_in_group
from kgpm.cli.flag_groups import list_definer
from kgpm.cli.model_flags import define_model_flags
from kgpm.cli.model_flags import model_arguments

__all__ = [
    "GROUPS",
    "FlagValues",
    "define_data_flags",
    "define_model_flags",
    "define_optimisation_flags",
    "define_run_flags",
    "define_training_flags",
    "flags_in_group",
    "model_arguments",
]


def define_train_flags(values: FlagValues) -> None:
    """Defines everything that a training takes.

    Args:
        values: the program's `FlagValues`.
    """
    define_run_flags(values)
    define_data_flags(values)
    define_model_flags(values)
    define_optimisation_flags(values)
    define_training_flags(values)


def define_run_flags(values: FlagValues) -> None:
    """Defines what every program takes: where, which seed, which device mode.

    Args:
        values: the program's `FlagValues`.
    """
    string, integer, boolean, _, enum = definers(values, "run")
    string(
        "model_dir",
        None,
        "Directory of the run: flags.cfg, metrics, logs, checkpoints, backup. "
        "Required; training creates it.",
    )
    integer(
        "seed",
        0,
        "Seed of the initial weights, the order of the data and all noise.",
        lower_bound=0,
        upper_bound=2**31 - 1,
    )
    boolean(
        "deterministic",
        True,
        "Ask TensorFlow for operations whose result does not depend on the "
        "order in which threads finish.",
    )
    enum(
        "dtype_policy",
        "float32",
        ["float32", "mixed_bfloat16"],
        "Keras dtype policy of the networks; the memory's algebra and the "
        "likelihood stay in float32.",
    )


def define_data_flags(values: FlagValues) -> None:
    """Defines which images, how they are prepared, and the episodes' shape.

    Args:
        values: the program's `FlagValues`.
    """
    string, integer, boolean, _, enum = definers(values, "data")
    string(
        "dataset",
        "digits",
        "Name of the data set (digits, mnist, binarized_mnist, fashion_mnist, "
        "omniglot, omniglot_26, omniglot_burda, cifar10, cifar100, celeb_a, "
        "imagenet_resized/32x32, dmlab) or path of a folder of images.",
    )
    string(
        "data_dir",
        None,
        "Directory of prepared TFDS data sets, such as ../shared/data/tfds; "
        "without it TFDS_DATA_DIR, then TFDS's own place.",
    )
    boolean("download", False, "Download a data set that is not there.")
    integer(
        "image_size",
        None,
        "Height and width in pixels; without it the data set's own.",
        lower_bound=1,
    )
    integer(
        "channels",
        None,
        "Channels of an image, 1 for grey or 3 for RGB; without it the data "
        "set's own.",
        lower_bound=1,
    )
    enum(
        "binarize",
        "none",
        ["none", "threshold", "fixed", "dynamic"],
        "How grey values become 0 or 1: not at all, at one half, by one "
        "seeded draw for all epochs, by a new draw in each epoch.",
    )
    integer(
        "episode_length", 32, "Images written in one episode.", lower_bound=1
    )
    integer(
        "classes_per_episode",
        0,
        "Classes of an episode, each with the same share of its images; 0 "
        "takes images of any class.",
        lower_bound=0,
    )
    integer("batch_size", 32, "Episodes in one batch.", lower_bound=1)


def define_optimisation_flags(values: FlagValues) -> None:
    """Defines the optimiser, its schedule and the bound's warm-up.

    Args:
        values: the program's `FlagValues`.
    """
    _, _, _, real, enum = definers(values, "optimisation")
    strings = list_definer(values, "optimisation")
    enum(
        "optimizer",
        "adamw",
        ["adam", "adamw", "lamb", "lars_adam", "lion", "muon"],
        "Keras optimiser.",
    )
    real("learning_rate", 3e-4, "Highest learning rate.", lower_bound=1e-12)
    enum(
        "schedule",
        "cosine",
        ["cosine", "constant"],
        "Learning rate after the warm-up: a cosine to 0 at the last epoch, or "
        "constant.",
    )
    real(
        "warmup_epochs",
        1.0,
        "Epochs in which the learning rate rises from 0.",
        lower_bound=0.0,
    )
    real(
        "weight_decay",
        1e-4,
        "Decoupled decay of the kernels, per unit of learning rate.",
        lower_bound=0.0,
    )
    real(
        "clip_norm",
        10.0,
        "Largest global norm of the gradient; 0 does not clip.",
        lower_bound=0.0,
    )
    real(
        "ema_momentum",
        0.0,
        "Momentum of the averaged weights that are validated and saved; 0 "
        "does not average.",
        lower_bound=0.0,
        upper_bound=0.999999,
    )
    real(
        "kl_warmup_epochs",
        0.0,
        "Epochs in which the weight of the KL terms in the loss rises from 0 "
        "to 1; metrics always have the full bound.",
        lower_bound=0.0,
    )
    strings(
        "kl_warmup_terms",
        None,
        "The KL terms that this holds back, with commas between, such as "
        "kl_y; without it all.",
    )


def define_training_flags(values: FlagValues) -> None:
    """Defines how long to train and what to do on the way and at the end.

    Args:
        values: the program's `FlagValues`.
    """
    _, integer, boolean, real, enum = definers(values, "training")
    strings = list_definer(values, "training")
    integer("epochs", 10, "Passes over the training images.", lower_bound=1)
    strings(
        "augment",
        None,
        "Variants of training episodes, such as mirror,turn,shift: mirrored, "
        "turned by quarters, each image shifted by up to a 14th of its side; "
        "without it none.",
    )
    integer(
        "steps_per_epoch",
        None,
        "Batches of one epoch; without it all of them.",
        lower_bound=1,
    )
    real(
        "max_minutes",
        None,
        "Minutes of training: no epoch starts that would end later; without "
        "it there is no limit.",
        lower_bound=0.0,
    )
    integer(
        "patience",
        None,
        "Epochs without a better validation bound before training stops; "
        "without it training does not stop early.",
        lower_bound=1,
    )
    boolean("resume", False, "Continue the run in --model_dir.")
    enum(
        "distribute",
        "auto",
        ["auto", "none", "mirrored", "multi_worker"],
        "Devices that share each batch: all GPUs of this machine if there is "
        "more than one (auto), one device (none), all GPUs, or without one all "
        "logical CPUs, of this machine (mirrored), or those of the hosts that "
        "TF_CONFIG names (multi_worker). --batch_size is that of all together.",
    )
    real(
        "worker_timeout",
        600.0,
        "Seconds that a host waits for the others, at the start and in a step, "
        "before it gives up; more than saving a checkpoint takes.",
        lower_bound=1.0,
    )
    boolean(
        "xla",
        False,
        "Compile the steps with XLA (on a CPU, compiled convolutions measured "
        "about half as fast as uncompiled ones).",
    )
    integer(
        "log_images_every",
        1,
        "Epochs between pictures in TensorBoard; 0 writes none.",
        lower_bound=0,
    )
    integer(
        "num_importance_samples",
        100,
        "Samples per image of the importance-weighted bound in the final "
        "table; 0 leaves it out.",
        lower_bound=0,
    )
    enum(
        "verbose",
        "auto",
        ["auto", "0", "1", "2"],
        "Progress: nothing (0), a bar (1), a line per epoch (2); auto is a "
        "bar on a terminal and else lines.",
    )
