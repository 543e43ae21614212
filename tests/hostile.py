"""Graphs, manifests and headers changed by chance into what a hostile person might send."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

PWNED = "__import__('builtins').__dict__.setdefault('PWNED', 1)"
"""What leaves a trace if it is ever run; `ran` says whether."""

STRINGS = (
    "", "x", "x:1", "x:-1", "x:9999999999", "a.b", "@2", "a@2", "a@1", ".", "a.", "..", "forward", "self", "S", "2*S - 9",
    f"x={PWNED}", f'c", {PWNED}), ("', f"a\n{PWNED}\n", f"x):\n    {PWNED}\n    def f(y", f"'+str({PWNED})+'", "\0", "\x1b[2J",
    "é", "\u202e", "1", "-1", "true", "f32", "i64", "bool", "inf", "zeros", "Conv", "ReLU", "Split", "Own", "Tied", "_Conv", "Op",
    "Initialiser", "__class__", "a" * 1001, "os.system", "../../x", "nan",
)  # fmt: skip
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    8,
    2**31,
    2**63,
    10**12,
    10**29,
    10**31,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    1e-320,
)
MOST_PLACES = 10_000  # of a tree that is changed once more: a list in place of each number makes it a thousand times larger


def hostile(draw: random.Random) -> Any:
    """A value that stands where it should not."""
    return draw.choice(
        [
            lambda: draw.choice(STRINGS),
            lambda: draw.choice(NUMBERS),
            lambda: draw.choice([None, True, False, [], {}, [[]], {"": None}]),
            lambda: [draw.choice(NUMBERS), draw.choice(STRINGS)],
            lambda: {draw.choice(STRINGS): draw.choice(NUMBERS)},
            lambda: _nested(draw.choice([5, 70, 150, 300])),
            lambda: [1] * 1000,
        ]
    )()


def _of_a_kind(value: Any, draw: random.Random) -> Any:
    """A hostile value that passes for what stands there."""
    if isinstance(value, str):
        return draw.choice(STRINGS)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return draw.choice([number for number in NUMBERS if isinstance(number, type(value))])
    return hostile(draw)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Each container in a tree of JSON with each of its keys or indices."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        keys: Iterator[Any] = iter(part) if isinstance(part, dict) else iter(range(len(part)))
        for key in keys:
            found.append((part, key))
            if isinstance(part[key], dict | list):
                waiting.append(part[key])
    return found


def mutate(tree: Any, draw: random.Random) -> Any:
    """A copy of a tree of JSON, changed in one to three places."""
    tree = json.loads(json.dumps(tree))
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        known = places(tree)
        if not known or len(known) > MOST_PLACES:
            return tree
        part, key = draw.choice(known)
        other, another = draw.choice(known)
        match draw.randrange(8):
            case 0:
                del part[key]
            case 1 if isinstance(part, list):
                part.insert(draw.randrange(len(part) + 1), json.loads(json.dumps(part[key])))
            case 1:
                part[draw.choice(STRINGS)] = json.loads(json.dumps(part[key]))
            case 2:
                part[key] = hostile(draw)
            case 3:
                part[key] = _of_a_kind(part[key], draw)
            case 4:
                part[key], other[another] = json.loads(json.dumps([other[another], part[key]]))
            case 5 if isinstance(part, dict):
                part[draw.choice(STRINGS)] = part.pop(key)
            case 5:
                part.reverse()
            case 6:  # one text or number everywhere, as someone does who knows that names must agree
                tree = _renamed(tree, part[key], draw.choice([hostile(draw), _of_a_kind(part[key], draw)]))
            case _ if type(part[key]) in (int, float):
                part[key] += draw.choice([-1, 1, 7])
            case _:  # what stands elsewhere under the same key, or in the same list
                like = [(p, k) for p, k in known if k == key and type(p[k]) is type(part[key])]
                other, another = draw.choice(like)
                part[key] = json.loads(json.dumps(other[another]))
    return tree


def _renamed(tree: Any, old: Any, new: Any) -> Any:
    """The tree with each value, key and first part of a path that is `old` replaced."""
    if not isinstance(old, str | int | float | bool) or old == "":
        return tree

    def name(value: Any) -> Any:
        if type(value) is type(old) and value == old:
            return new
        if (
            isinstance(value, str)
            and isinstance(old, str)
            and isinstance(new, str)
            and value.startswith((f"{old}.", f"{old}:"))
        ):
            return new + value[len(old) :]
        return value

    def walk(part: Any) -> Any:
        if isinstance(part, dict):
            return {
                key if not isinstance(name(key), str) else name(key): walk(value)
                for key, value in part.items()
            }
        return [walk(item) for item in part] if isinstance(part, list) else name(part)

    return walk(tree)
