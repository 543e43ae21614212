"""Tables of positions: what the shape of a weight says of a grid, `[1, 1 + grid(h, w), dim]`, or of a window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from archspec.elaboration.functions import TABLES
from archspec.elaboration.mistakes import POISON, Poisoned
from archspec.elaboration.values import DefinedFunction, Environment, noun
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.syntax import tree as t


class Places(NamedTuple):
    """What is written for an axis that is a grid, or `spread` over axes: the call, and the tokens added before and after it."""

    call: t.Call
    spread: bool = False
    before: tuple[t.Expression, ...] = ()
    after: tuple[t.Expression, ...] = ()


def places(size: t.Expression, env: Environment) -> Places | None:
    """What a size in the shape of a weight says of a grid; None where it is a size like any other.

    Raises SpecError for two grids, and where the name means something else.
    """
    if isinstance(size, t.Spread):
        spread = _table(size.value, env)
        return Places(spread, spread=True) if spread else None
    terms = list(_terms(size))
    found = [(i, call) for i, term in enumerate(terms) for call in [_table(term, env)] if call]
    if not found:
        return None
    (at, call), *others = found
    if others:
        raise two_tables(call, others[0][1])
    return Places(call, before=tuple(terms[:at]), after=tuple(terms[at + 1 :]))


def two_tables(first: t.Expression, second: t.Expression) -> SpecError:
    """A weight that says twice what it is a table of."""
    return SpecError.of(
        codes.TABLE,
        "a weight is a table of one grid or window, and this is the second",
        second.span,
        help="write the other as sizes: `h * w`",
        places=(("the first is here", first.span),),
    )


def _terms(expression: t.Expression) -> Iterator[t.Expression]:
    """The terms of a sum, in order."""
    waiting = [expression]
    while waiting:
        term = waiting.pop()
        if isinstance(term, t.Binary) and term.operator == "+":
            waiting += [term.right, term.left]
        else:
            yield term


def _table(term: t.Expression, env: Environment) -> t.Call | None:
    """The term if it is a call of `grid` or `relative` as every spec knows them."""
    if not isinstance(term, t.Call) or not isinstance(term.callee, t.Name) or term.callee.name not in TABLES:
        return None
    name = term.callee.name
    if not env.has(name):
        return term
    value = env.find(name)
    if value is POISON:
        raise Poisoned
    if not isinstance(value, DefinedFunction):  # a function of the author's own is one like any other
        raise SpecError.of(
            codes.TABLE,
            f"`{name}` is {noun(value)} here, so it cannot say what the weight is a table of",
            term.callee.span,
            help=f"give that another name than `{name}`",
        )
    return None
