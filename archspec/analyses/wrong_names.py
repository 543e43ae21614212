"""What is wrong with the maps of names of a file's models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from archspec.analyses.further_keys import clash_of_further_keys, unused_further_keys
from archspec.analyses.renaming import Names
from archspec.elaboration import Module
from archspec.graph import Graph, Renaming
from archspec.graph.name_maps import by_title
from archspec.ground import codes
from archspec.ground.errors import Problem, suggest
from archspec.ground.source import Location, Span


def wrong_names(module: Module, graphs: Iterable[Graph]) -> Iterator[Problem]:
    """Rules of one key, rules that do not fit a weight, and rules of none; of a file's models, which are these.

    That a rule is of no weight is said of the file's own maps alone: those of a family are of all its variants. Maps of shipped families
    are left out, unless the file itself is one: tests hold them, and following them takes as long as reading a spec.
    """
    spans = module.name_spans()
    own = {
        location
        for one in module.with_imports()
        if not one.shipped or one is module
        for location in one.name_spans()
    }
    if not own:
        return
    told: set[tuple[Renaming, ...]] = set()
    unused: dict[Renaming, str] = {}
    used: set[Renaming] = set()
    for graph in graphs:
        for title, maps in by_title(graph.names).items():
            if not any(rule.location in own for one in maps for rule in one.rules):
                continue
            names = Names(graph, title, maps)
            for misfit in names.misfits:
                if misfit.rules in told:
                    continue
                told.add(misfit.rules)
                places = [spans[rule.location] for rule in misfit.rules if rule.location in spans]
                if not places:
                    yield from misfit.error().problems
                    continue
                others = tuple(("the other is here", place) for place in places[:-1])
                yield Problem(misfit.code, misfit.message, places[-1], help=misfit.help, places=others)
            for rule in (rule for one in maps for rule in one.rules if rule.target):
                if rule in names.unused:
                    unused.setdefault(rule, _near(rule, names))
                else:
                    used.add(rule)
        yield from _wrong_further(graph, spans)
    for rule, help_ in unused.items():
        if rule not in used and rule.location in spans:
            yield Problem(
                codes.NO_KEY, f'no weight is called "{rule.target}"', spans[rule.location], help=help_
            )


def _wrong_further(graph: Graph, spans: Mapping[Location, Span]) -> Iterator[Problem]:
    """Further keys of weights that two have, or none."""
    clash = clash_of_further_keys(graph)
    if clash is not None and clash[1].location in spans:
        yield Problem(codes.CLAIMED_TWICE, clash[0], spans[clash[1].location])
    known = [key for key, weight in graph.weights.items() if weight.saved]
    for rule in unused_further_keys(graph):
        if rule.location in spans:
            near = suggest(rule.target, known)
            yield Problem(
                codes.NO_KEY, f'no weight is called "{rule.target}"', spans[rule.location], help=near
            )


def _near(rule: Renaming, names: Names) -> str:
    """What the weights are called that a rule may mean."""
    holes = rule.ours.template.names
    example = rule.ours.template.filled(dict.fromkeys(holes, "0"))
    first = next(iter(names.shapes), "")
    return suggest(example, names.shapes) or f"keys of {names.graph.name} are such as `{first}`"
