"""Expressions: the tree of one, and its value."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from archspec.elaboration import functions
from archspec.elaboration.arguments import (
    ArgumentMistake,
    build,
    build_op,
    complete,
    once,
    parameter_names,
    place,
    unknown,
)
from archspec.elaboration.frames import check_label
from archspec.elaboration.functions import FUNCTIONS
from archspec.elaboration.places import at
from archspec.elaboration.values import (
    BlockLayer,
    Environment,
    Function,
    Labelled,
    OpLayer,
    Outputs,
    SharedLayer,
    Tensor,
    describe,
    is_layer,
    kind,
    same,
)
from archspec.ground.declared import Declared, number, same_always
from archspec.ground.errors import Mistake, SpecError, suggest
from archspec.ground.size import Free
from archspec.ground.source import Span
from archspec.op import Op
from archspec.op.initialisation import Initialiser
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine

POISON = object()  # the value of what could not be evaluated; its mistake is reported already


class Poisoned(Exception):  # noqa: N818  (no new error)
    """Something depends on a value whose mistake is reported already."""


_ON_NUMBERS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
_EXACT = {sign: _ON_NUMBERS[sign] for sign in ("+", "-")}  # most of what specs compute: a short way for it
_SMALL = 10**18
_ON_TENSORS = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "@": "MatMul", "==": "Equal"}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


_PLAIN = (int, float, str, bool, type(None))
# Functions that keep where numbers come from, and in how many arguments.
_CARRY = {
    "concat": sys.maxsize,
    "enumerate": 1,
    "len": 1,
    "prod": 1,
    "reversed": 1,
    "sum": 1,
    "zip": sys.maxsize,
}
_LARGEST_POWER = 8

WORDS = {"true", "false", "none"}

Value = TypeVar("Value")


class Evaluator:
    """Evaluates expressions; those with `->` or with tensors add nodes to the graph.

    `checked` says that every name is known to be bound somewhere, though perhaps not where it is used.
    """

    def __init__(self, machine: Machine, *, checked: bool = False) -> None:
        self.machine = machine
        self.builder = machine.builder
        self._checked = checked
        self._built: dict[Any, Op] = {}
        self._methods: dict[type, Callable[[Any, Environment], Any]] = {
            t.Name: self._name,
            t.Literal_: self._literal,
            t.Text: self.text,
            t.ListOf: self._list,
            t.TupleOf: self._tuple,
            t.Comprehension: self._comprehension,
            t.Call: self._call,
            t.Attribute: self._attribute,
            t.Subscript: self._subscript,
            t.Unary: self._unary,
            t.Binary: self._binary,
            t.Comparison: self._comparison,
            t.Logic: self._logic,
            t.Conditional: self._conditional,
            t.Chain: self._chain,
        }

    def release(self) -> None:
        """Let go of the methods, which hold this in a circle."""
        self._methods.clear()

    def evaluate(self, expression: t.Expression, env: Environment) -> Any:
        """The value of an expression. Raises SpecError where it has none."""
        self.builder.work += 1
        return self._methods[type(expression)](expression, env)

    def spent(self, value: Value, span: Span) -> Value:
        """The same value, its numbers plain: if they come from declared sizes, these are used at that place."""
        match value:
            case Declared():
                self.builder.use(value.origins, span)
                return number(value)  # type: ignore[no-any-return]
            case list() | tuple() if not isinstance(value, Outputs):
                if all(type(item) in _PLAIN for item in value):
                    return value
                items = [self.spent(item, span) for item in value]
                return items if isinstance(value, list) else tuple(items)  # type: ignore[return-value]
        return value

    # -------------------------------------------------------------- names and literals

    def _name(self, node: t.Name, env: Environment) -> Any:
        try:
            value = env.find(node.name)
        except KeyError:
            value = builtin(node.name)
        if value is POISON:
            raise Poisoned
        if value is None and not _known(env, node.name):
            if self._checked:
                help_ = "it gets one further down, or in a branch that is not taken"
                raise SpecError.of("name", f"`{node.name}` has no value here", node.span, help=help_)
            known = env.known() | builtins() | WORDS
            raise SpecError.of(
                "name", f"there is no `{node.name}`", node.span, help=suggest(node.name, known)
            )
        return value

    def _literal(self, node: t.Literal_, env: Environment) -> Any:
        return node.value

    def text(self, node: t.Text, env: Environment) -> str:
        """A string, its holes filled in."""
        parts = []
        for part in node.parts:
            value = part if isinstance(part, str) else self.spent(self.evaluate(part, env), node.span)
            if not isinstance(value, str | int | float | Free):
                raise SpecError.of("type", f"a string cannot hold {kind(value)}", node.span)
            parts.append(describe(value) if isinstance(value, bool) else str(value))
        return self.weighed("".join(parts), node.span)

    def _list(self, node: t.ListOf, env: Environment) -> list[Any]:
        return self.weighed([self._item(item, env) for item in node.items], node.span)

    def _item(self, item: t.Item, env: Environment) -> Any:
        value = self.evaluate(item.value, env)
        if item.label is None:
            return value
        if not is_layer(value):
            raise SpecError.of("type", f"only a layer can be named in a list, not {kind(value)}", item.span)
        return Labelled(self._label(item.label, env), value, item.value.span)

    def _label(self, node: t.Text, env: Environment) -> str:
        return check_label(self.text(node, env), node.span)

    def _tuple(self, node: t.TupleOf, env: Environment) -> tuple[Any, ...]:
        return self.weighed(tuple(self.evaluate(item, env) for item in node.items), node.span)

    def _comprehension(self, node: t.Comprehension, env: Environment) -> list[Any]:
        turns = self._turns(node.clauses, Environment(env))
        return self.weighed([self._item(node.item, inner) for inner in turns], node.span)

    def weighed(self, value: Value, span: Span, *, twice: bool = False) -> Value:
        """The same value, once it is known not to be endless; what it holds counts as work.

        To look at each item takes about half as long as a step does, `twice` as long where it is
        computed with.
        """
        try:
            weight = functions.weigh(value)
        except Mistake as mistake:
            raise mistake.at(span) from None
        if weight > 16:
            self.builder.spend(weight if twice else weight // 2, span)
        return value

    def _turns(self, clauses: tuple[t.Clause, ...], env: Environment) -> Iterator[Environment]:
        first, rest = clauses[0], clauses[1:]
        for value in self.iterate(first.iterable, env):
            inner = Environment(env)
            self.bind(first.target, value, inner)
            if all(self.truth(condition, inner) for condition in first.conditions):
                if rest:
                    yield from self._turns(rest, inner)
                else:
                    yield inner

    def iterate(self, iterable: t.Expression, env: Environment) -> Iterator[Any]:
        """The items of what a `for` goes through, each turn counted as work."""
        value = self.evaluate(iterable, env)
        if not isinstance(value, list | tuple):
            help_ = f"write `range({iterable.span.text})`" if isinstance(value, int) else ""
            raise SpecError.of(
                "type", f"`for` goes through a list, not {kind(value)}", iterable.span, help=help_
            )
        for item in value:
            self.builder.spend(1, iterable.span)
            yield item

    def bind(self, target: t.Target, value: Any, env: Environment) -> None:
        """Give a name to a value, or names to the items of one."""
        if target.name is not None:
            env.names[target.name] = value
            return
        if not isinstance(value, list | tuple):
            raise SpecError.of(
                "type", f"cannot unpack {kind(value)} into {len(target.targets)} names", target.span
            )
        if len(value) != len(target.targets):
            raise SpecError.of(
                "value",
                f"{len(value)} values for {len(target.targets)} names",
                target.span,
                label=describe(value),
            )
        for part, item in zip(target.targets, value, strict=True):
            self.bind(part, item, env)

    def truth(self, node: t.Expression, env: Environment) -> bool:
        """The value of a condition, which must be true or false."""
        value = self.evaluate(node, env)
        if not isinstance(value, bool):
            raise SpecError.of(
                "type",
                f"a condition is true or false, not {kind(value)}",
                node.span,
                help="compare: `n > 0`, `x != none`",
            )
        return value

    # -------------------------------------------------------------- operators

    def _unary(self, node: t.Unary, env: Environment) -> Any:
        if node.operator == "not":
            return not self.truth(node.value, env)
        value = self.evaluate(node.value, env)
        if isinstance(value, Tensor):
            return (
                self._tensor_op("Scale", (value,), {"factor": -1}, node.span)
                if node.operator == "-"
                else value
            )
        with at(node.span):
            functions.number(value, f"`{node.operator}`")
        return -value if node.operator == "-" else value

    def _binary(self, node: t.Binary, env: Environment) -> Any:
        # A sum of many terms leans to the left: a loop is not bounded by the depth of Python's stack.
        leaning = [node]
        while isinstance(leaning[-1].left, t.Binary):
            leaning.append(leaning[-1].left)
        value = self.evaluate(leaning[-1].left, env)
        for inner in reversed(leaning):
            value = self._combined(inner, value, self.evaluate(inner.right, env))
        return value

    def _combined(self, node: t.Binary, left: Any, right: Any) -> Any:
        if type(left) is int and type(right) is int and node.operator in _EXACT:
            total = _EXACT[node.operator](left, right)
            if -_SMALL < total < _SMALL:
                return total
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            return self._on_tensors(node, left, right)
        if Declared in (type(left), type(right)) and not _carries(node.operator, left, right):
            left, right = self.spent(left, node.span), self.spent(right, node.span)
        with at(node.span):
            value = self.builder.settled(self._on_values(node.operator, left, right))
        return self.weighed(value, node.span) if isinstance(value, list | tuple | str) else value

    def _on_values(self, sign: str, left: Any, right: Any) -> Any:
        if sign == "+" and isinstance(left, str) and isinstance(right, str):
            return left + right
        if sign == "+" and isinstance(left, list | tuple) and isinstance(right, list | tuple):
            functions.short_enough(len(left) + len(right))
            if isinstance(left, tuple) and isinstance(right, tuple):
                return (*left, *right)
            return [*left, *right]
        if sign == "*" and isinstance(left, list) != isinstance(right, list):
            times, repeated = (right, left) if isinstance(left, list) else (left, right)
            if isinstance(times, int | Free) and not isinstance(times, bool):
                count = functions.whole(times, "repetition")
                functions.short_enough(max(0, count) * (functions.weigh(repeated) - 1))
                return repeated * min(max(0, count), functions.LONGEST)
        for value in (left, right):
            if isinstance(value, bool) or not isinstance(value, int | float | Free):
                raise _cannot(sign, left, right)
        if sign in ("/", "//", "%") and not isinstance(right, Free) and right == 0:
            raise Mistake("division by zero", kind="value")
        if sign == "@":
            raise Mistake("`@` multiplies two tensors", kind="type")
        if sign == "**" and type(left) is Declared:
            return functions.within_reason(functions.prod([left] * right))
        if sign == "**" or isinstance(left, Free | float) or isinstance(right, Free | float):
            return _careful(sign, left, right)
        return functions.within_reason(_ON_NUMBERS[sign](left, right))

    def _on_tensors(self, node: t.Binary, left: Any, right: Any) -> Tensor:
        sign, span = node.operator, node.span
        if isinstance(left, Tensor) and isinstance(right, Tensor):
            if sign not in _ON_TENSORS:
                raise SpecError.of("type", f"`{sign}` is not defined between tensors", span)
            return self._tensor_op(_ON_TENSORS[sign], (left, right), {}, span)
        tensor, number = (left, right) if isinstance(left, Tensor) else (right, left)
        assert isinstance(tensor, Tensor)
        number = self.spent(number, span)
        if isinstance(number, bool) or not isinstance(number, int | float):
            with at(span):
                raise _cannot(sign, left, right)
        forward = tensor is left
        match sign:
            case "+":
                arguments = {"factor": 1, "offset": number}
            case "-":
                arguments = {"factor": 1, "offset": -number} if forward else {"factor": -1, "offset": number}
            case "*":
                arguments = {"factor": number}
            case "/" if forward:
                if number == 0:
                    raise SpecError.of("value", "division by zero", span)
                arguments = {"factor": 1 / number}
            case "**" if forward:
                return self._tensor_op("Power", (tensor,), {"exponent": number}, span)
            case "/":
                inverse = self._tensor_op("Power", (tensor,), {"exponent": -1}, span)
                return self._tensor_op("Scale", (inverse,), {"factor": number}, span)
            case _:
                raise SpecError.of("type", f"`{sign}` is not defined between a tensor and a number", span)
        return self._tensor_op("Scale", (tensor,), arguments, span)

    def _tensor_op(
        self, name: str, inputs: tuple[Tensor, ...], arguments: Mapping[str, Any], span: Span
    ) -> Tensor:
        return self.machine.layers.emit(OpLayer(Op.find(name), arguments), inputs, None, span)[0]

    def _comparison(self, node: t.Comparison, env: Environment) -> Any:
        left = self.evaluate(node.first, env)
        for sign, expression in node.rest:
            right = self.evaluate(expression, env)
            if (
                isinstance(left, Tensor)
                and isinstance(right, Tensor)
                and sign == "=="
                and len(node.rest) == 1
            ):
                return self._tensor_op("Equal", (left, right), {}, node.span)
            if isinstance(left, list | tuple | str):
                self.weighed(left, node.span, twice=True)
            if isinstance(right, list | tuple | str):
                self.weighed(right, node.span, twice=True)
            first, second = left, right
            if not _decided(sign, left, right):
                first, second = self.spent(left, node.span), self.spent(right, node.span)
            with at(node.span):
                if not self._holds(sign, first, second):
                    return False
            left = right
        return True

    def _holds(self, sign: str, left: Any, right: Any) -> bool:
        if sign in ("==", "!="):
            if isinstance(left, Tensor) and isinstance(right, Tensor):
                raise Mistake(
                    "what tensors hold is not known when a spec is read",
                    kind="type",
                    help="`a == b` alone, between two tensors, makes a tensor of truth values",
                )
            return same(left, right) == (sign == "==")
        if sign in ("in", "not in"):
            inside = (
                right.find(left) >= 0
                if isinstance(left, str) and isinstance(right, str)
                else any(self._holds("==", left, item) for item in functions.items(right, f"`{sign}`"))
            )
            return inside == (sign == "in")
        if not (isinstance(left, str) and isinstance(right, str)):
            functions.number(left, f"`{sign}`")
            functions.number(right, f"`{sign}`")
        return _ORDER[sign](left, right)

    def _logic(self, node: t.Logic, env: Environment) -> bool:
        decisive = node.operator == "or"
        for value in node.values:
            if self.truth(value, env) is decisive:
                return decisive
        return not decisive

    def _conditional(self, node: t.Conditional, env: Environment) -> Any:
        return self.evaluate(node.then if self.truth(node.test, env) else node.other, env)

    # -------------------------------------------------------------- attributes and subscripts

    def _attribute(self, node: t.Attribute, env: Environment) -> Any:
        value = self.evaluate(node.value, env)
        if isinstance(value, SharedLayer):
            with at(node.span):
                return self.builder.tied_weight(value, node.name, node.span)
        if isinstance(value, Outputs) and node.name in value.names:
            return value[value.names.index(node.name)]
        if isinstance(value, Tensor):
            facts = _facts(value)
            if node.name in facts:
                return facts[node.name]
            known: list[str] = list(facts)
        elif isinstance(value, Outputs):
            known = [name for name in value.names if name]
        else:
            known = []
        help_ = suggest(node.name, known) or (f"it has {', '.join(known)}" if known else "")
        raise SpecError.of("name", f"{kind(value)} has no `{node.name}`", node.span, help=help_)

    def _subscript(self, node: t.Subscript, env: Environment) -> Any:
        value = self.evaluate(node.value, env)
        indices = [self._index(index, env) for index in node.indices]
        if isinstance(value, Tensor):
            at_ = tuple((i.start, i.stop, i.step) if isinstance(i, slice) else i for i in indices)
            return self._tensor_op("Index", (value,), {"at": at_}, node.span)
        if not isinstance(value, list | tuple | str):
            raise SpecError.of("type", f"{kind(value)} has no items", node.span)
        if len(indices) != 1:
            raise SpecError.of("type", "a list takes one index", node.span)
        index = indices[0]
        if isinstance(index, slice):
            with at(node.span):
                for bound in (index.start, index.stop, index.step):
                    if bound is not None:
                        functions.whole(bound, "a slice of a list")
            if index.step == 0:
                raise SpecError.of("value", "the step of a slice must not be 0", node.span)
            return self.weighed(
                tuple(value[index]) if isinstance(value, Outputs) else value[index], node.span
            )
        if not -len(value) <= index < len(value):
            raise SpecError.of(
                "value", f"there is no item {index}", node.span, label=f"{len(value)} items, counted from 0"
            )
        return value[index]

    def _index(self, index: t.Expression | t.Slice, env: Environment) -> Any:
        with at(index.span):
            if isinstance(index, t.Slice):
                parts = (
                    None if p is None else self.spent(self.evaluate(p, env), index.span)
                    for p in (index.start, index.stop, index.step)
                )
                return slice(
                    *(p if p is None or isinstance(p, Free) else functions.whole(p, "a slice") for p in parts)
                )
            return functions.whole(self.spent(self.evaluate(index, env), index.span), "an index")

    # -------------------------------------------------------------- calls

    def _call(self, node: t.Call, env: Environment) -> Any:
        self.builder.work += 5  # to bind arguments takes as long as several steps
        callee = self.evaluate(node.callee, env)
        positional = [self.evaluate(a.value, env) for a in node.arguments if a.name is None]
        named: dict[str, Any] = {}
        for argument in node.arguments:
            if argument.name is not None:
                if argument.name in named:
                    raise SpecError.of("argument", f"`{argument.name}` is given twice", argument.span)
                named[argument.name] = self.evaluate(argument.value, env)
            elif named:
                raise SpecError.of(
                    "argument",
                    "an argument by position follows one by name",
                    argument.span,
                    help="put it in front",
                )
        try:
            return self.call(callee, positional, named, node.span)
        except ArgumentMistake as mistake:
            raise mistake.at(self._argument_span(node, mistake.argument, callee)) from None
        except Mistake as mistake:
            raise mistake.at(node.span) from None

    def _argument_span(self, node: t.Call, name: str, callee: Any) -> Span:
        by_position = [a for a in node.arguments if a.name is None]
        for argument in node.arguments:
            if argument.name == name:
                return argument.span
        if isinstance(callee, OpLayer | BlockLayer):
            names = list(callee.op.model_fields) if isinstance(callee, OpLayer) else parameter_names(callee)
            if name in names and 0 <= (i := names.index(name) - callee.positional) < len(by_position):
                return by_position[i].span
        return node.span

    def call(self, callee: Any, positional: list[Any], named: dict[str, Any], span: Span) -> Any:
        """Call a function, or bind arguments of a layer. Raises Mistake when they do not fit."""
        match callee:
            case Function():
                carried = _CARRY.get(callee.name, 0)
                positional = [
                    value if i < carried else self.spent(value, span) for i, value in enumerate(positional)
                ]
                named = {name: self.spent(value, span) for name, value in named.items()}
                if callee.name == "concat":
                    return self._concat(positional, named, span)
                self.weighed((*positional, *named.values()), span, twice=True)
                return self.weighed(self._call_function(callee, positional, named), span)
            case OpLayer():
                positional = [self.spent(value, span) for value in positional]
                named = {name: self.spent(value, span) for name, value in named.items()}
                return self.weighed(self._bind_op(callee, positional, named), span)
            case BlockLayer():
                return self.weighed(self._bind_block(callee, positional, named), span)
            case type() if issubclass(callee, Initialiser):
                placed = place(callee.__name__, callee.model_fields, {}, 0, positional)
                for name in named:
                    if name not in callee.model_fields:
                        raise unknown(callee.__name__, name, callee.model_fields)
                given = {**placed, **once(callee.__name__, placed, named)}
                return build(callee, {name: self.spent(value, span) for name, value in given.items()})
            case SharedLayer() | list() if is_layer(callee):
                raise Mistake(
                    f"{kind(callee)} has its arguments already",
                    kind="type",
                    help="apply it with `x -> layer`",
                )
            case Tensor():
                raise Mistake(
                    "a tensor cannot be called", kind="type", help="apply a layer with `x -> layer`"
                )
        raise Mistake(f"{kind(callee)} cannot be called", kind="type")

    def _call_function(self, callee: Function, positional: list[Any], named: dict[str, Any]) -> Any:
        try:
            return functions.within_reason(callee.call(*positional, **named))
        except Mistake:
            raise
        except TypeError:
            raise Mistake(
                f"these are not the arguments of `{callee.name}`", help=functions.usage(callee)
            ) from None
        except (OverflowError, ValueError):
            raise Mistake(f"`{callee.name}` has no value here", kind="value") from None

    def _bind_op(self, layer: OpLayer, positional: list[Any], named: dict[str, Any]) -> OpLayer:
        for value in positional:
            if isinstance(value, Tensor):
                raise _not_applied(layer.name, value)
        placed = place(layer.name, layer.op.model_fields, layer.arguments, layer.positional, positional)
        arguments = {**layer.arguments, **placed}
        once(layer.name, placed, named)
        options, optional = dict(layer.options), layer.op.signature().optional
        for name, value in named.items():
            if name in optional:
                if isinstance(value, Tensor):
                    options[name] = value
                elif value is not None:
                    raise ArgumentMistake(
                        name, f"`{name}` of {layer.name} is a tensor, not {kind(value)}", kind="type"
                    )
            elif name in layer.op.model_fields:
                arguments[name] = value
            else:
                raise unknown(layer.name, name, (*layer.op.model_fields, *optional))
        bound = OpLayer(layer.op, arguments, options, layer.positional + len(positional))
        if complete(bound):
            self.built(bound)
        return bound

    def _bind_block(self, layer: BlockLayer, positional: list[Any], named: dict[str, Any]) -> BlockLayer:
        for value in positional:
            if isinstance(value, Tensor):
                raise _not_applied(layer.name, value)
        names = parameter_names(layer)
        given = place(layer.name, names, layer.arguments, layer.positional, positional)
        passed_on = dict(layer.passed_on)
        once(layer.name, given, named)
        for name, value in named.items():
            if name in names:
                given[name] = value
            elif layer.definition.layer is not None:
                passed_on[name] = value  # a short form takes what the layer takes that it stands for
            else:
                raise unknown(layer.name, name, names)
        self.machine.statements.check_arguments(layer, given)
        return replace(
            layer,
            arguments={**layer.arguments, **given},
            passed_on=passed_on,
            positional=layer.positional + len(positional),
        )

    def _concat(self, positional: list[Any], named: dict[str, Any], span: Span) -> Any:
        parts = (
            positional[0] if len(positional) == 1 and isinstance(positional[0], list | tuple) else positional
        )
        if set(named) - {"axis"} or not parts or not all(isinstance(part, Tensor) for part in parts):
            raise Mistake("concat takes tensors, or a list of them, and an axis", help="concat(a, b, axis=0)")
        if len(parts) == 1:
            return parts[0]
        return self._tensor_op("Concat", tuple(parts), named, span)

    def built(self, layer: OpLayer) -> Op:
        """The op that a layer applies, its arguments checked. Raises Mistake when they are wrong."""
        try:
            # Names of types keep 1, 1.0 and true apart, which are equal as keys.
            key = (layer.op, tuple((n, _key(v)) for n, v in layer.arguments.items()))
            if key not in self._built:
                self._built[key] = build_op(layer)
            return self._built[key]
        except TypeError:
            return build_op(layer)

    # -------------------------------------------------------------- steps

    def _chain(self, node: t.Chain, env: Environment) -> Any:
        value = self.evaluate(node.source, env)
        for step in node.steps:
            layer = self.evaluate(step.layer, env)
            label = self._label(step.label, env) if step.label else None
            inputs = self._stream(value, node.source.span if step is node.steps[0] else step.span)
            outputs = self.machine.layers.apply(layer, inputs, label, step.layer.span)
            value = outputs[0] if len(outputs) == 1 and not _named(outputs) else outputs
        return value

    def _stream(self, value: Any, span: Span) -> tuple[Tensor, ...]:
        if isinstance(value, Tensor):
            return (value,)
        if isinstance(value, list | tuple) and value and all(isinstance(item, Tensor) for item in value):
            return tuple(value)
        help_ = (
            "start a chain of layers with a tensor, or write a list: `[Conv(8), ReLU]`"
            if is_layer(value)
            else ""
        )
        raise SpecError.of("type", f"`->` takes tensors, not {kind(value)}", span, help=help_)


def builtin(name: str) -> Any:
    """The op, function or initialisation of that name, or None."""
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if name in Initialiser.known:
        return Initialiser.known[name]
    try:
        return OpLayer(Op.find(name))
    except Mistake:
        return None


def builtins() -> set[str]:
    """The names of all ops, functions and initialisations."""
    return Op.names() | set(FUNCTIONS) | set(Initialiser.known)


FUNCTIONS["concat"] = Function("concat", lambda *tensors, axis=0: None)


def _known(env: Environment, name: str) -> bool:
    try:
        env.find(name)
    except KeyError:
        return False
    return True


def _facts(tensor: Tensor) -> dict[str, Any]:
    shape = tensor.type.shape
    facts: dict[str, Any] = {"shape": list(shape), "rank": len(shape)}
    if shape:
        facts["channels"] = shape[0]
    if len(shape) >= 3:
        facts.update(height=shape[-2], width=shape[-1])
    elif len(shape) == 2:
        facts["length"] = shape[-1]
    return facts


def _named(outputs: tuple[Tensor, ...]) -> bool:
    return isinstance(outputs, Outputs) and any(outputs.names)


def _key(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return (type(value).__name__, *(_key(item) for item in value))
    hash(value)
    return (type(value).__name__, value)


def _careful(sign: str, left: Any, right: Any) -> Any:
    """Arithmetic that may overflow or leave the real numbers."""
    try:
        if sign == "**":
            if isinstance(left, Free) or isinstance(right, Free):
                if isinstance(left, Free) and isinstance(right, int) and 1 <= right <= 8:
                    return functions.prod([left] * right)
                raise Mistake("a free size takes a small whole power", kind="free")
            if abs(right) > 200 and abs(left) > 1:
                raise OverflowError
        if isinstance(left, Free) or isinstance(right, Free):
            if isinstance(left, float) or isinstance(right, float) or sign == "/":
                raise Mistake(
                    f"`{left} {sign} {right}` may not be a whole number, as a size must be",
                    kind="free",
                    help="divide with `//`, where it divides evenly",
                )
            if isinstance(left, int) and sign == "//":
                return Free({(): left}) // right
        return functions.within_reason(_ON_NUMBERS[sign](left, right))
    except (OverflowError, ZeroDivisionError):
        raise Mistake("the result is not a finite number", kind="value") from None


def _cannot(sign: str, left: Any, right: Any) -> Mistake:
    help_ = ""
    if is_layer(left) or is_layer(right):
        help_ = "apply a layer to a tensor first: `x -> layer`"
    elif isinstance(left, str) or isinstance(right, str):
        help_ = 'numbers go into a string in braces: `"block{i}"`'
    return Mistake(f"`{sign}` is not defined between {kind(left)} and {kind(right)}", kind="type", help=help_)


def _carries(sign: str, left: Any, right: Any) -> bool:
    """Whether arithmetic, of which one number comes from declared sizes, says how the result does."""
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (left, right)):
        return False
    return sign in ("+", "-", "*", "//", "%") or (
        sign == "**" and type(right) is int and 1 <= right <= _LARGEST_POWER
    )


def _decided(sign: str, left: Any, right: Any) -> bool:
    """Whether a comparison comes out alike whatever the declared sizes are."""
    if sign not in ("==", "!="):
        return False
    if left is None or right is None:
        return True
    return type(left) is Declared and type(right) is Declared and same_always(left, right)


def _not_applied(name: str, tensor: Tensor) -> Mistake:
    return Mistake(
        f"calling {name} binds arguments; it does not apply it to a tensor",
        kind="type",
        label=f"a tensor {tensor.type}",
        help=f"write `x -> {name}`, or `x -> {name}(...)` with arguments",
    )
