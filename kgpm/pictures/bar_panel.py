"""One pair of labelled axes with bars."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kgpm.pictures.line_panel import COLOURS


@dataclass(frozen=True)
class BarPanel:
    """Bars that `line_plot` draws on one pair of axes, one below the other.

    Attributes:
        bars: name -> a value, or a pair of a value and its error.
        x_label: text of the horizontal axis, with its unit.
        title: text above the axes.
        log_x: whether the horizontal axis is logarithmic, from a power of ten
            below the least bar.
    """

    bars: Mapping[str, Any]
    x_label: str
    title: str = ""
    log_x: bool = False

    def draw(self, axes: Any) -> None:
        """Draws onto matplotlib `axes`."""
        pairs = [
            value if isinstance(value, tuple) else (value, None)
            for value in self.bars.values()
        ]
        names = list(self.bars)
        for place, (value, error) in enumerate(pairs):
            axes.barh(
                place,
                value,
                xerr=error,
                height=0.6,
                color=COLOURS[0],
                error_kw={"elinewidth": 1.2, "capsize": 2},
            )
            axes.annotate(
                f"{value:.4f}",
                (value + (error or 0.0), place),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.invert_yaxis()
        highest = max(v + (e or 0.0) for v, e in pairs)
        if self.log_x:
            least = min(value for value, _ in pairs)
            first = 10.0 ** math.floor(math.log10(least))
            axes.set_xscale("log")
            # Room for the numbers behind the bars.
            axes.set_xlim(first, first * (highest / first) ** 1.25)
        else:
            axes.set_xlim(0.0, 1.25 * highest)
        axes.set_xlabel(self.x_label)
        axes.set_title(self.title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, axis="x", color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
