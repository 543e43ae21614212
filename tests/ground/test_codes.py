"""Every message has a code, which is its own and does not change."""

import ast
from collections.abc import Iterator
from pathlib import Path

import archspec
from archspec.ground import codes

ROOT = Path(archspec.__file__).parent
CALLS = {"Mistake": 1, "ArgumentMistake": 2, "Problem": 0, "SpecError.of": 0, "InputError.of": 0}
"""The calls that make a message, and where among their arguments its code stands."""


def made() -> Iterator[tuple[str, ast.expr | None]]:
    """Where a message is made in archspec, and what is given as its code."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in CALLS:
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                named = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                given = [*node.args[CALLS[name] : CALLS[name] + 1], *named]
                yield place, given[0] if given else None


def test_every_message_is_made_with_a_code() -> None:
    without = [
        place
        for place, code in made()
        if code is None or (isinstance(code, ast.Constant) and not isinstance(code.value, bool))
    ]
    assert without == []


def test_every_code_is_used_and_known() -> None:
    used = {
        node.attr
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "codes"
    }
    assert set(codes.CODES) <= used
    assert {name for name in used if name.isupper()} - {"CODES", "NAMES"} <= set(codes.CODES)


def test_codes_are_distinct_and_of_a_kind() -> None:
    found = list(codes.CODES.values())
    assert len(set(found)) == len(found)
    assert all(codes.kind_of(code) for code in found)
    assert set(codes.NAMES) == {code for code in found if code.startswith("W")}
