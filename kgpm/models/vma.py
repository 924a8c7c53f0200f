"""Variational Memory Addressing."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.errors import check_goes_with
from kgpm.layers import AddressEncoder
from kgpm.layers import Draw
from kgpm.layers import EntryDecoder
from kgpm.layers import ImageMemory
from kgpm.models.default_networks import num_parameters
from kgpm.models.latent_model import LatentModel
from kgpm.ops import VIMCO_BASELINES
from kgpm.ops import make_seed
from kgpm.ops import split_seed
from kgpm.ops import vimco_bound


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
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance.
        width: channels of the two finer and the two coarser scales of the
            default networks; 48 and 64 by default.
        latent_size: L, length of z; 64 by default.
        encoder: by default an `AddressEncoder`, which the memory shares; a
            memory that is brought has its own.
        memory: by default an `ImageMemory`.
        decoder: by default an `EntryDecoder`.
        address_gradient: how training follows a: `vimco`, the bound of
            `num_bound_samples` samples, or `enumerate`, the single-sample
            bound summed over all addresses, as many decodings as entries.
        num_bound_samples: samples of (a, z) in the bound of
            `address_gradient="vimco"`; 4 by default.
        vimco_baseline: `geometric` (the default) or `arithmetic`, see
            `kgpm.ops.vimco_bound`.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = VMA(image_shape=(26, 26, 1))
        >>> memory = model.write(episode)
        >>> terms = model.query_terms(images, memory, seed=0)

    Source: Bornschein et al., "Variational Memory Addressing in Generative
    Models", NeurIPS 2017; networks of A. Zholus's implementation.
    """

    def __init__(
        self,
        image_shape: tuple = (26, 26, 1),
        likelihood: Any = "bernoulli",
        width: Any = None,
        latent_size: int | None = None,
        encoder: Any = None,
        memory: Any = None,
        decoder: Any = None,
        address_gradient: str = "vimco",
        num_bound_samples: int | None = None,
        vimco_baseline: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice(
            "address_gradient", address_gradient, ("vimco", "enumerate")
        )
        self.follows_vimco = address_gradient == "vimco"
        check_goes_with(
            "address_gradient='vimco'",
            self.follows_vimco,
            num_bound_samples=num_bound_samples,
            vimco_baseline=vimco_baseline,
        )
        self.num_bound_samples = num_bound_samples or 4
        self.vimco_baseline = vimco_baseline or VIMCO_BASELINES[0]
        check_choice("vimco_baseline", self.vimco_baseline, VIMCO_BASELINES)
        if self.num_bound_samples < 2:
            raise UserError(
                "Expected num_bound_samples of at least 2, each of which is "
                f"the baseline of the others, received {num_bound_samples}."
            )
        if memory is not None:
            if not isinstance(memory, ImageMemory):
                raise UserError(
                    "Expected memory to be an ImageMemory, from whose entries "
                    f"the bound is computed, received {memory!r}."
                )
            check_goes_with("a default memory", False, encoder=encoder)
            check_goes_with(
                "a default encoder or decoder", decoder is None, width=width
            )
        width, latent_size = width or (48, 64), latent_size or 64
        if memory is None:
            if encoder is None:
                encoder = AddressEncoder(image_shape, width, name="encoder")
            memory = ImageMemory(encoder, latent_size, name="memory")
        if decoder is None:
            decoder = EntryDecoder(
                image_shape,
                latent_size,
                memory.encoder.feature_size,
                num_parameters(image_shape, likelihood),
                width,
                name="decoder",
            )
        super().__init__(
            image_shape, memory.encoder, memory, decoder, likelihood, **kwargs
        )
        if self.follows_vimco:
            # What is trained instead of the single-sample bound.
            self.auxiliary_weights = {"nelbo_iw": 1.0}

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
        if kl_warmup_steps and self.follows_vimco:
            raise UserError(
                "Expected kl_warmup_steps=0 with address_gradient='vimco', "
                "whose bound has no divergences apart, received "
                f"{kl_warmup_steps}; use 'enumerate' for a warm-up."
            )
        super().compile(optimizer, kl_warmup_steps, *args, **kwargs)

    def training_terms(
        self, images: Any, weights: Any, seed: Any
    ) -> dict[str, Any]:
        """Held-out terms, and what is trained if that is VIMCO's bound.

        The terms are averages over the samples, or over all addresses as
        q(a) weighs them.
        """
        draw_seed, pixel_seed = split_seed(make_seed(seed), 2)
        codes = self.encode(images, weights, training=True)
        others = self.leave_each_out(codes, weights, training=True)
        log_posterior = self.memory.log_posterior(codes, others)
        if self.follows_vimco:
            drawn = self.memory.draw_addressed(
                codes, others, log_posterior, self.num_bound_samples, draw_seed
            )
        else:
            shape = ops.shape(log_posterior)
            addresses = ops.broadcast_to(ops.arange(shape[2]), shape)
            drawn = self.memory.draw_at(
                codes, others, log_posterior, addresses, draw_seed
            )
        samples = ops.repeat(images, ops.shape(drawn.kl_z)[2], axis=1)
        draw = Draw(drawn.latents, {}, None)
        nll = self.explain(samples, [draw], pixel_seed, training=True)[0]["nll"]
        nll = ops.reshape(nll, ops.shape(drawn.kl_z))
        kl_a = self.memory.kl_address(log_posterior, others)
        if not self.follows_vimco:
            mass = ops.exp(log_posterior)
            return {
                "nll": ops.sum(mass * nll, axis=-1),
                "kl_z": ops.sum(mass * drawn.kl_z, axis=-1),
                "kl_a": kl_a,
            }
        bound = vimco_bound(
            ops.moveaxis(drawn.log_ratio - nll, 2, 0),
            ops.moveaxis(drawn.log_posterior, 2, 0),
            self.vimco_baseline,
        )
        return {
            "nll": ops.mean(nll, axis=-1),
            "kl_z": ops.mean(drawn.kl_z, axis=-1),
            "kl_a": kl_a,
            "nelbo_iw": -bound,
        }

    def loss_of(self, terms: Any, kl_weight: Any) -> Any:
        if "nelbo_iw" in terms:
            return terms["nelbo_iw"]
        return super().loss_of(terms, kl_weight)
