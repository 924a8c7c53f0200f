"""Variational Memory Addressing."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.errors import check_count
from kgpm.errors import check_sizes
from kgpm.layers import Draw
from kgpm.layers import ImageMemory
from kgpm.layers import SkipDecoder
from kgpm.layers import arguments_of
from kgpm.models.latent_model import LatentModel
from kgpm.ops import VIMCO_BASELINES
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import split_seed
from kgpm.ops import vimco_bound

ADDRESS_GRADIENTS = ("vimco", "enumerate")


@keras.saving.register_keras_serializable(package="kgpm")
class VMA(LatentModel):
    """Variational Memory Addressing (Bornschein et al., 2017).

    A memory of images, one of which is picked to help to explain an image:

        p(a) = 1 / T',  p(z | m_a) = N(mu(m_a), sigma(m_a)),
        p(x | z, m_a) = likelihood(decoder(z, m_a)),
        q(a | M, x) = softmax(h(x) . h(m_a)),  q(z | x, m_a) Gaussian,

    T' counts the images written and a few learned ones. To write is to put
    images in. An image in its own memory is explained by itself, so training
    and validation score each image of an episode under the others (figure B
    of an evaluation). Terms: `nll`, `kl_z`, `kl_a`.

    Args:
        image_shape: `(H, W, C)`.
        likelihood: `bernoulli`, `gaussian`, `discretized_logistic`,
            `discretized_logistic_mixture`, or an instance.
        width: channels of the two finer and the two coarser scales.
        feature_size: F, length of what posterior, prior and decoder see of
            an image.
        address_size: A, length of h.
        latent_size: L, length of z.
        context_size: numbers of m_a beside z, before the decoder.
        hidden_size: units of the layer before features and addresses.
        num_dummies: learned images in every memory.
        share_encoder: whether features and addresses come from one network.
        address_gradient: how training follows a: `vimco`, the bound of
            `num_bound_samples` samples, or `enumerate`, the single-sample
            bound summed over all addresses, as many decodings as entries.
        num_bound_samples: samples of (a, z) in VIMCO's bound.
        vimco_baseline: `geometric` or `arithmetic`, see `ops.vimco_bound`.
        **kwargs: of `keras.Model`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = VMA(image_shape=(26, 26, 1))
        >>> memory = model.write(episode)
        >>> terms = model.query_terms(images, memory, seed=0)

    Source: Bornschein et al., "Variational Memory Addressing in Generative
    Models", NeurIPS 2017; networks of A. Zholus's implementation.
    """

    term_names = ("nll", "kl_z", "kl_a")
    has_memory = True
    # Every memory has the learned images, and the prior has no more.
    prior_is_trained = False
    rows_are_latents = False

    def __init__(
        self,
        image_shape: tuple = (26, 26, 1),
        likelihood: Any = "bernoulli",
        width: int | list | tuple = (48, 64),
        feature_size: int = 128,
        address_size: int = 200,
        latent_size: int = 64,
        context_size: int = 64,
        hidden_size: int = 100,
        num_dummies: int = 2,
        share_encoder: bool = False,
        address_gradient: str = "vimco",
        num_bound_samples: int = 4,
        vimco_baseline: str = "geometric",
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, likelihood, **kwargs)
        check_sizes(context_size=context_size)
        check_choice("address_gradient", address_gradient, ADDRESS_GRADIENTS)
        check_choice("vimco_baseline", vimco_baseline, VIMCO_BASELINES)
        if num_bound_samples < 2:
            raise UserError(
                "Expected num_bound_samples of at least 2, each of which is "
                f"the baseline of the others, received {num_bound_samples}."
            )
        self.memory = ImageMemory(
            image_shape,
            width,
            feature_size,
            address_size,
            latent_size,
            hidden_size,
            num_dummies,
            share_encoder,
            name="memory",
        )
        self.code_size = feature_size + address_size
        self.latent_size = latent_size
        self.context_size = context_size
        self.address_gradient = address_gradient
        self.num_bound_samples = num_bound_samples
        self.vimco_baseline = vimco_baseline
        if address_gradient == "vimco":
            # What is trained instead of the single-sample bound.
            self.auxiliary_weights = {"nelbo_iw": 1.0}
        self.to_context = keras.layers.Dense(context_size, name="to_context")
        self.decoder = SkipDecoder(
            self.image_shape,
            latent_size + context_size,
            self.likelihood.num_parameters(self.image_shape[-1]),
            width,
            name="decoder",
        )
        self.memory.build()
        self.decoder.build()
        self.to_context.build((None, feature_size))
        self.built = True

    def compile(
        self,
        optimizer: Any = "adam",
        kl_warmup_steps: int = 0,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """See `BoundModel.compile`.

        Raises:
            UserError: also a warm-up together with VIMCO, whose bound has no
                divergences apart.
        """
        if kl_warmup_steps and self.address_gradient == "vimco":
            raise UserError(
                "Expected kl_warmup_steps=0 with address_gradient='vimco', "
                "whose bound has no divergences apart, received "
                f"{kl_warmup_steps}; use 'enumerate' for a warm-up."
            )
        super().compile(optimizer, kl_warmup_steps, *args, **kwargs)

    def memory_floats(self, episode_length: int) -> int:
        entries = episode_length + self.memory.num_dummies
        return entries * math.prod(self.image_shape)

    def write(self, images: Any, weights: Any = None, seed: Any = None) -> Any:
        """Puts images into memories.

        Args:
            images: `[B, T, H, W, C]` in [0, 1].
            weights: `[B, T]`, 0 for an image that is absent.
            seed: not used, writing has no noise.

        Returns:
            `{"images": [B, T, H, W, C], "weights": [B, T]}`.
        """
        images = ops.cast(self.check_images(images), "float32")
        if weights is None:
            weights = ops.ones(ops.shape(images)[:2])
        weights = ops.cast(ops.cast(weights, "float32") > 0.0, "float32")
        return {
            "images": images * weights[..., None, None, None],
            "weights": weights,
        }

    def prior_memory(self, batch_size: Any) -> Any:
        """Memories to which nothing was written: the learned images alone."""
        return self.memory.empty(batch_size)

    def recall(self, memory: Any, seed: Any = None) -> Any:
        return self.memory.recall(memory)

    def memory_rows(self, memory: Any) -> Any:
        """The entries' addresses h(m_a), learned ones last, `[B, T', A]`."""
        return self.recall(memory)["addresses"]

    def memory_images(self, memory: Any) -> Any:
        """The entries' images, learned ones last, `[B, T', H, W, C]`."""
        return self.memory.images_of(memory)

    def encode(
        self, images: Any, weights: Any = None, training: bool = False
    ) -> Any:
        """Features and address of each image, `[B, T, F + A]`."""
        return self.memory.encode(self.check_images(images))

    def decode(self, latents: dict[str, Any]) -> Any:
        """Likelihood parameters `[B, N, H, W, P]` of latents and entries.

        Args:
            latents: `{"z": [B, N, L], "features": [B, N, F], "skips": maps}`,
                the last two of the entry picked. The image to explain is
                not among them.
        """
        context = self.to_context(ops.relu(latents["features"]))
        z = ops.cast(latents["z"], context.dtype)
        codes = ops.concatenate([z, context], axis=-1)
        return self.decoder(codes, latents["skips"])

    def sample_latents(
        self, codes: Any, memory: Any, seed: Any, training: bool = False
    ) -> Draw:
        entries = self.recall(memory)
        log_posterior = self.memory.log_posterior(codes, entries)
        drawn = self.memory.draw(codes, entries, log_posterior, 1, seed)
        kl = {
            "kl_z": drawn.kl_z[..., 0],
            "kl_a": self.memory.kl(log_posterior, entries),
        }
        return Draw(drawn.latents, kl, drawn.log_ratio[..., 0])

    def mean_latents(self, codes: Any, memory: Any) -> Any:
        """The likeliest entry and the mean of p(z | m_a): retrieval."""
        entry = self.memory.likeliest(codes, self.recall(memory))
        return {"z": self.memory.prior_of(entry).mean, **entry}

    def sample_prior_latents(
        self, memory: Any, num_samples: int, seed: Any
    ) -> Any:
        """Entries from p(a), learned ones among them, z from p(z | m_a)."""
        return self.memory.sample_prior(self.recall(memory), num_samples, seed)

    def latents_of(self, codes: Any) -> Any:
        """The mean of q(z | x, m_a), m_a the likeliest learned image."""
        learned = self.recall(self.prior_memory(ops.shape(codes)[0]))
        entry = self.memory.likeliest(codes, learned)
        return {"z": self.memory.posterior_of(codes, entry).mean, **entry}

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        entry = self.memory.likeliest(codes, self.recall(memory))
        return 0.5 * ops.sum(self.memory.prior_of(entry).log_variance, axis=-1)

    def code_residual(self, images: Any, memory: Any = None) -> Any:
        """Squared distance of the means of q(z | x, m_a) and p(z | m_a)."""
        codes = self.encode(images)
        entry = self.memory.likeliest(codes, self.recall(memory))
        error = (
            self.memory.posterior_of(codes, entry).mean
            - self.memory.prior_of(entry).mean
        )
        return ops.sum(ops.square(error), axis=-1)

    def diagnostics(self, images: Any, memory: Any = None) -> dict[str, Any]:
        """Entropy of q(a) in nats, and its mass on the learned images."""
        entries = self.recall(memory)
        log_posterior = self.memory.log_posterior(self.encode(images), entries)
        mass = ops.exp(log_posterior)
        return {
            "address_entropy": -ops.mean(
                ops.sum(mass * log_posterior, axis=-1)
            ),
            "mass_on_dummies": ops.mean(
                ops.sum(mass[..., -self.memory.num_dummies :], axis=-1)
            ),
        }

    def bound_terms(
        self,
        images: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Bounds each image under the memory of all of its episode.

        See `MemoryModel.bound_terms`. An image is then its own best entry:
        `held_out_terms` is what such a model is for, and trained on.
        """
        # As for the other memories, whose writing may take noise.
        _, seed = split_seed(make_seed(seed), 2)
        memory = self.write(images, weights)
        return self.query_terms(images, memory, seed)

    def leave_each_out(
        self,
        images: Any,
        weights: Any,
        seed: Any,
        score: Callable[..., dict[str, Any]],
    ) -> dict[str, Any]:
        # All images are encoded once, as entries and as what is explained.
        codes, others = self.memory.leave_each_out(self.write(images, weights))
        return score(images, codes, others, seed)

    def validation_terms(
        self, images: Any, weights: Any, seed: Any
    ) -> dict[str, Any]:
        return self.held_out_terms(images, weights, seed)

    def training_terms(
        self, images: Any, weights: Any, seed: Any
    ) -> dict[str, Any]:
        """Held-out terms, and what is trained if that is VIMCO's bound.

        The terms are averages over the samples, or over all addresses as
        q(a) weighs them.
        """
        draw_seed, pixel_seed = split_seed(make_seed(seed), 2)
        codes, others = self.memory.leave_each_out(self.write(images, weights))
        log_posterior = self.memory.log_posterior(codes, others)
        vimco = self.address_gradient == "vimco"
        if vimco:
            drawn = self.memory.draw(
                codes, others, log_posterior, self.num_bound_samples, draw_seed
            )
        else:
            shape = ops.shape(log_posterior)
            addresses = ops.broadcast_to(ops.arange(shape[2]), shape)
            drawn = self.memory.draw_at(
                codes, others, log_posterior, addresses, draw_seed
            )
        count = ops.shape(drawn.kl_z)[2]
        log_prob = self.likelihood.log_prob(
            ops.repeat(images, count, axis=1),
            self.decode(drawn.latents),
            pixel_seed,
        )
        log_prob = ops.reshape(log_prob, ops.shape(drawn.kl_z))
        kl_a = self.memory.kl(log_posterior, others)
        if not vimco:
            mass = ops.exp(log_posterior)
            return {
                "nll": -ops.sum(mass * log_prob, axis=-1),
                "kl_z": ops.sum(mass * drawn.kl_z, axis=-1),
                "kl_a": kl_a,
            }
        bound = vimco_bound(
            ops.moveaxis(log_prob + drawn.log_ratio, 2, 0),
            ops.moveaxis(drawn.log_posterior, 2, 0),
            self.vimco_baseline,
        )
        return {
            "nll": -ops.mean(log_prob, axis=-1),
            "kl_z": ops.mean(drawn.kl_z, axis=-1),
            "kl_a": kl_a,
            "nelbo_iw": -bound,
        }

    def loss_of(self, terms: Any, kl_weight: Any) -> Any:
        if "nelbo_iw" in terms:
            return terms["nelbo_iw"]
        return super().loss_of(terms, kl_weight)

    def tighter_bounds(
        self,
        images: Any,
        codes: Any,
        memory: Any,
        num_importance_samples: int,
        seed: Any,
    ) -> dict[str, Any]:
        """Both bounds, with as many decodings or just fewer for the second.

        Returns:
            `{"nelbo_iw": [B, T], "nelbo_stratified": [B, T]}` in nats.
        """
        bounds = super().tighter_bounds(
            images, codes, memory, num_importance_samples, seed
        )
        each = max(num_importance_samples // memory["features"].shape[1], 1)
        stratified = self.weigh_every_address(images, codes, memory, each, seed)
        return {**bounds, "nelbo_stratified": -stratified}

    def weigh_every_address(
        self,
        images: Any,
        codes: Any,
        memory: Any,
        num_samples: int,
        seed: Any,
    ) -> Any:
        """A lower bound that sums over the addresses instead of drawing them.

        `ln sum_a p(a) 1/J sum_j p(x | z_aj, m_a) p(z_aj | m_a) / q(z_aj)`.

        Args:
            images: `[B, Q, H, W, C]`.
            codes: theirs.
            memory: as `write` returns it.
            num_samples: J, of z at each address.
            seed: of all noise.

        Returns:
            `[B, Q]` in nats.
        """
        check_count("num_samples", num_samples)
        entries = self.recall(memory)
        seed = make_seed(seed)
        log_posterior = self.memory.log_posterior(codes, entries)
        shape = ops.shape(log_posterior)

        def add_sample(index: Any, total: Any) -> Any:
            address = ops.broadcast_to(index % shape[2], (*shape[:2], 1))
            draw_seed, pixel_seed = split_seed(fold_in(seed, index), 2)
            drawn = self.memory.draw_at(
                codes, entries, log_posterior, address, draw_seed
            )
            log_prob = self.likelihood.log_prob(
                images, self.decode(drawn.latents), pixel_seed
            )
            # p(a) of the sum, where the ratio has p(a) / q(a) of a draw.
            log_weight = drawn.log_ratio + drawn.log_posterior
            present = ops.take_along_axis(
                ops.broadcast_to(entries["present"], shape), address, axis=2
            )
            weight = ops.where(present, log_weight, -1e30)[..., 0]
            return ops.logaddexp(total, log_prob + weight)

        start = ops.full(shape[:2], -1e30, "float32")
        total = ops.fori_loop(0, shape[2] * num_samples, add_sample, start)
        return total - math.log(num_samples)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            **arguments_of(self.memory),
            "context_size": self.context_size,
            "address_gradient": self.address_gradient,
            "num_bound_samples": self.num_bound_samples,
            "vimco_baseline": self.vimco_baseline,
        }
