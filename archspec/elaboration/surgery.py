"""Surgery: what `defaults` does to steps by their path. Other layers stand in their place, or are inserted before or behind them.

A step keeps its name whatever stands in its place, a name is taken even if its step is removed, and steps that are inserted
take none that another has: so all other names stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archspec.elaboration.defaults import Defaults, Edit
from archspec.elaboration.reuse import Label, StepName, Tensors
from archspec.ground.errors import Problem, SpecError
from archspec.ground.source import Span

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine
    from archspec.graph import Graph

_MOST_PLACES = 2  # of edits that may have to do with a mistake
_DONE = {"instead": "replaced", "behind": "followed by another", "before": "preceded by another"}


class Surgery:
    """Makes steps as the edits in force would have them, and knows which edits met a step."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._stated: dict[Span, tuple[Edit, str]] = {}  # with the full name of the block, and a dot
        self._met: set[Span] = set()
        self._outdone: set[Span] = set()  # by rules beside them

    def state(self, defaults: Defaults, path: str) -> None:
        """Note the edits that are stated for the block whose steps have names that begin so."""
        for edit in defaults.edits:
            self._stated.setdefault(edit.span, (edit, path))

    # -------------------------------------------------------------- steps

    def made(
        self, step: StepName, inputs: Tensors, span: Span, make: Callable[[StepName, Tensors], Tensors]
    ) -> Tensors:
        """What a step gives, with those that are inserted around it; `make` makes it, unless another layer stands in its place."""
        frame = self.machine.builder.frame
        edits = frame.defaults.edits_of(step.own)
        if not edits:
            return make(step, inputs)
        before = [edit for edit in edits if edit.place == "before"]
        instead = [edit for edit in edits if edit.place == "instead"]
        behind = [edit for edit in edits if edit.place == "behind"]
        for edit in before:
            inputs = self._inserted(edit, inputs, step, span)
        if instead:
            # Of rules stated furthest out, the last one counts.
            *outdone, last = [edit for edit in instead if edit.level is instead[0].level]
            self._outdone.update(edit.span for edit in outdone)
            edits = [edit for edit in edits if edit not in outdone]
            outputs = self._replaced(last, inputs, step, span)
        else:
            outputs = make(step, inputs)
        self._met.update(edit.span for edit in edits)
        for edit in _from_inside(behind):
            outputs = self._inserted(edit, outputs, step, span)
        return outputs

    def _replaced(self, edit: Edit, inputs: Tensors, step: StepName, span: Span) -> Tensors:
        ((_, layer, place),) = edit.layers
        outside = self.machine.builder.frame.defaults.around(edit)
        # What an inner place says of the steps of a layer that is not there any more cannot meet one.
        known = {found.span for found in outside.edits} | {
            found.span
            for found in self.machine.builder.frame.defaults.edits
            if found.level is edit.level and found.span != edit.span
        }
        self._met.update(found.span for found in step.defaults.edits if found.span not in known)
        with self._bringing(edit, step, span):
            return self._applied(layer, inputs, step, place) if layer != [] else inputs

    def _inserted(self, edit: Edit, tensors: Tensors, step: StepName, span: Span) -> Tensors:
        with self._bringing(edit, step, span):
            for label, layer, place in edit.layers:
                tensors = self._applied(layer, tensors, label, place)
        return tensors

    def _applied(self, layer: Any, inputs: Tensors, label: Label, span: Span) -> Tensors:
        """What a layer gives that stands at a place in a rule."""
        first = len(self.machine.builder.frame.steps)
        outputs = self.machine.layers.apply(layer, inputs, label, span)
        if self.machine.observer is not None:
            self.machine.observer.applied(span, layer, inputs, outputs, first)
        return outputs

    @contextmanager
    def _bringing(self, edit: Edit, step: StepName, span: Span) -> Iterator[None]:
        """Make steps that an edit brings, under the rules outside of it."""
        frame = self.machine.builder.frame
        outer, inserting = frame.defaults, frame.inserting
        frame.defaults, frame.inserting = outer.around(edit), True
        try:
            yield
        except SpecError as error:
            raise error.inside(step.full, span) from None
        finally:
            frame.defaults, frame.inserting = outer, inserting
        frame.edited = (*frame.edited, (f"`{step.full}` is {_done(edit)} here", edit.span))

    # -------------------------------------------------------------- mistakes

    def noted(self, problem: Problem) -> Problem:
        """A problem in the block under construction, with the edits that may have led to shapes that do not fit."""
        if problem.kind != "shape":
            return problem
        known = {problem.span, *(span for _, span in problem.places)}
        edited = dict(reversed([(span, text) for text, span in self.machine.builder.frame.edited]))
        places = [(text, span) for span, text in edited.items() if span not in known][:_MOST_PLACES]
        return replace(problem, places=(*problem.places, *places))

    def unmet(self, graph: Graph) -> list[Problem]:
        """What is wrong about the edits that met no step of a model."""
        missed = [stated for span, stated in self._stated.items() if span not in self._met]
        if not missed:
            return []
        from archspec.elaboration.missed_paths import missed_path  # which few specs need

        return [
            missed_path(edit, prefix, graph, outdone=edit.span in self._outdone) for edit, prefix in missed
        ]


def _from_inside(edits: list[Edit]) -> list[Edit]:
    """The edits, those of one place in the order in which they are written, and those furthest in first."""
    levels: dict[int, list[Edit]] = {}
    for edit in edits:
        levels.setdefault(id(edit.level), []).append(edit)
    return [edit for level in reversed(levels.values()) for edit in level]


def _done(edit: Edit) -> str:
    if edit.place == "instead" and edit.layers[0][1] == []:
        return "removed"
    return _DONE[edit.place]
