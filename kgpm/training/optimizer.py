"""The optimiser: Keras's own, with a schedule and decay on kernels only."""

from typing import Any

import keras

from kgpm.errors import UserError
from kgpm.training.lars_adam import LarsAdam

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "lamb": keras.optimizers.Lamb,
    "lars_adam": LarsAdam,
    "lion": keras.optimizers.Lion,
    "muon": keras.optimizers.Muon,
}


def learning_rate_schedule(
    learning_rate: float,
    total_steps: int,
    warmup_steps: int = 0,
    schedule: str = "cosine",
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns a linear warm-up from 0, then a cosine to 0 or a constant.

    Args:
        learning_rate: the highest rate.
        total_steps: steps of the whole training, where the cosine reaches 0.
        warmup_steps: steps of the warm-up, less than `total_steps`.
        schedule: `"cosine"` or `"constant"`.

    Returns:
        A Keras schedule, or the rate itself where nothing changes.

    Raises:
        UserError: for an unknown schedule or a warm-up that never ends.
    """
    if schedule not in ("cosine", "constant"):
        raise UserError(
            f"schedule must be cosine or constant, received {schedule!r}"
        )
    if warmup_steps and warmup_steps >= total_steps:
        raise UserError(
            f"the warm-up ({warmup_steps} steps) must be shorter than the "
            f"training ({total_steps} steps): lower --warmup_epochs or raise "
            "--epochs"
        )
    if schedule == "constant" and not warmup_steps:
        return learning_rate
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else learning_rate,
        decay_steps=max(total_steps - warmup_steps, 1),
        # alpha is the final rate as a fraction of the highest.
        alpha=0.0 if schedule == "cosine" else 1.0,
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )


def make_optimizer(
    model: keras.Model,
    name: str = "adamw",
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = (
        3e-4
    ),
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
    ema_momentum: float = 0.0,
) -> keras.optimizers.Optimizer:
    """Makes a Keras optimiser for a model.

    Args:
        model: the built model; its variables named other than `kernel` are
            excluded from weight decay.
        name: `"adam"`, `"adamw"`, `"lamb"`, `"lars_adam"`, `"lion"` or
            `"muon"`.
        learning_rate: a rate or a schedule.
        weight_decay: decoupled decay, per unit of learning rate; in the
            gradient for `lars_adam`; 0 for none.
        clip_norm: largest global gradient norm; 0 does not clip.
        ema_momentum: momentum of the averaged weights; 0 does not average.

    Returns:
        The optimiser, built for the model's trainable variables.

    Raises:
        UserError: for an unknown name.
    """
    if name not in _OPTIMIZERS:
        raise UserError(
            f"optimizer must be one of {', '.join(_OPTIMIZERS)}, received "
            f"{name!r}"
        )
    arguments: dict[str, Any] = {
        "learning_rate": learning_rate,
        "weight_decay": weight_decay or None,
        "global_clipnorm": clip_norm or None,
        "use_ema": ema_momentum > 0,
    }
    if ema_momentum > 0:
        arguments["ema_momentum"] = ema_momentum
    if name == "adamw":
        # AdamW refuses None where the others want it for "no decay".
        arguments["weight_decay"] = weight_decay
    if name == "muon":
        # Muon has a second decay, for the variables that it leaves to Adam.
        arguments["weight_decay"] = weight_decay
        arguments["adam_weight_decay"] = weight_decay
    optimizer = _OPTIMIZERS[name](**arguments)
    if weight_decay:
        optimizer.exclude_from_weight_decay(
            var_list=[
                variable
                for variable in model.trainable_variables
                if not variable.name.endswith("kernel")
            ]
        )
    optimizer.build(model.trainable_variables)
    return optimizer
