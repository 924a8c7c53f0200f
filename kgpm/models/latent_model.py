"""What every model of images through latent variables offers."""

from typing import Any

from keras import ops

from kgpm.errors import UserError
from kgpm.layers import Draw
from kgpm.models.image_model import ImageModel
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import split_seed


class LatentModel(ImageModel):
    """Base of the models that draw latents for codes and decode them.

    Latents may depend on a memory, which every method takes as a value; a
    model without one ignores it. Seeds are integers or `int32[2]` tensors.
    Every public method also runs inside a `tf.function`.

    A subclass provides `encode`, `decode`, `sample_latents`, `mean_latents`,
    `sample_prior_latents`, `latents_of` and `latent_energy`, and `recall`
    where reading needs more of a memory than it holds.

    Args:
        *args: of `ImageModel`.
        **kwargs: of `ImageModel`.
    """

    # Whether images are written into a memory. Where they are not, each image
    # stands alone, and `write` says so.
    has_memory = False

    def memory_floats(self, episode_length: int) -> int:
        """How many numbers the memory of T images holds."""
        return 0

    @property
    def prior_is_trained(self) -> bool:
        """Whether training sees the memory to which nothing was written."""
        return False

    @property
    def mixes_images(self) -> bool:
        """Whether a code also depends on the other images of its episode."""
        return False

    @property
    def depends_on_order(self) -> bool:
        """Whether the order of the images in an episode matters."""
        return self.mixes_images

    def encode(
        self, images: Any, weights: Any = None, training: bool = False
    ) -> Any:
        """Images `[B, T, H, W, C]` to codes `[B, T, code_size]`.

        Args:
            images: `[B, T, H, W, C]`.
            weights: `[B, T]`, 0 for an absent image: where images see each
                other (`mixes_images`), none sees it.
            training: for networks that behave otherwise in training.

        Raises:
            UserError: another rank or image shape, or T = 0.
        """
        raise NotImplementedError

    def decode(self, latents: Any) -> Any:
        """Latents to likelihood parameters `[B, T, H, W, P]`."""
        raise NotImplementedError

    def recall(self, memory: Any) -> Any:
        """A memory with what reading needs of it, for many reads.

        Every read takes a memory as `write` returns it, or this of it.
        """
        return memory

    def sample_latents(
        self, codes: Any, memory: Any, seed: Any, training: bool = False
    ) -> Draw:
        """Draws from the posterior of the latents of codes `[B, Q, C]`."""
        raise NotImplementedError

    def mean_latents(self, codes: Any, memory: Any) -> Any:
        """The noise-free latents of codes `[B, Q, C]`."""
        raise NotImplementedError

    def sample_prior_latents(
        self, memory: Any, num_samples: int, seed: Any
    ) -> Any:
        """Latents drawn without an image, `[B, num_samples, C]`."""
        raise NotImplementedError

    def latents_of(self, codes: Any) -> Any:
        """What codes `[B, Q, C]` would be decoded from without a memory."""
        raise NotImplementedError

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        """-ln p(latents) of a mean read without constants, `[B, Q]`."""
        raise NotImplementedError

    def write(self, images: Any, weights: Any = None, seed: Any = None) -> Any:
        """Not for a model without a memory.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"Expected a model with a memory to write to, received "
            f"{type(self).__name__}, which treats each image on its own: call "
            "its methods with memory=None."
        )

    def read(
        self,
        queries: Any,
        memory: Any = None,
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
        memory = self.recall(memory)
        codes = self.encode(queries)
        if sample:
            latents = self.sample_latents(codes, memory, seed).latents
        else:
            latents = self.mean_latents(codes, memory)
        return self.likelihood.mean(self.decode(latents))

    def call(self, inputs: Any) -> Any:
        """Reads images `[B, T, H, W, C]` back."""
        return self.read(inputs)

    def reconstruct(self, images: Any, threshold: float = 0.5) -> Any:
        """Encodes and decodes images, past any memory.

        Returns:
            `[B, Q, H, W, C]` for images of that shape; binary ones are 0 or 1
            as `denoise` has it.
        """
        latents = self.latents_of(self.encode(images))
        return self.likelihood.point(self.decode(latents), threshold)

    def denoise(
        self,
        queries: Any,
        memory: Any = None,
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
        memory = self.recall(memory)

        def step(images: Any, _: Any) -> tuple[Any, Any]:
            latents = self.mean_latents(self.encode(images), memory)
            images = self.likelihood.point(self.decode(latents), threshold)
            return images, images

        # Over a range, because a served number of steps is a tensor.
        _, steps = ops.scan(step, queries, ops.arange(num_steps))
        return ops.swapaxes(steps, 0, 1)

    def generate(
        self,
        memory: Any = None,
        num_samples: int = 16,
        num_steps: int = 10,
        seed: Any = 0,
        threshold: float = 0.5,
    ) -> Any:
        """New images: a draw of latents, then `num_steps - 1` reads.

        Returns:
            `[B, num_steps, num_samples, H, W, C]`, the draw first; B = 1
            without a memory.
        """
        _check_positive("num_samples", num_samples)
        memory = self.recall(memory)
        latents = self.sample_prior_latents(memory, num_samples, seed)
        return self.generate_from(latents, memory, num_steps, threshold)

    def generate_from(
        self,
        latents: Any,
        memory: Any = None,
        num_steps: int = 10,
        threshold: float = 0.5,
    ) -> Any:
        """Images of latents `[B, N, L]`, then `num_steps - 1` reads.

        Returns:
            `[B, num_steps, N, H, W, C]`.
        """
        _check_positive("num_steps", num_steps)
        first = self.likelihood.point(self.decode(latents), threshold)
        if isinstance(num_steps, int) and num_steps == 1:
            return first[:, None]
        rest = self.denoise(first, memory, num_steps - 1, threshold)
        return ops.concatenate([first[:, None], rest], axis=1)

    def energy(self, images: Any, memory: Any = None) -> Any:
        """Free energy of patterns under a fixed memory and the mean read.

        `-log p(x | mean read of x) + latent_energy`, which repeated reading
        lowers in general: the pixel step exactly, the amortised latent step
        not always.

        Returns:
            `[B, Q]` in nats for images `[B, Q, H, W, C]`.
        """
        memory = self.recall(memory)
        codes = self.encode(images)
        parameters = self.decode(self.mean_latents(codes, memory))
        log_prob = self.likelihood.log_prob(images, parameters, make_seed(0))
        return self.latent_energy(codes, memory) - log_prob

    def code_residual(self, images: Any, memory: Any = None) -> Any:
        """Squared distance of an image's own latents from its mean read.

        0 for a pattern that the memory holds exactly where a code is its own
        latent (GPM, DKM), and always without a memory.

        Returns:
            `[B, Q]` for images `[B, Q, H, W, C]`.
        """
        codes = self.encode(images)
        error = self.latents_of(codes) - self.mean_latents(codes, memory)
        return ops.sum(ops.square(error), axis=-1)

    def diagnostics(self, images: Any, memory: Any = None) -> dict[str, Any]:
        """Scalars that show how a model is doing inside, for TensorBoard.

        Args:
            images: `[B, Q, H, W, C]`.
            memory: as `write` returns it.

        Returns:
            `{"name": scalar}`; a model without any has `{}`.
        """
        return {}

    def bound_terms(
        self,
        images: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Bounds each image's log-likelihood.

        Args:
            images: `[B, T, H, W, C]` in [0, 1].
            weights: `[B, T]`, 0 for an absent image; see `encode`.
            seed: of all noise, `int32[2]` or an integer; `None` for fresh.
            training: for networks that behave otherwise in training.

        Returns:
            `{"nll": [B, T], "kl_...": [B, T]}` in nats.
        """
        codes = self.encode(images, weights, training)
        return self.score(images, codes, None, seed, training)

    def query_terms(
        self,
        queries: Any,
        memory: Any = None,
        seed: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Terms of queries `[B, Q, H, W, C]` under a given memory.

        A bound on `-log p(query | memory)`: predictive where the query was
        not written. Each `[B, Q]` in nats, without `kl_memory`. `weights`
        `[B, Q]` are 0 for absent queries; see `encode`.
        """
        return self.score(queries, self.encode(queries, weights), memory, seed)

    def log_likelihood(
        self,
        images: Any,
        memory: Any = None,
        num_importance_samples: int = 1000,
        seed: Any = 0,
        weights: Any = None,
    ) -> Any:
        """Importance-weighted lower bound on log p(x | memory).

        Burda et al. 2016: `ln 1/S sum_s p(x, h_s | M) / q(h_s | x, M)`. It is
        tighter than `bound_terms`; never compare the two. The samples pass
        one after the other, so memory does not grow with their number.

        Args:
            images: `[B, T, H, W, C]`.
            memory: as `write` returns it.
            num_importance_samples: S, at least 1.
            seed: of all noise.
            weights: `[B, T]`, 0 for an absent image; see `encode`.

        Returns:
            `[B, T]` in nats.
        """
        _check_positive("num_importance_samples", num_importance_samples)
        return self.weigh(
            images,
            self.encode(images, weights),
            self.recall(memory),
            num_importance_samples,
            seed,
        )

    def weigh(
        self,
        images: Any,
        codes: Any,
        memory: Any,
        num_importance_samples: int,
        seed: Any,
    ) -> Any:
        """`log_likelihood` of images whose codes are at hand."""
        seed = make_seed(seed)

        def add_sample(index: Any, total: Any) -> Any:
            draw_seed, pixel_seed = split_seed(fold_in(seed, index), 2)
            draw = self.sample_latents(codes, memory, draw_seed)
            log_weight = draw.log_ratio + self.likelihood.log_prob(
                images, self.decode(draw.latents), pixel_seed
            )
            return ops.logaddexp(total, log_weight)

        # -inf would be the empty sum, but its gradient is not a number.
        start = ops.full(ops.shape(images)[:2], -1e30, "float32")
        total = ops.fori_loop(0, num_importance_samples, add_sample, start)
        return total - ops.log(ops.cast(num_importance_samples, "float32"))

    def importance_weighted_bounds(
        self,
        images: Any,
        memory: Any = None,
        num_importance_samples: int = 1000,
        seed: Any = 0,
        weights: Any = None,
    ) -> dict[str, Any]:
        """The tighter bounds that the model has, by name.

        Args:
            images: as in `log_likelihood`, as all that follow.
            memory: see there.
            num_importance_samples: see there.
            seed: see there.
            weights: see there.

        Returns:
            `{"nelbo_iw": [B, T]}`, the negative `log_likelihood`, and what
            else a model has, in nats.
        """
        value = self.log_likelihood(
            images, memory, num_importance_samples, seed, weights
        )
        return {"nelbo_iw": -value}

    def score(
        self,
        images: Any,
        codes: Any,
        memory: Any,
        seed: Any,
        training: bool = False,
    ) -> dict[str, Any]:
        """`query_terms` of images whose codes are at hand."""
        draw_seed, pixel_seed = split_seed(make_seed(seed), 2)
        draw = self.sample_latents(codes, memory, draw_seed, training)
        parameters = self.decode(draw.latents)
        nll = -self.likelihood.log_prob(images, parameters, pixel_seed)
        return {"nll": nll, **draw.kl}


def _check_positive(name: str, value: Any) -> None:
    if isinstance(value, int) and value < 1:
        raise UserError(f"Expected {name} of at least 1, received {value}.")
