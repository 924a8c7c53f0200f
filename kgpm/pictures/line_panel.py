"""One pair of labelled axes with curves."""

from collections.abc import Collection
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import numpy as np

# Okabe and Ito's palette: told apart with any colour vision and in grey.
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    "#000000",
)


@dataclass(frozen=True)
class Panel:
    """What `line_plot` draws on one pair of axes.

    Attributes:
        x: `[S]`, the positions of every curve.
        x_label: text of the horizontal axis.
        y_label: text of the vertical axis, with its unit.
        title: text above the axes.
        curves: name -> `[S]` values, drawn thick; or a pair of values and
            standard errors, each `[S]`.
        colours: name -> colour of its curve, where several panels show the
            same things; the other curves take the palette in turn.
        dashed: names of the curves to draw dashed: what others measured.
        thin: `[N, S]` values, drawn thin behind the curves.
        thin_label: the name of all the thin lines together.
        levels: name -> a value, drawn as a dashed horizontal line.
        log_y: whether the vertical axis is logarithmic.
    """

    x: Any
    x_label: str
    y_label: str
    title: str = ""
    curves: Mapping[str, Any] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)
    dashed: Collection[str] = ()
    thin: Any = None
    thin_label: str = ""
    levels: Mapping[str, float] = field(default_factory=dict)
    log_y: bool = False

    def draw(self, axes: Any) -> None:
        """Draws onto matplotlib `axes`."""
        x = np.asarray(self.x)
        if self.thin is not None:
            for index, line in enumerate(np.asarray(self.thin)):
                axes.plot(
                    x,
                    line,
                    color="0.6",
                    linewidth=0.6,
                    alpha=0.6,
                    label=self.thin_label if index == 0 else None,
                )
        colours = iter(COLOURS * (1 + len(self.curves) + len(self.levels)))
        for name, curve in self.curves.items():
            values, errors = (
                curve if isinstance(curve, tuple) else (curve, None)
            )
            axes.errorbar(
                x,
                values,
                yerr=errors,
                color=self.colours.get(name) or next(colours),
                linewidth=2.2,
                linestyle="--" if name in self.dashed else "-",
                elinewidth=1.2,
                capsize=2,
                marker="o",
                markersize=3.5,
                label=name,
            )
        for name, level in self.levels.items():
            axes.axhline(
                level,
                color=next(colours),
                linewidth=1.4,
                linestyle="--",
                label=name,
            )
        if self.log_y:
            axes.set_yscale("log")
        axes.set_xlabel(self.x_label)
        axes.set_ylabel(self.y_label)
        axes.set_title(self.title, fontsize=10)
        if np.issubdtype(x.dtype, np.integer):
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
        names = axes.get_legend_handles_labels()[1]
        if len(names) > 5:
            # Too many to find room among the curves.
            axes.legend(
                frameon=False,
                fontsize=7,
                ncol=2,
                loc="upper center",
                bbox_to_anchor=(0.5, -0.2),
            )
        elif names:
            axes.legend(frameon=False, fontsize=8)
