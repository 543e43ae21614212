"""Making a plan: from a network's graph, what a file has, and what the caller lets be adapted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from archspec.analyses.carried_weights import carried_weights
from archspec.analyses.matching import Matching
from archspec.analyses.positions import tables
from archspec.backends.torch_weights import dtype_of
from archspec.backends.weights.adapting import Case, adaptations
from archspec.backends.weights.files import WeightFile
from archspec.backends.weights.folding import folds, layers_with_norms
from archspec.backends.weights.holding import REAL, WHOLE, can_hold, masks, unusable
from archspec.backends.weights.names import Match, Origin, batch_counts, match
from archspec.backends.weights.plan import (
    Change,
    Line,
    Shapes,
    WeightPlan,
    carried_out,
    same,
    shapes_of,
    short_dtype,
)
from archspec.graph import Graph
from archspec.ground.errors import Mistake
from archspec.ground.tensor import show
from archspec.op import Weight

Defaults = Callable[[], Graph | None]
"""Gives the network that a spec is at its default settings, where there is one."""


def plan_of(
    graph: Graph,
    file: WeightFile,
    *,
    source: Graph | None = None,
    defaults: Defaults | None = None,
    adapt: Mapping[str, object] | None = None,
    dtype: torch.dtype | None = None,
    nonfinite: bool = False,
    names: str | None = None,
) -> WeightPlan:
    """What loading a file into a network does.

    `source` is the network that the file is of; where it is not given, the network itself if the shapes fit, else that at its
    `defaults` if all shapes fit these. Real numbers become of `dtype`, or of the spec's. `adapt` says which adaptations are
    asked for, and how; `names` is the title of the map of names that the file's keys are read with.

    Raises SpecError when the file has the weights twice, two maps of names explain it, or an adaptation is asked for in a
    way that is none.
    """
    shapes = shapes_of(file.tensors)
    found, source, rival, notes = _source(graph, source, defaults, shapes, names)
    old_names = _old_names(source, graph)
    case = Case(graph, source, rival, adaptations(adapt))
    folding = folds(graph, source, found.origins, old_names)
    may_fold = "fold" in case.asked
    planner = _Planner(case, file.tensors, dtype)
    lines: list[Line] = []
    used: set[str] = set(found.dropped)
    kinds = _kinds(graph)
    counters = batch_counts(graph)
    for name, weight in graph.weights.items():
        if not weight.saved:
            continue
        step, kind = kinds.get(name, ("", ""))
        base = Line("new", name, shape=weight.shape, step=step, kind=kind)
        old = old_names.get(name)
        origin = found.origins.get(old) if old is not None else None
        if name in folding.made and may_fold:
            origin = folding.made[name]
        elif origin is not None and old != name:
            origin = replace(origin, changes=(*origin.changes, Change("renamed", told=f"was {old}")))
        if origin is None:
            line = _without_origin(base, name in counters)
        else:
            used.update(origin.keys)
            line = planner.line(base, old or name, weight, origin)
        if name in folding.made and not may_fold:
            line = _unfolded(line)
        lines.append(line)
    if may_fold:
        used |= folding.dropped
        found = replace(found, dropped=found.dropped | folding.dropped)
    foldable = {key for origin in folding.made.values() for key in origin.keys} - used
    unused = {key: _meant(graph, key, found.meant.get(key, "")) for key in found.left}
    for name, origin in found.origins.items():
        unused.update((key, _lost(source, graph, name, key)) for key in origin.keys)
    lines += (_unused(key, shapes[key], why) for key, why in unused.items() if key not in used)
    lines += (
        replace(_unused(key, shapes[key], "nothing needs it"), asked=True) for key in sorted(found.dropped)
    )
    lines = [
        replace(line, offers=("fold",))
        if line.fate == "unused" and foldable.issuperset(line.sources)
        else line
        for line in lines
    ]
    infinite = masks(graph)
    lines = [_held(line, file.tensors, infinite) for line in _once(lines)]
    helps = (found.nearly,) if found.nearly else ()
    return WeightPlan(
        graph.name, file.name, tuple(lines), (*file.notes, *found.notes, *helps, *notes), nonfinite, helps
    )


# -------------------------------------------------------------- which network a file is of


def _source(
    graph: Graph, source: Graph | None, defaults: Defaults | None, shapes: Shapes, title: str | None
) -> tuple[Match, Graph, Graph | None, list[str]]:
    """The match of a file with the network that it is of; that network; another that it may be of as well; and what is to be told."""
    if source is not None:
        found = match(source, shapes, layers_with_norms(source), title=title)
        return found, source, None, [f"the file is taken to be of {_called(source)}"]
    found = match(graph, shapes, layers_with_norms(graph), title=title)
    fits = _fits(graph, found, shapes)
    may_differ = any(not table.spread for table in tables(graph).values())
    other = defaults() if defaults is not None and (not fits or may_differ) else None
    if other is None or (fits and not _tables_differ(graph, other)):
        return found, graph, None, []
    others = match(other, shapes, title=title)
    if not _fits(other, others, shapes):
        return found, graph, None, []
    if fits:
        return found, graph, other, []
    return others, other, None, [f"the file is taken to be of {_called(other)} at its default settings"]


def _tables_differ(graph: Graph, other: Graph) -> bool:
    """Whether two networks have tables of positions of one shape and of other grids."""
    theirs = tables(other)
    return any(
        name in theirs and table != theirs[name] and graph.weights[name].shape == other.weights[name].shape
        for name, table in tables(graph).items()
    )


def _called(graph: Graph) -> str:
    given = ", ".join(f"{name}={value}" for name, value in graph.settings.items())
    return f"{graph.name}({given})" if given else graph.name


def _fits(graph: Graph, found: Match, shapes: Shapes) -> bool:
    """Whether all weights of a network have tensors of their shapes, and all tensors are used."""
    counters = batch_counts(graph)
    for name, weight in graph.weights.items():
        if not weight.saved:
            continue
        origin = found.origins.get(name)
        if origin is None:
            if name not in counters:
                return False
        elif shape_after(origin, shapes) != weight.shape:
            return False
    return not found.left and found.origins.keys() <= graph.weights.keys()


def shape_after(origin: Origin, shapes: Shapes) -> tuple[int, ...]:
    """The shape that a weight of that origin has: of what its changes make of tensors without values."""
    if all(change.make is same for change in origin.changes):
        return shapes[origin.keys[0]]
    held = {key: torch.empty(shapes[key], device="meta") for key in origin.keys}
    return tuple(carried_out(Line("adapted", None, origin.keys, origin.changes), held).shape)


def _old_names(source: Graph, graph: Graph) -> dict[str, str]:
    """The names that the network's weights have in the one that the file is of, by those that they have now."""
    saved = [name for name, weight in graph.weights.items() if weight.saved]
    if source is graph:
        return {name: name for name in saved}
    matching = Matching(source, graph)
    matching.align(0, 0)
    carried = carried_weights(source, graph, matching.nodes)
    pairs = [*((name, name) for name in carried.kept), *carried.renamed]
    return {new: old for old, new in (*pairs, *((old, new) for old, new, _ in carried.reshaped))}


def _lost(source: Graph, graph: Graph, name: str, key: str) -> str:
    """Why a tensor is unused that the network which the file is of has."""
    return (
        f"has `{key}`, and {graph.name} has nothing in the place of `{name}`" if source is not graph else ""
    )


def _meant(graph: Graph, key: str, meant: str) -> str:
    """Why a tensor is unused that a map of names has a rule for; empty where there is none."""
    return f"has `{key}`, which would be {meant}, and {graph.name} has no such weight" if meant else ""


def _unused(key: str, shape: tuple[int, ...], why: str) -> Line:
    return Line("unused", None, (key,), shape=shape, before=shape, step=key.rpartition(".")[0], why=why)


def _kinds(graph: Graph) -> dict[str, tuple[str, str]]:
    """The step that each weight is of, and that step's op."""
    return {
        f"{node.name}.{key}" if key else node.name: (node.name, type(node.op).__name__)
        for node in graph.nodes
        if not node.shares
        for key in graph.weights_of(node)
    }


# -------------------------------------------------------------- a line for each weight


def _without_origin(base: Line, is_counter: bool) -> Line:
    if is_counter:
        zero = Change("counts of batches set to 0", partial(torch.zeros, (), dtype=torch.int64))
        return replace(base, fate="adapted", changes=(zero,))
    return base


def _unfolded(line: Line) -> Line:
    """The line of a weight that could be made by folding: a layer without its norm would be another layer."""
    if line.fate == "new":
        return replace(line, offers=("fold",))
    why = f"has `{line.sources[0]}` before its norm, which the network has not"
    return replace(line, fate="refused", changes=(), why=why, offers=("fold",))


class _Planner:
    """Makes the lines of weights for which the file has tensors."""

    def __init__(self, case: Case, tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> None:
        self.case = case
        self.tensors = tensors
        self.shapes = shapes_of(tensors)
        self.dtype = dtype

    def line(self, base: Line, old: str, weight: Weight, origin: Origin) -> Line:
        """What becomes of a weight, which is called `old` in the network that the file is of."""
        if not origin.keys:  # it is what it is, whatever the file holds
            return replace(base, fate="adapted", changes=origin.changes)
        key = origin.keys[0]
        base = replace(base, sources=origin.keys, before=tuple(self.tensors[key].shape))
        odd = next((kind for name in origin.keys if (kind := _odd_kind(self.tensors[name]))), "")
        if odd:
            return _refused(base, f"has `{key}` as {odd}, not {weight.dtype}", _CONVERT)
        try:
            given = shape_after(origin, self.shapes)
        except (Mistake, RuntimeError) as mistake:
            why = f"has `{key}` of shape {show(base.before)}, of which `{base.key}` cannot be made"
            return _refused(base, why, mistake.help if isinstance(mistake, Mistake) else "")
        outcome = self.case.outcome(base.key or "", old, base.step, given, weight)
        if outcome.new:
            return replace(base, fate="new", asked=True, why=outcome.new)
        if not outcome.fits:
            why = outcome.why or f"has `{key}` of shape {show(given)}, not {show(weight.shape)}"
            return replace(_refused(base, why, outcome.help or _SHAPE), offers=outcome.offers)
        changes = (*origin.changes, *outcome.changes)
        return self._cast(replace(base, changes=changes, fills=outcome.fills), weight)

    def _cast(self, line: Line, weight: Weight) -> Line:
        """The line with the change of dtype that is needed, if it may be made."""
        tensor = self.tensors[line.sources[0]]
        target = _target(tensor.dtype, weight, self.dtype)
        key = line.sources[0]
        if target is None:
            return _refused(line, f"has `{key}` as {_name(tensor.dtype)}, not {weight.dtype}", _CONVERT)
        if target != tensor.dtype:
            if not can_hold(tensor, target):
                why = f"has a number in `{line.key}` that {_name(target)} cannot hold"
                return _refused(line, why, "load it in a wider `dtype`, such as f32")
            said = f"{short_dtype(tensor.dtype)} -> {short_dtype(target)}"
            line = replace(line, changes=(*line.changes, Change(said, partial(_cast, dtype=target))))
        return replace(line, fate="adapted" if line.changes else "as it is")


_CONVERT = "the numbers may be quantised, or of another model; convert them first"
_SHAPE = (
    "PyTorch takes no weight of another shape, not even with `strict=False`: leave it out, or say what the file is of with"
    " `from_`"
)


def _refused(line: Line, why: str, help: str) -> Line:
    return replace(line, fate="refused", changes=(), why=why, help=help)


def _odd_kind(tensor: Tensor) -> str:
    """What a tensor is, where it is not plain numbers in memory."""
    if tensor.is_quantized:
        return f"quantised {_name(tensor.dtype)}"
    if tensor.layout != torch.strided:
        return f"a sparse tensor ({str(tensor.layout).removeprefix('torch.')})"
    return "a tensor on the meta device, without values" if tensor.is_meta else ""


def _target(dtype: torch.dtype, weight: Weight, wanted: torch.dtype | None) -> torch.dtype | None:
    """The dtype that a tensor becomes of; None where it would hold another kind of numbers."""
    target = dtype_of(weight)
    if target in REAL:
        return (wanted or target) if dtype in REAL else None
    if dtype == target:
        return target
    return target if dtype in WHOLE and target in WHOLE else None


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# -------------------------------------------------------------- values


def _held(line: Line, tensors: Mapping[str, Tensor], infinite: set[str]) -> Line:
    """The line, with what its tensors hold that is no finite number."""
    if not line.loads:
        return line
    held = (unusable(tensors[key], infinite=line.key in infinite) for key in line.sources)
    return replace(line, holds=next(filter(None, held), ""))


def _once(lines: list[Line]) -> Iterator[Line]:
    """The lines, of those that claim a tensor which is another's without a map of names saying so only the first."""
    taken: dict[str, str] = {}
    for line in lines:
        whole = len(line.sources) == 1 and not any(c.make is not same for c in line.changes[:1])
        claimed = taken.get(line.sources[0]) if whole and line.loads else None
        if claimed is not None:
            yield _refused(line, f"has `{line.sources[0]}`, which is `{claimed}` already", "")
            continue
        if whole and line.loads and line.key is not None:
            taken[line.sources[0]] = line.key
        yield line
