"""Own weights: what a block declares with `weight`, `buffer` or `constant`, and the values that they start with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archspec.elaboration.checks import SIZE_NEEDED
from archspec.elaboration.mistakes import at
from archspec.elaboration.tables import Places, places, two_tables
from archspec.elaboration.values import Environment, by_default, describe, frozen, noun
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.size import Free
from archspec.ground.source import Span
from archspec.ground.tensor import dtype, is_real
from archspec.op import Weight
from archspec.op.inference import require_start
from archspec.op.initialisation import Init, Initialiser, constant, values
from archspec.op.table import MOST_AXES, Table
from archspec.ops.weights import require_table
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine

_FORMS = "`grid(height, width)`, `*grid(height, width)`, `relative(height, width)`"


class Weights:
    """Declares the weights of blocks themselves."""

    def __init__(self, machine: Machine) -> None:
        self.builder = machine.builder
        self.origins = machine.origins
        self.evaluator = machine.evaluator

    def _shape(self, statement: t.Own, env: Environment) -> tuple[tuple[int, ...], Table | None, Span]:
        """The shape that is written, where `*x.shape` stands for several sizes, and what it says of a grid, and where."""
        shape: list[int] = []
        table: Table | None = None
        first: t.Call | None = None
        for part in statement.shape:
            laid = places(part, env)
            if laid is not None:
                if first is not None:
                    raise two_tables(first, laid.call)
                first, table = laid.call, self._table(laid, len(shape), env)
                shape += table.shape
            elif isinstance(part, t.Spread):
                shape += [self._size(size, part.span) for size in self.evaluator.spread(part, env)]
            else:
                shape.append(self._size(self.evaluator.evaluate(part, env), part.span))
        return tuple(shape), table, (first or statement).span

    def _table(self, laid: Places, axis: int, env: Environment) -> Table:
        """What a weight is a table of, from that axis on."""
        call, kind = laid.call, laid.call.callee.span.text
        if any(argument.name is not None for argument in call.arguments):
            raise SpecError.of(codes.ARGUMENT, f"`{kind}` takes sizes, by position", call.span, help=_FORMS)
        parts = [argument.value for argument in call.arguments]
        sizes = tuple(
            [
                self._size(size, part.span)
                for part in parts
                for size in self.evaluator.spread_out((part,), env)
            ]
        )
        if not 1 <= len(sizes) <= MOST_AXES:
            message = f"`{kind}` takes a height and a width, or one size, not {len(sizes)}"
            raise SpecError.of(codes.ARGUMENT, message, call.span, help=_FORMS)
        before, after = (
            sum(
                self._size(self.evaluator.evaluate(part, env), part.span, 0, "a number of tokens")
                for part in parts
            )
            for parts in (laid.before, laid.after)
        )
        with at(call.span):
            return Table(
                kind="grid" if kind == "grid" else "relative",
                sizes=sizes,
                axis=axis,
                spread=laid.spread,
                before=before,
                after=after,
            )

    def _size(self, given: Any, span: Span, least: int = 1, what: str = "a weight's size") -> int:
        size = self.origins.spent(given, span)
        if isinstance(size, Free):
            raise SpecError.of(
                codes.FREE_NUMBER, f"{what} must be known, but {size} is free", span, help=SIZE_NEEDED
            )
        if isinstance(size, bool) or not isinstance(size, int) or size < least:
            kind = "a positive whole number" if least else "a whole number, at least 0"
            raise SpecError.of(codes.SIZE, f"{what} must be {kind}, not {describe(size)}", span)
        return size

    def declare(self, statement: t.Own, env: Environment) -> None:
        """Add a weight and bind its name. Raises SpecError when its size, dtype or values are wrong."""
        with at(statement.dtype_span):
            dtype_ = dtype(statement.dtype or "f32")
        shape, table, said = self._shape(statement, env)
        value = self.origins.spent(self.evaluator.evaluate(statement.value, env), statement.value.span)
        trainable = statement.kind == "weight"
        if trainable and not is_real(dtype_):
            raise SpecError.of(
                codes.NOT_TRAINABLE,
                f"{dtype_} cannot be trained",
                statement.span,
                help="declare a `buffer` or a `constant`",
            )
        with at(statement.value.span):
            weight = Weight(
                shape=shape,
                init=_start(value, shape),
                dtype=dtype_,
                trainable=trainable,
                saved=statement.kind != "constant",
            )
            require_start(weight, f"`{statement.name}`")
        if table is not None:
            with at(said):
                require_table(weight, table)
        frame = self.builder.frame
        label = self.evaluator.label(statement.label, env) if statement.label else statement.name
        named = frame.defaults.start(label) if weight.saved else None
        stated = {"init": named.span.location} if named else {}
        if named:
            with at(named.span):
                weight = weight.model_copy(update={"init": named.init})
                require_start(weight, f"`{statement.name}`")
        with at(statement.span):
            name = frame.claim_name(label, label, statement.span)
            env.names[statement.name] = self.builder.own_weight(name, weight, table, statement.span, stated)


def _start(value: Any, shape: tuple[int, ...]) -> Init:
    """What `= value` means for a weight of that shape. Raises Mistake when it means nothing."""
    if isinstance(value, type) and issubclass(value, Initialiser):
        return by_default(value)
    if isinstance(value, Initialiser):
        return value
    if isinstance(value, int | float):
        return constant(value=value)
    if isinstance(value, list | tuple):
        flat = _flat(frozen(value), shape)
        return values(listed=flat)
    raise Mistake(
        f"the initial value of a weight must be an initialisation, a number or a list, not {noun(value)}",
        codes.NOT_A_NUMBER,
        help="`zeros`, `ones`, `normal(0.02)`, `trunc_normal(0.02)`, `kaiming_normal`, `xavier_uniform` ...",
    )


def _flat(value: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    if not shape:
        if isinstance(value, tuple):
            raise Mistake("the list of values is nested deeper than the shape", codes.WEIGHT_SHAPE)
        if not isinstance(value, int | float):
            raise Mistake(f"a weight holds numbers, not {noun(value)}", codes.NOT_A_NUMBER)
        return (value,)
    if not isinstance(value, tuple) or len(value) != shape[0]:
        found = len(value) if isinstance(value, tuple) else noun(value)
        raise Mistake(f"expected a list of {shape[0]} values, got {found}", codes.WEIGHT_SHAPE)
    return tuple(leaf for item in value for leaf in _flat(item, shape[1:]))
