"""Steps that are right and hardly meant so: a bias before a norm, an activation after another, a layer along an image's width ..."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from archspec.analyses.formatting import plural, short
from archspec.analyses.image_axes import along_last_axis
from archspec.analyses.meetings import Meeting, meetings
from archspec.graph import Graph
from archspec.graph.function import Apply
from archspec.ground import codes
from archspec.ground.source import Location
from archspec.ground.tensor import fixed, show
from archspec.op import Op

Written = tuple[Location, str]
"""Where a step is written; and its number in a list, whose unnamed layers are written where the list is applied."""


class Doubt(NamedTuple):
    """What is doubtful about a step, how to mend it, and the op that the step applies.

    `places` are where it can be told, the best one first: some may be in files that are nobody's concern.
    """

    code: str
    places: tuple[Location, ...]
    message: str
    label: str
    mend: str
    op: Op


class Doubts:
    """What is doubtful in graphs of one spec, by where it is written: what is right in one application of its block is right."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Written], Doubt] = {}
        self._fine: set[tuple[str, Written]] = set()
        self._pairs: dict[tuple[Written, Written], tuple[Apply, Apply]] = {}
        self._fine_first: set[Written] = set()
        self._fine_second: set[Written] = set()

    def add(self, graph: Graph) -> None:
        """Take note of what is doubtful in a graph."""
        outputs: set[int] = set()
        logits: set[int] = set()
        for meeting in meetings(graph, _matters):
            self._bias(meeting)
            self._activations(meeting)
            maker, takers = meeting.maker, meeting.takers
            if maker is None:
                continue
            kind = type(maker.op).__name__
            if kind == "Linear":
                logits.update(key for key, step in takers.steps.items() if _is(step, "Softmax"))
            if kind == "Softmax" and meeting.end == "output" and not (takers.steps or takers.others):
                outputs.add(id(maker))
        for function in graph.functions:
            for step in function.steps:
                if isinstance(step, Apply) and _is(step, "Softmax"):
                    self._softmax(step, output=id(step) in outputs, of_linear=id(step) in logits)
        for mixing in along_last_axis(graph):
            self._last_axis(mixing.step, mixing.of_image, mixing.calls)

    def found(self, told_of: Callable[[Location], bool]) -> Iterator[tuple[Location, Doubt]]:
        """The doubts that can be told at a place of which is told."""
        told: set[tuple[str, Location]] = set()
        sure = (doubt for key, doubt in self._found.items() if key not in self._fine)
        for doubt in (*sure, *self._repeated()):
            place = next(filter(told_of, doubt.places), None)
            if place is not None and (doubt.code, place) not in told:
                told.add((doubt.code, place))
                yield place, doubt

    def _note(self, step: Apply, code: str, message: str, label: str, mend: str, *places: Location) -> None:
        doubt = Doubt(code, places or (step.location,), message, label, mend, step.op)
        self._found.setdefault((code, _written(step)), doubt)

    # ---------------------------------------------------------------- bias

    def _bias(self, meeting: Meeting) -> None:
        maker, takers = meeting.maker, meeting.takers
        if maker is None or not _has_bias(maker):
            return
        cancelled = not takers.others and all(_cancels(step, maker) for step in takers.steps.values())
        if not cancelled or meeting.end == "output":
            self._fine.add((codes.BIAS_BEFORE_NORM, _written(maker)))
        elif takers.steps and meeting.end == "inside":
            norm = next(iter(takers.steps.values()))
            size = fixed(maker.types[0].shape[0], "the number of channels")
            self._note(
                maker,
                codes.BIAS_BEFORE_NORM,
                f"the bias of `{maker.name}` has no effect: `{norm.name}` subtracts the mean of each channel",
                f"holds {held(size)} in vain",
                "give it `bias=false`",
            )

    # ---------------------------------------------------------------- activations

    def _activations(self, meeting: Meeting) -> None:
        first = meeting.maker if meeting.maker and _activates(meeting.maker) else None
        takers = meeting.takers
        for second in takers.steps.values():
            if not _activates(second):
                if first:
                    self._fine_first.add(_written(first))
            elif first:
                self._pairs.setdefault((_written(first), _written(second)), (first, second))
            else:
                self._fine_second.add(_written(second))
        if first and (takers.others or meeting.end == "output"):
            self._fine_first.add(_written(first))

    def _repeated(self) -> Iterator[Doubt]:
        for (before_it, place), (first, second) in self._pairs.items():
            places = [second.location] if place not in self._fine_second else []
            if before_it not in self._fine_first:
                places.append(first.location)
            if not places:
                continue
            op, before = type(second.op).__name__, type(first.op).__name__
            same = op == before and second.op.idempotent
            what = f"`{op}` after `{op}` changes nothing" if same else f"`{op}` directly after `{before}`"
            yield Doubt(
                codes.REPEATED_ACTIVATION,
                tuple(places),
                what + (": an activation of an activation" if not same else ""),
                f"takes what `{first.name}` gives"
                if places[0] == second.location
                else f"goes to `{second.name}`",
                "remove one of them",
                second.op if places[0] == second.location else first.op,
            )

    # ---------------------------------------------------------------- others

    def _softmax(self, step: Apply, *, output: bool, of_linear: bool) -> None:
        shape = step.types[0].shape
        axis: int = getattr(step.op, "axis", -1) % len(shape)
        classes = axis == 0 if len(shape) != 2 else axis == 1 and of_linear
        if not (output and classes):
            self._fine.add((codes.SOFTMAX_OUTPUT, _written(step)))
            return
        self._note(
            step,
            codes.SOFTMAX_OUTPUT,
            "the model ends with probabilities, where losses take logits",
            "PyTorch's `cross_entropy` applies a softmax itself",
            "remove it",
        )

    def _last_axis(self, step: Apply, of_image: bool, calls: tuple[Location, ...]) -> None:
        if not of_image:
            self._fine.add((codes.LAST_AXIS, _written(step)))
            return
        # Where it is said that it stands for another op.
        stated = [place for name, place in step.defaults.items() if name[0].isupper()]
        kind = type(step.op).__name__
        if kind == "Linear":
            verb, mend = "mixes", "to mix channels, use Conv; to take all values, Flatten before it"
        else:
            verb, mend = "normalises", "use GroupNorm(1)"
            if kind == "LayerNorm":
                mend = "use LayerNorm(axis=0) to normalise the channels, GroupNorm(1) for all values"
        self._note(
            step,
            codes.LAST_AXIS,
            f"`{step.name}` {verb} along the last axis of an image, its width",
            f"`{kind}` on {show(step.types[0].shape)}",
            mend,
            *stated,
            step.location,
            *calls,
        )


def held(parameters: int) -> str:
    """The words for a number of parameters: `2.360M parameters`."""
    return f"{short(parameters)} {plural(parameters, 'parameter')}"


def _written(step: Apply) -> Written:
    return step.location, step.name if step.name.isdigit() else ""


def _is(step: Apply, name: str) -> bool:
    return type(step.op).__name__ == name


def _activates(step: Apply) -> bool:
    return step.op.activates


def _has_bias(step: Apply) -> bool:
    return step.op.bias_axis is not None and bool(getattr(step.op, "bias", False))


def _matters(step: Apply) -> bool:
    return (
        step.op.activates
        or step.op.bias_axis is not None
        or _is(step, "Softmax")
        or step.op.centres(step.types[0])
    )


def _cancels(norm: Apply, layer: Apply) -> bool:
    """Whether a norm subtracts the mean of each channel to which a layer adds its bias."""
    axis, given = layer.op.bias_axis, norm.types[0]
    return axis is not None and axis % given.rank == 0 and norm.op.centres(given)
