"""How far an evaluation is, as a bar on a terminal."""

from typing import Any

from tqdm import tqdm

_FORMAT = (
    "{percentage:3.0f}%|{bar}| {n:.1f}/{total} batches "
    "[{elapsed}<{remaining}{postfix}]"
)


class Progress:
    """A bar that counts batches, and parts of a batch while it is scored.

    Args:
        num_batches: how many there will be; `None` if that is not known, and
            then the bar has no end and knows no parts.
        shown: whether there is a bar; `None` for one on a terminal only.
    """

    def __init__(self, num_batches: int | None, shown: bool | None) -> None:
        self._bar: Any = tqdm(
            total=num_batches,
            unit=" batches",
            bar_format=_FORMAT if num_batches else None,
            disable=None if shown is None else not shown,
        )
        self.counts_parts = bool(num_batches) and not self._bar.disable
        self._done = 0
        # Of one batch: known once there is one.
        self.decodings = 1

    def advance(self, decoded: int) -> None:
        """So many images of the batch at hand were decoded."""
        # What it takes in all is an estimate: never beyond the batch.
        place = min(self._bar.n + decoded / self.decodings, self._done + 1)
        self._bar.update(place - self._bar.n)

    def end_batch(self, nelbo: float) -> None:
        """A batch is done; the mean of its figure A is shown."""
        self._done += 1
        self._bar.set_postfix_str(f"nelbo {nelbo:.2f}", refresh=False)
        self._bar.update(self._done - self._bar.n)

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.close()
