"""What every generative memory model offers."""

from typing import Any

from keras import ops

from kgpm.errors import UserError
from kgpm.layers import Draw
from kgpm.models.autoencoder_model import AutoencoderModel
from kgpm.ops import KL_MEMORY
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import split_seed


class MemoryModel(AutoencoderModel):
    """Base of the models that write an episode of images into a memory.

    A memory is a nest of tensors with the episodes on the leading axis; the
    model keeps none. Seeds are integers or `int32[2]` tensors. Every public
    method also runs inside a `tf.function`.

    A subclass provides the few methods that know its memory: `write_codes`,
    `prior_memory`, `sample_latents`, `mean_latents`, `sample_prior_latents`
    and, where it can, `address_energy` and `memory_divergence`.

    Args:
        *args: of `AutoencoderModel`.
        **kwargs: of `AutoencoderModel`.
    """

    @property
    def memory_floats(self) -> int:
        """How many numbers the memory of one episode holds."""
        raise NotImplementedError

    def prior_memory(self, batch_size: Any) -> Any:
        """The memory before anything was written, for B episodes."""
        raise NotImplementedError

    def write_codes(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> Any:
        """Writes codes `[B, T, C]`; those of weight 0 are absent."""
        raise NotImplementedError

    def sample_latents(self, codes: Any, memory: Any, seed: Any) -> Draw:
        """Draws from the posterior of the latents of codes `[B, Q, C]`."""
        raise NotImplementedError

    def mean_latents(self, codes: Any, memory: Any) -> Any:
        """The noise-free read-out of codes `[B, Q, C]`."""
        raise NotImplementedError

    def sample_prior_latents(
        self, memory: Any, num_samples: int, seed: Any
    ) -> Any:
        """Latents drawn from the memory alone, `[B, num_samples, ...]`."""
        raise NotImplementedError

    def address_energy(self, codes: Any, memory: Any) -> Any:
        """-log p(address) of a mean read without constants, `[B, Q]`."""
        raise NotImplementedError

    def memory_divergence(self, memory: Any) -> Any:
        """KL of a written memory from its prior, `[B]` in nats.

        Only for models with `kl_memory` among their `term_names`.
        """
        raise NotImplementedError

    def write(self, images: Any, weights: Any = None, seed: Any = None) -> Any:
        """Writes episodes into memories.

        Args:
            images: `[B, T, H, W, C]` in [0, 1].
            weights: `[B, T]`, 0 for an image that is absent.
            seed: for models whose writing is stochastic.

        Returns:
            The memories, a nest of tensors with leading axis B.
        """
        return self.write_codes(self.encode(images), weights, seed)

    def read(
        self,
        queries: Any,
        memory: Any,
        sample: bool = False,
        seed: Any = None,
    ) -> Any:
        """Mean images `[B, Q, H, W, C]` read for queries of that shape.

        Args:
            queries: images `[B, Q, H, W, C]`.
            memory: as `write` returns it.
            sample: whether the latents are drawn as in the bound, instead of
                the noise-free read of retrieval.
            seed: of the draw.
        """
        codes = self.encode(queries)
        if sample:
            latents = self.sample_latents(codes, memory, seed).latents
        else:
            latents = self.mean_latents(codes, memory)
        return self.likelihood.mean(self.decode(latents))

    def call(self, inputs: Any) -> Any:
        """Writes episodes `[B, T, H, W, C]` and reads each image back."""
        return self.read(inputs, self.write(inputs))

    def denoise(
        self,
        queries: Any,
        memory: Any,
        num_steps: int = 10,
        threshold: float = 0.5,
    ) -> Any:
        """Reads repeatedly, each time with the image just read.

        Args:
            queries: corrupted images `[B, Q, H, W, C]`.
            memory: as `write` returns it.
            num_steps: reads, at least 1.
            threshold: binary images are 1 where p(pixel = 1) reaches it; at
                0.5 this minimises the pixels' energy exactly.

        Returns:
            `[B, num_steps, Q, H, W, C]`, the first read first.
        """
        _check_positive("num_steps", num_steps)
        queries = ops.cast(self.check_images(queries), "float32")

        def step(images: Any, _: Any) -> tuple[Any, Any]:
            latents = self.mean_latents(self.encode(images), memory)
            images = self.likelihood.point(self.decode(latents), threshold)
            return images, images

        # Over a range, because a served number of steps is a tensor.
        _, steps = ops.scan(step, queries, ops.arange(num_steps))
        return ops.swapaxes(steps, 0, 1)

    def generate(
        self,
        memory: Any,
        num_samples: int = 16,
        num_steps: int = 10,
        seed: Any = 0,
        threshold: float = 0.5,
    ) -> Any:
        """New images from a memory: a draw, then `num_steps - 1` reads.

        Returns:
            `[B, num_steps, num_samples, H, W, C]`, the draw first.
        """
        _check_positive("num_samples", num_samples)
        _check_positive("num_steps", num_steps)
        latents = self.sample_prior_latents(memory, num_samples, seed)
        first = self.likelihood.point(self.decode(latents), threshold)
        if isinstance(num_steps, int) and num_steps == 1:
            return first[:, None]
        rest = self.denoise(first, memory, num_steps - 1, threshold)
        return ops.concatenate([first[:, None], rest], axis=1)

    def energy(self, images: Any, memory: Any) -> Any:
        """Free energy of patterns under a fixed memory and the mean read.

        `-log p(x | mean read of x) + address_energy`, which repeated reading
        lowers in general: the pixel step exactly, the amortised address step
        not always.

        Returns:
            `[B, Q]` in nats for images `[B, Q, H, W, C]`.
        """
        codes = self.encode(images)
        parameters = self.decode(self.mean_latents(codes, memory))
        log_prob = self.likelihood.log_prob(images, parameters, make_seed(0))
        return self.address_energy(codes, memory) - log_prob

    def code_residual(self, images: Any, memory: Any) -> Any:
        """Squared distance of codes from their mean read-outs.

        0 for a pattern whose code the memory holds exactly.

        Returns:
            `[B, Q]` for images `[B, Q, H, W, C]`.
        """
        codes = self.encode(images)
        return ops.sum(
            ops.square(codes - self.mean_latents(codes, memory)), axis=-1
        )

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
            training: adds the write noise where the model has one.

        Returns:
            `{"nll": [B, T], "kl_...": [B, T]}` in nats; see
            `kgpm.ops.nelbo`. `kl_memory`, where it exists, is already
            divided by the number of images written.
        """
        write_seed, seed = split_seed(make_seed(seed), 2)
        codes = self.encode(images)
        memory = self.write_codes(codes, weights, write_seed, training)
        terms, _ = self._score(images, codes, memory, seed)
        return {**terms, **self._memory_terms(codes, memory, weights)}

    def training_terms(
        self, images: Any, weights: Any, seed: Any
    ) -> dict[str, Any]:
        if "autoencoder" not in self.auxiliary_weights:
            return self.bound_terms(images, weights, seed, training=True)
        write_seed, seed = split_seed(make_seed(seed), 2)
        codes = self.encode(images)
        memory = self.write_codes(codes, weights, write_seed, training=True)
        terms, parameters = self._score(images, codes, memory, seed, bypass=1)
        terms["autoencoder"] = -self.likelihood.log_prob(
            images, parameters, seed
        )
        return {**terms, **self._memory_terms(codes, memory, weights)}

    def query_terms(
        self, queries: Any, memory: Any, seed: Any = None
    ) -> dict[str, Any]:
        """Terms of queries `[B, Q, H, W, C]` under a given memory.

        A bound on `-log p(query | memory)`: predictive where the query was
        not written. Each `[B, Q]` in nats, without `kl_memory`.
        """
        return self._score(queries, self.encode(queries), memory, seed)[0]

    def held_out_terms(
        self, images: Any, weights: Any = None, seed: Any = None
    ) -> dict[str, Any]:
        """Scores each image under a memory written from the others.

        Args:
            images: `[B, T, H, W, C]`.
            weights: `[B, T]`.
            seed: of all noise.

        Returns:
            Terms as `query_terms` gives them, `[B, T]`.
        """
        images = ops.convert_to_tensor(images)
        codes = self.encode(images)
        length = ops.shape(images)[1]
        if weights is None:
            weights = ops.ones(ops.shape(images)[:2])
        base = make_seed(seed)

        def leave_out(position: Any) -> dict[str, Any]:
            others = weights * ops.cast(
                ops.arange(length) != position, weights.dtype
            )
            write_seed, read_seed = split_seed(fold_in(base, position), 2)
            memory = self.write_codes(codes, others, write_seed)
            image = ops.take(images, position[None], axis=1)
            code = ops.take(codes, position[None], axis=1)
            terms, _ = self._score(image, code, memory, read_seed)
            return {name: value[:, 0] for name, value in terms.items()}

        terms = ops.map(leave_out, ops.arange(length))
        return {name: ops.swapaxes(v, 0, 1) for name, v in terms.items()}

    def log_likelihood(
        self,
        images: Any,
        memory: Any = None,
        num_importance_samples: int = 1000,
        seed: Any = 0,
    ) -> Any:
        """Importance-weighted lower bound on log p(x | memory).

        Burda et al. 2016: `ln 1/S sum_s p(x, h_s | M) / q(h_s | x, M)`. It is
        tighter than `bound_terms`; never compare the two. The samples pass
        one after the other, so memory does not grow with their number.

        Args:
            images: `[B, T, H, W, C]`.
            memory: by default the one written from `images`, which makes the
                result conditional on a memory that has seen the image.
            num_importance_samples: S, at least 1.
            seed: of all noise.

        Returns:
            `[B, T]` in nats.
        """
        _check_positive("num_importance_samples", num_importance_samples)
        write_seed, seed = split_seed(make_seed(seed), 2)
        codes = self.encode(images)
        if memory is None:
            memory = self.write_codes(codes, None, write_seed)

        def add_sample(index: Any, total: Any) -> Any:
            draw_seed, pixel_seed = split_seed(fold_in(seed, index), 2)
            draw = self.sample_latents(codes, memory, draw_seed)
            log_weight = draw.log_ratio + self.likelihood.log_prob(
                images, self.decode(draw.latents), pixel_seed
            )
            return ops.logaddexp(total, log_weight)

        # -inf would be the empty sum, but its gradient is not a number.
        start = ops.full(ops.shape(codes)[:2], -1e30, "float32")
        total = ops.fori_loop(0, num_importance_samples, add_sample, start)
        return total - ops.log(ops.cast(num_importance_samples, "float32"))

    def _score(
        self,
        images: Any,
        codes: Any,
        memory: Any,
        seed: Any,
        bypass: int = 0,
    ) -> tuple[dict[str, Any], Any]:
        """Terms of images, and the parameters decoded past the memory.

        With `bypass` the decoder runs once on read-outs and codes together,
        which is faster than twice.
        """
        draw_seed, pixel_seed = split_seed(make_seed(seed), 2)
        draw = self.sample_latents(codes, memory, draw_seed)
        bypassed = None
        if bypass:
            both = ops.concatenate([draw.latents, codes], axis=0)
            parameters, bypassed = ops.split(self.decode(both), 2, axis=0)
        else:
            parameters = self.decode(draw.latents)
        nll = -self.likelihood.log_prob(images, parameters, pixel_seed)
        return {"nll": nll, **draw.kl}, bypassed

    def _memory_terms(
        self, codes: Any, memory: Any, weights: Any
    ) -> dict[str, Any]:
        if KL_MEMORY not in self.term_names:
            return {}
        shape = ops.shape(codes)[:2]
        if weights is None:
            weights = ops.ones(shape)
        written = ops.maximum(ops.sum(weights, axis=1), 1.0)
        share = self.memory_divergence(memory) / written
        return {KL_MEMORY: ops.broadcast_to(share[:, None], shape)}


def _check_positive(name: str, value: Any) -> None:
    if isinstance(value, int) and value < 1:
        raise UserError(f"Expected {name} of at least 1, received {value}.")
