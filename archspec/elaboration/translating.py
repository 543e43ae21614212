"""What is written here for a name, or a call, in the words of another framework: `nn.Conv2d(3, 64, 3)` is `Conv(64, 3, padding=0)`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from archspec.elaboration.foreign import FOREIGN, MODULES, NOTES, meant_by, method
from archspec.elaboration.positions import AsWritten, as_in_pytorch
from archspec.elaboration.shelf import shelf
from archspec.elaboration.values import OpLayer
from archspec.elaboration.vocabulary import builtin
from archspec.ground.source import Span
from archspec.op import Op
from archspec.op.initialisation import Initialiser
from archspec.syntax import tree as t

_WORDS = {"True": True, "False": False, "None": None}


class Unknown(NamedTuple):
    """A name that means nothing here, with the module of another framework that it is looked up in: what is said of it."""

    shown: str
    span: Span
    help: str


def unknown(name: t.Name, nodes: Iterable[t.Tree]) -> Unknown:
    """What is said of a name that nothing is bound to, as it stands among the nodes of a definition."""
    around = _around(name, nodes)
    dotted: t.Expression = name
    while name.name in MODULES and isinstance(around.get(id(dotted)), t.Attribute):
        dotted = around[id(dotted)]
    last = dotted.name if isinstance(dotted, t.Attribute) else name.name
    shown = "".join(dotted.span.text.split())
    return Unknown(shown, dotted.span, _help(last, around.get(id(dotted))) or meant_by(name.name))


def _around(name: t.Name, nodes: Iterable[t.Tree]) -> dict[int, t.Expression]:
    """The expressions that a name begins, `nn.init`, `nn.init.zeros_`, `nn.init.zeros_(w)`, each by the one within it."""
    found: dict[int, t.Expression] = {}
    begins: t.Expression = name
    for node in reversed([node for node in nodes if isinstance(node, t.Attribute | t.Call)]):
        inner = node.value if isinstance(node, t.Attribute) else node.callee
        if inner.span.start == begins.span.start:
            found[id(inner)] = node
    return found


def _help(name: str, around: t.Expression | None) -> str:
    """The help for the last part of a name, and the call of it if there is one; an empty string where nothing is known."""
    callee = None if name in NOTES else _callee(name)
    if callee is None:
        return meant_by(name) or method(name) or _on_the_shelf(name)
    if issubclass(callee, Initialiser):  # whose first argument is a tensor in PyTorch
        return f"write `{callee.__name__}` where a start is given: `init=`, or behind a weight's `=`"
    if isinstance(around, t.Call) and not any(isinstance(a.value, t.Spread) for a in around.arguments):
        values = [_value(a.value) for a in around.arguments if a.name is None]
        named = {a.name: _value(a.value) for a in around.arguments if a.name is not None}
        if written := as_in_pytorch(callee, values, named):
            return written
    return f"write `{callee.__name__}`"


def _on_the_shelf(name: str) -> str:
    """The help for the name of a shipped block."""
    found = next((block for block in shelf() if block.name.endswith(f":{name}")), None)
    return f"write `{found.imported}`" if found else ""


def _callee(name: str) -> type[Op] | type[Initialiser] | None:
    """The op or the initialisation that a name of PyTorch's stands for."""
    value = builtin(FOREIGN.get(name, name.removesuffix("_")))
    if isinstance(value, OpLayer):
        return value.op
    return value if isinstance(value, type) and issubclass(value, Initialiser) else None


def _value(expression: t.Expression) -> Any:
    """The value of an argument: what is no literal as it is written."""
    match expression:
        case t.Literal_():
            return expression.value
        case t.Name() if expression.name in _WORDS:
            return _WORDS[expression.name]
        case t.Text() if expression.literal is not None:
            return expression.literal
        case t.TupleOf():
            return [_value(item) for item in expression.items]
        case t.ListOf() if not any(item.label for item in expression.items):
            return [_value(item.value) for item in expression.items]
        case t.Unary(operator="-", value=t.Literal_(value=int() | float() as number)):
            return -number
        case _:
            return AsWritten(expression.span.text)
