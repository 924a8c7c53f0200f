"""A memory of images, one of which is picked to explain an image."""

import math
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_sizes
from kgpm.layers.memories.memory import Draw
from kgpm.layers.memories.memory import Memory
from kgpm.layers.networks.address_encoder import AddressEncoder
from kgpm.layers.networks.gaussian_head import LEAST_PRIOR_SCALE
from kgpm.layers.networks.gaussian_head import DiagonalGaussian
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
class ImageMemory(Memory):
    """Images as a memory, with a categorical address.

        p(a) = 1 / T',           q(a | M, x) = softmax(h(x) . h(m_a)),
        p(z | m_a) = N of f(m_a),   q(z | x, m_a) = N of f(x), f(m_a)

    T' counts the images that were written and a few learned ones. A memory is
    `{"images": [B, T, H, W, C], "weights": [B, T]}`; `recall` adds what
    reading needs of it. Codes are what the `encoder` makes of images: the
    image, f, h and maps for the decoder; the learned images pass it too.

    Args:
        encoder: an `AddressEncoder`, that of the model.
        latent_size: L, length of z.
        num_dummies: learned images in every memory, at least 1.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1, or another encoder.

    Source: Bornschein et al., "Variational Memory Addressing in Generative
    Models", NeurIPS 2017; networks of A. Zholus's implementation.
    """

    term_names = ("kl_z", "kl_a")
    rows_are_latents = False
    leaves_each_out = True
    explains_itself = True
    enumerates = True

    def __init__(
        self,
        encoder: AddressEncoder,
        latent_size: int = 64,
        num_dummies: int = 2,
        **kwargs: Any,
    ) -> None:
        check_sizes(latent_size=latent_size)
        if num_dummies < 1:
            raise UserError(
                "Expected num_dummies of at least 1, because a memory to "
                "which nothing was written needs an entry to read, received "
                f"{num_dummies}."
            )
        if not isinstance(encoder, AddressEncoder):
            raise UserError(
                "Expected encoder to be an AddressEncoder, whose features and "
                f"addresses this memory reads, received {encoder!r}."
            )
        super().__init__(**kwargs)
        self.encoder = encoder
        self.latent_size = latent_size
        self.num_dummies = num_dummies
        self.posterior, self.prior_head = (
            keras.layers.Dense(2 * latent_size, dtype="float32", name=name)
            for name in ("posterior", "prior")
        )

    def build(self, input_shape: tuple | None = None) -> None:
        if not self.encoder.built:
            self.encoder.build()
        size = self.encoder.feature_size
        self.posterior.build((None, 2 * size))
        self.prior_head.build((None, size))
        self.dummies = self.add_weight(
            shape=(self.num_dummies, *self.encoder.image_shape),
            initializer="zeros",
            dtype="float32",
            name="dummies",
        )
        self.built = True

    def memory_floats(self, episode_length: int) -> int:
        entries = episode_length + self.num_dummies
        return entries * math.prod(self.encoder.image_shape)

    def prior(self, batch_size: Any) -> dict[str, Any]:
        """Memories to which nothing was written: the learned images alone."""
        return {
            "images": ops.zeros((batch_size, 0, *self.encoder.image_shape)),
            "weights": ops.zeros((batch_size, 0)),
        }

    def write(
        self,
        codes: dict[str, Any],
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Puts the images of codes into memories; nothing is drawn."""
        images = codes["images"]
        weights = self.weights_of(images, weights)
        weights = ops.cast(weights > 0.0, "float32")
        return {
            "images": images * weights[..., None, None, None],
            "weights": weights,
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
        images = memory["images"]
        batch, length = ops.shape(images)[:2]
        # In one pass, which also makes an empty memory no special case.
        own = ops.reshape(images, (-1, *self.encoder.image_shape))
        encoded = self._encode(ops.concatenate([own, self.dummies], axis=0))

        def entries_of(values: Any) -> Any:
            own = values[: -self.num_dummies]
            own = ops.reshape(own, (batch, length, *values.shape[1:]))
            return _with_learned(own, values[-self.num_dummies :])

        return self._entries(
            memory, keras.tree.map_structure(entries_of, encoded)
        )

    def leave_each_out(
        self, codes: dict[str, Any], memory: dict[str, Any]
    ) -> dict[str, Any]:
        """The memory recalled with `"present"` `[B, T, T']`.

        No image finds itself in it. The codes of what was written are the
        entries: nothing but the learned images is encoded.
        """
        learned = self._encode(self.dummies)
        own = {name: codes[name] for name in learned}
        entries = self._entries(
            memory, keras.tree.map_structure(_with_learned, own, learned)
        )
        length = memory["images"].shape[1]
        itself = ops.eye(length, length + self.num_dummies, dtype="bool")
        others = ops.logical_and(entries["present"], ops.logical_not(itself))
        return {**entries, "present": others}

    def images_of(self, memory: dict[str, Any]) -> Any:
        """The entries' images, learned ones last, `[B, T', H, W, C]`."""
        return _with_learned(memory["images"], self.dummies)

    def rows(self, memory: dict[str, Any]) -> Any:
        """The entries' addresses h(m_a), learned ones last, `[B, T', A]`."""
        return self.recall(memory)["addresses"]

    def log_posterior(self, codes: dict[str, Any], entries: Any) -> Any:
        """ln q(a | M, x), `[B, Q, T']`."""
        logits = ops.einsum(
            "bqa,bta->bqt", codes["addresses"], entries["addresses"]
        )
        logits = ops.where(entries["present"], logits, IMPOSSIBLE)
        return ops.log_softmax(logits, axis=-1)

    def kl_address(self, log_posterior: Any, entries: Any) -> Any:
        """KL of q(a | M, x) from the uniform p(a), `[B, Q]`."""
        negative_entropy = ops.sum(
            ops.exp(log_posterior) * log_posterior, axis=-1
        )
        return negative_entropy - _log_prior(entries)

    def draw_addressed(
        self,
        codes: dict[str, Any],
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
        codes: dict[str, Any],
        entries: Any,
        log_posterior: Any,
        addresses: Any,
        seed: Any,
    ) -> AddressedDraw:
        """Draws z of each query at addresses `[B, Q, S]`."""
        shape = ops.shape(addresses)
        entry = _pick(entries, ops.reshape(addresses, (shape[0], -1)))
        features = ops.repeat(codes["features"], shape[2], axis=1)
        posterior = self.posterior_of(features, entry)
        prior = self.prior_of(entry)
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

    def sample(
        self,
        codes: dict[str, Any],
        memory: Any,
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        """Draws a and z as the bound needs them: `kl_z` and `kl_a`."""
        entries = self.recall(memory)
        log_posterior = self.log_posterior(codes, entries)
        drawn = self.draw_addressed(codes, entries, log_posterior, 1, seed)
        kl = {
            "kl_z": drawn.kl_z[..., 0],
            "kl_a": self.kl_address(log_posterior, entries),
        }
        return Draw(drawn.latents, kl, drawn.log_ratio[..., 0])

    def num_addresses(self, memory: Any) -> int:
        return self.recall(memory)["features"].shape[1]

    def sample_address(
        self, codes: dict[str, Any], memory: Any, address: Any, seed: Any
    ) -> Draw:
        entries = self.recall(memory)
        log_posterior = self.log_posterior(codes, entries)
        shape = ops.shape(log_posterior)
        address = ops.broadcast_to(address, (*shape[:2], 1))
        drawn = self.draw_at(codes, entries, log_posterior, address, seed)
        # p(a) of the sum, where the ratio has p(a) / q(a) of a draw.
        log_ratio = drawn.log_ratio + drawn.log_posterior
        present = ops.take_along_axis(
            ops.broadcast_to(entries["present"], shape), address, axis=2
        )
        log_ratio = ops.where(present, log_ratio, -1e30)[..., 0]
        return Draw(drawn.latents, {}, log_ratio)

    def read(self, codes: dict[str, Any], memory: Any) -> dict[str, Any]:
        """The likeliest entry and the mean of p(z | m_a): retrieval."""
        entry = self._likeliest(codes, self.recall(memory))
        return {"z": self.prior_of(entry).mean, **entry}

    def sample_prior(
        self, memory: Any, num_samples: int, seed: Any
    ) -> dict[str, Any]:
        """Latents of p(a), learned entries among them, and of p(z | m_a)."""
        entries = self.recall(memory)
        address_seed, latent_seed = split_seed(make_seed(seed), 2)
        logits = ops.where(entries["present"][:, 0], 0.0, IMPOSSIBLE)
        entry = _pick(entries, categorical(logits, num_samples, address_seed))
        return {"z": self.prior_of(entry).sample(latent_seed), **entry}

    def latents_of(self, codes: dict[str, Any]) -> dict[str, Any]:
        """The mean of q(z | x, m_a), m_a the likeliest learned image."""
        batch = ops.shape(codes["features"])[0]
        entry = self._likeliest(codes, self.recall(self.prior(batch)))
        z = self.posterior_of(codes["features"], entry).mean
        return {"z": z, **entry}

    def latent_energy(self, codes: dict[str, Any], memory: Any) -> Any:
        entry = self._likeliest(codes, self.recall(memory))
        return 0.5 * ops.sum(self.prior_of(entry).log_variance, axis=-1)

    def residual(
        self, codes: dict[str, Any], latents: dict[str, Any], memory: Any
    ) -> Any:
        """Squared distance of the means of q(z | x, m_a) and p(z | m_a)."""
        own = self.posterior_of(codes["features"], latents).mean
        return ops.sum(ops.square(own - latents["z"]), axis=-1)

    def diagnostics(self, codes: dict[str, Any], memory: Any) -> dict[str, Any]:
        """Entropy of q(a) in nats, and its mass on the learned images."""
        log_posterior = self.log_posterior(codes, self.recall(memory))
        mass = ops.exp(log_posterior)
        entropy = -ops.sum(mass * log_posterior, axis=-1)
        learned = ops.sum(mass[..., -self.num_dummies :], axis=-1)
        return {
            "address_entropy": ops.mean(entropy),
            "mass_on_dummies": ops.mean(learned),
        }

    def prior_of(self, entry: dict[str, Any]) -> DiagonalGaussian:
        """p(z | m_a) of entries."""
        return DiagonalGaussian.of(
            self.prior_head(entry["features"]), least_scale=LEAST_PRIOR_SCALE
        )

    def posterior_of(
        self, features: Any, entry: dict[str, Any]
    ) -> DiagonalGaussian:
        """q(z | x, m_a) of features of images and as many entries."""
        both = ops.concatenate([features, entry["features"]], axis=-1)
        return DiagonalGaussian.of(self.posterior(both))

    def _likeliest(self, codes: dict[str, Any], entries: Any) -> dict[str, Any]:
        log_posterior = self.log_posterior(codes, entries)
        return _pick(entries, ops.argmax(log_posterior, axis=-1))

    def _encode(self, images: Any) -> dict[str, Any]:
        """Codes of images without the images."""
        codes = self.encoder(images)
        return {name: v for name, v in codes.items() if name != "images"}

    def _entries(self, memory: Any, encoded: dict[str, Any]) -> dict[str, Any]:
        batch = ops.shape(memory["weights"])[0]
        learned = ops.ones((batch, self.num_dummies))
        present = ops.concatenate([memory["weights"], learned], axis=1)
        # The same for all queries, where not each has its own.
        return {**memory, **encoded, "present": present[:, None] > 0.0}


def _with_learned(own: Any, learned: Any) -> Any:
    """`[B, T, ...]` and `[D, ...]` to `[B, T + D, ...]`."""
    shape = (ops.shape(own)[0], *ops.shape(learned))
    learned = ops.broadcast_to(learned[None], shape)
    return ops.concatenate([own, learned], axis=1)


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
