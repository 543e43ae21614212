"""One analysis of a text that is being written, of which all that an editor asks is told; of a wrong text, what can be known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from archspec.analyses.claims import Verdict
from archspec.analyses.measuring import measure_claims, standing_alone, wrong_claims
from archspec.analyses.unused_steps import Steps
from archspec.analyses.warnings import warnings_about
from archspec.analyses.wrong_names import wrong_names
from archspec.editing.names import Names
from archspec.editing.seeing import Cancellation, Seen, Watcher
from archspec.elaboration import BUDGET, Module, elaborate, sound_for
from archspec.elaboration.files import edited, require_text
from archspec.elaboration.mistakes import in_order
from archspec.elaboration.modules import Modules
from archspec.graph import Graph
from archspec.ground.errors import Problem, SpecError, each_once
from archspec.ground.shipped import shipped_specs
from archspec.ground.source import Location, Source, Span
from archspec.syntax import tree as t
from archspec.syntax.parsing import parse_what_can_be


@dataclass
class Analysis:
    """What is known of a text: its tree, its problems, and what elaboration saw.

    `text` has lines that end with a line feed; `file` is its tree, in which what cannot be parsed is broken. `problems` are errors and warnings, the same as `archspec check` finds, in order of place;
    `graphs` are those of the models that stand alone and are right, `verdicts` those on their claims, by place.
    `imports` are the places where files that it imports are, or would be; `texts` are those of other files being edited,
    and `mended` those after all that can be fixed is, by their sources, once somebody asked.
    """

    path: Path
    text: str
    source: Source
    file: t.File
    module: Module | None = None
    problems: list[Problem] = field(default_factory=list)
    graphs: dict[str, Graph] = field(default_factory=dict)
    verdicts: dict[Location, Verdict] = field(default_factory=dict)
    seen: Seen = field(default_factory=lambda: Seen(Source("", "")))
    imports: frozenset[Path] = frozenset()
    texts: Mapping[Path, str] = field(default_factory=dict)
    mended: list[tuple[Source, str]] | None = None

    def as_of(self, text: str) -> Analysis:
        """What is known of it, for a text that has become another since."""
        return self if text == self.text else replace(self, text=text)

    @cached_property
    def names(self) -> Names:
        """The names of the file: where each is bound and used."""
        return Names(self.file)


def analyse(
    text: str,
    path: Path,
    *,
    texts: Mapping[Path, str] | None = None,
    budget: int = BUDGET,
    cancellation: Cancellation | None = None,
    shallow: bool = False,
) -> Analysis:
    """Analyse a text as if it stood in a file; `texts` are those of other files being edited, by their resolved paths.

    A `shallow` analysis knows names and imports, and elaborates nothing. Raises Cancelled when that is called off meanwhile.
    """
    cancellation = cancellation or Cancellation()
    root = _root(path)
    source = edited(text, path, root)
    try:
        require_text(text, source.path)
    except SpecError as error:
        empty = Source(source.path, "", source.name)
        return Analysis(
            path, "", empty, t.File(Span(empty, 0, 0), empty, (), (), ()), problems=[*error.problems]
        )
    file = parse_what_can_be(source)
    cancellation.require()
    analysis = Analysis(
        path, source.text, source, file, problems=[*file.problems], seen=Seen(source), texts=texts or {}
    )
    if file.statements:
        modules = Modules(path, texts, Watcher(analysis.source, cancellation))
        analysis.module = modules.study(file, path)
        cancellation.require()
        analysis.imports = frozenset({*modules.loaded, *modules.sought})
        if not shallow:
            _study(analysis, analysis.module, budget, cancellation)
    return analysis


def _study(analysis: Analysis, module: Module, budget: int, cancellation: Cancellation) -> None:
    """Elaborate the models of a file that stand alone, and measure what is claimed of them."""
    found = [*module.problems]
    steps = Steps()
    most = module.budget if budget == BUDGET else budget
    for definition in standing_alone(module, None):
        watcher = Watcher(analysis.source, cancellation)
        sound = sound_for(module, definition)
        try:
            graph = elaborate(sound, definition.name, budget=most, observer=watcher)
            cancellation.require()
            analysis.graphs[definition.name] = graph
            steps.add(graph)
            verdicts = measure_claims(sound, graph, most, steps.add)
            found += wrong_claims([(graph, verdicts)], module)
            analysis.verdicts |= {verdict.claim.location: verdict for verdict in verdicts}
        except SpecError as error:
            cancellation.require()
            found += error.problems
        finally:
            analysis.seen.add(watcher.seen)
    found += wrong_names(module, analysis.graphs.values())
    analysis.problems = each_once(in_order(found, analysis.source))
    if not analysis.problems:
        analysis.problems = warnings_about(module, steps, whole=True)
        analysis.problems = [p for p in analysis.problems if p.span and p.span.source is analysis.source]


def _root(path: Path) -> Path:
    """The folder below which a file has its name."""
    shipped = shipped_specs()
    return shipped if path.resolve().is_relative_to(shipped.resolve()) else path.parent
