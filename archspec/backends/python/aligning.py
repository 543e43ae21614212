"""Drafts of one block made alike: what only some of them compute is left out in the others.

A layer that the others lack is an identity there, where it gives back what it takes. Whatever else they lack is a statement with
a condition: its value is then another one, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from archspec.backends.python import expressions as py
from archspec.backends.python.drafts import Draft, Statement

IDENTITY = py.Call(py.Code("nn.Identity"))
NONE = py.Code("None")
"""What stands for a value or a member that is left out."""


def program(draft: Draft) -> Hashable:
    """What tells a draft from others that cannot be one class with it."""
    if draft.is_chain:
        return draft.function.block, draft.handed, draft.takes, True
    return (
        draft.function.block,
        draft.handed,
        draft.takes,
        tuple(draft.members),
        tuple((statement.gives, py.key_of(statement.what, literals=False)) for statement in draft.body),
        tuple(py.key_of(given, literals=False) for given in draft.returns),
    )


def aligned(
    drafts: Sequence[Draft],
    handed: Callable[[int, int], Sequence[str] | None],
    tells: Callable[[Sequence[Draft]], bool],
) -> list[Draft]:
    """The drafts, each as the longest one that it is with something left out.

    `handed` gives what a function calls the tensors that are handed in as arguments, if another is of one class with it; `tells` says
    whether parameters tell what each of some drafts leaves out.
    """
    found = list(drafts)
    kinds: dict[Hashable, list[int]] = {}
    for place, draft in enumerate(drafts):
        kinds.setdefault(program(draft), []).append(place)
    left = sorted(kinds.values(), key=lambda places: (-len(drafts[places[0]].body), -drafts[places[0]].takes))
    while left:
        longest, *left = left
        group = [found[place] for place in longest]
        for places in list(left):
            made = _left_out(drafts, places, group[0], handed)
            if not made or not _agree([*group, *made]):
                continue
            if not _conditions([*group, *made]) or tells([*group, *made]):
                for place, draft in zip(places, made, strict=True):
                    found[place] = draft
                group += made
                left.remove(places)
    return found


def _left_out(
    drafts: Sequence[Draft],
    places: Iterable[int],
    long: Draft,
    handed: Callable[[int, int], Sequence[str] | None],
) -> list[Draft]:
    """Drafts of one program as a longer one, of which they leave out something; none where they differ in more."""
    made = [_Alignment(drafts[place], long, handed).draft() for place in places]
    return [draft for draft in made if draft is not None] if None not in made else []


def _conditions(drafts: Iterable[Draft]) -> bool:
    return any(statement.instead is not None for draft in drafts for statement in draft.body)


def _agree(drafts: Sequence[Draft]) -> bool:
    """Whether all that leave out a statement have the same instead."""
    return all(
        len({py.key_of(s.instead) for s in statements if s.instead is not None}) < 2
        for statements in zip(*(draft.body for draft in drafts), strict=True)
    )


class _Alignment:
    """A short draft, statement by statement within a long one."""

    def __init__(self, short: Draft, long: Draft, handed: Callable[[int, int], Sequence[str] | None]) -> None:
        self.short = short
        self.long = long
        self.handed = handed
        self.where = {place: place for place in range(short.takes)}
        """Numbers of the short one's values in the long one."""
        self.made = {number: statement for statement in long.body for number in statement.gives}
        self.extra: set[int] = set()
        """Values of the long one that only it has."""
        self.through: dict[int, int] = {}
        """Values of sums that are left out together with what they are added to: that stands for them, however it came about."""
        self.names: dict[int, str] = {}
        """What the blocks that take such values call them."""
        self.instead: dict[int, int] = {}
        """The values that stand for these in the short one, as far as any do."""

    def draft(self) -> Draft | None:
        """The short one as the long one; None where they differ in more than what is left out."""
        short, long = self.short, self.long
        optional = range(short.takes, long.takes)
        if (
            not short.body
            or len(short.body) >= len(long.body) + len(optional)
            or short.is_chain
            or long.is_chain
            or short.handed != long.handed
            or short.takes > long.takes
            or (optional and short.handed)
            or len(short.returns) != len(long.returns)
        ):
            return None
        self.extra.update(optional)
        left = list(short.body)
        body: list[tuple[Statement, py.Expression | None]] = []
        for statement in long.body:
            ours = self.renumbered(left[0].what) if left else None
            if (
                ours is not None
                and len(left[0].gives) == len(statement.gives)
                and self.matches(ours, statement.what)
            ):
                self.where.update(zip(left[0].gives, statement.gives, strict=True))
                body.append((statement, ours))
                left.pop(0)
            elif len(statement.gives) == 1:
                self.extra.add(statement.gives[0])
                body.append((statement, None))
            else:
                return None
        returns = zip(map(self.renumbered, short.returns), long.returns, strict=True)
        if left or not all(self.matches(ours, theirs) for ours, theirs in returns):
            return None
        if any(place in self.instead for place in optional):
            return None
        return self.written(body)

    def renumbered(self, expression: py.Expression) -> py.Expression:
        """An expression of the short one with the values of the long one."""
        return py.renumbered(expression, {old: py.Value(new) for old, new in self.where.items()})

    # ---------------------------------------------------------------- what is the same

    def matches(self, ours: py.Expression, theirs: py.Expression) -> bool:
        """Whether expressions are the same but for literals and for what is left out; if so, this is known from then on."""
        before = dict(self.instead)
        if self._matches(ours, theirs):
            return True
        self.instead = before
        return False

    def _matches(self, ours: py.Expression, theirs: py.Expression) -> bool:
        if isinstance(ours, py.Value) and isinstance(theirs, py.Value):
            return self.stands_for(ours.number, theirs.number)
        if isinstance(ours, py.Literal) and isinstance(theirs, py.Literal):
            return True
        if isinstance(ours, py.Call) and isinstance(theirs, py.Call):
            theirs = self.without_optional(ours, theirs)
        return ours.shape == theirs.shape and all(map(self._matches, ours.parts, theirs.parts))

    def stands_for(self, ours: int, theirs: int) -> bool:
        """Whether a value of the long one can be another where its own is left out."""
        known = self.instead.get(theirs, None if theirs in self.extra else theirs)
        if known is not None:
            return known == ours
        if ours > theirs:  # which is not there yet
            return False
        self.instead[theirs] = ours
        # Layers in front of an identity that are left out as well are identities, too.
        taken = self.taken(theirs)
        while taken is not None and taken in self.extra and taken not in self.instead:
            taken = self.taken(taken)
        if taken is not None and self.instead.get(taken, taken) == ours:
            number = self.taken(theirs)
            while number is not None and number in self.extra and number not in self.instead:
                self.instead[number] = ours
                number = self.taken(number)
        # Of a sum, what is added to may be left out as well.
        added = self.made[theirs].what if theirs in self.made else None
        if isinstance(added, py.Operation) and isinstance(added.operands[0], py.Value):
            first = added.operands[0].number
            if first in self.extra and first not in self.instead and self.stands_for(ours, first):
                self.through[theirs] = first
        return True

    def taken(self, number: int) -> int | None:
        """The value that a layer takes which gives another, and takes nothing else."""
        what = self.made[number].what if number in self.made else None
        if not isinstance(what, py.Call) or not isinstance(what.what, py.Member) or what.keywords:
            return None
        (first, *others) = what.arguments or (NONE,)
        return first.number if isinstance(first, py.Value) and not others else None

    def without_optional(self, ours: py.Call, theirs: py.Call) -> py.Call:
        """A call of a block without the inputs that only the long one hands in, where the block can do without."""
        count = len(ours.arguments)
        more = theirs.arguments[count:]
        if not more or theirs.keywords or not isinstance(ours.what, py.Member) or ours.what != theirs.what:
            return theirs
        callees = [draft.members.get(ours.what.path) for draft in (self.short, self.long)]
        indices = [callee.function for callee in callees if isinstance(callee, py.Instance)]
        names = self.handed(*indices) if len(indices) == 2 else None
        if names is None:
            return theirs
        extra = self.extra - {*self.instead}
        numbers = [x.number for x in more if isinstance(x, py.Value) and x.number in extra]
        if len(numbers) < len(more):
            return theirs
        self.names.update(zip(numbers[::-1], names[::-1], strict=False))
        return replace(theirs, arguments=theirs.arguments[:count])

    # ---------------------------------------------------------------- the draft

    def written(self, body: Sequence[tuple[Statement, py.Expression | None]]) -> Draft | None:
        """The short one with the statements of the long one."""
        short, long = self.short, self.long
        statements, idle, read = [], set[str](), set[str]()
        for statement, ours in body:
            (number, *_) = statement.gives
            taken = self.taken(number)
            if ours is not None:
                what = _with_literals(statement.what, ours)
                statements.append(replace(statement, what=what))
            elif taken is not None and self.instead.get(number) == self.instead.get(taken, taken):
                idle.update(_members(statement.what))
                statements.append(statement)
                continue
            else:
                other = self.through.get(number, self.instead.get(number))
                instead = NONE if other is None else py.Value(other)
                name = self.names.get(number, statement.name)
                statements.append(replace(statement, instead=instead, name=name))
            read.update(_members(statement.what))
        absent = long.members.keys() - short.members.keys() - idle
        if short.members.keys() - long.members.keys() or idle & read or any("." in path for path in absent):
            return None
        conditional = sum(statement.instead is not None for statement in statements)
        if conditional > 2 * (
            len(statements) - conditional
        ):  # more is left out than shared: these are two programs
            return None
        stateless = {
            path for path in absent if isinstance(long.members[path], py.Call) and path not in long.starts
        }
        others = {**dict.fromkeys(idle, IDENTITY), **{path: long.members[path] for path in stateless}}
        members = {path: short.members.get(path, others.get(path, NONE)) for path in long.members}
        return replace(short, members=members, body=statements, returns=long.returns, takes=long.takes)


def _members(expression: py.Expression) -> Iterable[str]:
    return (x.path for x in py.within(expression) if isinstance(x, py.Member))


def _with_literals(shape: py.Expression, of: py.Expression) -> py.Expression:
    """An expression with the literals of another that is like it."""
    if isinstance(shape, py.Literal):
        return of
    if not shape.parts:
        return shape
    # Where `of` has fewer parts, it leaves out inputs that stand at the end and have no literals.
    pairs = zip(shape.parts, of.parts, strict=False)
    parts = tuple(_with_literals(ours, theirs) for ours, theirs in pairs)
    return shape.with_parts((*parts, *shape.parts[len(parts) :]))
