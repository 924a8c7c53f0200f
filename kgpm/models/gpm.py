"""Generative Pseudo-Inverse Memory."""

from typing import Any

import keras

from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.errors import check_positive
from kgpm.errors import check_sizes
from kgpm.layers import Draw
from kgpm.layers import OrderingLSTM
from kgpm.layers import PseudoInverseMemory
from kgpm.layers import SlotMemory
from kgpm.models.memory_model import MemoryModel
from kgpm.ops import make_seed
from kgpm.ops import split_seed

# Name -> the memory that is read so, and whether images pass through it
# inside the likelihood.
READS = {
    "linear": (PseudoInverseMemory, False),
    "attractor": (PseudoInverseMemory, True),
    "softmax": (SlotMemory, False),
    "categorical": (SlotMemory, False),
}


@keras.saving.register_keras_serializable(package="kgpm")
class GPM(MemoryModel):
    """Generative Pseudo-Inverse Memory (Pham et al., ICLR 2022).

    An encoder makes codes, a memory writes and reads them, a decoder gives the
    likelihood of the pixels. The bound of a direct write is conditional: its
    memory is a function of the images without a density, so the memory itself
    costs nothing. The sequential writer's has one, and `kl_memory` with it.

    What a read is decides about the bound (docs/bounds.md):

        linear       z = w M + noise, of `PseudoInverseMemory`, as published;
        attractor    the same, then `num_inner_reads` times the image that z
                     stands for is encoded and projected on the memory, all
                     of it inside p(x | w, M);
        softmax      z = softmax(beta w) M over the slots of a `SlotMemory`;
        categorical  one slot, or something like one, or something new.

    Args:
        image_shape: `(H, W, C)`.
        memory_size: K, rows of the memory, less than `code_size` for a linear
            or attractor read.
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
        read: `linear`, `attractor`, `softmax` or `categorical`. The last two
            have a write of their own, to which the options of the
            pseudo-inverse do not apply.
        num_inner_reads: of an attractor read.
        beta: where the inverse temperature of a softmax read starts.
        hidden_size: units of the networks of a categorical read.
        held_out_weight: weight in the loss of the bound of each image under a
            memory of the others (softmax and categorical reads).
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
        read: str = "linear",
        num_inner_reads: int = 2,
        beta: float = 4.0,
        hidden_size: int = 128,
        held_out_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        check_choice("read", read, tuple(READS))
        check_sizes(num_inner_reads=num_inner_reads, hidden_size=hidden_size)
        check_positive(beta=beta)
        check_choice("ordering", ordering, ("none", "lstm"))
        if ordering == "lstm" and writer == "sequential":
            raise UserError(
                "Expected ordering='none' with writer='sequential', which "
                "keeps an order of its own, received ordering='lstm'."
            )
        kind, passes_images = READS[read]
        of_the_write: dict[str, Any] = {
            "writer": writer,
            "write_refine_steps": write_refine_steps,
            "solver": solver,
            "solver_iterations": solver_iterations,
            "read_ridge": read_ridge,
            "posterior": posterior,
            "shared_noise": shared_noise,
        }
        if kind is SlotMemory:
            self._check_slots(read, {**of_the_write, "ordering": ordering})
            memory = SlotMemory(
                memory_size,
                code_size,
                observation_noise,
                read,
                write_noise,
                beta,
                hidden_size,
                name="memory",
            )
        else:
            memory = PseudoInverseMemory(
                memory_size,
                code_size,
                observation_noise,
                write_noise=write_noise,
                name="memory",
                **of_the_write,
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
            held_out_weight=held_out_weight,
            **kwargs,
        )
        if passes_images and self.mixes_images:
            raise UserError(
                "Expected an encoder that sees each image on its own for "
                f"read={read!r}, received encoder={encoder!r}."
            )
        self.reading = {
            **of_the_write,
            "read": read,
            "num_inner_reads": num_inner_reads,
            "beta": beta,
            "hidden_size": hidden_size,
        }
        self.num_inner_reads = num_inner_reads if passes_images else 0
        self.ordering = ordering
        if ordering == "lstm":
            self.ordering_lstm = OrderingLSTM(code_size, name="ordering_lstm")
            self.ordering_lstm.build()
        self.built = True

    @classmethod
    def _check_slots(cls, read: str, options: dict[str, Any]) -> None:
        """Refuses options of a write that has no slots."""
        defaults = cls.constructor_arguments()
        for name, value in options.items():
            if value != defaults[name]:
                raise UserError(
                    f"Expected {name}={defaults[name]!r} with read={read!r}, "
                    "which needs a write that puts codes into slots, received "
                    f"{name}={value!r}."
                )

    @property
    def depends_on_order(self) -> bool:
        return self.ordering != "none" or super().depends_on_order

    @property
    def why_no_bound(self) -> str:
        if not self.reading["shared_noise"]:
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
        if self.ordering == "none":
            return super().write_codes(codes, weights, seed, training)
        keys = self.ordering_lstm(codes, weights)
        return self.memory.write(codes, weights, seed, training, keys)

    def settle(self, latents: Any, memory: Any, training: bool = False) -> Any:
        """Latents `[B, N, C]` after the reads that the likelihood holds.

        Each decodes them to mean images, encodes these and projects the codes
        on the memory, a point: a fixed function of latents and memory. All
        that is decoded has passed through it; without an attractor read it
        gives back what it is given.
        """
        for _ in range(self.num_inner_reads):
            images = self.likelihood.mean(self.decode(latents))
            codes = self.encode(images, training=training)
            latents = self.memory.read(codes, memory)
        return latents

    def sample_latents(
        self, codes: Any, memory: Any, seed: Any, training: bool = False
    ) -> Draw:
        if not self.num_inner_reads:
            return super().sample_latents(codes, memory, seed, training)
        memory_seed, seed = split_seed(make_seed(seed), 2)
        # The inner reads must see the very memory that the address was for.
        drawn = self.memory.draw(memory, memory_seed)
        draw = super().sample_latents(codes, drawn, seed, training)
        return draw._replace(latents=self.settle(draw.latents, drawn, training))

    def mean_latents(self, codes: Any, memory: Any) -> Any:
        return self.settle(super().mean_latents(codes, memory), memory)

    def sample_prior_latents(
        self, memory: Any, num_samples: int, seed: Any
    ) -> Any:
        latents = super().sample_prior_latents(memory, num_samples, seed)
        return self.settle(latents, memory)

    @property
    def streams(self) -> bool:
        in_any_order = not (self.depends_on_order or self.mixes_images)
        return self.memory.streams and in_any_order

    @property
    def statistics_shape(self) -> tuple[int, int]:
        """Of what `update` keeps of an episode."""
        return self.memory.statistics_shape

    def update(
        self, images: Any, statistics: Any = None, weights: Any = None
    ) -> Any:
        """Adds images to the statistics of a streaming write.

        Args:
            images: `[B, T, H, W, C]`, any number of them at a time.
            statistics: of the images so far, `[B, *statistics_shape]`; none
                to begin.
            weights: `[B, T]`, 0 for an absent image.

        Returns:
            Statistics of all; `write_statistics` makes the memory that writing
            all images at once would give (with slots: while there are enough
            of them).

        Raises:
            UserError: a model whose write depends on the images' order.
        """
        self._check_streaming()
        return self.memory.accumulate(self.encode(images), statistics, weights)

    def forget(self, images: Any, statistics: Any, weights: Any = None) -> Any:
        """Takes images out of the statistics, as if never written."""
        self._check_streaming()
        return self.memory.remove(self.encode(images), statistics, weights)

    def write_statistics(self, statistics: Any) -> dict[str, Any]:
        """The memory of the images in `statistics`."""
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
        config = {**super().get_config(), **self.reading}
        return {**config, "ordering": self.ordering}
