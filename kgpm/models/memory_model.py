"""What every generative memory model offers."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.layers import Draw
from kgpm.layers import arguments_of
from kgpm.models.autoencoder_model import AutoencoderModel
from kgpm.ops import KL_MEMORY
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import split_seed


class MemoryModel(AutoencoderModel):
    """Base of the models that write an episode of images into a memory.

    Encoder, memory, decoder: the memory is a layer, such as
    `kgpm.layers.PseudoInverseMemory`, that says how codes are written and
    read and what that costs (`prior`, `write`, `recall`, `read`, `draw`,
    `sample`, `sample_prior`, `kl` where it has a density, `latents_of`,
    `latent_energy`, `rows`, `term_names`, `memory_floats`,
    `depends_on_order`, `rows_are_latents`, `prior_is_trained`, and
    `leave_each_out` where it can do without a code at no new write). A
    written memory is a nest of tensors with the episodes on the leading axis;
    the model keeps none.

    Args:
        memory: the layer.
        *args: of `AutoencoderModel`.
        autoencoder_weight: weight in the loss of `-log p(x | dec(enc(x)))`,
            which bypasses the memory and keeps decoder and encoder mutual
            inverses, so that repeated reading is stable. Never in a bound.
        memory_kl_weight: weight of `kl_memory` in the loss; metrics and
            evaluation always have it at weight 1.
        held_out_weight: weight in the loss of the bound of each image under a
            memory of the others, so that both are trained for. Never in a
            bound of its own; for memories with `leave_each_out`.
        **kwargs: of `AutoencoderModel`.

    Raises:
        UserError: negative weights, or `held_out_weight` with a memory that
            cannot leave a code out.
    """

    has_memory = True

    def __init__(
        self,
        memory: keras.layers.Layer,
        *args: Any,
        autoencoder_weight: float = 0.0,
        memory_kl_weight: float = 1.0,
        held_out_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        for name, weight in (
            ("autoencoder_weight", autoencoder_weight),
            ("memory_kl_weight", memory_kl_weight),
            ("held_out_weight", held_out_weight),
        ):
            if weight < 0.0:
                raise UserError(
                    f"Expected {name} of at least 0, received {weight}."
                )
        if held_out_weight and not hasattr(memory, "leave_each_out"):
            raise UserError(
                "Expected held_out_weight=0 with a memory that must be "
                f"written again without an image, received {held_out_weight}; "
                "read='categorical' and read='softmax' have one that need not."
            )
        super().__init__(*args, **kwargs)
        self.memory = memory
        self.memory.build()
        self.autoencoder_weight = autoencoder_weight
        self.held_out_weight = held_out_weight
        auxiliary = {
            "autoencoder": autoencoder_weight,
            "held_out": held_out_weight,
        }
        self.auxiliary_weights = {k: w for k, w in auxiliary.items() if w > 0}
        self.memory_kl_weight = memory_kl_weight
        self.kl_weights = {KL_MEMORY: memory_kl_weight}

    @property
    def term_names(self) -> tuple[str, ...]:
        return ("nll", *self.memory.term_names)

    def memory_floats(self, episode_length: int) -> int:
        return self.memory.memory_floats

    @property
    def prior_is_trained(self) -> bool:
        return self.memory.prior_is_trained

    @property
    def depends_on_order(self) -> bool:
        return super().depends_on_order or self.memory.depends_on_order

    def memory_rows(self, memory: dict[str, Any]) -> Any:
        """Rows of the memory for display, `[B, rows, numbers]`."""
        return self.memory.rows(memory)

    @property
    def rows_are_latents(self) -> bool:
        """Whether rows are of the kind that is decoded."""
        return self.memory.rows_are_latents

    def memory_images(self, memory: dict[str, Any]) -> Any:
        """An image of each row, `[B, rows, H, W, C]`; `None` without any."""
        if not self.rows_are_latents:
            return None
        return self.likelihood.mean(self.decode(self.memory_rows(memory)))

    @property
    def monitor(self) -> str:
        """The bound that is trained: with the memory's share if that is."""
        paid = KL_MEMORY in self.term_names and self.memory_kl_weight > 0.0
        return "nelbo_full" if paid else "nelbo"

    def prior_memory(self, batch_size: Any) -> Any:
        """The memory before anything was written, for B episodes."""
        return self.memory.prior(batch_size)

    def write_codes(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> Any:
        """Writes codes `[B, T, C]`; those of weight 0 are absent."""
        return self.memory.write(codes, weights, seed, training)

    def recall(self, memory: Any, seed: Any = None) -> Any:
        if seed is not None:
            memory = self.memory.draw(memory, seed)
        return self.memory.recall(memory)

    def sample_latents(
        self, codes: Any, memory: Any, seed: Any, training: bool = False
    ) -> Draw:
        return self.memory.sample(codes, memory, seed, training)

    def mean_latents(self, codes: Any, memory: Any) -> Any:
        return self.memory.read(codes, memory)

    def sample_prior_latents(
        self, memory: Any, num_samples: int, seed: Any
    ) -> Any:
        return self.memory.sample_prior(memory, num_samples, seed)

    def latents_of(self, codes: Any) -> Any:
        return self.memory.latents_of(codes)

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        return self.memory.latent_energy(codes, memory)

    def write(self, images: Any, weights: Any = None, seed: Any = None) -> Any:
        """Writes episodes into memories.

        Args:
            images: `[B, T, H, W, C]` in [0, 1].
            weights: `[B, T]`, 0 for an image that is absent.
            seed: for models whose writing is stochastic; without one they
                write without noise.

        Returns:
            The memories, a nest of tensors with leading axis B.
        """
        return self.write_codes(self.encode(images, weights), weights, seed)

    def bound_terms(
        self,
        images: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Writes episodes and bounds each image's log-likelihood.

        Args:
            images: `[B, T, H, W, C]` in [0, 1].
            weights: `[B, T]`, 0 for an image that is not written.
            seed: of all noise, `int32[2]` or an integer; `None` for fresh.
            training: adds the write noise where the model has one, and is
                for networks that behave otherwise in training.

        Returns:
            `{"nll": [B, T], "kl_...": [B, T]}` in nats; see
            `kgpm.ops.nelbo`. `kl_memory`, where it exists, is already
            divided by the number of images written.
        """
        write_seed, seed = split_seed(make_seed(seed), 2)
        codes = self.encode(images, weights, training)
        memory = self.write_codes(codes, weights, write_seed, training)
        terms = self.score(images, codes, memory, seed, training)
        return {**terms, **self._memory_terms(codes, memory, weights)}

    def training_terms(
        self, images: Any, weights: Any, seed: Any
    ) -> dict[str, Any]:
        if not self.auxiliary_weights:
            return self.bound_terms(images, weights, seed, training=True)
        write_seed, seed = split_seed(make_seed(seed), 2)
        codes = self.encode(images, weights, training=True)
        memory = self.write_codes(codes, weights, write_seed, training=True)
        draw_seed, pixel_seed = split_seed(seed, 2)
        draw = self.sample_latents(codes, memory, draw_seed, training=True)
        latents, divergences = [draw.latents], {}
        if "autoencoder" in self.auxiliary_weights:
            latents.append(self.latents_of(codes))
            divergences["autoencoder"] = 0.0
        if "held_out" in self.auxiliary_weights:
            others = self.memory.leave_each_out(codes, memory)
            held_out = self.sample_latents(
                codes, others, fold_in(draw_seed, 1), training=True
            )
            latents.append(held_out.latents)
            divergences["held_out"] = sum(held_out.kl.values())
        # One pass of the decoder over all of them is faster than two.
        together = self.decode(ops.concatenate(latents, axis=0))
        nll, *auxiliary = (
            -self.likelihood.log_prob(images, parameters, pixel_seed)
            for parameters in ops.split(together, len(latents), axis=0)
        )
        names = zip(divergences, auxiliary, strict=True)
        return {
            "nll": nll,
            **draw.kl,
            **{name: value + divergences[name] for name, value in names},
            **self._memory_terms(codes, memory, weights),
        }

    def leave_each_out(
        self,
        images: Any,
        weights: Any,
        seed: Any,
        score: Callable[..., dict[str, Any]],
    ) -> dict[str, Any]:
        images = ops.convert_to_tensor(images)
        length = ops.shape(images)[1]
        if weights is None:
            weights = ops.ones(ops.shape(images)[:2])
        else:
            weights = ops.cast(weights, "float32")
        codes = self.encode(images, weights)
        base = make_seed(seed)

        def leave_out(position: Any) -> dict[str, Any]:
            others = weights * ops.cast(
                ops.arange(length) != position, weights.dtype
            )
            write_seed, read_seed = split_seed(fold_in(base, position), 2)
            written = codes
            if self.mixes_images:
                # Codes of the others that have not seen the image left out.
                written = self.encode(images, others)
            memory = self.write_codes(written, others, write_seed)
            image = ops.take(images, position[None], axis=1)
            code = ops.take(codes, position[None], axis=1)
            terms = score(image, code, memory, read_seed)
            return {name: value[:, 0] for name, value in terms.items()}

        terms = ops.map(leave_out, ops.arange(length))
        return {name: ops.swapaxes(v, 0, 1) for name, v in terms.items()}

    def _memory_terms(
        self, codes: Any, memory: Any, weights: Any
    ) -> dict[str, Any]:
        if KL_MEMORY not in self.term_names:
            return {}
        shape = ops.shape(codes)[:2]
        if weights is None:
            weights = ops.ones(shape)
        weights = ops.cast(weights, "float32")
        written = ops.maximum(ops.sum(weights, axis=1), 1.0)
        share = self.memory.kl(memory) / written
        return {KL_MEMORY: ops.broadcast_to(share[:, None], shape)}

    def get_config(self) -> dict:
        """The arguments of the networks, of the memory and of the loss."""
        return {
            **super().get_config(),
            **arguments_of(self.memory),
            "autoencoder_weight": self.autoencoder_weight,
            "memory_kl_weight": self.memory_kl_weight,
            "held_out_weight": self.held_out_weight,
        }
