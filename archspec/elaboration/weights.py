"""Own weights: what a block declares with `weight`, `buffer` or `constant`, and the values that they start with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from archspec.elaboration.checks import SIZE_NEEDED
from archspec.elaboration.mistakes import at
from archspec.elaboration.values import Environment, by_default, describe, frozen, noun
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.size import Free
from archspec.ground.tensor import dtype, is_real
from archspec.op import Weight
from archspec.op.inference import require_start
from archspec.op.initialisation import Init, Initialiser, constant, values
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine


class Weights:
    """Declares the weights of blocks themselves."""

    def __init__(self, machine: Machine) -> None:
        self.builder = machine.builder
        self.origins = machine.origins
        self.evaluator = machine.evaluator

    def _sizes(self, statement: t.Own, env: Environment) -> Iterator[tuple[t.Expression, Any]]:
        """What is written for each size, and its value; `*x.shape` stands for several."""
        for part in statement.shape:
            if isinstance(part, t.Spread):
                yield from ((part, size) for size in self.evaluator.spread(part, env))
            else:
                yield part, self.evaluator.evaluate(part, env)

    def declare(self, statement: t.Own, env: Environment) -> None:
        """Add a weight and bind its name. Raises SpecError when its size, dtype or values are wrong."""
        with at(statement.span):
            dtype_ = dtype(statement.dtype or "f32")
        shape = []
        for part, given in self._sizes(statement, env):
            size = self.origins.spent(given, part.span)
            if isinstance(size, Free):
                raise SpecError.of(
                    codes.FREE_NUMBER,
                    f"a weight's size must be known, but {size} is free",
                    part.span,
                    help=SIZE_NEEDED,
                )
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise SpecError.of(
                    codes.SIZE,
                    f"a weight's size must be a positive whole number, not {describe(size)}",
                    part.span,
                )
            shape.append(size)
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
                shape=tuple(shape),
                init=_start(value, tuple(shape)),
                dtype=dtype_,
                trainable=trainable,
                saved=statement.kind != "constant",
            )
            require_start(weight, f"`{statement.name}`")
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
            env.names[statement.name] = self.builder.own_weight(name, weight, statement.span, stated)


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
