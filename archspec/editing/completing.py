"""What can come next where somebody writes: names, ops, arguments, steps, imports, words of the language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from archspec.analyses.claims import MEASURES
from archspec.editing.analysis import Analysis
from archspec.editing.calls import OpenCall, open_call
from archspec.editing.describing import (
    about_builtin,
    argument,
    choices,
    code,
    head,
    ops,
    said_of,
    signature,
    sort_of,
    types,
    value,
)
from archspec.editing.looking_up import NOTHING, Home, home_of, imported_file, value_of
from archspec.editing.names import Symbol
from archspec.editing.places import Scope, scope_at, word_at
from archspec.elaboration.arguments import TYPES
from archspec.elaboration.files import resolved
from archspec.elaboration.functions import FUNCTIONS, usage
from archspec.elaboration.made import Made
from archspec.elaboration.parts import attributes
from archspec.elaboration.values import BlockLayer, OpLayer, Outputs, SharedLayer, Tensor
from archspec.elaboration.vocabulary import CONSTANTS, WORDS, builtin
from archspec.ground.shipped import SUFFIX, shipped_specs
from archspec.ground.tensor import DType
from archspec.op import Op
from archspec.op.initialisation import Initialiser
from archspec.syntax import tree as t

Kind = Literal[
    "op", "block", "function", "value", "tensor", "argument", "keyword", "module", "step", "type", "snippet"
]


_FARTHEST = 1000  # letters before a place that are looked at: some searches take their square


@dataclass(frozen=True)
class Completion:
    """A word that can come next; `detail` stands beside it, `documentation` is Markdown.

    `insert` is what is written, as a snippet of the Language Server Protocol, if that is more than the word. `rank` orders them.
    """

    label: str
    kind: Kind
    detail: str = ""
    documentation: str = ""
    insert: str = ""
    rank: int = 5


def completions(analysis: Analysis, offset: int) -> list[Completion]:
    """What can come next at an offset, each once."""
    found: dict[str, Completion] = {}
    for completion in _completions(analysis, offset):
        found.setdefault(completion.label, completion)
    return list(found.values())


def _completions(analysis: Analysis, offset: int) -> Iterator[Completion]:
    text = analysis.text
    start = word_at(text, offset)[0]
    line_start = text.rfind("\n", 0, start) + 1
    before = text[max(line_start, start - _FARTHEST) : start]
    if _within_text(text, start):
        call = open_call(text, start - 1) if text[start - 1 : start] in ("'", '"') else None
        if call is not None:
            yield from _choices_of(analysis, call, quoted=True)
        return
    imports = re.fullmatch(r"\s*from\s+((?:\w+\.)*)", before)
    if imports:
        yield from _modules(analysis, imports[1])
        return
    from_file = re.fullmatch(r"\s*from\s+([\w.]+)\s+import\s+(?:.*,\s*)?", before)
    if from_file:
        yield from _names_in(analysis, from_file[1])
        return
    if re.fullmatch(r"\s*from\s+[\w.]+\s+", before):
        yield Completion("import", "keyword")
        return
    if re.fullmatch(r"\s*(?:input|weight|buffer|constant)\b[^:\[(]*:\s*", before):
        yield from (Completion(name, "type", "dtype") for name in get_args(DType))
        return
    if re.search(r"(?:[\w)\]]|\d)\.$", before) and not re.search(r"(?<![\w.])\d+\.$", before):
        yield from _behind_dot(analysis, text, start)
        return
    scope = scope_at(analysis.file, offset)
    if _in_claims(text, line_start):
        yield from (Completion(name, "keyword", "claim") for name in (*MEASURES, "output"))
        return
    call = open_call(text, start)
    if call is not None and call.head:
        if re.search(r":\s*(?:list\[)?\s*$", before) and not re.search(r"=[^,]*$", before):
            yield from (Completion(name, "type", said) for name, said in TYPES.items())
            return
        yield from _names(analysis, scope, offset)
        return
    if call is not None:
        if call.argument:
            yield from _choices_of(analysis, call, quoted=False)
        else:
            yield from _arguments(analysis, call)
    elif not before.strip():
        yield from _statements(indented=bool(before))
    yield from _names(analysis, scope, offset)


_TEXTS = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)|"(?:[^"\\\n]|\\.)*"?|\'(?:[^\'\\\n]|\\.)*\'?|#[^\n]*', re.S
)


def _within_text(text: str, offset: int) -> bool:
    """Whether an offset stands in a string or a comment."""
    for match in _TEXTS.finditer(text):
        if match.start() >= offset:
            return False
        if offset < match.end() or (offset == match.end() and not _closed(match[0])):
            return True
    return False


def _closed(text: str) -> bool:
    if text.startswith('"""'):
        return len(text) >= 6 and text.endswith('"""')
    return not text.startswith("#") and len(text) > 1 and text[-1] == text[0]


def _in_claims(text: str, line_start: int) -> bool:
    """Whether a line stands under `claims`, where only quantities begin one."""
    lines = text[:line_start].splitlines()
    current = text[line_start : line_start + 1]
    if current and current not in " \t\n":
        return False
    for line in reversed(lines):
        if line.strip() and line[0] not in " \t":
            return line.startswith("claims")
    return False


# ------------------------------------------------------------------ imports


def _modules(analysis: Analysis, dotted: str) -> Iterator[Completion]:
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


def _names_in(analysis: Analysis, dotted: str) -> Iterator[Completion]:
    """The names that a file can be asked for."""
    statement = t.Import(analysis.file.span, tuple(dotted.split(".")), ())
    found = imported_file(analysis, statement)
    for part in found[1].statements if found else ():
        if isinstance(part, Scope) and found:
            kind: Kind = "function" if isinstance(part, t.FunctionDefinition) else "block"
            yield Completion(part.name, kind, head(part), said_of(found[1], part))
        elif isinstance(part, t.Assign) and part.target.name:
            yield Completion(part.target.name, "value", part.value.span.text)


# ------------------------------------------------------------------ behind a dot


def _behind_dot(analysis: Analysis, text: str, start: int) -> Iterator[Completion]:
    """The facts about a tensor, the steps of a block that was applied, the weights of a shared layer."""
    match = re.search(r"([A-Za-z_]\w*)((?:\.\w+)*)\.$", text[max(0, start - _FARTHEST) : start])
    if match is None:
        return
    scope = scope_at(analysis.file, start)
    local = scope is not None and any(
        o.symbol.name == match[1] and o.symbol.owner is scope for o in analysis.names.occurrences
    )
    symbol = Symbol(match[1], scope if local else None)
    given = value_of(analysis, symbol, start)
    path = [part for part in match[2].split(".") if part]
    if not path:
        for name, found in attributes(given).items() if given is not NOTHING else ():
            yield Completion(name, "value", value(found), rank=3)
    if isinstance(given, Outputs) and given:
        given = given[0]
    if isinstance(given, Tensor) and scope is not None:
        yield from _steps(analysis, scope, given, path)
    elif isinstance(given, SharedLayer) and not path:
        yield from (Completion(name, "step", "weight") for name in _weights(given))


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
            yield Completion(step, "step", types(type_ for type_, _ in made.types), rank=4)


def _weights(layer: SharedLayer) -> Iterable[str]:
    first = layer.state.first
    return first.weights if first is not None and not isinstance(first, int) else ()


# ------------------------------------------------------------------ arguments


def _arguments(analysis: Analysis, call: OpenCall) -> Iterator[Completion]:
    """The arguments that a call has not got yet, with their defaults."""
    for name, detail, said in arguments_of(analysis, call.callee):
        if name not in call.named:
            yield Completion(name, "argument", detail, said, f"{name}=", rank=1)


def arguments_of(analysis: Analysis, callee: str) -> Iterator[tuple[str, str, str]]:
    """The arguments that can be given by name to what a name means: each with its default, and what it can be."""
    home = home_of(analysis, callee)
    while home is not None:
        for parameter in home.definition.parameters:
            yield parameter.name, parameter.span.text, ""
        home = _behind(analysis, home)
    given = analysis.module.env.names.get(callee) if analysis.module is not None else None
    given = builtin(callee) if given is None and callee not in analysis.names.top else given
    if isinstance(given, BlockLayer) and given.definition.layer is not None:
        layer = given.definition.layer
        while isinstance(layer, t.Call):
            layer = layer.callee
        given = given.home.names.get(layer.name) or builtin(layer.name) if isinstance(layer, t.Name) else None
    called: type[Op] | type[Initialiser] | None = None
    if isinstance(given, OpLayer):
        called = given.op
    elif isinstance(given, type) and issubclass(given, Initialiser):
        called = given
    if called is None:
        return
    for name in called.model_fields:
        if name != getattr(called, "rest", None):
            listed = " | ".join(choices(called, name))
            yield name, argument(called, name), f"`{listed}`" if listed else ""
    if issubclass(called, Op):
        yield from ((name, "tensor", "") for name in called.signature().optional)


def _behind(analysis: Analysis, home: Home) -> Home | None:
    """The definition of this file that a short form of this file stands for, whose arguments it takes too."""
    layer = home.definition.layer if isinstance(home.definition, t.Definition) else None
    while isinstance(layer, t.Call):
        layer = layer.callee
    if not isinstance(layer, t.Name) or home.file is not analysis.file or layer.name == home.definition.name:
        return None
    return home_of(analysis, layer.name)


def _choices_of(analysis: Analysis, call: OpenCall, *, quoted: bool) -> Iterator[Completion]:
    """The values that the argument being written can have, where these are few."""
    given = builtin(call.callee) if call.callee not in analysis.names.top else None
    if given is None and analysis.module is not None:
        given = analysis.module.env.names.get(call.callee)
    listed: Iterable[str] = ()
    if isinstance(given, OpLayer):
        listed = choices(given.op, call.argument)
    elif isinstance(given, type) and issubclass(given, Initialiser):
        listed = choices(given, call.argument)
    elif isinstance(given, BlockLayer):
        for parameter in given.definition.parameters:
            if parameter.name == call.argument and isinstance(parameter.domain, t.Choices):
                listed = [choice.span.text for choice in parameter.domain.values]
    for choice in listed:
        if not quoted or choice.startswith('"'):
            label = choice.strip('"') if quoted else choice
            yield Completion(label, "value", call.argument, rank=0)


# ------------------------------------------------------------------ names and words


def _names(analysis: Analysis, scope: Scope | None, offset: int) -> Iterator[Completion]:
    """The names that have a meaning at an offset: of the block, of the file, and of every spec."""
    for occurrence in analysis.names.occurrences:
        symbol = occurrence.symbol
        here = occurrence.span.end < offset or isinstance(occurrence.node, t.Parameter)
        if (
            occurrence.binds
            and here
            and scope is not None
            and symbol.owner is scope
            and symbol.within is None
        ):
            yield _named(symbol.name, value_of(analysis, symbol, offset), 2)
    for name in sorted(analysis.names.top):
        given = value_of(analysis, Symbol(name), offset)
        home = home_of(analysis, name)
        if home is not None and home.definition.name == name:
            kind: Kind = "function" if isinstance(home.definition, t.FunctionDefinition) else "block"
            said = said_of(home.file, home.definition)
            yield Completion(name, kind, head(home.definition), said, rank=3)
        else:
            yield _named(name, given, 3)
    for op in ops():
        yield Completion(op.__name__, "op", signature(op), about_builtin(OpLayer(op)))
    for name, function in FUNCTIONS.items():
        detail = usage(function) if function.call.__doc__ else "concat(*tensors, axis=0)"
        yield Completion(name, "function", detail, about_builtin(function))
    for name, init in Initialiser.known.items():
        yield Completion(name, "function", signature(init), about_builtin(init), rank=6)
    yield from (Completion(name, "value", "constant", rank=7) for name in CONSTANTS)
    yield from (Completion(name, "keyword", rank=7) for name in sorted(WORDS))


def _named(name: str, given: Any, rank: int) -> Completion:
    if given is NOTHING:
        return Completion(name, "value", rank=rank)
    kind: Kind = "tensor" if sort_of(given) in ("tensor", "tensors") else "value"
    return Completion(name, kind, value(given), code(f"{name} = {value(given)}"), rank=rank)


_TOP = {
    "model": "model ${1:Net}:\n    input ${2:image}: [${3:3, 224, 224}]\n    return $2 -> $0",
    "block": "block ${1:Name}(${2:out: int}):\n    input ${3:x}: [${4:C, H, W}]\n    return $3 -> $0",
    "from": "from ${1:blocks.attention} import ${0:SqueezeExcite}",
    "claims": 'claims ${1:Net} "${2:source}":\n    params ${0:25.6M}',
    "names": 'names ${1:Net} "${2:timm}":\n    "${3:theirs.{i\\}}" -> "${0:ours.{i\\}}"',
    "defaults": "defaults:\n    ${0:Conv(bias=false)}",
    "def": "def ${1:name}(${2:v}):\n    return $0",
    "budget": "budget ${0:3_000_000}",
    "require": 'require ${1:test}, "${0:why}"',
    "if": "if ${1:test}:\n    $0",
    "for": "for ${1:i} in ${2:range(n)}:\n    $0",
}
_INSIDE = {
    "input": "input ${1:x}: [${0:C, H, W}]",
    "return": "return $0",
    "if": _TOP["if"],
    "elif": "elif ${1:test}:\n    $0",
    "else": "else:\n    $0",
    "for": _TOP["for"],
    "shared": "shared ${1:name} = $0",
    "weight": "weight ${1:name}: [${2:C}] = ${0:zeros}",
    "buffer": "buffer ${1:name}: [${2:C}] = ${0:zeros}",
    "constant": "constant ${1:name}: [${2:C}] = ${0:zeros}",
    "defaults": _TOP["defaults"],
    "require": _TOP["require"],
}


def _statements(*, indented: bool) -> Iterator[Completion]:
    """The words that begin a statement, with what follows them."""
    for word, snippet in (_INSIDE if indented else _TOP).items():
        yield Completion(
            word, "snippet", snippet.partition("\n")[0].replace("$0", "…"), insert=snippet, rank=4
        )
