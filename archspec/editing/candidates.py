"""What can come next at certain places: behind a dot, in brackets, in imports, in claims."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from archspec.analyses.claims import MEASURES
from archspec.editing.analysis import Analysis
from archspec.editing.describing import head, said_of, types, value
from archspec.editing.looking_up import NOTHING, imported_file, value_of
from archspec.editing.names import Symbol
from archspec.editing.places import Scope, scope_at
from archspec.elaboration.files import resolved
from archspec.elaboration.made import Made
from archspec.elaboration.parts import attributes
from archspec.elaboration.values import Outputs, SharedLayer, Tensor
from archspec.ground.shipped import SUFFIX, shipped_specs
from archspec.syntax import tree as t

Kind = Literal[
    "op", "block", "function", "value", "tensor", "argument", "keyword", "module", "step", "type", "snippet"
]


FARTHEST = 1000  # letters before a place that are looked at: some searches take their square


@dataclass(frozen=True)
class Completion:
    """A word that can come next; `detail` stands beside it, `documentation` is Markdown.

    `insert` is what is written, as a snippet of the Language Server Protocol, if that is more than the word. `rank` orders them.
    `is_layer` says that a value can stand behind `->`.
    """

    label: str
    kind: Kind
    detail: str = ""
    documentation: str = ""
    insert: str = ""
    rank: int = 5
    is_layer: bool = False


# ------------------------------------------------------------------ imports


def modules(analysis: Analysis, dotted: str) -> Iterator[Completion]:
    """The files and folders that a path of an import can go on with."""
    below = Path(*dotted.split("."))
    for root in (analysis.path.parent, shipped_specs()):
        folder = root / below
        for path in sorted(analysis.texts):  # those that are on no disk yet
            if path.parent == resolved(folder) and path.suffix == SUFFIX and path.stem.isidentifier():
                yield Completion(path.stem, "module", "spec")
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix == SUFFIX and path.stem.isidentifier():
                if path.resolve() != analysis.path.resolve():
                    yield Completion(path.stem, "module", "spec")
            elif path.is_dir() and path.name.isidentifier() and any(path.glob(f"*{SUFFIX}")):
                yield Completion(path.name, "module", "folder", insert=f"{path.name}.", rank=4)


def names_in(analysis: Analysis, dotted: str, asked: Collection[str]) -> Iterator[Completion]:
    """The names that a file can be asked for, but for those that it is asked for already."""
    statement = t.Import(analysis.file.span, tuple(dotted.split(".")), ())
    found = imported_file(analysis, statement)
    for part in found[1].statements if found else ():
        if getattr(part, "name", None) in asked:
            continue
        if isinstance(part, Scope) and found:
            kind: Kind = "function" if isinstance(part, t.FunctionDefinition) else "block"
            yield Completion(part.name, kind, head(part), said_of(found[1], part))
        elif isinstance(part, t.Assign) and part.target.name and part.target.name not in asked:
            yield Completion(part.target.name, "value", part.value.span.text)


# ------------------------------------------------------------------ behind a dot


_PATH = re.compile(r"([A-Za-z_]\w*)((?:\.\w+|\[(?:\"[^\"\n]*\"|'[^'\n]*'|\d+)\])*)$")
_PART = re.compile(r"\.?(\w+)")


def behind_dot(analysis: Analysis, text: str, start: int) -> Iterator[Completion]:
    """The steps of a block that was applied, the weights of a shared layer, the facts about a tensor."""
    match = _PATH.search(text[max(0, start - 1 - FARTHEST) : start - 1])
    if match is not None:
        yield from _parts_of(analysis, match[1], _PART.findall(match[2]), start)


def in_brackets(analysis: Analysis, text: str, opened: int, start: int) -> Iterator[Completion] | None:
    """The steps of a block, whose path is being written in brackets: `b["layer1.`; None where no such brackets are open.

    The string is opened at one offset, its last word starts at another.
    """
    before = text[max(0, opened - FARTHEST) : opened].rstrip()
    match = _PATH.search(before[:-1]) if before.endswith("[") else None
    if match is None:
        return None
    path = [*_PART.findall(match[2]), *_PART.findall(text[opened + 1 : start])]
    found = _parts_of(analysis, match[1], path, start)
    return (each for each in found if each.kind == "step")


def _parts_of(analysis: Analysis, name: str, path: list[str], offset: int) -> Iterator[Completion]:
    """The parts of what a name means, down a path of steps."""
    scope = scope_at(analysis.file, offset)
    local = scope is not None and any(
        o.symbol.name == name and o.symbol.owner is scope for o in analysis.names.occurrences
    )
    given = value_of(analysis, Symbol(name, scope if local else None), offset)
    of_value = attributes(given) if not path and given is not NOTHING else {}
    if isinstance(given, Outputs) and given:
        given = given[0]
    if isinstance(given, Tensor) and scope is not None:
        yield from _steps(analysis, scope, given, path)
    elif isinstance(given, SharedLayer) and not path:
        yield from (Completion(name, "step", "weight", rank=3) for name in _weights(given))
    for name, found in of_value.items():
        yield Completion(name, "value", value(found), rank=4)


def _steps(analysis: Analysis, scope: Scope, tensor: Tensor, path: list[str]) -> Iterator[Completion]:
    """The steps inside the block that gave a tensor."""
    inside: dict[str, Made] = {}
    for span, frame in analysis.seen.frames.items():
        made = frame.made.get(tensor.ref.producer)
        if scope.span.start <= span.start and made is not None:
            inside = dict(made.inside)
            break
    prefix = ""
    for part in path:
        prefix = f"{prefix}.{part}" if prefix else part
        if prefix in inside:
            inside, prefix = dict(inside[prefix].inside), ""
    for name, made in inside.items():
        if name.startswith(f"{prefix}." if prefix else "") and not name.startswith("@"):
            step = name[len(prefix) + 1 if prefix else 0 :].partition(".")[0]
            yield Completion(step, "step", types(type_ for type_, _ in made.types), rank=3)


def _weights(layer: SharedLayer) -> Iterable[str]:
    first = layer.state.first
    return first.weights if first is not None and not isinstance(first, int) else ()


# ------------------------------------------------------------------ claims

_HEAD = re.compile(r"claims\s+(?P<model>\w+)(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?\s+(?P<rest>.*)", re.S)


def model_of_claims(text: str, line_start: int) -> str:
    """The model of the claims under which a line stands; empty where it stands under none."""
    current = text[line_start : line_start + 1]
    if current and current not in " \t\n":
        return ""
    for line in reversed(text[:line_start].splitlines()):
        if line.strip() and line[0] not in " \t":
            found = re.match(r"claims\s+(\w+)", line)
            return found[1] if found else ""
    return ""


def in_claims(analysis: Analysis, model: str, before: str) -> Iterator[Completion]:
    """What a line of claims can say: quantities, and behind `output` the names of outputs."""
    if not before.strip():
        yield from (Completion(name, "keyword", "claim") for name in (*MEASURES, "output"))
    elif re.fullmatch(r"\s*output\s+", before):
        graph = analysis.graphs.get(model)
        definition = analysis.names.definition(model)
        nodes = definition.nodes if definition is not None else ()
        written = [o.name for node in nodes if isinstance(node, t.Return) for o in node.outputs if o.name]
        for name in graph.returns if graph is not None else written:
            yield Completion(name, "value", "output")


@dataclass(frozen=True)
class Heading:
    """The head of claims that is being written: the model, the settings given so far, and that whose value comes next."""

    model: str
    given: frozenset[str]
    setting: str


def heading(before: str) -> Heading | None:
    """The head of claims at whose settings somebody writes; None elsewhere. A string that is open there is left out."""
    found = _HEAD.fullmatch(before.lstrip())
    settings = re.match(r"at\s+(?P<settings>.*)", found["rest"], re.S) if found else None
    if found is None or settings is None:
        return None
    names = re.findall(r"(?:^|,)\s*(\w+)\s*=", settings["settings"])
    open_ = re.search(r"(\w+)\s*=[^,]*$", settings["settings"])
    return Heading(found["model"], frozenset(names), open_[1] if open_ else "")
