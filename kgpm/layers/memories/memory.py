"""The contract of a memory: what a model asks, and what a read returns."""

import abc
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import UserError
from kgpm.ops import KL_MEMORY


class Draw(NamedTuple):
    """One draw of the latent variables h behind a batch of images.

    Attributes:
        latents: what the decoder takes, `[B, Q, ...]` or a nest of such.
        kl: divergences by term name, each `[B, Q]` in nats.
        log_ratio: ln p(h) - ln q(h | x) of the very draw, `[B, Q]`: with the
            log-likelihood it makes an importance weight.
        losses: auxiliary losses by name, `[B, Q]`, in squares per number;
            never part of a bound.
        figures: what is shown beside the bound, `[B, Q]` or `[B, Q, K]`.
    """

    latents: Any
    kl: dict[str, Any]
    log_ratio: Any
    losses: Mapping[str, Any] = {}
    figures: Mapping[str, Any] = {}


class Memory(Configured, keras.layers.Layer, abc.ABC):
    """Base of all memories: codes are written into it and read from it.

    A memory is a value, never an attribute: `write` returns a nest of tensors
    with the episodes on the leading axis, and every other method takes it. A
    subclass has `prior`, `write`, `read`, `sample` and, to generate from,
    `sample_prior`; what else is here are the defaults of a memory that is a
    point, whose rows are latents, and whose codes are latents too.

    Codes are what the encoder makes of images, `[B, T, C]` here; a memory of
    another kind of codes says so. Weights `[B, T]` are 0 for an absent code.
    Seeds are integers or `int32[2]`.

    Every subclass that is registered (`keras.saving.
    register_keras_serializable`) is saved with its model, its constructor's
    arguments by `Configured`.

    Args:
        **kwargs: of `keras.layers.Layer`. The dtype is float32 unless it is
            named: factorisations and divergences need it under every policy.
    """

    # The divergences that a read and a write cost, by the names in `Draw.kl`.
    term_names: tuple[str, ...] = ()
    # Whether images are written. Where they are not each stands alone, every
    # memory is `None`, and codes may also be plain batches `[N, C]`.
    stores = True
    # What a memory that stores nothing does instead, to end a sentence with.
    why_not_stored = "which treats each image on its own"
    # Whether two draws of the latents of an image differ.
    draws = True
    # Whether there is a distribution of latents to generate from.
    has_prior = True
    # Whether training sees the memory to which nothing was written.
    prior_is_trained = False
    # Whether a row is what a decoder takes.
    rows_are_latents = True
    # Whether a write depends on the order of its codes.
    depends_on_order = False
    # Whether a write can be made from statistics that add up: `accumulate`,
    # `remove`, `write_statistics`, and `statistics_shape` of an episode's.
    streams = False
    # Whether each written code can be left out without another write.
    leaves_each_out = False
    # Whether an image in its own memory is explained by itself: then training
    # and validation score each image under the others.
    explains_itself = False
    # Whether reads can be summed over all addresses: `sample_address`.
    enumerates = False
    # Why terms do not bound -log p(x | memory), if so.
    why_no_bound = ""
    # Weights of `Draw.losses` in the loss, relative to the squared error.
    loss_weights: Mapping[str, float] = {}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def build(self, input_shape: tuple | None = None) -> None:
        """Makes the weights, whose shapes the constructor knows."""
        self.built = True

    # --- To write ------------------------------------------------------------

    @abc.abstractmethod
    def prior(self, batch_size: Any) -> Any:
        """The memory before anything was written, for each of B episodes."""

    @abc.abstractmethod
    def write(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> Any:
        """Writes codes into a new memory.

        Args:
            codes: `[B, T, C]`.
            weights: `[B, T]`, 0 for an absent code; all 1 by default.
            seed: of the write's noise; without one it has none.
            training: whether what regularises a write is added.

        Returns:
            The memory, a nest of tensors with leading axis B.
        """

    def kl(self, memory: Any) -> Any:
        """KL of a memory that has a density from its prior, `[B]` in nats."""
        raise NotImplementedError

    def costs(self, memory: Any, weights: Any) -> dict[str, Any]:
        """What the memory itself costs each image written, `[B, T]` in nats.

        Returns:
            `{"kl_memory": kl / number of images}`; for a memory with a density
            alone, which has `"kl_memory"` among its `term_names`.
        """
        written = ops.maximum(ops.sum(weights, axis=1), 1.0)
        share = (self.kl(memory) / written)[:, None]
        return {KL_MEMORY: ops.broadcast_to(share, ops.shape(weights))}

    # --- To read -------------------------------------------------------------

    def recall(self, memory: Any) -> Any:
        """A memory with what many reads need of it; every read takes both."""
        return memory

    def draw(self, memory: Any, seed: Any) -> Any:
        """A point drawn from a memory that has a density, for many reads."""
        return memory

    @abc.abstractmethod
    def read(self, codes: Any, memory: Any) -> Any:
        """The noise-free latents of codes `[B, Q, C]`."""

    @abc.abstractmethod
    def sample(
        self,
        codes: Any,
        memory: Any,
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        """Draws latents h ~ q(h | x, M) as the bound needs them.

        Noise is drawn from exactly the distribution whose divergence is in
        `kl`, a memory with a density among it.

        Args:
            codes: `[B, Q, C]`.
            memory: as `write` or `recall` returns it.
            seed: of all noise.
            training: for networks that behave otherwise in training.
            weights: `[B, Q]`, for those that keep statistics of batches.
        """

    def sample_prior(self, memory: Any, num_samples: int, seed: Any) -> Any:
        """Latents drawn without an image, `[B, num_samples, L]`.

        Raises:
            UserError: where `has_prior` is false.
        """
        raise UserError(
            "Expected a model with a prior over its latents to generate from, "
            f"received one with {type(self).__name__}, which has none; "
            "VariationalMemoryVAE and VQVAE have one."
        )

    def sample_address(
        self, codes: Any, memory: Any, address: Any, seed: Any
    ) -> Draw:
        """Latents at one and the same address of all queries.

        With `enumerates` alone. `log_ratio` is ln p(a) p(z | a) / q(z | x, a),
        the address in the prior alone, because a sum takes all of them.
        """
        raise NotImplementedError

    def num_addresses(self, memory: Any) -> int:
        """How many addresses `sample_address` takes."""
        raise NotImplementedError

    def leave_each_out(self, codes: Any, memory: Any) -> Any:
        """The memory that each of the written codes sees without itself.

        Args:
            codes: `[B, T, C]`, those that were written.
            memory: as `write` returns it.

        Returns:
            A memory to `sample` these very codes from.
        """
        raise NotImplementedError

    def leaves_out_exactly(self, num_codes: Any) -> bool:
        """Whether it is then as if that one of T codes was never written.

        Args:
            num_codes: T; a tensor where it is not known yet.
        """
        return self.leaves_each_out

    # --- To look at ----------------------------------------------------------

    def latents_of(self, codes: Any) -> Any:
        """What codes would be decoded from without a memory: the codes."""
        return codes

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        """-ln p(latents) of a mean read without constants, `[B, Q]`: 0."""
        return ops.zeros(ops.shape(codes)[:-1])

    def residual(self, codes: Any, latents: Any, memory: Any) -> Any:
        """Squared distance of codes' own latents from those read, `[B, Q]`."""
        error = self.latents_of(codes) - latents
        return ops.sum(ops.square(error), axis=-1)

    def rows(self, memory: Any) -> Any:
        """Rows of the memory for display, `[B, rows, numbers]`."""
        return memory["mean"]

    def images_of(self, memory: Any) -> Any:
        """Images that the memory holds, `[B, rows, H, W, C]`; else `None`."""
        return None

    def memory_floats(self, episode_length: int) -> int | None:
        """How many numbers the memory of T images holds, if it says so."""
        return None if self.stores else 0

    def diagnostics(self, codes: Any, memory: Any) -> dict[str, Any]:
        """Scalars that show how a memory is doing inside, for TensorBoard."""
        return {}

    def figure_metrics(self) -> dict[str, keras.metrics.Metric]:
        """A metric for each name in `Draw.figures`."""
        return {}

    # --- To stream -----------------------------------------------------------

    @property
    def statistics_shape(self) -> tuple[int, ...]:
        """Of what `accumulate` keeps of an episode."""
        return ()

    def accumulate(
        self, codes: Any, statistics: Any = None, weights: Any = None
    ) -> Any:
        """Adds codes to the statistics `[B, *statistics_shape]` of a write."""
        raise NotImplementedError

    def remove(self, codes: Any, statistics: Any, weights: Any = None) -> Any:
        """Takes codes out of statistics, as if never written."""
        raise NotImplementedError

    def write_statistics(self, statistics: Any) -> Any:
        """The memory of the codes in statistics."""
        raise NotImplementedError

    # --- For subclasses ------------------------------------------------------

    def weights_of(self, codes: Any, weights: Any) -> Any:
        """Weights `[B, T]` as a tensor, by default all 1."""
        if weights is None:
            return ops.ones(ops.shape(codes)[:2], self.compute_dtype)
        return ops.cast(weights, self.compute_dtype)


def as_memory(layer: Any) -> Memory:
    """A memory as it is.

    Raises:
        UserError: something else.
    """
    if not isinstance(layer, Memory):
        raise UserError(
            "Expected memory to be a kgpm.layers.Memory (a class to inherit), "
            f"received {layer!r}."
        )
    return layer
