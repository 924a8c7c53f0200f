"""A memory of images, one of which is picked to explain an image."""

from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_sizes
from kgpm.layers.networks.gaussian_head import LEAST_PRIOR_SCALE
from kgpm.layers.networks.gaussian_head import DiagonalGaussian
from kgpm.layers.networks.image_networks import check_image_shape
from kgpm.layers.networks.skip_encoder import SkipEncoder
from kgpm.ops import IMPOSSIBLE
from kgpm.ops import categorical
from kgpm.ops import kl_diagonal
from kgpm.ops import log_density_diagonal
from kgpm.ops import make_seed
from kgpm.ops import split_seed


class AddressedDraw(NamedTuple):
    """Latents at S addresses of each of Q images.

    Attributes:
        latents: `{"z": [B, Q S, L], "features": [B, Q S, F], "skips": maps}`,
            the last two of the entry picked; nothing of the image explained.
        log_posterior: ln q(a | M, x), `[B, Q, S]`.
        kl_z: of q(z | x, m_a) from p(z | m_a), `[B, Q, S]` in nats.
        log_ratio: ln p(a) p(z | m_a) - ln q(a, z | M, x), `[B, Q, S]`.
    """

    latents: dict[str, Any]
    log_posterior: Any
    kl_z: Any
    log_ratio: Any


@keras.saving.register_keras_serializable(package="kgpm")
class ImageMemory(keras.layers.Layer):
    """Images as a memory, with a categorical address.

        p(a) = 1 / T',           q(a | M, x) = softmax(h(x) . h(m_a)),
        p(z | m_a) = N of f(m_a),   q(z | x, m_a) = N of f(x), f(m_a)

    T' counts the images that were written and a few learned ones. A memory is
    `{"images": [B, T, H, W, C], "weights": [B, T]}`; `recall` adds what
    reading needs of it, and every other method takes it after that. Codes are
    f and h of an image, one after the other, `[..., F + A]`.

    Args:
        image_shape: `(H, W, C)`.
        width: channels of the encoder, see `SkipEncoder`.
        feature_size: F, length of f.
        address_size: A, length of h.
        latent_size: L, length of z.
        hidden_size: units of the layer before f and h.
        num_dummies: learned images in every memory, at least 1.
        share_encoder: whether f and h come from one network.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1.

    Source: Bornschein et al., "Variational Memory Addressing in Generative
    Models", NeurIPS 2017; networks of A. Zholus's implementation.
    """

    def __init__(
        self,
        image_shape: tuple,
        width: int | list | tuple = (48, 64),
        feature_size: int = 128,
        address_size: int = 200,
        latent_size: int = 64,
        hidden_size: int = 100,
        num_dummies: int = 2,
        share_encoder: bool = False,
        **kwargs: Any,
    ) -> None:
        self.image_shape = check_image_shape(image_shape)
        check_sizes(
            feature_size=feature_size,
            address_size=address_size,
            latent_size=latent_size,
            hidden_size=hidden_size,
        )
        if num_dummies < 1:
            raise UserError(
                "Expected num_dummies of at least 1, because a memory to "
                "which nothing was written needs an entry to read, received "
                f"{num_dummies}."
            )
        super().__init__(**kwargs)
        self.width = width
        self.feature_size = feature_size
        self.address_size = address_size
        self.latent_size = latent_size
        self.hidden_size = hidden_size
        self.num_dummies = num_dummies
        self.share_encoder = share_encoder
        names = ["encoder", "address_encoder"][: 1 if share_encoder else 2]
        self.encoders = [
            SkipEncoder(
                self.image_shape,
                hidden_size,
                width,
                dtype=self.dtype_policy,
                name=name,
            )
            for name in names
        ]
        # Divergences need more than half precision.
        self.to_features, self.to_addresses, self.posterior, self.prior = (
            keras.layers.Dense(size, dtype="float32", name=name)
            for name, size in (
                ("to_features", feature_size),
                ("to_addresses", address_size),
                ("posterior", 2 * latent_size),
                ("prior", 2 * latent_size),
            )
        )

    def build(self, input_shape: tuple | None = None) -> None:
        for encoder in self.encoders:
            encoder.build()
        self.to_features.build((None, self.hidden_size))
        self.to_addresses.build((None, self.hidden_size))
        self.posterior.build((None, 2 * self.feature_size))
        self.prior.build((None, self.feature_size))
        self.dummies = self.add_weight(
            shape=(self.num_dummies, *self.image_shape),
            initializer="zeros",
            dtype="float32",
            name="dummies",
        )
        self.built = True

    def encode(self, images: Any) -> Any:
        """Images `[..., H, W, C]` to codes `[..., F + A]`."""
        return _codes(self._encode(images))

    def empty(self, batch_size: Any) -> dict[str, Any]:
        """Memories to which nothing was written: the learned images alone."""
        return {
            "images": ops.zeros((batch_size, 0, *self.image_shape)),
            "weights": ops.zeros((batch_size, 0)),
        }

    def recall(self, memory: dict[str, Any]) -> dict[str, Any]:
        """A memory with its images and the learned ones encoded.

        Returns:
            `{"features": [B, T', F], "addresses": [B, T', A], "skips": maps,
            "present": [B, 1, T']}` and what was there, learned entries last;
            a memory that has these as it is.
        """
        if "features" in memory:
            return memory
        batch, length = ops.shape(memory["images"])[:2]
        # In one pass, which also makes an empty memory no special case.
        own = ops.reshape(memory["images"], (-1, *self.image_shape))
        encoded = self._encode(ops.concatenate([own, self.dummies], axis=0))

        def with_learned(values: Any) -> Any:
            shape = values.shape[1:]
            learned = values[-self.num_dummies :][None]
            learned = ops.broadcast_to(
                learned, (batch, self.num_dummies, *shape)
            )
            own = values[: -self.num_dummies]
            own = ops.reshape(own, (batch, length, *shape))
            return ops.concatenate([own, learned], axis=1)

        learned = ops.ones((batch, self.num_dummies))
        present = ops.concatenate([memory["weights"], learned], axis=1)
        return {
            **memory,
            **keras.tree.map_structure(with_learned, encoded),
            # The same for all queries, where not each has its own.
            "present": present[:, None] > 0.0,
        }

    def leave_each_out(self, memory: dict[str, Any]) -> tuple[Any, Any]:
        """For scoring each image of a memory under the others.

        All are encoded once, as entries and as what is explained.

        Returns:
            Codes `[B, T, F + A]`, and the memory recalled with `"present"`
            `[B, T, T']`, where no image finds itself.
        """
        entries = self.recall(memory)
        length = memory["images"].shape[1]
        own = ops.eye(length, length + self.num_dummies, dtype="bool")
        others = ops.logical_and(entries["present"], ops.logical_not(own))
        return _codes(entries)[:, :length], {**entries, "present": others}

    def images_of(self, memory: dict[str, Any]) -> Any:
        """The entries' images, learned ones last, `[B, T', H, W, C]`."""
        images = memory["images"]
        shape = (ops.shape(images)[0], *self.dummies.shape)
        learned = ops.broadcast_to(self.dummies[None], shape)
        return ops.concatenate([images, learned], axis=1)

    def log_posterior(self, codes: Any, entries: Any) -> Any:
        """ln q(a | M, x), `[B, Q, T']`."""
        address = ops.cast(codes[..., self.feature_size :], "float32")
        logits = ops.einsum("bqa,bta->bqt", address, entries["addresses"])
        logits = ops.where(entries["present"], logits, IMPOSSIBLE)
        return ops.log_softmax(logits, axis=-1)

    def kl(self, log_posterior: Any, entries: Any) -> Any:
        """KL of q(a | M, x) from the uniform p(a), `[B, Q]`."""
        negative_entropy = ops.sum(
            ops.exp(log_posterior) * log_posterior, axis=-1
        )
        return negative_entropy - _log_prior(entries)

    def draw(
        self,
        codes: Any,
        entries: Any,
        log_posterior: Any,
        num_samples: int,
        seed: Any,
    ) -> AddressedDraw:
        """Draws S addresses of each query from q(a | M, x), and z at each."""
        address_seed, latent_seed = split_seed(make_seed(seed), 2)
        batch, queries, count = ops.shape(log_posterior)
        addresses = categorical(
            ops.reshape(log_posterior, (-1, count)), num_samples, address_seed
        )
        addresses = ops.reshape(addresses, (batch, queries, num_samples))
        return self.draw_at(
            codes, entries, log_posterior, addresses, latent_seed
        )

    def draw_at(
        self,
        codes: Any,
        entries: Any,
        log_posterior: Any,
        addresses: Any,
        seed: Any,
    ) -> AddressedDraw:
        """Draws z of each query at addresses `[B, Q, S]`."""
        shape = ops.shape(addresses)
        entry = _pick(entries, ops.reshape(addresses, (shape[0], -1)))
        codes = ops.repeat(codes, shape[2], axis=1)
        posterior, prior = self.posterior_of(codes, entry), self.prior_of(entry)
        z = posterior.sample(seed)
        log_posterior = ops.take_along_axis(log_posterior, addresses, axis=2)
        log_ratio = log_density_diagonal(z, *prior) - log_density_diagonal(
            z, *posterior
        )
        return AddressedDraw(
            {"z": z, **entry},
            log_posterior,
            ops.reshape(kl_diagonal(*posterior, *prior), shape),
            ops.reshape(log_ratio, shape)
            + _log_prior(entries)[..., None]
            - log_posterior,
        )

    def likeliest(self, codes: Any, entries: Any) -> dict[str, Any]:
        """Features and maps of the likeliest entry of each query."""
        log_posterior = self.log_posterior(codes, entries)
        return _pick(entries, ops.argmax(log_posterior, axis=-1))

    def sample_prior(
        self, entries: Any, num_samples: int, seed: Any
    ) -> dict[str, Any]:
        """Latents of p(a), learned entries among them, and of p(z | m_a)."""
        address_seed, latent_seed = split_seed(make_seed(seed), 2)
        logits = ops.where(entries["present"][:, 0], 0.0, IMPOSSIBLE)
        entry = _pick(entries, categorical(logits, num_samples, address_seed))
        return {"z": self.prior_of(entry).sample(latent_seed), **entry}

    def prior_of(self, entry: dict[str, Any]) -> DiagonalGaussian:
        """p(z | m_a) of entries."""
        return DiagonalGaussian.of(
            self.prior(entry["features"]), least_scale=LEAST_PRIOR_SCALE
        )

    def posterior_of(
        self, codes: Any, entry: dict[str, Any]
    ) -> DiagonalGaussian:
        """q(z | x, m_a) of codes and as many entries."""
        both = [codes[..., : self.feature_size], entry["features"]]
        return DiagonalGaussian.of(self.posterior(ops.concatenate(both, -1)))

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            image_shape=self.image_shape,
            width=self.width,
            feature_size=self.feature_size,
            address_size=self.address_size,
            latent_size=self.latent_size,
            hidden_size=self.hidden_size,
            num_dummies=self.num_dummies,
            share_encoder=self.share_encoder,
        )
        return config

    def _encode(self, images: Any) -> dict[str, Any]:
        own, *other = (encoder(images) for encoder in self.encoders)
        address = other[0] if other else own
        return {
            "features": self.to_features(own.features),
            "addresses": self.to_addresses(address.features),
            "skips": own.skips,
        }


def _codes(encoded: dict[str, Any]) -> Any:
    return ops.concatenate([encoded["features"], encoded["addresses"]], -1)


def _log_prior(entries: Any) -> Any:
    """ln p(a) of the entries that are there, `[B, 1]` or `[B, Q]`."""
    count = ops.sum(ops.cast(entries["present"], "float32"), axis=-1)
    return -ops.log(count)


def _pick(entries: Any, addresses: Any) -> dict[str, Any]:
    """Features and maps of the entries at addresses `[B, N]`."""
    batch, count = ops.shape(addresses)
    size = ops.shape(entries["features"])[1]
    first = ops.arange(batch, dtype="int32")[:, None] * size
    places = ops.reshape(first + ops.cast(addresses, "int32"), (-1,))

    def take(values: Any) -> Any:
        flat = ops.reshape(values, (-1, *values.shape[2:]))
        taken = ops.take(flat, places, axis=0)
        return ops.reshape(taken, (-1, count, *values.shape[2:]))

    return {
        "features": take(entries["features"]),
        "skips": keras.tree.map_structure(take, entries["skips"]),
    }
