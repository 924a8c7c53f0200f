"""Generative Pseudo-Inverse Memory."""

from typing import Any

import keras

from kgpm.errors import UserError
from kgpm.layers import OrderingLSTM
from kgpm.layers import PseudoInverseMemory
from kgpm.layers import check_choice
from kgpm.models.memory_model import MemoryModel


@keras.saving.register_keras_serializable(package="kgpm")
class GPM(MemoryModel):
    """Generative Pseudo-Inverse Memory (Pham et al., ICLR 2022).

    An encoder makes codes, `PseudoInverseMemory` writes and reads them, a
    decoder gives the likelihood of the pixels. The bound of the direct writer
    is conditional: its memory is a function of the images without a density,
    so the memory itself costs nothing. The sequential writer's has one, and
    `kl_memory` with it.

    Args:
        image_shape: `(H, W, C)`.
        memory_size: K, rows of the memory, less than `code_size`.
        code_size: C, length of a code.
        likelihood: `bernoulli`, `gaussian`, `discretized_logistic`,
            `discretized_logistic_mixture`, or an instance.
        width: channels of encoder and decoder, one number or a list, finest
            scale first.
        num_blocks: residual blocks at each scale.
        normalization: of the residual networks, `group` or `none`.
        encoder: one of `kgpm.layers.ENCODERS`.
        decoder: one of `kgpm.layers.DECODERS`.
        observation_noise: s of p(z | w, M) = N(w M, s^2 I).
        writer: `direct` or `sequential`.
        write_noise: standard deviation of the noise on written codes in
            training.
        write_refine_steps: least-squares steps after a direct write.
        solver: `ridge`, `newton`, `hyperpower`, `svd` or `reference`.
        solver_iterations: of an iterative solver, 0 for its default.
        read_ridge: `bayes` or `tiny`.
        posterior: `analytic` or `per_slot`.
        ordering: `none`, or `lstm`: keys of a direct write see the episode.
        autoencoder_weight: weight of the bijective term in the loss.
        memory_kl_weight: weight of `kl_memory` in the loss (sequential
            writer).
        shared_noise: the published code's noise: **not a bound**.
        **kwargs: of `keras.Model`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = GPM(image_shape=(28, 28, 1))
        >>> memory = model.write(episode)
        >>> steps = model.denoise(queries, memory, num_steps=10)
    """

    def __init__(
        self,
        image_shape: tuple = (28, 28, 1),
        memory_size: int = 32,
        code_size: int = 100,
        likelihood: Any = "bernoulli",
        width: int | list = 16,
        num_blocks: int = 1,
        normalization: str = "group",
        encoder: str = "residual",
        decoder: str = "residual",
        observation_noise: float = 0.5,
        writer: str = "direct",
        write_noise: float = 0.5,
        write_refine_steps: int = 0,
        solver: str = "ridge",
        solver_iterations: int = 0,
        read_ridge: str = "bayes",
        posterior: str = "analytic",
        ordering: str = "none",
        autoencoder_weight: float = 1.0,
        memory_kl_weight: float = 1.0,
        shared_noise: bool = False,
        **kwargs: Any,
    ) -> None:
        check_choice("ordering", ordering, ("none", "lstm"))
        if ordering == "lstm" and writer == "sequential":
            raise UserError(
                "Expected ordering='none' with writer='sequential', which "
                "keeps an order of its own, received ordering='lstm'."
            )
        memory = PseudoInverseMemory(
            memory_size=memory_size,
            code_size=code_size,
            observation_noise=observation_noise,
            writer=writer,
            write_noise=write_noise,
            write_refine_steps=write_refine_steps,
            solver=solver,
            solver_iterations=solver_iterations,
            read_ridge=read_ridge,
            posterior=posterior,
            shared_noise=shared_noise,
            name="memory",
        )
        super().__init__(
            memory,
            image_shape,
            code_size,
            likelihood,
            width,
            num_blocks,
            normalization,
            encoder=encoder,
            decoder=decoder,
            autoencoder_weight=autoencoder_weight,
            memory_kl_weight=memory_kl_weight,
            **kwargs,
        )
        self.ordering = ordering
        if ordering == "lstm":
            self.ordering_lstm = OrderingLSTM(code_size, name="ordering_lstm")
            self.ordering_lstm.build()
        self.built = True

    @property
    def depends_on_order(self) -> bool:
        return self.ordering != "none" or super().depends_on_order

    @property
    def why_no_bound(self) -> str:
        if not self.memory.shared_noise:
            return ""
        return (
            "the model charges for noise that it does not draw "
            "(--shared_noise, as published)"
        )

    def write_codes(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        keys = None
        if self.ordering == "lstm":
            keys = self.ordering_lstm(codes, weights)
        return self.memory.write(codes, weights, seed, training, keys)

    @property
    def streams(self) -> bool:
        return not (self.depends_on_order or self.mixes_images)

    def update(
        self, images: Any, statistics: Any = None, weights: Any = None
    ) -> Any:
        """Adds images to the statistics of a streaming write.

        Args:
            images: `[B, T, H, W, C]`, any number of them at a time.
            statistics: of the images so far, `[B, C, C]`; none to begin.
            weights: `[B, T]`, 0 for an absent image.

        Returns:
            Statistics `[B, C, C]`; `write_statistics` makes the memory that
            writing all images at once would give.

        Raises:
            UserError: a model whose write depends on the images' order.
        """
        self._check_streaming()
        added = self.memory.accumulate(self.encode(images), weights)
        return added if statistics is None else statistics + added

    def forget(self, images: Any, statistics: Any, weights: Any = None) -> Any:
        """Takes images out of the statistics, as if never written."""
        self._check_streaming()
        removed = self.memory.accumulate(self.encode(images), weights)
        return statistics - removed

    def write_statistics(self, statistics: Any) -> dict[str, Any]:
        """The memory of the images in `statistics`, `[B, C, C]`."""
        self._check_streaming()
        return self.memory.write_statistics(statistics)

    def _check_streaming(self) -> None:
        if self.ordering != "none":
            raise UserError(
                "Expected ordering='none' for a streaming write, received "
                f"ordering={self.ordering!r}, whose keys depend on order."
            )
        if self.mixes_images:
            raise UserError(
                "Expected an encoder that sees each image on its own for a "
                f"streaming write, received encoder={self.encoder_name!r}."
            )

    def get_config(self) -> dict:
        return {**super().get_config(), "ordering": self.ordering}
