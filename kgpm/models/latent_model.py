"""Reading, cleaning up and generating images through latent variables."""

from typing import Any

from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_count
from kgpm.models.importance_weighted_model import ImportanceWeightedModel
from kgpm.ops import make_seed


class LatentModel(ImportanceWeightedModel):
    """Base of the models that draw latents for codes and decode them.

    A subclass provides, beside what `ScoredModel` asks for, `mean_latents`,
    `sample_prior_latents`, `latents_of` and `latent_energy`.

    Args:
        *args: of `ImageModel`.
        **kwargs: of `ImageModel`.
    """

    # Whether there is a distribution of latents to generate from.
    has_prior = True

    def mean_latents(self, codes: Any, memory: Any) -> Any:
        """The noise-free latents of codes `[B, Q, C]`."""
        raise NotImplementedError

    def sample_prior_latents(
        self, memory: Any, num_samples: int, seed: Any
    ) -> Any:
        """Latents drawn without an image, `[B, num_samples, C]`.

        Raises:
            UserError: for a model without a prior.
        """
        raise UserError(
            "Expected a model with a prior over its latents to generate from, "
            f"received {type(self).__name__}, which has none; "
            "variational_memory_vae and vq_vae have one."
        )

    def latents_of(self, codes: Any) -> Any:
        """What codes `[B, Q, C]` would be decoded from without a memory."""
        raise NotImplementedError

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        """-ln p(latents) of a mean read without constants, `[B, Q]`."""
        raise NotImplementedError

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
        """Writes images `[B, T, H, W, C]` where it can, and reads them."""
        return self.read(
            inputs, self.write(inputs) if self.has_memory else None
        )

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
        check_count("num_steps", num_steps)
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
        check_count("num_samples", num_samples)
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
        check_count("num_steps", num_steps)
        first = self.likelihood.point(self.decode(latents), threshold)
        if isinstance(num_steps, int) and num_steps == 1:
            return first[:, None]
        reads = num_steps - 1
        if not isinstance(num_steps, int):
            # It may be 1, and a stack of no reads has no shape.
            reads = ops.maximum(reads, 1)
        rest = self.denoise(first, memory, reads, threshold)
        return ops.concatenate([first[:, None], rest], axis=1)[:, :num_steps]

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
