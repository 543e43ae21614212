"""Axes by name: patterns such as `(h p) (w q) c -> h w (p q c)`, in the notation of einops [Rogozhnikov, 2022]."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from math import prod
from typing import NamedTuple

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import use
from archspec.ground.errors import Mistake, suggest
from archspec.ground.size import Size
from archspec.ground.tensor import Shape, TensorType, show
from archspec.op.contract import Op
from archspec.op.dependence import WHOLE, Along, Reach, Slide
from archspec.op.inference import MOST_AXES
from archspec.op.run_time import Terms, plan

Group = tuple[str, ...]
"""The names of axes that make up one axis of a tensor, the outermost first; an axis of size 1 has none."""
Side = tuple[Group, ...]

REST, MERGED = "...", "(...)"
"""What stands for any number of axes, and the same within brackets, where they are merged."""

_TOKEN = re.compile(r"\s*(\.\.\.|[(),]|[^\W\d_]\w*|\d+)")


class Pattern(NamedTuple):
    """The axes of each tensor that is taken, those of the result, and the sizes of axes that are written as numbers."""

    taken: tuple[Side, ...]
    made: Side
    numbers: Mapping[str, int]

    def names(self) -> set[str]:
        """The names that are written in it."""
        sides = (*self.taken, self.made)
        return {name for side in sides for name in flat(side)} - {REST, MERGED, *self.numbers}


class Term(NamedTuple):
    """A size at run time: a number times sizes of the input's axes, counted from the back, each divided by a number.

    And times sizes that are given, and free.
    """

    factor: int
    axes: tuple[tuple[int, int], ...] = ()
    free: tuple[Terms, ...] = ()


class Steps(NamedTuple):
    """How a tensor is rearranged: its axes split, summed up, reordered, repeated and merged, as far as each is needed."""

    split: tuple[Term, ...] | None  # the sizes after the first reshape
    gone: tuple[int, ...]  # axes that are reduced then
    order: tuple[int, ...] | None
    new: tuple[tuple[int, Term], ...]  # places in the result of all this where axes come in, and their sizes
    merge: tuple[Term, ...] | None  # the sizes after the last reshape
    copies: bool  # whether that merges what are no neighbours in memory


class Fitted(NamedTuple):
    """A pattern that fits a tensor: its sides with `...` written out, the size of each name, and how it is known at run time."""

    left: Side
    right: Side
    sizes: Mapping[str, Size]
    terms: Mapping[str, Term]

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return tuple(prod((self.sizes[name] for name in group), start=1) for group in self.right)

    @property
    def gone(self) -> set[str]:
        """The names that the result has not."""
        return set(flat(self.left)) - set(flat(self.right))

    def reach(self) -> Reach:
        """Each value depends on the places that its own stands for, and on all of the axes that are gone."""
        homes = {name: place for place, group in enumerate(self.right) for name in group}
        return tuple(self._along(self._wide(group), homes) for group in self.left)

    def _wide(self, group: Group) -> Group:
        return tuple(name for name in group if self.sizes[name] != 1)

    def _along(self, names: Group, homes: Mapping[str, int]) -> Along:
        if not names:
            return Along((), Slide.at(0))
        places = tuple(sorted({homes[name] for name in names if name in homes}))
        if not places:
            return WHOLE
        if not all(name in homes for name in names):
            return Along(places, None)
        alone = len(names) == 1 and self._wide(self.right[places[0]]) == names
        return Along(places, straight=alone)

    def steps(self) -> Steps:
        """The fewest steps. Neighbours that stay so are moved as one axis, and merged before they move: that is a view."""
        return _steps(self.left, self.right, self.terms)


# ------------------------------------------------------------------ reading


@cache
def parsed(text: str) -> Pattern:
    """The pattern that a text says. Raises Mistake when it says none."""
    left, arrow, right = text.partition("->")
    if not arrow or "->" in right:
        raise _wrong(text, "must have one `->`", 'write the axes before and after: "h w c -> c h w"')
    numbers: dict[str, int] = {}
    taken = tuple(_side(part, text, numbers) for part in left.split(","))
    if "," in right:
        raise _wrong(text, "has a `,` behind `->`", "one tensor comes out")
    made = _side(right, text, numbers)
    if any(MERGED in flat(side) for side in taken):
        raise _wrong(text, "has `...` within brackets on the left", "name the axes that are split")
    if {REST, MERGED} & set(flat(made)) and not any(REST in flat(side) for side in taken):
        raise _wrong(text, "has `...` on the right only", "write it on the left as well")
    return Pattern(taken, made, numbers)


def of_one(text: str, op: Op) -> Pattern:
    """The pattern of one tensor. Raises Mistake for that of several."""
    pattern = parsed(text)
    if len(pattern.taken) != 1:
        raise _wrong(text, f"has a `,`, and {type(op).__name__} takes one tensor", "Einsum takes two")
    return pattern


def _side(text: str, whole: str, numbers: dict[str, int]) -> Side:
    """The axes of one tensor; adds the sizes of those written as numbers."""
    groups: list[Group] = []
    inside: list[str] | None = None
    met: set[str] = set()
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise _wrong(
                whole,
                f"has `{text[at:].strip()[0]}` in it",
                "axes are named like variables: letters and digits",
            )
        at, token = match.end(), match[1]
        if token == "(" and inside is None:
            inside = []
        elif token == ")" and inside is not None:
            groups.append(tuple(inside))
            inside = None
        elif token in "()":
            raise _wrong(whole, "has brackets that do not pair, or stand in each other")
        else:
            names = _name(token, whole, numbers)
            if met & set(names):
                raise _wrong(whole, f"has `{token}` twice in one tensor", "each axis has a name of its own")
            met |= set(names)
            if inside is None:
                groups.append(names)
            else:
                inside += [MERGED] if token == REST else names
    if inside is not None:
        raise _wrong(whole, "has brackets that do not pair, or stand in each other")
    if len(met) > MOST_AXES or len(groups) > MOST_AXES:
        raise _wrong(whole[:40] + "...", f"has more than {MOST_AXES} axes")
    return tuple(groups)


def _name(token: str, whole: str, numbers: dict[str, int]) -> Group:
    """The name of an axis; one of size 1 has none, and a number gets a name of its own."""
    if not token.isdigit():
        return (token,)
    if len(token) > 18 or int(token) < 1:
        raise _wrong(whole, f"has an axis of size {token}")
    if int(token) == 1:
        return ()
    name = f"{token}#{len(numbers)}"
    numbers[name] = int(token)
    return (name,)


def require_known(
    pattern: Pattern, sizes: Sequence[tuple[str, Size]], what: str, others: Sequence[str] = ()
) -> None:
    """Mistake unless each size is of a name of the pattern, and given once; `others` are the op's arguments."""
    names = pattern.names()
    met: set[str] = set()
    for name, _ in sizes:
        if name not in names:
            raise Mistake(
                f"{what} has no argument `{name}`, and its pattern no axis of that name",
                codes.UNKNOWN_ARGUMENT,
                help=suggest(name, [*names, *others]),
            )
        if name in met:
            raise Mistake(f"the size of `{name}` is given twice", codes.GIVEN_TWICE)
        met.add(name)


# ------------------------------------------------------------------ fitting


def fitted(
    pattern: Pattern, x: TensorType, given: Sequence[tuple[str, Size]], sizes_of: TensorType | None = None
) -> Fitted:
    """The pattern on one tensor, with sizes of names, of which the free ones are read from it or from `sizes_of`.

    Raises Mistake where it does not fit.
    """
    left = written_out(pattern.taken[0], x)
    rest = tuple(name for name in flat(left) if name.startswith(REST))
    right = tuple(_spread(pattern.made, rest))
    known: dict[str, Size] = {**pattern.numbers, **dict(given)}
    sizes: dict[str, Size] = dict(known)
    terms = {name: _term(size, x, sizes_of) for name, size in known.items()}
    for axis, (group, size) in enumerate(zip(left, x.shape, strict=True)):
        open_ = [name for name in group if name not in known]
        inner: Size = prod((known[name] for name in group if name in known), start=1)
        shown = f"({' '.join(map(plain, group))})" if len(group) != 1 else plain(group[0])
        if len(open_) > 1:
            listed = " and ".join(f"`{name}`" for name in open_)
            raise Mistake(
                f"the sizes of {listed} in `{shown}` are not known",
                codes.PATTERN,
                label=f"of {show(x.shape)}, this axis has {size}",
                help=f"give all but one: `{open_[-1]}=...`",
            )
        if not open_:
            use(size)
            if not always_equal(size, inner):
                raise Mistake(
                    f"the axis `{shown}` is {inner}, but the tensor has {size} there",
                    codes.PATTERN,
                    label=f"of {show(x.shape)}",
                )
            continue
        if not always_equal(size % inner, 0):
            raise Mistake(
                f"{inner} does not divide the axis `{shown}` of {size}",
                codes.INDIVISIBLE,
                label=f"of {show(x.shape)}",
            )
        sizes[open_[0]] = size // inner
        terms[open_[0]] = (
            Term(1, ((axis - x.rank, inner),))
            if isinstance(inner, int)
            else _term(sizes[open_[0]], x, sizes_of)
        )
    for name in flat(right):
        if name not in sizes:
            raise Mistake(
                f"the axis `{name}` is on the right only",
                codes.PATTERN,
                help=f"to repeat along it, say how often: `{name}=...`",
            )
    return Fitted(left, right, sizes, terms)


def _term(size: Size, x: TensorType, sizes_of: TensorType | None) -> Term:
    """A size that is given: a number, or computed from sizes of tensors."""
    found = plan(size, x, sizes_of)
    return Term(found) if isinstance(found, int) else Term(1, free=(found,))


def written_out(side: Side, x: TensorType) -> Side:
    """The axes of a tensor, with names for those that `...` stands for. Mistake when there are more or fewer."""
    rest = x.rank - len(side) + 1 if (REST,) in side else 0
    if rest < 0 or ((REST,) not in side and x.rank != len(side)):
        least = "at least " if (REST,) in side else ""
        count = len(side) - ((REST,) in side)
        raise Mistake(
            f"the pattern has {least}{count} {'axis' if count == 1 else 'axes'} where the tensor is {show(x.shape)}",
            codes.PATTERN,
            help="the batch is not written",
        )
    return tuple(_spread(side, tuple(f"{REST}{i}" for i in range(rest))))


def _spread(side: Side, rest: Group) -> Iterator[Group]:
    for group in side:
        if group == (REST,):
            yield from ((name,) for name in rest)
        elif MERGED in group:
            at = group.index(MERGED)
            yield (*group[:at], *rest, *group[at + 1 :])
        else:
            yield group


# ------------------------------------------------------------------ steps


@cache
def outline(text: str) -> Steps:
    """The steps of a pattern whatever the sizes, as if `...` were one axis."""
    pattern = parsed(text)
    left, right = pattern.taken[0], _merged(pattern.made)
    return _steps(left, right, {name: Term(2) for name in (*flat(left), *flat(right))})


def _merged(side: Side) -> Side:
    return tuple(tuple(REST if name == MERGED else name for name in group) for group in side)


def _steps(left: Side, right: Side, terms: Mapping[str, Term]) -> Steps:
    def sizes(groups: Sequence[Group]) -> tuple[Term, ...]:
        return tuple(_product([terms[name] for name in group]) for group in groups)

    known = set(flat(left))
    kept = set(flat(right))
    new = kept - known
    if kept == known and flat(left) == flat(right):
        return Steps(None, (), None, (), None if left == right else sizes(right), copies=False)
    pieces = pieces_of(left, right)
    first = None if list(left) == pieces else sizes(pieces)
    gone = tuple(place for place, piece in enumerate(pieces) if piece[0] not in kept)
    moving = [piece for piece in pieces if piece[0] in kept]
    where = {name: place for place, piece in enumerate(moving) for name in piece}
    order = tuple(dict.fromkeys(where[name] for name in flat(right) if name in where))
    reordered = order != tuple(range(len(order)))
    result: list[Group] = []
    meets = False
    for group in right:
        before = len(result)
        for name in group:
            if name in new:
                result.append((name,))
            elif not result or name not in result[-1]:
                result.append(moving[where[name]])
        meets |= len(result) > before + 1
    added = tuple((place, terms[piece[0]]) for place, piece in enumerate(result) if piece[0] in new)
    return Steps(
        first,
        gone,
        order if reordered else None,
        added,
        None if result == list(right) else sizes(right),
        copies=meets and (reordered or bool(added)),
    )


def pieces_of(left: Side, right: Side) -> list[Group]:
    """The axes to move: names that are neighbours on both sides stay together where they are merged on either."""
    groups = {name: i for i, group in enumerate(left) for name in group}
    places = {
        name: (i, place) for place, (i, name) in enumerate((i, n) for i, g in enumerate(right) for n in g)
    }
    pieces: list[list[str]] = []
    for name in flat(left):
        if pieces:
            before = pieces[-1][-1]
            together = groups[before] == groups[name]
            if before not in places or name not in places:
                joined = together and before not in places and name not in places
            else:
                (home, place), (other, following) = places[before], places[name]
                joined = following == place + 1 and home == other
            if joined:
                pieces[-1].append(name)
                continue
        pieces.append([name])
    return [tuple(piece) for piece in pieces]


def _product(terms: Sequence[Term]) -> Term:
    return Term(
        prod(term.factor for term in terms),
        tuple(axis for term in terms for axis in term.axes),
        tuple(size for term in terms for size in term.free),
    )


def flat(side: Side) -> Group:
    """The names on one side, in order."""
    return tuple(name for group in side for name in group)


def plain(name: str) -> str:
    """A name as it was written."""
    return name.partition("#")[0]


def _wrong(pattern: str, what: str, help: str = "") -> Mistake:
    return Mistake(f'the pattern "{pattern}" {what}', codes.PATTERN, help=help)
