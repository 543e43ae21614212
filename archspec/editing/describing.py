"""What there is to say of a name: signatures, documentation, values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from archspec.analyses.formatting import plural, short
from archspec.editing.places import Scope, end_of_head
from archspec.elaboration.functions import usage
from archspec.elaboration.shelf import comment_above
from archspec.elaboration.values import (
    BlockLayer,
    DefinedFunction,
    Function,
    Labelled,
    OpLayer,
    SharedLayer,
    Tensor,
    describe,
)
from archspec.ground.tensor import TensorType, show
from archspec.op import Op
from archspec.op.calling import Called
from archspec.op.initialisation import Initialiser
from archspec.syntax import tree as t

_LONGEST = 400  # letters of a value that is shown


def signature(called: type[Called]) -> str:
    """`Conv(out, kernel=1, *, stride=1)`: what goes by name alone stands behind the star."""
    first, rest = called.by_position(), getattr(called, "rest", None)
    named = [argument(called, name) for name in called.model_fields if name not in (*first, rest)]
    arguments = [argument(called, name) for name in first]
    arguments += [*(["*", *named] if named else []), *([f"**{rest}"] if rest else [])]
    return f"{called.__name__}({', '.join(arguments)})" if arguments else called.__name__


def argument(called: type[Called], name: str) -> str:
    """`stride=1`: an argument with its default, if it has one."""
    field = called.model_fields[name]
    return name if field.is_required() else f"{name}={describe(field.default)}"


def about_argument(called: type[Called], name: str) -> str:
    """What an argument of an op or an initialisation is, as Markdown: its default, what it can be, and what the docs say of it."""
    field = called.model_fields[name]
    kinds = dict.fromkeys(_kinds(field.annotation, field.metadata))
    said = [code(f"{called.__name__}({argument(called, name)})"), " or ".join(kinds)]
    text, _, table = (inspect.getdoc(called) or "").partition("\n\nShapes:")
    sentences = [*_SENTENCE_END.split(" ".join(text.split())), *_raises(table)]
    said += [sentence for sentence in sentences if f"`{name}`" in sentence or f"`{name}=" in sentence]
    if field.is_required():
        said[1] += " (required)"
    return "\n\n".join(filter(None, said))


_SENTENCE_END = re.compile(r"(?<=[.\]])\s+(?=[A-Z`])")


def _raises(table: str) -> list[str]:
    """The sentence that says what an op refuses."""
    _, found, rest = table.partition("\nRaises:")
    return [f"Refused {' '.join(rest.split())}."] if found else []


_KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "`true` or `false`",
    str: "a string",
    None: "`none`",
    type(None): "`none`",
    tuple: "a list",
    list: "a list",
}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _kinds(annotation: Any, metadata: Iterable[Any] = ()) -> Iterable[str]:
    """What a value of an annotation is, in words, one for each alternative."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _kinds(inner[0], (*inner[1:], *metadata))
    elif origin is Literal:
        yield from (f'`"{each}"`' if isinstance(each, str) else f"`{describe(each)}`" for each in inner)
    elif origin in (Union, UnionType):
        for part in inner:
            yield from _kinds(part)
    elif isinstance(annotation, type) and issubclass(annotation, Initialiser):
        yield "an initialisation"
    elif (origin or annotation) in _KINDS:
        limits = [
            f"{words} {describe(getattr(item, key))}"
            for item in metadata
            for key, words in _BOUNDS.items()
            if getattr(item, key, None) is not None
        ]
        yield " and ".join([_KINDS[origin or annotation], *limits])


def choices(called: type[Called], name: str) -> tuple[str, ...]:
    """The values of an argument that is one of a few strings, as a spec writes them; none of any other."""
    field = called.model_fields.get(name)
    return tuple(f'"{value}"' for value in _strings(field.annotation)) if field else ()


def _strings(annotation: Any) -> Iterable[str]:
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if isinstance(value, str)]
    if get_origin(annotation) is tuple:
        return []
    return [value for part in get_args(annotation) for value in _strings(part)]


def head(definition: Scope) -> str:
    """The first line of a definition, with all its parameters."""
    source, start, _ = definition.span
    lines = source.text[start : end_of_head(definition)].split("\n")
    return " ".join(line.strip() for line in lines)


def said_of(file: t.File, definition: Scope) -> str:
    """The docstring of a definition, or the comment above it; of a model without either, what its file says of itself."""
    found = next((s.text for s in definition.body if isinstance(s, t.Docstring)), "")
    if found or not isinstance(definition, t.Definition):
        return found
    return comment_above(file, definition) or (file.doc if definition.kind == "model" else "")


def documentation(cls: type[Called]) -> str:
    """What the docstring of an op or an initialisation says, as Markdown: the lines of its table are code."""
    text, _, table = (inspect.getdoc(cls) or "").partition("\n\n")
    return f"{text}\n\n```text\n{table.strip()}\n```" if table.strip() else text


def code(text: str) -> str:
    """A piece of a spec, as Markdown."""
    return f"```arch\n{text}\n```"


def about_builtin(value: Any) -> str:
    """What an op, a function or an initialisation of every spec is, as Markdown; empty for anything else."""
    match value:
        case OpLayer(op=op):
            return f"{code(signature(op))}\n{documentation(op)}"
        case Function(name="concat"):
            return f"{code('concat(*tensors, axis=0)')}\nTensors joined along an axis."
        case Function():
            form, _, text = usage(value).partition(": ")
            return f"{code(form)}\n{text[:1].upper()}{text[1:]}"
        case type() if issubclass(value, Initialiser):
            return f"{code(signature(value))}\n{documentation(value)}"
    return ""


def types(given: Iterable[TensorType]) -> str:
    """Types of tensors as hints show them: `[64, 56, 56]`, with the dtype unless that is f32."""
    return ", ".join(show(x.shape) if x.dtype == "f32" else str(x) for x in given)


def flow(inputs: Iterable[TensorType], outputs: Iterable[TensorType]) -> str:
    """`[3, 224, 224] → [64, 112, 112]`."""
    return f"{types(inputs) or '()'} → {types(outputs)}"


def cost(parameters: int, macs: int | None) -> str:
    """`9,408 parameters · 118.0M multiply-adds`."""
    said = [f"{parameters:,} {plural(parameters, 'parameter')}"] if parameters else ["no parameters"]
    if macs:
        said.append(f"{short(macs)} multiply-adds")
    return " · ".join(said)


def value(given: Any) -> str:
    """A value as a spec would write it, cut where it is long."""
    tensors = isinstance(given, list | tuple) and given and all(isinstance(item, Tensor) for item in given)
    text = types(item.type for item in given) if tensors else describe(given)
    if isinstance(given, Tensor):
        text = types([given.type])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def sort_of(given: Any) -> str:
    """What sort of value it is, in a word."""
    match given:
        case Tensor():
            return "tensor"
        case OpLayer() | BlockLayer() | SharedLayer() | Labelled():
            return "layer"
        case Function() | DefinedFunction():
            return "function"
        case type() if issubclass(given, Initialiser):
            return "initialisation"
        case list() | tuple() if given and all(isinstance(item, Tensor) for item in given):
            return "tensors"
    return "value"


def ops() -> list[type[Op]]:
    """The ops that a spec can write, by name: not those that statements make."""
    found = (Op.find(name) for name in sorted(Op.names()))
    return [op for op in found if op.__module__ != "archspec.ops.weights"]
