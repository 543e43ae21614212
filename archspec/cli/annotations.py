"""Problems as other programs read them: GitHub's workflow commands, and SARIF 2.1.0."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from archspec.api.checking import Checked
from archspec.ground import codes
from archspec.ground.errors import Fix, Problem
from archspec.ground.source import Span
from archspec.version import __version__


def problems_of(found: Iterable[Checked]) -> list[Problem]:
    """Errors and warnings, each once, also where several specs import the file that they are about."""
    first: dict[object, Problem] = {}
    for checked in found:
        for problem in checked.problems:
            first.setdefault((problem.code, problem.span) if problem.span else problem, problem)
    return list(first.values())


def _root() -> Path:
    """What paths are relative to: the checkout, where GitHub says which folder that is."""
    return Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())


def _relative(path: str) -> Path | None:
    """A path below the root as seen from there, None for others."""
    try:
        return Path(os.path.abspath(path)).relative_to(_root())  # noqa: PTH100 (keeps links)
    except ValueError:
        return None


# ------------------------------------------------------------------ GitHub


def github(problem: Problem) -> str:
    """The line that GitHub makes an annotation of, beside the place in the changed files."""
    properties: dict[str, str | int] = {}
    if problem.span is not None:
        source = problem.span.source
        (line, column), (end_line, end_column) = map(source.position, problem.span[1:])
        properties |= {"file": (_relative(source.path) or Path(source.path)).as_posix(), "line": line}
        if end_line == line:
            # GitHub's last column is the one underlined last, and columns are refused where there are several lines.
            properties |= {"col": column, "endColumn": max(column, end_column - 1)}
        properties["endLine"] = end_line
    properties["title"] = f"{problem.code} {problem.kind}"
    given = ",".join(f"{name}={_escaped(str(value), _IN_PROPERTY)}" for name, value in properties.items())
    return f"::{problem.level} {given}::{_escaped(_printable(_message(problem)), _IN_MESSAGE)}"


_IN_MESSAGE = "%\r\n"
_IN_PROPERTY = f"{_IN_MESSAGE}:,"


def _message(problem: Problem) -> str:
    """All that a problem says but where it is."""
    lines = [problem.message]
    lines += [problem.label] if problem.label else []
    lines += [f"{span.place}: {text}" for text, span in problem.places]
    lines += [f"in {text}, called at {span.place}" for text, span in problem.trail]
    lines += [f"help: {problem.help}"] if problem.help else []
    return "\n".join(lines)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _escaped(text: str, signs: str) -> str:
    """The text with these signs as a URL has them, `%` first among them."""
    return "".join(f"%{ord(c):02X}" if c in signs else c for c in text)


# ------------------------------------------------------------------ SARIF

_BASE = "%SRCROOT%"


def sarif(problems: Sequence[Problem]) -> dict[str, Any]:
    """A log of one run, with a rule for each code that was found."""
    known = list(dict.fromkeys(problem.code for problem in problems))
    driver = {"name": "archspec", "version": __version__, "rules": [_rule(code) for code in known]}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {_BASE: {"uri": f"{_root().resolve().as_uri().rstrip('/')}/"}},
                "results": [_result(problem, known.index(problem.code)) for problem in problems],
            }
        ],
    }


def _rule(code: str) -> dict[str, Any]:
    level = "warning" if code.startswith("W") else "error"
    return {
        "id": code,
        "name": codes.kind_of(code),
        "shortDescription": {"text": f"{level} about {codes.kind_of(code)}"},
        "help": {"text": f"`archspec explain {code}` says more."},
        "defaultConfiguration": {"level": level},
    }


def _result(problem: Problem, rule: int) -> dict[str, Any]:
    text = problem.message + (f"\nhelp: {problem.help}" if problem.help else "")
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.level,
        "message": {"text": text},
        "locations": [_location(problem.span, problem.label)] if problem.span else [],
    }
    related = [*problem.places, *((f"in {text}, called here", span) for text, span in problem.trail)]
    if related:
        result["relatedLocations"] = [
            {"id": number, **_location(span, text)} for number, (text, span) in enumerate(related)
        ]
    if problem.fix is not None:
        result["fixes"] = [_fix(problem.fix)]
    return result


def _location(span: Span, text: str = "") -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": _artifact(span.source.path), "region": _region(span)}
    }
    return location | ({"message": {"text": text}} if text else {})


def _artifact(path: str) -> dict[str, str]:
    relative = _relative(path)
    if relative is None:
        return {"uri": Path(os.path.abspath(path)).as_uri()}  # noqa: PTH100 (keeps links)
    return {"uri": quote(relative.as_posix()), "uriBaseId": _BASE}


def _region(span: Span) -> dict[str, Any]:
    (line, column), (end_line, end_column) = map(span.source.position, span[1:])
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}


def _fix(fix: Fix) -> dict[str, Any]:
    files: dict[str, list[dict[str, Any]]] = {}
    for edit in fix.edits:
        replacement = {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}}
        files.setdefault(edit.span.source.path, []).append(replacement)
    changes = [{"artifactLocation": _artifact(path), "replacements": edits} for path, edits in files.items()]
    return {"description": {"text": fix.title}, "artifactChanges": changes}
