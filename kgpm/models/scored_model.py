"""Scores of images through latent variables."""

from collections.abc import Callable
from typing import Any

from kgpm.errors import UserError
from kgpm.layers import Draw
from kgpm.models.image_model import ImageModel
from kgpm.ops import make_seed
from kgpm.ops import split_seed


class ScoredModel(ImageModel):
    """Base of the models that bound log p(x | memory) by latents of codes.

    A model without a memory ignores the memories that methods take. Seeds are
    integers or `int32[2]` tensors. Every public method also runs inside a
    `tf.function`.

    A subclass provides `encode`, `decode` and `sample_latents`; one with a
    memory also `write`, `bound_terms`, `leave_each_out`, and `recall` where
    reading needs more of a memory than it holds, or where a memory has a
    density.

    Args:
        *args: of `ImageModel`.
        **kwargs: of `ImageModel`.
    """

    # Whether two draws of the latents of an image differ.
    draws_latents = True

    # What a model without a memory says that it does instead.
    no_memory_reason = "which treats each image on its own"

    def memory_floats(self, episode_length: int) -> int:
        """How many numbers the memory of T images holds."""
        return 0

    @property
    def prior_is_trained(self) -> bool:
        """Whether training sees the memory to which nothing was written."""
        return False

    @property
    def streams(self) -> bool:
        """Whether images can be added to a memory and taken out again."""
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

    def recall(self, memory: Any, seed: Any = None) -> Any:
        """A memory with what reading needs of it, for many reads.

        Every read takes a memory as `write` returns it, or this of it.

        Args:
            memory: as `write` returns it.
            seed: with it, a memory with a density is drawn once for all
                reads.
        """
        return memory

    def sample_latents(
        self, codes: Any, memory: Any, seed: Any, training: bool = False
    ) -> Draw:
        """Draws from the posterior of the latents of codes `[B, Q, C]`."""
        raise NotImplementedError

    def write(self, images: Any, weights: Any = None, seed: Any = None) -> Any:
        """Not for a model without a memory.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"Expected a model with a memory to write to, received "
            f"{type(self).__name__}, {self.no_memory_reason}: call its methods "
            "with memory=None."
        )

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
        return self.leave_each_out(images, weights, seed, self.score)

    def leave_each_out(
        self,
        images: Any,
        weights: Any,
        seed: Any,
        score: Callable[..., dict[str, Any]],
    ) -> dict[str, Any]:
        """Figures of each image under a memory of the others.

        Args:
            images: `[B, T, H, W, C]`.
            weights: `[B, T]` or `None`.
            seed: of all noise.
            score: `score(images, codes, memory, seed)` gives `{name: [B, Q]}`
                of Q images.

        Returns:
            `{name: [B, T]}`.
        """
        return score(images, self.encode(images, weights), None, seed)

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
