"""What a value in a graph may be: names, texts, numbers and places, none of which does harm wherever it goes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite

from pydantic import BaseModel

from archspec.graph.records import Claim, Input, Use
from archspec.ground.errors import Mistake
from archspec.ground.names import is_name
from archspec.ground.size import Free, require_place
from archspec.ground.source import Location
from archspec.op import Op
from archspec.op.initialisation import Initialiser
from archspec.ops.weights import Constant, Own

DEEPEST_VALUE = 100  # lists in lists, initialisations in initialisations
LARGEST_NUMBER = 10**30
LONGEST_TEXT = 250_000  # characters, as many as a spec file has
LONGEST_PATH = 4096

_FIGURE = re.compile(r"\d[\d_]*(\.\d+)?[KMGBT]?", re.ASCII)


def require_claim(claim: Claim) -> None:
    """Mistake unless a claim is of a figure or a shape."""
    require_name(claim.quantity, "what is claimed")
    if claim.subject:
        require_name(claim.subject, "what it is claimed of")
    for figure in (claim.figure, claim.known):
        if figure and (len(figure) > LONGEST_TEXT or not _FIGURE.fullmatch(figure)):
            raise wrong("what is claimed is no figure", help="figures are written as `25.56M`")
    for size in claim.shape or ():
        require_number(size)
    require_text(claim.reason)
    require_text(claim.source)
    require_values(claim.settings, "settings")


def require_op(op: Op) -> None:
    """Mistake when it is no op at all, or has arguments that no spec could give."""
    if not isinstance(op, Op) or type(op).__name__.startswith("_") or type(op) is Op:
        raise wrong("it applies no op")
    for value in vars(op).values():
        require_value(value)
    if isinstance(op, Own) and op.weight.saved == isinstance(op, Constant):
        raise wrong("a constant is not saved, and anything else is")


def require_uses(given: Input) -> None:
    """Mistake unless its uses are of different axes, each of a known size."""
    uses, left = given.uses, {axis for axis, size in enumerate(given.type.shape) if isinstance(size, int)}
    if uses is None:
        return
    if not isinstance(uses, tuple) or not all(type(use) is Use for use in uses):
        raise wrong("its uses are none")
    for use in uses:
        if type(use.axis) is not int or use.axis not in left:
            raise wrong(f"axis {use.axis} is used, which has no known size or is used twice")
        left.remove(use.axis)
        require_location(use.location)


def require_location(location: Location) -> None:
    """Mistake when no file could have the place."""
    require_path(location.file)
    for number in (location.line, location.column):
        if type(number) is not int or not 1 <= number <= LONGEST_TEXT + 1:
            raise wrong("its place is in no file")


def require_size(size: object, free: set[str]) -> None:
    """A size of an input: a number, a free name, or a formula of names that were given before."""
    if isinstance(size, Free):
        ((names, factor),) = size.terms if len(size.terms) == 1 else (((), 0),)
        if len(names) == 1 and factor == 1:
            require_name(names[0], "a free size")
            free.update(names)
        elif not size.names or not size.names <= free:
            raise wrong(f"no input has the free sizes of `{size}`")
        require_place(size)
    elif type(size) is not int or size < 1:
        raise wrong("a size is a positive whole number")


def require_name(name: object, what: str) -> None:
    """Mistake unless the name is one that a spec could give."""
    if not isinstance(name, str) or not is_name(name):
        raise wrong(f"`{name}` cannot name {what}", help="a name is made of letters, digits and `_`")


def require_text(text: object) -> None:
    """Mistake when a text is none, or longer than any spec."""
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise wrong("a text is no text, or too long")
    text.encode()


def require_path(path: object) -> None:
    """The name of a file goes into stack traces, and comments of generated code."""
    if not isinstance(path, str) or not path or len(path) > LONGEST_PATH or not path.isprintable():
        raise wrong("the file that it is said to be from has a name that cannot be printed")


def require_values(values: Mapping[str, object], what: str) -> None:
    """Mistake unless these are named values that a spec could hold."""
    if not isinstance(values, dict):
        raise wrong(f"its {what} have no names")
    for name, value in values.items():
        require_name(name, "a parameter")
        require_value(value)


def require_value(value: object) -> None:
    """Mistake when it holds a number or a text that no spec could."""
    levels: list[Iterator[object]] = [iter((value,))]
    while levels:
        for item in levels[-1]:
            if isinstance(item, str):
                require_text(item)
            elif isinstance(item, bool | int | float):
                require_number(item)
            elif isinstance(item, Mapping | list | tuple | BaseModel):
                if len(levels) > DEEPEST_VALUE:
                    raise wrong(f"a value is nested more than {DEEPEST_VALUE} deep")
                levels.append(_parts(item))
                break
        else:
            levels.pop()


def _parts(value: Mapping[str, object] | Iterable[object] | BaseModel) -> Iterator[object]:
    if isinstance(value, BaseModel):
        if type(value) is Initialiser:
            raise wrong("there is an initialisation without a name")
        value = vars(value)
    return iter((*value, *value.values())) if isinstance(value, Mapping) else iter(value)


def require_number(number: object) -> None:
    """Mistake unless it is a number that a spec could hold."""
    whole = isinstance(number, int) and abs(number) <= LARGEST_NUMBER
    if not whole and not (isinstance(number, float) and isfinite(number)):
        raise wrong("a number has more than 30 digits, or is none")


def wrong(message: str, *, help: str = "") -> Mistake:
    """The mistake of a graph that no spec could have."""
    return Mistake(message, kind="graph", help=help)
