"""Drafts of one block made alike: a layer that only some of them have is an identity in the others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from archspec.backends.python import expressions as py
from archspec.backends.python.drafts import Draft, Statement

IDENTITY = py.Call(py.Code("nn.Identity"))


def program(draft: Draft) -> Hashable:
    """What tells a draft from others that cannot be one class with it."""
    return (
        draft.function.block,
        draft.handed,
        draft.takes,
        draft.is_chain,
        tuple(draft.members) if not draft.is_chain else (),
        tuple((statement.gives, py.key_of(statement.what, literals=False)) for statement in draft.body)
        if not draft.is_chain
        else (),
        tuple(py.key_of(given, literals=False) for given in draft.returns) if not draft.is_chain else (),
    )


def aligned(drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts, each as the longest one that it is with some layers left out."""
    found = list(drafts)
    longest = sorted({program(draft): draft for draft in drafts}.values(), key=lambda draft: -len(draft.body))
    for place, draft in enumerate(drafts):
        for other in longest:
            if other.function.block != draft.function.block or len(other.body) <= len(draft.body):
                continue
            expanded = _as(draft, other)
            if expanded is not None:
                found[place] = expanded
                break
    return found


def _as(short: Draft, long: Draft) -> Draft | None:
    """A draft with the layers that only another has, as identities; None where they differ in more."""
    if (
        not short.body
        or short.is_chain
        or long.is_chain
        or short.handed != long.handed
        or short.takes != long.takes
    ):
        return None
    same: dict[int, int] = {}  # values of the long one that are others, where layers are identities
    where = {place: place for place in range(short.takes)}  # numbers of the short one in the long one
    body: list[Statement] = []
    identities: set[str] = set()
    left = list(short.body)
    for statement in long.body:
        plain = py.renumbered(statement.what, {new: py.Value(old) for new, old in same.items()})
        if left and len(left[0].gives) == len(statement.gives):
            ours = py.renumbered(left[0].what, {old: py.Value(new) for old, new in where.items()})
            if py.key_of(ours, literals=False) == py.key_of(plain, literals=False):
                where.update(zip(left[0].gives, statement.gives, strict=True))
                body.append(replace(statement, what=_with_literals(statement.what, ours)))
                left.pop(0)
                continue
        what = statement.what
        if not (
            isinstance(what, py.Call)
            and isinstance(what.what, py.Member)
            and what.what.path not in short.members
            and len(what.arguments) == len(statement.gives) == 1
            and isinstance(what.arguments[0], py.Value)
            and not what.keywords
        ):
            return None
        taken = what.arguments[0].number
        same[statement.gives[0]] = same.get(taken, taken)
        identities.add(what.what.path)
        body.append(statement)
    ours_given = tuple(
        py.renumbered(x, {old: py.Value(new) for old, new in where.items()}) for x in short.returns
    )
    theirs = tuple(py.renumbered(x, {new: py.Value(old) for new, old in same.items()}) for x in long.returns)
    alike = len(ours_given) == len(theirs) and all(
        py.key_of(a, literals=False) == py.key_of(b, literals=False)
        for a, b in zip(ours_given, theirs, strict=True)
    )
    if left or not alike or set(long.members) != set(short.members) | identities:
        return None
    members = {path: IDENTITY if path in identities else short.members[path] for path in long.members}
    return replace(short, members=members, body=body, returns=long.returns)


def _with_literals(shape: py.Expression, of: py.Expression) -> py.Expression:
    """An expression with the literals of another that is like it."""
    if isinstance(shape, py.Literal):
        return of
    if not shape.parts:
        return shape
    pairs = zip(shape.parts, of.parts, strict=True)
    return shape.with_parts(tuple(_with_literals(ours, theirs) for ours, theirs in pairs))
