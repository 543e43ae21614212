"""Plots of how cost grows, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from archspec.analyses.quantities import shown_in
from archspec.ground import codes
from archspec.ground.atomic import replacing
from archspec.ground.errors import SpecError
from archspec.ground.optional import needing


def plot_growth(
    rows: Sequence[dict[str, Any]], varied: Sequence[str], path: Path, *, sources: Iterable[Path] = ()
) -> None:
    """Draw how quantities grow over the first varied parameter, a line for each combination of the others and each model.

    The format follows from the ending of `path`: `.svg`, `.png` or `.pdf`; `sources` are not written over. Raises
    SpecError when matplotlib is missing, the ending is another or the file cannot be written.
    """
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise SpecError.of(
            codes.SUFFIX, f"cannot write a plot to a `{path.suffix}` file", help="name it .svg, .png or .pdf"
        )
    with needing("plots are drawn by matplotlib", "'archspec-nn[plot]'"):
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import EngFormatter
    first, *others = varied
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        parts = [row["model"]] if len(models) > 1 else []
        label = ", ".join([*parts, *(f"{name} = {row[name]}" for name in others)])
        lines.setdefault(label, []).append(row)
    # Text stays text and nothing depends on the day, so that a plot can be committed and compared.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "archspec"}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        FigureCanvasAgg(figure)
        panels = [q for q in shown_in("plot") if all(q.key in row for row in rows)]
        grid = figure.subplots(ceil(len(panels) / 2), 2, squeeze=False).flat
        for axes in grid[len(panels) :]:
            axes.remove()
        for axes, quantity in zip(grid, panels, strict=False):
            for label, points in lines.items():
                xs = [point[first] for point in points]
                axes.plot(
                    xs, [point[quantity.key] for point in points], marker="o", markersize=3, label=label
                )
            axes.set_title(quantity.panel, fontsize=10)
            axes.set_xlabel(first)
            axes.yaxis.set_major_formatter(EngFormatter(sep=""))
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
        figure.suptitle(" and ".join(models))
        if len(lines) > 1:
            figure.axes[0].legend(fontsize=8)
        with replacing(path, sources=sources) as file:
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(file, format=path.suffix.removeprefix("."), metadata=metadata)
