"""What can come next where somebody writes: names, ops, arguments, steps, imports, words of the language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from archspec.editing.analysis import Analysis
from archspec.editing.calls import OpenCall, open_call
from archspec.editing.candidates import (
    FARTHEST,
    Completion,
    Heading,
    Kind,
    behind_dot,
    heading,
    in_brackets,
    in_claims,
    model_of_claims,
    modules,
    names_in,
)
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
    value,
)
from archspec.editing.looking_up import NOTHING, Home, called_by, home_of, positional_of, value_of
from archspec.editing.names import Symbol
from archspec.editing.paths import in_rules
from archspec.editing.places import Scope, scope_at, word_at
from archspec.elaboration.arguments import TYPES
from archspec.elaboration.functions import FUNCTIONS, usage
from archspec.elaboration.values import DefinedFunction, OpLayer, is_layer
from archspec.elaboration.vocabulary import CONSTANTS, WORDS
from archspec.ground.tensor import DType
from archspec.op import Op
from archspec.op.initialisation import Initialiser
from archspec.syntax import tree as t


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
    before = text[max(line_start, start - FARTHEST) : start]
    opened = _opened(text, start)
    if opened is not None:
        yield from _within_text(analysis, opened, start)
        return
    imports = re.fullmatch(r"\s*from\s+((?:\w+\.)*)", before)
    if imports:
        yield from modules(analysis, imports[1])
        return
    from_file = re.fullmatch(r"\s*from\s+([\w.]+)\s+import\s+(?:(.*),\s*)?", before)
    if from_file:
        yield from names_in(analysis, from_file[1], re.findall(r"(?:^|,)\s*(\w+)", from_file[2] or ""))
        return
    if re.fullmatch(r"\s*from\s+[\w.]+\s+", before):
        yield Completion("import", "keyword")
        return
    if _NEW_NAME.search(before):
        return
    if re.fullmatch(r"\s*(?:input|weight|buffer|constant)\b[^:\[(]*:\s*", before):
        yield from (Completion(name, "type", "dtype") for name in get_args(DType))
        return
    if re.search(r"(?:[\w)\]]|\d)\.$", before) and not re.search(r"(?<![\w.])\d+\.$", before):
        yield from behind_dot(analysis, text, start)
        return
    if re.fullmatch(r"claims\s+", before):
        models = [d for d in analysis.file.statements if isinstance(d, t.Definition) and d.kind == "model"]
        yield from (Completion(model.name, "block", head(model)) for model in models)
        return
    claimed = heading(before)
    if claimed is not None:
        yield from _settings(analysis, claimed)
        return
    model = model_of_claims(text, line_start)
    if model:
        yield from in_claims(analysis, model, before)
        return
    scope = scope_at(analysis.file, offset)
    call = open_call(text, start)
    if call is not None and call.head:
        if re.search(r":\s*(?:list\[)?\s*$", before) and not re.search(r"=[^,]*$", before):
            yield from (Completion(name, "type", said) for name, said in TYPES.items())
        elif "=" in before.rpartition(",")[2]:
            yield from _names(analysis, scope, offset)
        return
    if call is not None:
        yield from _choices_of(analysis, call, quoted=False)
        if not call.argument:
            yield from _arguments(analysis, call)
    elif not before.strip():
        yield from _statements(indented=bool(before))
    behind_arrow = call is None and re.search(r"->\s*(?:\w+\s*:\s*)?$", before) is not None
    own = re.match(r"(?:model|block|def)\s+(\w+)", before)
    for found in _names(analysis, scope, offset, layers=behind_arrow):
        if own is None or found.label != own[1]:
            yield found


_NEW_NAME = re.compile(
    r"""^\s*(?:model|block|def|input|weight|buffer|constant|shared)\s+$  # the name of what is declared
      | \bfor\s+(?:\w+\s*,\s*)*$
      | ^\s*from\b.*\bimport\b.*\bas\s+$
      | ^\s*(?:weight|buffer|constant)\b.*\bas\s+$""",
    re.X,
)
_TEXTS = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)|"(?:[^"\\\n]|\\.)*"?|\'(?:[^\'\\\n]|\\.)*\'?|#[^\n]*', re.S
)


def _opened(text: str, offset: int) -> int | None:
    """Where the string or the comment opens in which an offset stands; None where it stands in none."""
    for match in _TEXTS.finditer(text):
        if match.start() >= offset:
            return None
        if offset < match.end() or (offset == match.end() and not _closed(match[0])):
            return match.start()
    return None


def _closed(text: str) -> bool:
    if text.startswith('"""'):
        return len(text) >= 6 and text.endswith('"""')
    return not text.startswith("#") and len(text) > 1 and text[-1] == text[0]


def _within_text(analysis: Analysis, opened: int, start: int) -> Iterator[Completion]:
    """What a string can be whose last word is being written: a step in brackets, a value of an argument or of a setting."""
    text = analysis.text
    if text[opened] not in ("'", '"'):
        return
    steps = in_brackets(analysis, text, opened, start)
    if steps is None:
        steps = in_rules(analysis, text, opened, start)
    if steps is not None:
        yield from steps
    if start != opened + 1:
        return
    line_start = text.rfind("\n", 0, start) + 1
    claimed = heading(text[max(line_start, opened - FARTHEST) : opened])
    if claimed is not None:
        yield from _choices(analysis, claimed.model, claimed.setting, quoted=True)
        return
    call = open_call(text, opened)
    if call is not None:
        yield from _choices_of(analysis, call, quoted=True)


def _settings(analysis: Analysis, claimed: Heading) -> Iterator[Completion]:
    """The parameters of a model that claims can set, or the values of the one being set."""
    if claimed.setting:
        yield from _choices(analysis, claimed.model, claimed.setting, quoted=False)
        return
    for name, detail, _ in arguments_of(analysis, claimed.model):
        if name not in claimed.given:
            yield Completion(name, "argument", detail, "", f"{name}=", rank=1)


# ------------------------------------------------------------------ arguments


def _arguments(analysis: Analysis, call: OpenCall) -> Iterator[Completion]:
    """The arguments that a call has not got yet, with their defaults; those that it must have come first."""
    given = {*call.named, *positional_of(analysis, call.callee)[: call.by_position]}
    for name, detail, said in arguments_of(analysis, call.callee):
        if name not in given:
            rank = 1 if "=" in detail or detail == "tensor" else 0
            yield Completion(name, "argument", detail, said, f"{name}=", rank=rank)


def arguments_of(analysis: Analysis, callee: str) -> Iterator[tuple[str, str, str]]:
    """The arguments that can be given by name to what a name means: each with its default, and what it can be."""
    home = home_of(analysis, callee)
    while home is not None:
        for parameter in home.definition.parameters:
            yield parameter.name, parameter.span.text, ""
        home = _behind(analysis, home)
    called = called_by(analysis, callee)
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
    name = call.argument
    if not name:
        name = next(iter(positional_of(analysis, call.callee)[call.by_position :]), "")
    yield from _choices(analysis, call.callee, name, quoted=quoted)


def _choices(analysis: Analysis, callee: str, name: str, *, quoted: bool) -> Iterator[Completion]:
    called = called_by(analysis, callee)
    listed: Iterable[str] = choices(called, name) if called is not None else ()
    home: Home | None = home_of(analysis, callee)
    while home is not None:
        for parameter in home.definition.parameters:
            if parameter.name == name and isinstance(parameter.domain, t.Choices):
                listed = [choice.span.text for choice in parameter.domain.values]
        home = _behind(analysis, home)
    for choice in listed:
        text = choice[0] in "\"'"
        if text or not quoted:
            yield Completion(choice[1:-1] if quoted else choice, "value", name, rank=0)


# ------------------------------------------------------------------ names and words


def _names(
    analysis: Analysis, scope: Scope | None, offset: int, *, layers: bool = False
) -> Iterator[Completion]:
    """The names that have a meaning at an offset: of the block, of the file, and of every spec; or only those of layers."""
    for found in _all_names(analysis, scope, offset):
        if not layers or found.kind in ("op", "block") or (found.kind == "value" and found.is_layer):
            yield found


def _all_names(analysis: Analysis, scope: Scope | None, offset: int) -> Iterator[Completion]:
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
        if scope is not None and name == scope.name:  # nothing uses itself
            continue
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
        return Completion(name, "value", rank=rank, is_layer=True)  # as far as is known
    kind: Kind = "tensor" if sort_of(given) in ("tensor", "tensors") else "value"
    layer = is_layer(given) or isinstance(given, DefinedFunction | list | tuple)
    return Completion(name, kind, value(given), code(f"{name} = {value(given)}"), rank=rank, is_layer=layer)


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
