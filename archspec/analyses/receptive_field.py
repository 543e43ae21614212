"""The receptive field: which part of the network's input each value depends on [Araujo et al., 2019].

A value of a convolutional network depends on a window of the image. Its size r, the stride j between the
windows of neighbouring values, and the padding p, which is how far the first window begins before the
image, follow from those of the layer below through a window of extent e, stride s and padding q:

    r' = r + (e - 1) j        j' = j s        p' = p + q j

Where paths meet, `largest` is the union of their windows, from the leftmost edge to the rightmost, and
`smallest` the window of the path that sees least, such as through all skips. Both are theoretical: they
count what lies beyond the image, and may be larger than it. Windows are followed position by position,
so upsampling is exact too: where neighbours see windows of different sizes, the size is that of the largest.

What is known of an axis ends where a layer mixes all of it, by a Linear over it, by attention, by a mean:
the field is then `whole`, and stays so; the window of the paths around such layers is followed on. So is that
of values normalised by statistics of the sample, sampled where offsets say, or moved around the ends of an axis.
`whole` is also said, to be safe, of what mixes an axis that holds a part of the image's only, as after a Reshape,
WindowPartition or Unfold: `largest` is never too small, and `smallest` is then what was seen before.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import NamedTuple

from archspec.analyses.by_step import by_step
from archspec.graph import Graph, Node, Ref
from archspec.ground.size import Size
from archspec.ground.tensor import Shape
from archspec.op import Op
from archspec.op.dependence import POINT, WHOLE, Along, Reach, Slide

_MOST_PHASES = 4096  # windows that repeat after no fewer positions are not followed any further


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """What a value sees of an input along one axis, in positions of that input.

    `smallest` and `largest` are the sizes of its window, by the path that sees least and by all paths
    together. `stride` is how far that of all paths moves from one value to the next, and `padding` how far
    it begins before the input for the first value; `strides` are the smallest and the largest stride of any
    path. Where `whole`, some path mixes all of the axis, and `largest` is the size of the input. `sliding`
    is the size, and `stride` and `padding` are those, of the window of all other paths, such as around the
    gates of EfficientNet; 0 when there are none.
    """

    smallest: Size
    largest: Size
    stride: Fraction
    padding: int
    whole: bool
    sliding: int
    strides: tuple[Fraction, Fraction]

    def __str__(self) -> str:
        """Its sizes: `427`, `3..427`, `3..whole` or `whole`."""
        largest = "whole" if self.whole else str(self.largest)
        return largest if self.smallest == self.largest else f"{self.smallest}..{largest}"


Fields = dict[Ref, dict[str, tuple[ReceptiveField, ...]]]
"""What each value sees of each input that it depends on, by the input's name: axis by axis."""


def receptive_fields(graph: Graph) -> Fields:
    """What each value sees of each input that it depends on, along each spatial axis.

    The spatial axes of an input are all but the first, which holds channels, or its only one.
    """
    shapes = {given.name: given.type.shape for given in graph.inputs}
    seen: dict[Ref, _State] = {}
    for given in graph.inputs:
        axes = range(1 if given.type.rank > 1 else 0, given.type.rank)
        start = (_View((axis,), POINT) for axis in axes)
        seen[Ref(given.name)] = {given.name: tuple(_Paths(view, view, False, (_ONE, _ONE)) for view in start)}
    layers: dict[Hashable, _Layer] = {}  # what does the same is one, whatever steps it comes from

    def layer(node: Node) -> _Layer:
        same = (node.op, graph.input_types(node), tuple(graph.option_types(node).items()))
        if same not in layers:
            layers[same] = _Layer.of(node, graph, len(layers) + 1)
        return layers[same]

    layer_of = by_step(graph, layer)
    for node in graph.nodes:
        state = layer_of(node).carry([seen[ref] for ref in node.operands])
        for output in range(len(node.types)):
            seen[Ref(node.name, output)] = _told_apart(state, output) if output else state
    known: dict[int, dict[str, tuple[ReceptiveField, ...]]] = {}  # a state is shared by many values
    for state in seen.values():
        if id(state) not in known:
            known[id(state)] = {name: tuple(_fields(paths, shapes[name])) for name, paths in state.items()}
    return {ref: known[id(state)] for ref, state in seen.items()}


def receptive_field(graph: Graph) -> dict[str, tuple[ReceptiveField, ...]]:
    """What the first output sees of each input; nothing when there is no output."""
    return receptive_fields(graph)[graph.outputs[0].value] if graph.outputs else {}


def largest_field(graph: Graph) -> int:
    """The largest size of any value's receptive field along any axis, whole ones left out.

    This is what papers print: 427 for ResNet-50 with its strides in the 3x3 convolutions, and 483 with them in
    the 1x1 convolutions before; the mean over the image comes after.
    """
    return _largest(field for value in receptive_fields(graph).values() for field in _flat(value.values()))


def described(fields: tuple[ReceptiveField, ...]) -> str:
    """The sizes along all axes: `427`, `3..427`, `whole`, or `7 x 1` where the axes differ."""
    sizes = [str(field) for field in fields]
    return sizes[0] if len(set(sizes)) == 1 else " x ".join(sizes) or "none"


def seen_by_outputs(fields: Fields, graph: Graph, given: str) -> str:
    """What the outputs see of an input in a few words, and the largest window that slides on the way."""
    ends = [fields[output.value][given] for output in graph.outputs if given in fields[output.value]]
    texts = list(dict.fromkeys(described(end) for end in ends)) or ["no output depends on it"]
    text = ", ".join(texts)
    before = _largest(field for value in fields.values() for field in value.get(given, ()))
    if before and any(field.whole for field in _flat(ends)):
        text += f"; windows of up to {before} before"
    return text


# ------------------------------------------------------------------ what is followed through the graph


class _View(NamedTuple):
    """One window: how it moves along axes of a tensor, or None when it is the whole axis of the input.

    Without `layout`, positions run straight along the one axis (along none, they stay where they are).
    Otherwise it stands for one rearrangement, so that views with the same one can be compared: the number
    of the layer that made it last, and that of its history.
    """

    axes: tuple[int, ...]
    slide: Slide | None
    layout: tuple[int, int] | None = None


class _Paths(NamedTuple):
    """The window of the path that sees least, the union of all that slide, and the range of their strides.

    `whole` says whether another path sees all of the axis.
    """

    least: _View
    most: _View
    whole: bool
    strides: tuple[Fraction, Fraction]


_State = dict[str, tuple[_Paths, ...]]

_ONE, _ZERO = Fraction(1), Fraction(0)
_WHOLE = _View((), None)


class _Layer(NamedTuple):
    """An op on tensors of certain types: what it sees of them, and a number that is its own."""

    reaches: tuple[Reach, ...]
    unmoved: tuple[bool, ...]  # for each input whether every value just sees its own place
    inputs: tuple[Shape, ...]
    output: Shape
    number: int

    @classmethod
    def of(cls, node: Node, graph: Graph, number: int) -> _Layer:
        """What the node's op says of its inputs."""
        reaches = graph.ask(node, Op.reach)
        unmoved = tuple(
            reach is not None and all(along == Along((axis,)) for axis, along in enumerate(reach))
            for reach in reaches
        )
        shapes = tuple(graph.types[ref].shape for ref in node.operands)
        return cls(reaches, unmoved, shapes, node.types[0].shape if node.types else (), number)

    def carry(self, operands: list[_State]) -> _State:
        """What the output sees of the network's inputs, from what each operand sees."""
        result: _State | None = None
        for reach, unmoved, shape, state in zip(
            self.reaches, self.unmoved, self.inputs, operands, strict=True
        ):
            if reach is None or not state:
                continue
            moved = state
            if not unmoved:
                moved = {
                    name: tuple(self._through(reach, shape, paths) for paths in axes)
                    for name, axes in state.items()
                }
            result = moved if result is None else self._joined(result, moved)
        return {} if result is None else result

    def _through(self, reach: tuple[Along, ...], shape: Shape, paths: _Paths) -> _Paths:
        followed = self._moved(reach, shape, paths.most)
        least = followed if paths.least == paths.most else self._moved(reach, shape, paths.least)
        most = followed or _WHOLE
        if least is None:
            # Who mixes places sees at least what is seen at one of them; who undoes an Unfold, a single value of a window.
            undone = any(reach[axis].slide is None and reach[axis].axes for axis in paths.least.axes)
            return _Paths(_View((), POINT if undone else paths.least.slide), most, True, (_ZERO, _ZERO))
        axes = {*paths.most.axes, *paths.least.axes}
        mixed = any(reach[axis].mixed and shape[axis] != 1 for axis in axes)
        whole = paths.whole or most.slide is None or mixed
        if least.slide is None:
            return _Paths(least, most, whole, (_ZERO, _ZERO))
        low, high = paths.strides
        for axis in paths.least.axes if not paths.least.layout else ():
            slide = reach[axis].slide
            if slide is not None and slide.step != len(slide.first):
                low, high = low * slide.stride, high * slide.stride
        return _Paths(least, most, whole, (low, high))

    def _moved(self, reach: tuple[Along, ...], shape: Shape, view: _View) -> _View | None:
        """What the output sees through this input, of whose axes the view is; None where that is not followed."""
        if view.slide is None or not view.axes:
            return view
        if view.layout is None:  # the common case, along one axis
            along = reach[view.axes[0]]
            if along.slide is not None and along.straight:
                if along.slide is POINT and along.axes == view.axes:
                    return view
                moved = _composed(view.slide, along.slide)
                return None if moved is None else _View(along.axes, moved)
        if all(reach[axis] == WHOLE and shape[axis] != 1 for axis in view.axes):
            return _WHOLE
        axes: list[int] = []
        slide = view.slide
        layout = view.layout
        for axis in view.axes:
            through = reach[axis].slide
            if through is None and shape[axis] == 1:  # all of one position
                through = Slide.at(0)
            if through is None:
                return None
            if not view.layout:
                composed = _composed(slide, through)
                if composed is None:
                    return None
                slide = composed
            elif through.size > 1:
                return None
            axes += [new for new in reach[axis].axes if new not in axes]
            if not reach[axis].straight or (view.layout and through != POINT):
                layout = self._tag(view.layout, view.axes)
        return _View(tuple(axes), slide, layout)

    def _tag(self, *before: object) -> tuple[int, int]:
        """The layout that this layer makes of what was before."""
        return self.number, hash((before, self.number))

    def _joined(self, left: _State, right: _State) -> _State:
        if left is right:
            return left
        joined = {**right, **left}
        for name in left.keys() & right.keys():
            if left[name] is not right[name]:
                joined[name] = tuple(
                    a if a == b else self._met(a, b) for a, b in zip(left[name], right[name], strict=True)
                )
        return joined

    def _met(self, left: _Paths, right: _Paths) -> _Paths:
        least = min(left.least, right.least, key=_extent)
        # What is whole does not slide, and says nothing of strides.
        ranges = [paths.strides for paths in (left, right) if paths.least.slide is not None]
        low = min((low for low, _ in ranges), default=_ZERO)
        high = max((high for _, high in ranges), default=_ZERO)
        most = self._union(left.most, right.most)
        whole = left.whole or right.whole
        if most is not None:
            return _Paths(least, most, whole, (low, high))
        return _Paths(least, max(left.most, right.most, key=_extent), True, (low, high))

    def _union(self, left: _View, right: _View) -> _View | None:
        """One window around two, or the one that slides; None when where they meet is not known."""
        if left == right or right.slide is None:
            return left
        if left.slide is None:
            return right
        larger, smaller = (left, right) if _extent(left) >= _extent(right) else (right, left)
        if left.layout != right.layout:
            if not all(view.layout and view.layout[0] == self.number for view in (left, right)):
                return None
            # They are laid end to end here: each value sees one of them.
            return larger._replace(layout=self._tag(left.layout, right.layout, smaller.slide))
        if left.axes == right.axes and _move_alike(left.slide, right.slide):
            return left._replace(slide=_hull(left.slide, right.slide))
        moving = larger if larger.axes else smaller
        places = self.output[moving.axes[0]] if moving.axes and not left.layout else None
        apart = left.axes != right.axes and left.axes and right.axes
        if apart or moving.slide is None or not isinstance(places, int) or places > _MOST_PHASES:
            return None
        return moving._replace(slide=_envelope(left.slide, right.slide, moving.slide, places))


def _told_apart(state: _State, output: int) -> _State:
    """The state of a later output of a node: its places are not those of the first."""

    def other(view: _View) -> _View:
        return view._replace(layout=(view.layout[0], hash((view.layout, output)))) if view.layout else view

    return {
        name: tuple(paths._replace(least=other(paths.least), most=other(paths.most)) for paths in axes)
        for name, axes in state.items()
    }


def _composed(inner: Slide, outer: Slide) -> Slide | None:
    """What is seen through two layers; None when it repeats too rarely to follow."""
    period = len(inner.first)
    if period == len(outer.first) == 1:
        low = inner.first[0] + outer.first[0] * inner.step
        high = inner.last[0] + outer.last[0] * inner.step
        return Slide((low,), (high,), inner.step * outer.step)
    times = period // gcd(period, outer.step)  # how often the outer one repeats before both do
    if times * len(outer.first) > _MOST_PHASES:
        return None
    spans = [
        inner.span(first + repeat * outer.step, last + repeat * outer.step)
        for repeat in range(times)
        for first, last in zip(outer.first, outer.last, strict=True)
    ]
    step = outer.step * times // period * inner.step
    return Slide(tuple(first for first, _ in spans), tuple(last for _, last in spans), step)


def _move_alike(left: Slide, right: Slide) -> bool:
    return left.step * len(right.first) == right.step * len(left.first)


def _hull(left: Slide, right: Slide) -> Slide:
    """Windows around two that move alike."""
    if len(left.first) == len(right.first) == 1:
        first, last = min(left.first[0], right.first[0]), max(left.last[0], right.last[0])
        return Slide((first,), (last,), left.step)
    period = lcm(len(left.first), len(right.first))
    spans = [(left.span(i, i), right.span(i, i)) for i in range(period)]
    step = left.stride * period
    return Slide(
        tuple(min(a[0], b[0]) for a, b in spans), tuple(max(a[1], b[1]) for a, b in spans), int(step)
    )


def _envelope(left: Slide, right: Slide, base: Slide, places: int) -> Slide:
    """Windows that move as `base` does, large enough for both at each of so many places."""
    period = len(base.first)
    first, last = list(base.first), list(base.last)
    for place in range(places):
        moved, phase = place // period * base.step, place % period
        for low, high in (left.span(place, place), right.span(place, place)):
            first[phase] = min(first[phase], low - moved)
            last[phase] = max(last[phase], high - moved)
    return Slide(tuple(first), tuple(last), base.step)


def _extent(view: _View) -> float:
    return float("inf") if view.slide is None else view.slide.size


def _fields(axes: tuple[_Paths, ...], shape: Shape) -> Iterator[ReceptiveField]:
    for size, (least, most, whole, strides) in zip(shape[-len(axes) :], axes, strict=True):
        sliding, stride, padding = 0, _ZERO, 0
        if most.slide is not None:
            sliding, stride, padding = most.slide.size, most.slide.stride, -most.slide.first[0]
        smallest: Size = size if least.slide is None else least.slide.size
        if whole and isinstance(size, int) and isinstance(smallest, int):
            smallest = min(smallest, size)  # nothing is more than all
        yield ReceptiveField(smallest, size if whole else sliding, stride, padding, whole, sliding, strides)


def _flat(parts: Iterable[tuple[ReceptiveField, ...]]) -> Iterator[ReceptiveField]:
    return (field for part in parts for field in part)


def _largest(fields: Iterable[ReceptiveField]) -> int:
    """The largest window that slides; 0 when there is none."""
    return max((field.sliding for field in fields), default=0)
