"""Expressions: the value that each has; those with `->` or with tensors add steps to the graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from archspec.elaboration import operators
from archspec.elaboration.checks import number as require_number
from archspec.elaboration.checks import whole
from archspec.elaboration.foreign import meant_by, surely
from archspec.elaboration.frames import check_label
from archspec.elaboration.likely import likely
from archspec.elaboration.mistakes import POISON, Poisoned, at
from archspec.elaboration.operators import EXACT, SMALL
from archspec.elaboration.parts import attribute_of, has_attribute, item_of, part_of_tensor
from archspec.elaboration.taps import inner_value
from archspec.elaboration.values import (
    Environment,
    InnerPart,
    Labelled,
    Outputs,
    SharedLayer,
    SharedPart,
    Tensor,
    describe,
    is_layer,
    noun,
)
from archspec.elaboration.vocabulary import WORDS, builtin, builtins
from archspec.ground import codes
from archspec.ground.declared import Declared
from archspec.ground.errors import SpecError, suggest
from archspec.ground.names import require_free
from archspec.ground.size import Free
from archspec.ground.source import Span
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine


_HOLDERS = (list, tuple, str)  # values that hold others, or letters


class Evaluator:
    """Evaluates expressions.

    `checked` says that every name is known to be bound somewhere, though perhaps not where it is used.
    """

    def __init__(self, machine: Machine, *, checked: bool = False) -> None:
        self.machine = machine
        self.builder = machine.builder
        self.budget = machine.budget
        self.origins = machine.origins
        self.observer = machine.observer
        self._checked = checked

    def evaluate(self, expression: t.Expression, env: Environment) -> Any:
        """The value of an expression. Raises SpecError where it has none."""
        self.budget.steps += 1
        return _METHODS[type(expression)](self, expression, env)

    # -------------------------------------------------------------- names and literals

    def _name(self, node: t.Name, env: Environment) -> Any:
        try:
            value = env.find(node.name)
        except KeyError:
            value = builtin(node.name)
        if value is POISON:
            raise Poisoned
        if value is None and not env.has(node.name):
            if env.has(t.ALL):
                raise Poisoned
            if self._checked:
                help_ = "it is assigned further down, or in a branch that is not taken"
                raise SpecError.of(codes.NO_VALUE, f"`{node.name}` has no value here", node.span, help=help_)
            right = {name for name in env.known() if env.find(name) is not POISON}
            known = right | builtins() | WORDS
            help_ = meant_by(node.name) or suggest(node.name, known)
            raise SpecError.of(
                codes.UNKNOWN_NAME,
                f"there is no `{node.name}`",
                node.span,
                help=help_,
                instead=surely(node.name),
                fix=likely(node.span, help_),
            )
        return value

    def _free(self, node: t.FreeSize, env: Environment) -> Any:
        if not env.has(node.name):
            raise SpecError.of(
                codes.FREE_PLACE,
                f"`free {node.name}` stands in the shape of a model's input, and nowhere else",
                node.span,
            )
        return env.find(node.name)

    def _literal(self, node: t.Literal_, env: Environment) -> Any:
        return node.value

    def text(self, node: t.Text, env: Environment, *, shown: bool = False) -> str:
        """A string, its holes filled in; only one that is `shown` to people can hold a free size, by its name."""
        parts = []
        for part in node.parts:
            value = part if isinstance(part, str) else self.origins.spent(self.evaluate(part, env), node.span)
            if not isinstance(value, str | int | float | Free):
                raise SpecError.of(codes.NOT_TEXT, f"a string cannot hold {noun(value)}", node.span)
            if isinstance(value, Free) and not shown:
                raise SpecError.of(
                    codes.FREE_NUMBER,
                    f"a string cannot hold the size {value}, which is free",
                    node.span,
                    help="names and values must be the same at every size: give the input a number there",
                )
            parts.append(describe(value) if isinstance(value, bool) else str(value))
        return self.budget.weighed("".join(parts), node.span)

    def _list(self, node: t.ListOf, env: Environment) -> list[Any]:
        items: list[Any] = []
        for part in node.items:
            if isinstance(part.value, t.Spread):
                items += self.spread(part.value, env)
            else:
                items.append(self._item(part, env))
        return self.budget.weighed(items, node.span)

    def _item(self, item: t.Item, env: Environment) -> Any:
        value = self.evaluate(item.value, env)
        if self.observer is not None:
            value = self.observer.item(item.value.span, value)
        if item.label is None:
            return value
        if not is_layer(value):
            raise SpecError.of(
                codes.NOT_A_LAYER, f"only a layer can be named in a list, not {noun(value)}", item.span
            )
        return Labelled(self.label(item.label, env), value, item.value.span)

    def label(self, node: t.Text, env: Environment) -> str:
        """The name of a step, its holes filled in. SpecError when none can be named so."""
        label = check_label(self.text(node, env), node.span)
        with at(node.span):
            require_free(label)
        return label

    def _tuple(self, node: t.TupleOf, env: Environment) -> tuple[Any, ...]:
        return self.budget.weighed(tuple(self.spread_out(node.items, env)), node.span)

    def spread_out(self, expressions: Iterable[t.Expression], env: Environment) -> list[Any]:
        """The values of expressions between brackets, those of `*row` each in its place."""
        values: list[Any] = []
        for expression in expressions:
            if isinstance(expression, t.Spread):
                values += self.spread(expression, env)
            else:
                values.append(self.evaluate(expression, env))
        return values

    def spread(self, node: t.Spread, env: Environment) -> list[Any] | tuple[Any, ...]:
        """The items that `*row` stands for; `*(x -> layer)` for what the layer gives, be it one tensor or several."""
        value = self.evaluate(node.value, env)
        if isinstance(node.value, t.Chain) and isinstance(value, Tensor):
            value = (value,)
        if not isinstance(value, list | tuple):
            raise SpecError.of(codes.NOT_A_LIST, f"`*` takes a list or a tuple, not {noun(value)}", node.span)
        return self.budget.weighed(value, node.span)

    def _comprehension(self, node: t.Comprehension, env: Environment) -> list[Any]:
        turns = self._turns(node.clauses, Environment(env))
        return self.budget.weighed([self._item(node.item, inner) for inner in turns], node.span)

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
                codes.NOT_A_LIST, f"`for` loops over a list, not {noun(value)}", iterable.span, help=help_
            )
        for item in value:
            self.budget.spend(1, iterable.span)
            yield item

    def bind(self, target: t.Target, value: Any, env: Environment) -> None:
        """Give a name to a value, or names to the items of one."""
        if target.name is not None:
            env.names[target.name] = value
            return
        if not isinstance(value, list | tuple):
            many = len(target.targets)
            help_ = f"its parts along the first axis are `[x[i] for i in range({many})]`"
            raise SpecError.of(
                codes.UNPACKING,
                f"cannot unpack {noun(value)} into {many} names",
                target.span,
                help=help_ if isinstance(value, Tensor) else "",
            )
        if len(value) != len(target.targets):
            raise SpecError.of(
                codes.UNPACKING,
                f"{len(value)} values for {len(target.targets)} names",
                target.span,
                label=describe(value),
            )
        for part, item in zip(target.targets, value, strict=True):
            self.bind(part, item, env)

    def truth(self, node: t.Expression, env: Environment) -> bool:
        """The value of a condition, which must be true or false."""
        return self._truth_of(self.evaluate(node, env), node)

    def _truth_of(self, value: Any, node: t.Expression) -> bool:
        if not isinstance(value, bool):
            help_ = "compare: `n > 0`, `x != none`"
            if isinstance(value, Tensor):
                help_ = "its values are not known when a spec is read: select between two values with Where"
            raise SpecError.of(
                codes.CONDITION,
                f"a condition must be true or false, not {noun(value)}",
                node.span,
                help=help_,
            )
        return value

    # -------------------------------------------------------------- operators

    def _unary(self, node: t.Unary, env: Environment) -> Any:
        value = self.evaluate(node.value, env)
        if node.operator == "not":
            if isinstance(value, Tensor):
                return self._applied("Not", (value,), {}, node.span)
            return not self._truth_of(value, node.value)
        negative = node.operator == "-"
        if isinstance(value, Tensor):
            return self._applied("Scale", (value,), {"factor": -1}, node.span) if negative else value
        with at(node.span):
            require_number(value, f"`{node.operator}`")
        return -value if negative else value

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
        sign = node.operator
        if type(left) is int and type(right) is int and sign in EXACT:
            total = EXACT[sign](left, right)
            if -SMALL < total < SMALL:
                return total
        span = node.span
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            return self._on_tensors(sign, left, right, span)
        if Declared in (type(left), type(right)) and not operators.keeps_origins(sign, left, right):
            left, right = self.origins.spent(left, span), self.origins.spent(right, span)
        with at(span):
            value = self.origins.settled(operators.arithmetic(sign, left, right))
        return self.budget.weighed(value, span) if isinstance(value, list | tuple | str) else value

    def _on_tensors(self, sign: str, left: Any, right: Any, span: Span) -> Tensor:
        with at(span):
            if isinstance(left, Tensor) and isinstance(right, Tensor):
                op, arguments = operators.between_tensors(sign)
                return self._applied(op, (left, right), arguments, span)
            left, right = self.origins.spent(left, span), self.origins.spent(right, span)
            tensor: Tensor = left if isinstance(left, Tensor) else right
            for op, arguments in operators.with_number(sign, left, right):
                tensor = self._applied(op, (tensor,), arguments, span)
            return tensor

    def _applied(
        self, op: str, inputs: tuple[Tensor, ...], arguments: Mapping[str, Any], span: Span
    ) -> Tensor:
        return self.machine.layers.emit_op(op, inputs, arguments, span)

    def _comparison(self, node: t.Comparison, env: Environment) -> Any:
        left = self.evaluate(node.first, env)
        both: Tensor | None = None  # of a chain of comparisons with tensors
        for number, (sign, expression) in enumerate(node.rest):
            right = self.evaluate(expression, env)
            if operators.compares_values(sign, left, right) or both is not None:
                if number > 0 and both is None:
                    raise self._mixed("comparisons", node.span)
                compared = self._compared(sign, left, right, node.span)
                both = compared if both is None else self._applied("And", (both, compared), {}, node.span)
                left = right
                continue
            if isinstance(left, _HOLDERS) or isinstance(right, _HOLDERS):
                for value in (left, right):
                    if isinstance(value, _HOLDERS):
                        self.budget.weighed(value, node.span, twice=True)
            first, second = left, right
            if not operators.decided(sign, left, right):
                first, second = self.origins.spent(left, node.span), self.origins.spent(right, node.span)
            with at(node.span):
                if not operators.compare(sign, first, second):
                    return False
            left = right
        return True if both is None else both

    def _compared(self, sign: str, left: Any, right: Any, span: Span) -> Tensor:
        """A comparison of a tensor's values, as a tensor of truth values."""
        if not operators.compares_values(sign, left, right):
            raise self._mixed("comparisons", span)
        with at(span):
            left, right = self.origins.spent(left, span), self.origins.spent(right, span)
            (op, arguments), tensors = operators.comparison(sign, left, right)
            return self._applied(op, tensors, arguments, span)

    def _mixed(self, what: str, span: Span) -> SpecError:
        return SpecError.of(
            codes.MIXED,
            f"some of these {what} are of tensors, and others are not",
            span,
            help="decide the others with `if`: the values of tensors are not known when a spec is read",
        )

    def _logic(self, node: t.Logic, env: Environment) -> bool | Tensor:
        decisive = node.operator == "or"
        first = self.evaluate(node.values[0], env)
        if isinstance(first, Tensor):
            return self._logic_of_tensors(node, first, env)
        if self._truth_of(first, node.values[0]) is decisive:
            return decisive
        for expression in node.values[1:]:
            value = self.evaluate(expression, env)
            if isinstance(value, Tensor):
                raise self._mixed("conditions", node.span)
            if self._truth_of(value, expression) is decisive:
                return decisive
        return not decisive

    def _logic_of_tensors(self, node: t.Logic, first: Tensor, env: Environment) -> Tensor:
        """Truth values joined one by one, as steps."""
        for expression in node.values[1:]:
            value = self.evaluate(expression, env)
            if not isinstance(value, Tensor):
                raise self._mixed("conditions", node.span)
            first = self._applied("Or" if node.operator == "or" else "And", (first, value), {}, node.span)
        return first

    def _conditional(self, node: t.Conditional, env: Environment) -> Any:
        return self.evaluate(node.then if self.truth(node.test, env) else node.other, env)

    # -------------------------------------------------------------- parts and calls

    def _attribute(self, node: t.Attribute, env: Environment) -> Any:
        value = self.evaluate(node.value, env)
        with at(node.span):
            if isinstance(value, SharedLayer):
                return self.builder.part_of(value, node.name, node.span)
            if isinstance(value, SharedPart):
                return self.builder.part_of(value.layer, f"{value.path}.{node.name}", node.span)
            if isinstance(value, InnerPart):
                return inner_value(self.builder, value.tensor, f"{value.path}.{node.name}")
            maker = value[0] if isinstance(value, Outputs) and value else value
            if (
                isinstance(maker, Tensor)
                and not has_attribute(value, node.name)
                and self.builder.is_call(maker)
            ):
                path = f"{maker.path}.{node.name}" if maker.path else node.name
                return inner_value(self.builder, maker, path)
            return attribute_of(value, node.name)

    def _subscript(self, node: t.Subscript, env: Environment) -> Any:
        value = self.evaluate(node.value, env)
        maker = value[0] if isinstance(value, Outputs) and value else value
        if isinstance(maker, Tensor | InnerPart) and len(node.indices) == 1:
            named = node.indices[0]
            if isinstance(named, t.Text) or (isinstance(named, t.Literal_) and isinstance(named.value, str)):
                below = self.text(named, env) if isinstance(named, t.Text) else str(named.value)
                with at(node.span):
                    tensor = maker.tensor if isinstance(maker, InnerPart) else maker
                    return inner_value(self.builder, tensor, f"{maker.path}.{below}" if maker.path else below)
        indices = [self._index(index, env) for index in node.indices]
        if isinstance(value, Tensor):
            return self._part(value, indices, node.span)
        with at(node.span):
            if isinstance(value, SharedLayer | SharedPart) and len(indices) == 1 and type(indices[0]) is int:
                path = f"{value.path}." if isinstance(value, SharedPart) else ""
                layer = value.layer if isinstance(value, SharedPart) else value
                return self.builder.part_of(layer, f"{path}{indices[0]}", node.span)
            found = item_of(value, indices)
        return self.budget.weighed(found, node.span) if isinstance(indices[0], slice) else found

    def _part(self, value: Tensor, indices: list[Any], span: Span) -> Tensor:
        """A part of a tensor: a slice with a negative step is the same one forwards, and then reversed."""
        with at(span):
            places, reversed_ = part_of_tensor(
                indices, value.type.shape, lambda size: self.origins.spent(size, span)
            )
        if not reversed_ or any(place != (None, None, None) for place in places):
            value = self._applied("Index", (value,), {"at": places}, span)
        return self._applied("Flip", (value,), {"axes": reversed_}, span) if reversed_ else value

    def _index(self, index: t.Expression | t.Slice, env: Environment) -> Any:
        with at(index.span):
            if isinstance(index, t.Slice):
                parts = (
                    None if p is None else self.origins.spent(self.evaluate(p, env), index.span)
                    for p in (index.start, index.stop, index.step)
                )
                return slice(*(p if p is None or isinstance(p, Free) else whole(p, "a slice") for p in parts))
            return whole(self.origins.spent(self.evaluate(index, env), index.span), "an index")

    def _call(self, node: t.Call, env: Environment) -> Any:
        return self.machine.calls.evaluate(node, env)

    # -------------------------------------------------------------- steps

    def _chain(self, node: t.Chain, env: Environment) -> Any:
        waiting = deque(node.steps)
        try:
            return self._streamed(node, waiting, env)
        except (SpecError, Poisoned) as stopped:
            raise self._with_rest(stopped, (step.layer for step in waiting), env) from None

    def _with_rest(
        self, stopped: SpecError | Poisoned, rest: Iterable[t.Expression], env: Environment
    ) -> SpecError | Poisoned:
        """A mistake, with those in the layers behind it, to which no tensor comes any more."""
        problems = [*stopped.problems] if isinstance(stopped, SpecError) else []
        for expression in rest:
            try:
                self.evaluate(expression, env)
            except SpecError as error:
                problems += error.problems
            except Poisoned:
                pass
        return SpecError(problems) if problems else stopped

    def _streamed(self, node: t.Chain, waiting: deque[t.Step], env: Environment) -> Any:
        """What comes out of a chain; its steps are taken from those waiting."""
        value = self.evaluate(node.source, env)
        while waiting:
            step = waiting.popleft()
            layer = self.evaluate(step.layer, env)
            label = self.label(step.label, env) if step.label else None
            inputs = self.machine.layers.stream(
                value, node.source.span if step is node.steps[0] else step.span
            )
            first = len(self.builder.frame.steps)
            outputs = self.machine.layers.apply(layer, inputs, label, step.layer.span)
            if self.observer is not None:
                self.observer.applied(step.layer.span, layer, inputs, outputs, first)
            value = outputs[0] if len(outputs) == 1 and not any(getattr(outputs, "names", ())) else outputs
        return value


_METHODS: dict[type, Callable[[Evaluator, Any, Environment], Any]] = {
    t.Name: Evaluator._name,
    t.FreeSize: Evaluator._free,
    t.Literal_: Evaluator._literal,
    t.Text: Evaluator.text,
    t.ListOf: Evaluator._list,
    t.TupleOf: Evaluator._tuple,
    t.Comprehension: Evaluator._comprehension,
    t.Call: Evaluator._call,
    t.Attribute: Evaluator._attribute,
    t.Subscript: Evaluator._subscript,
    t.Unary: Evaluator._unary,
    t.Binary: Evaluator._binary,
    t.Comparison: Evaluator._comparison,
    t.Logic: Evaluator._logic,
    t.Conditional: Evaluator._conditional,
    t.Chain: Evaluator._chain,
}
