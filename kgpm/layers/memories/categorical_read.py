"""A read that picks a slot, or explains an image as like one or as new."""

import math
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import check_positive
from kgpm.errors import check_sizes
from kgpm.layers.memories.memory import Draw
from kgpm.layers.networks.gaussian_head import LEAST_PRIOR_SCALE
from kgpm.layers.networks.gaussian_head import DiagonalGaussian
from kgpm.layers.networks.gaussian_head import GaussianHead
from kgpm.ops import FEW_SLOTS
from kgpm.ops import categorical
from kgpm.ops import class_predictive
from kgpm.ops import in_parts
from kgpm.ops import kl_diagonal
from kgpm.ops import kl_diagonal_pairs
from kgpm.ops import log_density_diagonal
from kgpm.ops import make_seed
from kgpm.ops import normal
from kgpm.ops import part_size
from kgpm.ops import slot_exponents
from kgpm.ops import slot_log_shares
from kgpm.ops import split_seed
from kgpm.ops import square_distances


class Addresses(NamedTuple):
    """Of Q queries: K copies, K likenesses, and new, in this order.

    Attributes:
        log_prior: ln p(a | M), `[B, 1, 2 K + 1]` or `[B, Q, 2 K + 1]`.
        log_posterior: ln q(a | x, M), `[B, Q, 2 K + 1]`.
        divergence: KL of q(u | x) from p(u | a), `[B, Q, 2 K + 1]`, 0 for a
            copy, which has no u.
        posterior: q(u | x), `[B, Q, C]`.
        priors: p(u | a) of likenesses and new, `[B, 1 or Q, K + 1, C]`.
    """

    log_prior: Any
    log_posterior: Any
    divergence: Any
    posterior: DiagonalGaussian
    priors: DiagonalGaussian


@keras.saving.register_keras_serializable(package="kgpm")
class CategoricalRead(Configured, keras.layers.Layer):
    """Codes of one address a: a copy of a slot, like a slot, or new.

        p(a | M):  a kind of three, and of a copy or a likeness the slot k with
                   its share n_k / n of what was written;
        copy k:    z = m_k + s e;
        new:       u ~ N(mu, v_w + v_b),   z = g(u, m_0), m_0 learned;
        like k:    u ~ N(mu + n (c_k - mu) / (n + v_w / v_b),
                         v_w + v_b v_w / (v_w + n v_b)),   z = g(u, m_k).

    mu, v_w and v_b are learned for each dimension. The last line predicts one
    more member of a class of which n are at hand with mean c_k, if members
    vary by v_w about their class and classes by v_b about mu
    (`kgpm.ops.class_predictive`). The class of slot k is what is near it: slot
    j counts n_j exp(-l |u_k - u_j|^2 / v_w) times, u_k the mean of q(u | m_k),
    l learned. So a likeness of any slot of an episode of one class knows all
    of them, and says little more than "new" where slots are strangers.

    q(a | x, M) has no parameters of its own. For the code z of x:

        q(like k or new) ~ p(a) exp(-KL(q(u | x), p(u | a))),
        q(copy k)        ~ p(a) exp(C / 2 - |z - m_k|^2 / (2 s^2)):

    the first is the best there is if all explain the pixels equally well, the
    second what a copy of m_k would make of a code, up to the distance of a
    typical draw. Any q(a) gives a bound; a better one a tighter one. It has no
    gradient: training takes it as it is and improves what follows (one
    coordinate at a time, as EM does), because the divergence alone would pull
    the codes together. kl_a and kl_z are exact sums over all addresses; only
    the pixels see a single one.

    Where nothing was written all is new, and the model is a variational
    autoencoder.

    Args:
        memory_size: K, slots.
        code_size: C, length of a code, and of u.
        observation_noise: s.
        hidden_size: units of the networks of q(u | x) and g.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1, or noise that is not positive.
    """

    term_names = ("kl_z", "kl_a")

    def __init__(
        self,
        memory_size: int,
        code_size: int,
        observation_noise: float = 0.5,
        hidden_size: int = 128,
        **kwargs: Any,
    ) -> None:
        check_sizes(
            memory_size=memory_size,
            code_size=code_size,
            hidden_size=hidden_size,
        )
        check_positive(observation_noise=observation_noise)
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.memory_size = memory_size
        self.code_size = code_size
        self.observation_noise = observation_noise
        self.hidden_size = hidden_size
        policy = self.dtype_policy
        self.posterior = GaussianHead(
            code_size,
            hidden_size,
            # A wider one loses its image in noise before it has learned it.
            initial_scale=0.3,
            dtype=policy,
            name="posterior",
        )
        self.hidden = keras.layers.Dense(
            hidden_size, activation="relu", dtype=policy, name="hidden"
        )
        self.to_code = keras.layers.Dense(
            code_size, dtype=policy, name="to_code"
        )

    def build(self, input_shape: tuple | None = None) -> None:
        self.posterior.build((None, None, self.code_size))
        self.hidden.build((None, None, 2 * self.code_size))
        self.to_code.build((None, None, self.hidden_size))
        size = (self.code_size,)
        # A third of the variance is between classes, and slots are strangers
        # unless they are very near: likenesses begin close to "new".
        for name, shape, start in (
            ("kind_logits", (3,), 0.0),
            ("prior_mean", size, 0.0),
            ("log_variance_within", size, math.log(2.0 / 3.0)),
            ("log_variance_between", size, math.log(1.0 / 3.0)),
            ("log_sharpness", (), math.log(0.1)),
        ):
            weight = self.add_weight(
                shape=shape,
                initializer=keras.initializers.Constant(start),
                name=name,
            )
            setattr(self, name, weight)
        self.nothing = self.add_weight(
            shape=size,
            initializer=keras.initializers.RandomNormal(stddev=0.1),
            name="nothing",
        )
        self.built = True

    def addresses(self, codes: Any, memory: dict[str, Any]) -> Addresses:
        """What is known of all addresses before one of them is drawn."""
        count = _per_query(memory)
        priors = self.prepare(memory)["priors"]
        posterior = self.posterior(codes)
        likeness = _divergences(posterior, priors)
        divergence = ops.concatenate(
            [ops.zeros_like(likeness[..., 1:]), likeness], axis=-1
        )
        log_prior = self._log_prior(count)
        radius = square_distances(codes, memory["mean"]) / (
            2.0 * self.observation_noise**2
        )
        cost = ops.concatenate(
            [radius - 0.5 * self.code_size, likeness], axis=-1
        )
        # Of an impossible address the cost is lost in the rounding.
        log_posterior = ops.log_softmax(log_prior - cost, axis=-1)
        return Addresses(
            log_prior,
            ops.stop_gradient(log_posterior),
            divergence,
            posterior,
            priors,
        )

    def prepare(self, memory: dict[str, Any]) -> dict[str, Any]:
        """A memory with p(u | a), `"priors"`, which all of its draws share."""
        if "priors" in memory:
            return memory
        return {**memory, "priors": self._priors(memory)}

    def read(self, codes: Any, memory: dict[str, Any]) -> Any:
        """The mean of what is stored, as if the query were a damaged copy.

        `sum_k r_k m_k` with the share r_k of slot k in a code drawn from
        N(m_k, s^2 I): one step of a Hopfield network with continuous states
        (Ramsauer et al., 2021, equation 3). Where nothing was written, what a
        new image would be decoded from. `[B, Q, C]` to `[B, Q, C]`.
        """
        share = ops.softmax(self._exponents(codes, memory), axis=-1)
        stored = ops.matmul(share, memory["mean"])
        new = self._to_code(self.posterior(codes).mean, self.nothing)
        written = ops.sum(memory["count"], axis=-1) > 0.0
        return ops.where(written[:, None, None], stored, new)

    def sample(self, codes: Any, memory: dict[str, Any], seed: Any) -> Draw:
        """Draws read-outs as the bound needs them.

        Args:
            codes: `[B, Q, C]`.
            memory: of a `SlotMemory`.
            seed: `int32[2]` or an integer.

        Returns:
            `Draw` with latents z `[B, Q, C]` and the terms `kl_z` and `kl_a`,
            `[B, Q]`.
        """
        address_seed, seed = split_seed(make_seed(seed), 2)
        known = self.addresses(codes, memory)
        mass = ops.exp(known.log_posterior)
        kl = {
            "kl_z": ops.sum(mass * known.divergence, axis=-1),
            "kl_a": ops.sum(
                mass * (known.log_posterior - known.log_prior), axis=-1
            ),
        }
        batch, queries, count = ops.shape(known.log_posterior)
        address = categorical(
            ops.reshape(known.log_posterior, (-1, count)), 1, address_seed
        )
        address = ops.reshape(address, (batch, queries))
        posterior = known.posterior
        latents, u = self._at(address, posterior, memory, seed)
        prior = self._pick(known.priors, address)
        log_ratio = _at_address(known.log_prior, address) - _at_address(
            known.log_posterior, address
        )
        of_u = log_density_diagonal(u, *prior) - log_density_diagonal(
            u, *posterior
        )
        is_copy = address < self.memory_size
        return Draw(latents, kl, log_ratio + ops.where(is_copy, 0.0, of_u))

    def sample_prior(
        self, memory: dict[str, Any], num_samples: int, seed: Any
    ) -> Any:
        """Codes of addresses from p(a | M): `[B, num_samples, C]`."""
        address_seed, seed = split_seed(make_seed(seed), 2)
        log_prior = self._log_prior(memory["count"])
        address = categorical(log_prior, num_samples, address_seed)
        prior = self._pick(self._priors(memory), address)
        return self._at(address, prior, memory, seed)[0]

    def latent_energy(self, codes: Any, memory: dict[str, Any]) -> Any:
        """-ln sum_k n_k/n N(z; m_k, s^2 I) without constants, `[B, Q]`.

        The energy that a mean read lowers (Ramsauer et al., 2021, theorem 2);
        0 where nothing was written.
        """
        energy = -ops.logsumexp(self._exponents(codes, memory), axis=-1)
        written = ops.sum(memory["count"], axis=-1) > 0.0
        return ops.where(written[:, None], energy, 0.0)

    def _exponents(self, codes: Any, memory: dict[str, Any]) -> Any:
        return slot_exponents(
            codes, memory["mean"], memory["count"], self.observation_noise
        )

    def _log_prior(self, count: Any) -> Any:
        """ln p(a | M): `[..., K]` to `[..., 2 K + 1]`."""
        log_shares = slot_log_shares(count)
        copy, like, new = ops.unstack(self.kind_logits)
        new = ops.broadcast_to(new, (*ops.shape(log_shares)[:-1], 1))
        logits = ops.concatenate(
            [copy + log_shares, like + log_shares, new], axis=-1
        )
        return ops.log_softmax(logits, axis=-1)

    def _priors(self, memory: dict[str, Any]) -> DiagonalGaussian:
        """p(u | a) of likenesses and new, `[B, 1 or Q, K + 1, C]` each."""
        least = 2.0 * math.log(LEAST_PRIOR_SCALE)
        within, between = (
            ops.maximum(value, least)
            for value in (self.log_variance_within, self.log_variance_between)
        )
        own = self.posterior(memory["mean"]).mean
        scaled = own * ops.exp(-0.5 * within)
        sharpness = ops.exp(self.log_sharpness)
        count = _per_query(memory)

        def nearness(rows: Any) -> Any:
            return ops.exp(-sharpness * square_distances(rows, scaled))

        def classes(rows: Any, _: Any) -> tuple:
            members = nearness(rows) * count
            return ops.matmul(members, own), ops.sum(members, -1, keepdims=True)

        # Members of the class of slot k, and how many.
        if len(memory["count"].shape) == 3:
            members = nearness(scaled)[:, None] * count[..., None, :]
            number = ops.sum(members, axis=-1)[..., None]
            total = ops.matmul(members, own[:, None])
        else:
            size = self.memory_size
            if size > FEW_SLOTS:
                size = part_size(size, ops.shape(own)[0])
            total, number = in_parts(classes, scaled, size, axis=1)
            total, number = total[:, None], number[:, None]
        centre = total / ops.maximum(number, 1e-12)
        # "New" is a class of which nothing is at hand.
        return DiagonalGaussian(
            *class_predictive(
                _with_nothing(number),
                _with_nothing(centre),
                self.prior_mean,
                within,
                between,
            )
        )

    def _pick(self, values: Any, address: Any) -> Any:
        """Vectors at addresses `[B, N]`; `values` `[B, 1 or N, K + 1, C]`."""
        slot = self._slot_of(address)[..., None]

        def pick(value: Any) -> Any:
            if value.shape[1] == 1:
                return ops.take_along_axis(value[:, 0], slot, axis=1)
            return ops.take_along_axis(value, slot[..., None], axis=2)[:, :, 0]

        return DiagonalGaussian(*map(pick, values))

    def _slot_of(self, address: Any) -> Any:
        """The entry `0..K` that an address `0..2K` is about."""
        size = self.memory_size
        return ops.where(address < size, address, address - size)

    def _at(
        self,
        address: Any,
        distribution: DiagonalGaussian,
        memory: dict[str, Any],
        seed: Any,
    ) -> tuple:
        """z `[B, N, C]` at addresses `[B, N]`, and the u behind it."""
        copy_seed, latent_seed = split_seed(seed, 2)
        mean = memory["mean"]
        nothing = ops.broadcast_to(self.nothing, ops.shape(mean[:, :1]))
        entries = ops.concatenate([mean, nothing], axis=1)
        entry = ops.take_along_axis(
            entries, self._slot_of(address)[..., None], axis=1
        )
        u = distribution.sample(latent_seed)
        noise = normal(ops.shape(entry), copy_seed, self.compute_dtype)
        codes = ops.where(
            (address < self.memory_size)[..., None],
            entry + self.observation_noise * noise,
            self._to_code(u, entry),
        )
        return codes, u

    def _to_code(self, u: Any, entry: Any) -> Any:
        """g(u, m), u and what a network makes of both."""
        entry = ops.broadcast_to(entry, ops.shape(u))
        both = ops.concatenate([u, entry], axis=-1)
        return u + self.to_code(self.hidden(both))


def _per_query(memory: dict[str, Any]) -> Any:
    """Counts of slots as each query sees them, `[B, 1 or Q, K]`."""
    count = memory["count"]
    return count[:, None] if len(count.shape) == 2 else count


def _divergences(posterior: DiagonalGaussian, priors: DiagonalGaussian) -> Any:
    """KL of q(u | x) from each p(u | a), `[B, Q, K + 1]`."""
    if priors.mean.shape[1] == 1:
        # Products, where otherwise all pairs would be laid out.
        shared = (value[:, 0] for value in priors)
        return kl_diagonal_pairs(*posterior, *shared)
    mean, log_variance = (value[:, :, None] for value in posterior)
    return kl_diagonal(mean, log_variance, *priors)


def _with_nothing(values: Any) -> Any:
    """A row of zeros behind those of the slots: `[..., K + 1, N]`."""
    return ops.concatenate(
        [values, ops.zeros_like(values[..., :1, :])], axis=-2
    )


def _at_address(values: Any, address: Any) -> Any:
    """`[B, Q or 1, A]` at addresses `[B, Q]`, `[B, Q]`."""
    shape = (*ops.shape(address), ops.shape(values)[-1])
    values = ops.broadcast_to(values, shape)
    return ops.take_along_axis(values, address[..., None], axis=-1)[..., 0]
