"""Checks of the values in a graph: names, texts, numbers and locations are safe wherever they are used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite

from pydantic import BaseModel

from archspec.graph.name_maps import FURTHER, NameMap, Renaming, require_further, require_rule
from archspec.graph.records import Claim, Input, Use
from archspec.ground import codes
from archspec.ground.bounds import linear, require_place
from archspec.ground.errors import Mistake
from archspec.ground.names import is_full_name, is_name
from archspec.ground.size import Free
from archspec.ground.source import Location
from archspec.ground.tensor import BATCH
from archspec.op import Op
from archspec.op.initialisation import Initialiser
from archspec.ops.weights import Constant, Own

DEEPEST_VALUE = 100  # lists in lists, initialisations in initialisations
LARGEST_NUMBER = 10**30
LONGEST_TEXT = 250_000  # characters, as many as a spec file has
LONGEST_PATH = 4096

_FIGURE = re.compile(r"\d[\d_]*(\.\d+)?[KMGBT]?", re.ASCII)


def require_claim(claim: Claim) -> None:
    """Raise Mistake unless a claim is about a figure or a shape."""
    require_name(claim.quantity, "a claimed quantity")
    if claim.subject:
        require_name(claim.subject, "the subject of a claim")
    for figure in (claim.figure, claim.known):
        if figure and (len(figure) > LONGEST_TEXT or not _FIGURE.fullmatch(figure)):
            raise wrong("the claimed figure is not a number", help="write figures like `25.56M`")
    for size in claim.shape or ():
        require_number(size)
    require_text(claim.reason)
    require_text(claim.source)
    require_values(claim.settings, "settings")


def require_map(names: NameMap) -> None:
    """Raise Mistake unless a map of names is one that a spec could have."""
    require_name(names.model, "a model")
    require_text(names.title)
    for path in names.paths:
        if not isinstance(path, str) or (path and not (path[-1] == "." and is_full_name(path[:-1]))):
            raise wrong("a path in the network ends with `.`, or is empty")
    if not all(type(rule) is Renaming for rule in names.rules):
        raise wrong("expected only Renaming objects")
    for rule in names.rules:
        for text in (*rule.sources, rule.target, rule.pattern, rule.reason):
            require_text(text)
        require_location(rule.location)
        require_rule(rule)
        if names.title == FURTHER:
            require_further(rule)


def require_op(op: Op) -> None:
    """Raise Mistake when it is not an op, or has arguments that no spec can write."""
    if not isinstance(op, Op) or type(op).__name__.startswith("_") or type(op) is Op:
        raise wrong("its op is not an op")
    for value in vars(op).values():
        require_value(value)
    if isinstance(op, Own) and op.weight.saved == isinstance(op, Constant):
        raise wrong("`saved` must be false for constants, and true for all other tensors")


def require_uses(given: Input) -> None:
    """Raise Mistake unless `uses` has distinct axes, each of known size."""
    uses, left = given.uses, {axis for axis, size in enumerate(given.type.shape) if isinstance(size, int)}
    if uses is None:
        return
    if not isinstance(uses, tuple) or not all(type(use) is Use for use in uses):
        raise wrong("`uses` must be a tuple of Use")
    for use in uses:
        if type(use.axis) is not int or use.axis not in left:
            raise wrong(f"axis {use.axis} in `uses` has no known size or is listed twice")
        left.remove(use.axis)
        require_location(use.location)


def require_location(location: Location) -> None:
    """Raise Mistake when the location is impossible."""
    require_path(location.file)
    for number in (location.line, location.column):
        if type(number) is not int or not 1 <= number <= LONGEST_TEXT + 1:
            raise wrong("invalid line or column in a location")


def require_size(size: object, free: set[str]) -> None:
    """A size of an input: a number, a free size, or a formula of free sizes declared earlier."""
    if isinstance(size, Free):
        declares = linear(size)
        if declares is not None and declares[0] not in free:
            require_name(declares[0], "a free size")
            if declares[0] == BATCH:
                raise wrong(f"no input can declare the size `{BATCH}`")
            free.add(declares[0])
        elif not size.names or not size.names <= free:
            raise wrong(f"`{size}` has a free size that no input declares")
        require_place(size)
    elif type(size) is not int or size < 1:
        raise wrong("a size must be a positive integer")


def require_name(name: object, what: str) -> None:
    """Raise Mistake unless a spec can use this name."""
    if not isinstance(name, str) or not is_name(name):
        raise wrong(f"`{name}` cannot name {what}", help="names consist of letters, digits and `_`")


def require_text(text: object) -> None:
    """Raise Mistake when it is not a string, or too long for a spec."""
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise wrong("expected a string of reasonable length")
    text.encode()


def require_path(path: object) -> None:
    """Raise Mistake unless it is a printable file name: it goes into stack traces and comments of generated code."""
    if not isinstance(path, str) or not path or len(path) > LONGEST_PATH or not path.isprintable():
        raise wrong("the file name in a location is empty, too long or not printable")


def require_values(values: Mapping[str, object], what: str) -> None:
    """Raise Mistake unless these are named values that a spec can write."""
    if not isinstance(values, dict):
        raise wrong(f"`{what}` must be a dict")
    for name, value in values.items():
        require_name(name, "a parameter")
        require_value(value)


def require_value(value: object) -> None:
    """Raise Mistake when it contains a number or string that no spec can write."""
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
            raise wrong("an initialisation has no name")
        value = vars(value)
    return iter((*value, *value.values())) if isinstance(value, Mapping) else iter(value)


def require_number(number: object) -> None:
    """Raise Mistake unless a spec can write this number."""
    whole = isinstance(number, int) and abs(number) <= LARGEST_NUMBER
    if not whole and not (isinstance(number, float) and isfinite(number)):
        raise wrong("a number is not finite or has more than 30 digits")


def wrong(message: str, *, help: str = "") -> Mistake:
    """The mistake of an invalid graph."""
    return Mistake(message, codes.GRAPH, help=help)
