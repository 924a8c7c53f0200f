"""The steps of `kgpm.train`, from flags to a trained and evaluated model."""

import dataclasses
import time
import zlib
from typing import Any

import keras

from kgpm import data
from kgpm import onednn
from kgpm.cli import flags
from kgpm.cli.images import evaluation_batches
from kgpm.cli.images import load_split
from kgpm.cli.parts import make_model
from kgpm.cli.run_flags import save_run_flags
from kgpm.cli.training_callbacks import training_callbacks
from kgpm.cli.training_callbacks import verbosity
from kgpm.cli.workers import cluster_of
from kgpm.cli.workers import make_strategy
from kgpm.evaluation.evaluation import evaluate
from kgpm.evaluation.report import format_table
from kgpm.evaluation.report import write_metrics
from kgpm.ops import written_for_cpu
from kgpm.training.backup import Progress
from kgpm.training.backup import restore_backup
from kgpm.training.backup import share_state
from kgpm.training.optimizer import learning_rate_schedule
from kgpm.training.optimizer import make_optimizer
from kgpm.training.run_directory import RunDirectory
from kgpm.training.stored_model import check_same_model
from kgpm.training.stored_model import load_model
from kgpm.training.workers.strategy import check_same
from kgpm.training.workers.strategy import check_shares

# Share of the first weights in averaged ones that nobody need be told of.
_MOST_INITIAL = 0.01


@dataclasses.dataclass
class TrainingJob:
    """A compiled model, its data and where its run stands.

    Attributes:
        run: the run's directory.
        train: training images.
        validation: batches of the validation episodes.
        test: test images, for the report after the training.
        model: the compiled model, restored if the run is resumed.
        steps_per_epoch: batches of one epoch.
        progress: epochs completed and the best one.
        writes: whether this worker, the first, writes the run's files.
    """

    run: RunDirectory
    train: data.ImageSet
    validation: Any
    test: data.ImageSet
    model: Any
    steps_per_epoch: int
    progress: Progress
    writes: bool = True


def prepare_job(values: flags.FlagValues) -> TrainingJob:
    """Loads and checks the data, builds the model, restores the backup.

    The directories of the run are made last: a mistake leaves no trace.

    Args:
        values: the flags of `kgpm.train`.

    Raises:
        UserError: for any flag or file that does not fit.
        OSError: if the directory cannot be written or a file not be read.
    """
    cluster = cluster_of(values)
    strategy = make_strategy(values)
    writes = cluster.rank == 0
    run = RunDirectory(values.model_dir)
    train = load_split(values, "train")
    data.check_augmentations(values.augment or (), train.image_shape)
    validation = load_split(values, "validation")
    test = load_split(values, "test")
    if cluster.several:
        splits = (train, validation, test)
        check_same(
            strategy,
            [zlib.crc32(split.images.data) for split in splits],
            f"images of --dataset={values.dataset}",
        )
    with strategy.scope():
        model = make_model(values, train.image_shape, train.pixel_variance)
    for images in (train, validation, test):
        images.check_pixels(model.likelihood)
    if values.resume and writes:
        check_same_model(run, model)
    # Counted even where a flag says it: episodes that the images cannot fill
    # are refused here.
    steps_of_data = _num_batches(values, train, shuffle=True)
    steps = values.steps_per_epoch or steps_of_data
    check_shares(
        strategy, values.batch_size, -(-len(train) // values.episode_length)
    )
    # As for the test images, whose batches are not made yet: they would hold
    # a copy of the images all along.
    _num_batches(values, test, shuffle=False)
    with strategy.scope():
        model.compile(
            _optimizer(values, model, steps),
            kl_warmup_steps=round(values.kl_warmup_epochs * steps),
            kl_warmup_terms=values.kl_warmup_terms,
            seed=values.seed,
            jit_compile=values.xla,
        )
    progress = Progress()
    if values.resume:
        if writes:
            progress = restore_backup(run.backup, model)
        if cluster.several:
            progress = share_state(strategy, model, progress)
    batches = evaluation_batches(values, validation, values.batch_size)
    if writes:
        run.create()
    return TrainingJob(
        run, train, batches, test, model, steps, progress, writes
    )


def fit(values: flags.FlagValues, job: TrainingJob) -> None:
    """Trains until all epochs are done, patience or the time has run out.

    Raises:
        UserError: if a loss or gradient is not finite.
        OSError: if something cannot be saved.
    """
    model, progress = job.model, job.progress
    _print_start(values, job)
    if job.writes:
        save_run_flags(values)
    if progress.epoch >= values.epochs:
        print(f"All {values.epochs} epochs are done.")
        return
    if progress.out_of_patience(values.patience):
        print(f"Stopped early after epoch {progress.epoch}.")
        return
    model.fit(
        training_batches(values, job),
        validation_data=job.validation,
        steps_per_epoch=job.steps_per_epoch,
        initial_epoch=progress.epoch,
        epochs=values.epochs,
        callbacks=training_callbacks(values, job),
        # The bar is a callback of our own.
        verbose=2 if verbosity(values.verbose) == 2 else 0,
        # The order of the images is the pipeline's.
        shuffle=False,
    )


def report(values: flags.FlagValues, job: TrainingJob) -> None:
    """Evaluates the best checkpoint on the test split and says what is where.

    Writes `metrics.json`. One device does it, of the first worker.

    Raises:
        UserError: if the best checkpoint cannot be read.
        OSError: if the table cannot be written.
    """
    if not job.writes:
        return
    best = load_model(values.model_dir, "best")
    batches = evaluation_batches(values, job.test, values.batch_size)
    print(
        f"\nEvaluating epoch {job.progress.best_epoch} (lowest "
        f"val_{job.model.monitor}, {job.progress.best:.2f} nats) on the test "
        f"split (batches: {len(batches)}).",
        flush=True,
    )
    result = evaluate(
        best,
        batches,
        seed=values.seed,
        num_importance_samples=values.num_importance_samples,
        split="test",
        description=job.test.description,
    )
    write_metrics(result, job.run.metrics_json)
    where = values.model_dir
    print(f"That took {result['seconds']:.0f} s.\n\n{format_table(result)}\n")
    print(f"{where} holds the run: metrics.json, metrics.csv, checkpoints.")
    print("Next:")
    for program in ("evaluate", "generate", "denoise"):
        if program == "generate" and not best.memory.has_prior:
            continue
        print(f"  python -m kgpm.{program} --model_dir={where}")
    print(f"  tensorboard --logdir {where}")


def _optimizer(
    values: flags.FlagValues, model: keras.Model, steps: int
) -> keras.optimizers.Optimizer:
    warmup_epochs = values.warmup_epochs
    if warmup_epochs is None:
        warmup_epochs = min(1.0, values.epochs / 2)
    rate = learning_rate_schedule(
        values.learning_rate,
        total_steps=values.epochs * steps,
        warmup_steps=round(warmup_epochs * steps),
        schedule=values.schedule,
    )
    return make_optimizer(
        model,
        values.optimizer,
        learning_rate=rate,
        weight_decay=values.weight_decay,
        clip_norm=values.clip_norm,
        ema_momentum=values.ema_momentum,
    )


def _num_batches(
    values: flags.FlagValues, images: data.ImageSet, shuffle: bool
) -> int:
    """Batches that the images make in training or in evaluation."""
    return data.num_batches(
        images,
        values.episode_length,
        values.batch_size,
        shuffle=shuffle,
        classes_per_episode=values.classes_per_episode or None,
    )


def training_batches(values: flags.FlagValues, job: TrainingJob) -> Any:
    """The endless batches from where the run stands."""
    # --steps_per_epoch may cut an epoch of the data short or span several:
    # the place in the data follows from the steps done.
    whole = _num_batches(values, job.train, shuffle=True)
    epoch, skipped = divmod(job.progress.epoch * job.steps_per_epoch, whole)
    batches = data.episodes(
        job.train,
        episode_length=values.episode_length,
        batch_size=values.batch_size,
        classes_per_episode=values.classes_per_episode or None,
        augmentations=values.augment or (),
        shuffle=True,
        repeat=True,
        first_epoch=epoch,
        seed=values.seed,
    )
    return batches.skip(skipped) if skipped else batches


def _print_start(values: flags.FlagValues, job: TrainingJob) -> None:
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    print(f"{started} {job.train.description}")
    replicas = job.model.distribute_strategy.num_replicas_in_sync
    shared = f" on {replicas} replicas" if replicas > 1 else ""
    print(
        f"{type(job.model).__name__} with {job.model.count_params():,} "
        f"parameters; {job.steps_per_epoch:,} steps of {values.batch_size} "
        f"episodes of {values.episode_length} images an epoch{shared}, "
        f"{values.epochs:,} epochs. All bounds are in nats per image."
    )
    library = "TensorFlow's convolutions"
    if onednn.is_on():
        library = f"Convolutions by oneDNN ({onednn.VARIABLE}=1)"
    kernels = "for a CPU" if written_for_cpu() else "of Keras"
    print(f"{library}; kernels {kernels} (--kernels={values.kernels}).")
    share = values.ema_momentum ** (values.epochs * job.steps_per_epoch)
    if share > _MOST_INITIAL:
        print(
            f"Note: at the end {share:.0%} of the averaged weights will be "
            "what training began with; lower --ema_momentum or train longer."
        )
    if job.progress.epoch:
        print(f"Resuming after epoch {job.progress.epoch}.")
