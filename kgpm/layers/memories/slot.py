"""A memory of slots, each of which holds a code, or the mean of some."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgpm.errors import check_choice
from kgpm.errors import check_goes_with
from kgpm.errors import check_not_negative
from kgpm.errors import check_sizes
from kgpm.layers.memories.categorical_read import CategoricalRead
from kgpm.layers.memories.memory import Draw
from kgpm.layers.memories.memory import Memory
from kgpm.layers.memories.softmax_read import SoftmaxRead
from kgpm.ops import FEW_SLOTS
from kgpm.ops import add_to_slots
from kgpm.ops import fill_slots
from kgpm.ops import fold_in
from kgpm.ops import in_parts
from kgpm.ops import nearest_slots
from kgpm.ops import part_size
from kgpm.ops import slot_sums
from kgpm.ops import with_noise

# Lloyd steps of a write whose codes must share slots.
_WRITE_STEPS = 3


@keras.saving.register_keras_serializable(package="kgpm")
class SlotMemory(Memory):
    """K slots of a code each, written without an address.

    A write puts each code into a slot of its own while there are enough, and
    is then exact; more codes than slots share them, those near each other,
    and a slot holds their mean (`kgpm.ops.fill_slots`). The rows of the direct
    write `M = W0^+ Z` are mixtures of codes: a read that picks rows needs
    this one.

    A memory is a value, never an attribute: `{"mean": [B, K, C], "count":
    [B, K]}`, both 0 for an empty slot. It has no density, so a bound is
    conditional on it.

    What a streaming write keeps is how many codes each slot holds, and their
    sum: with one code a slot, writing in parts and forgetting are exact.
    `Z^T Z`, which serves the direct write of GPM, would not do: it tells codes
    up to a rotation of the images among each other.

    Without gradients, reads hold a few hundred megabytes beside the memory
    whatever K: episodes and queries are taken in parts. A mean read costs K C
    a query, a draw by the categorical read K^2 C more for the classes of all
    slots, an update or a forgetting K C a code, and an update without room
    K^2 C.
    Training leaves each code out, with counts for each, and is for few slots.

    Args:
        memory_size: K, slots; they may be more than C.
        code_size: C, length of a code.
        observation_noise: s, of a code about what a slot holds.
        read: `categorical` or `softmax`.
        write_noise: standard deviation of the noise on written codes in
            training, a regulariser; none at inference.
        beta: where the inverse temperature of `read="softmax"` starts; 4 by
            default.
        hidden_size: units of the networks of `read="categorical"`; 128 by
            default.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1, an unknown read, or numbers out of range.
    """

    streams = True
    leaves_each_out = True

    def __init__(
        self,
        memory_size: int,
        code_size: int,
        observation_noise: float = 0.5,
        read: str = "categorical",
        write_noise: float = 0.5,
        beta: float | None = None,
        hidden_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_sizes(memory_size=memory_size, code_size=code_size)
        check_choice("read", read, ("categorical", "softmax"))
        check_not_negative(write_noise=write_noise)
        softmax = read == "softmax"
        check_goes_with("read='softmax'", softmax, beta=beta)
        check_goes_with(
            "read='categorical'", not softmax, hidden_size=hidden_size
        )
        super().__init__(**kwargs)
        self.memory_size = memory_size
        self.code_size = code_size
        self.write_noise = write_noise
        sizes = (memory_size, code_size, observation_noise)
        options = {"dtype": self.dtype_policy, "name": "reading"}
        self.reading: CategoricalRead | SoftmaxRead
        if softmax:
            self.reading = SoftmaxRead(
                *sizes, 4.0 if beta is None else beta, **options
            )
        else:
            self.reading = CategoricalRead(
                *sizes, 128 if hidden_size is None else hidden_size, **options
            )
        self.term_names = self.reading.term_names

    def build(self, input_shape: tuple | None = None) -> None:
        self.reading.build()
        self.built = True

    def memory_floats(self, episode_length: int) -> int:
        return self.memory_size * (self.code_size + 1)

    @property
    def statistics_shape(self) -> tuple[int, int]:
        """Of what `accumulate` keeps of an episode."""
        return self.memory_size, self.code_size + 1

    def prior(self, batch_size: Any) -> dict[str, Any]:
        """The memory before anything was written, for each of B episodes."""
        shape = (batch_size, self.memory_size)
        return {
            "mean": ops.zeros((*shape, self.code_size), self.compute_dtype),
            "count": ops.zeros(shape, self.compute_dtype),
        }

    def write(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Writes codes into a new memory.

        Args:
            codes: Z, `[B, T, C]`.
            weights: `[B, T]`, 0 for an absent code; all 1 by default.
            seed: of the write noise, used in training alone.
            training: whether to add the write noise.

        Returns:
            The memory, `{"mean": [B, K, C], "count": [B, K]}`.
        """
        codes = ops.cast(codes, self.compute_dtype)
        weights = self.weights_of(codes, weights)
        if training:
            codes = with_noise(codes, self.write_noise, seed)
        mean, count = fill_slots(codes, weights, self.memory_size, _WRITE_STEPS)
        return {"mean": mean, "count": count}

    def leave_each_out(
        self, codes: Any, memory: dict[str, Any]
    ) -> dict[str, Any]:
        """The memory that each of the written codes sees without itself.

        Exact where each has a slot of its own; of a shared one the count is
        reduced, while its mean keeps the code's share.

        Args:
            codes: `[B, T, C]`, those that were written.
            memory: as `write` returns it.

        Returns:
            The memory with `"count"` `[B, T, K]`, for reading these codes.
        """
        count = memory["count"]
        # An empty slot is at the origin, and no code is in it.
        slot, _ = nearest_slots(codes, memory["mean"], count > 0.0)
        own = ops.one_hot(slot, self.memory_size)
        own = ops.cast(own, self.compute_dtype)
        return {**memory, "count": ops.maximum(count[:, None] - own, 0.0)}

    def leaves_out_exactly(self, num_codes: Any) -> bool:
        """While there is a slot for each."""
        return isinstance(num_codes, int) and num_codes <= self.memory_size

    def read(self, codes: Any, memory: dict[str, Any]) -> Any:
        """Mean read-out: `[B, Q, C]` to `[B, Q, C]`."""
        return self._in_parts(
            lambda codes, memory, _: self.reading.read(codes, memory),
            codes,
            memory,
        )

    def sample(
        self,
        codes: Any,
        memory: dict[str, Any],
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        """Draws read-outs as the bound needs them; see the read's `sample`."""
        return self._in_parts(
            self.reading.sample, codes, memory, seed, self.reading.prepare
        )

    def sample_prior(
        self, memory: dict[str, Any], num_samples: int, seed: Any
    ) -> Any:
        """Codes drawn without an image: `[B, num_samples, C]`."""
        return self.reading.sample_prior(memory, num_samples, seed)

    def latent_energy(self, codes: Any, memory: dict[str, Any]) -> Any:
        """What a mean read adds to the energy, `[B, Q]`; see the read's."""
        return self._in_parts(
            lambda codes, memory, _: self.reading.latent_energy(codes, memory),
            codes,
            memory,
        )

    def accumulate(
        self, codes: Any, statistics: Any = None, weights: Any = None
    ) -> Any:
        """Adds codes to the statistics of a streaming write.

        While there are slots for all, the result holds what one write of all
        codes would, perhaps in another order. Later codes share slots with
        earlier ones, of which only means are left: unlike a write of all at
        once, it then depends on the order.

        Args:
            codes: `[B, T, C]`.
            statistics: of the codes so far, `[B, K, C + 1]` float64: of each
                slot how many codes it holds, and their sum. None to begin.
            weights: `[B, T]`, 0 for an absent code.

        Returns:
            The statistics of all.
        """
        codes = ops.cast(codes, "float64")
        weights = ops.cast(self.weights_of(codes, weights), "float64")
        if statistics is None:
            shape = (ops.shape(codes)[0], *self.statistics_shape)
            statistics = ops.zeros(shape, "float64")
        count, mean = _count_and_mean(statistics)
        mean, count = add_to_slots(codes, weights, mean, count, _WRITE_STEPS)
        return _statistics(count, count[..., None] * mean)

    def remove(self, codes: Any, statistics: Any, weights: Any = None) -> Any:
        """Takes codes out of statistics, each out of the nearest slot.

        Exact where each code has a slot of its own.

        Args:
            codes: `[B, T, C]`, that were written.
            statistics: as `accumulate` returns them.
            weights: `[B, T]`, 0 for an absent code.

        Returns:
            The statistics of what is left.
        """
        codes = ops.cast(codes, "float64")
        count, mean = _count_and_mean(statistics)
        weights = ops.cast(self.weights_of(codes, weights), "float64")
        slot, _ = nearest_slots(codes, mean, count > 0.0)
        total, number = slot_sums(codes, weights, slot, self.memory_size)
        total = statistics[..., 1:] - total
        # Half a code is none: it is what rounding leaves.
        left = count - number
        left = ops.where(left > 0.5, left, 0.0)
        return _statistics(left, ops.where(left[..., None] > 0.0, total, 0.0))

    def write_statistics(self, statistics: Any) -> dict[str, Any]:
        """The memory of the codes in statistics."""
        count, mean = _count_and_mean(statistics)
        return {
            "mean": ops.cast(mean, self.compute_dtype),
            "count": ops.cast(count, self.compute_dtype),
        }

    def _in_parts(
        self,
        function: Callable,
        codes: Any,
        memory: dict[str, Any],
        seed: Any = None,
        prepare: Callable | None = None,
    ) -> Any:
        """`function(codes, memory, seed)`, of many slots in bounded memory.

        A part has some episodes, and some queries of these. What is drawn is
        another draw than that of all at once.

        Args:
            function: what is returned for `[B, Q, C]` has axes `[B, Q]`.
            codes: `[B, Q, C]`.
            memory: of a write.
            seed: of what is drawn.
            prepare: what the function needs of a memory, once for all queries.
        """
        codes = ops.cast(codes, self.compute_dtype)
        # Counts of each query, as `leave_each_out` makes them: few slots.
        if self.memory_size <= FEW_SLOTS or len(memory["count"].shape) == 3:
            return function(codes, memory, seed)
        episodes = part_size(self.memory_size, self.code_size)

        def of_episodes(part: Any, number: Any) -> Any:
            codes, memory = part
            if prepare is not None:
                memory = prepare(memory)
            queries = part_size(self.memory_size, ops.shape(codes)[0])
            begun = None if seed is None else fold_in(seed, number)

            def of_queries(codes: Any, number: Any) -> Any:
                own = None if begun is None else fold_in(begun, number)
                return function(codes, memory, own)

            return in_parts(of_queries, codes, queries, axis=1)

        return in_parts(of_episodes, (codes, memory), episodes)


def _statistics(count: Any, total: Any) -> Any:
    return ops.concatenate([count[..., None], total], axis=-1)


def _count_and_mean(statistics: Any) -> tuple[Any, Any]:
    statistics = ops.cast(statistics, "float64")
    count = statistics[..., 0]
    mean = statistics[..., 1:] / ops.maximum(count, 1e-30)[..., None]
    return count, mean
