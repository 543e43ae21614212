"""Where a text departs from the grammar: what is said of it, and what can be told of the lines all the same."""

from __future__ import annotations

import re

from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.source import Source, Span
from archspec.syntax import tree as t
from archspec.syntax.automaton import DEEPEST, NAMES_HELP, Fault, Stuck, TooDeep

_BINDS = re.compile(
    r"""(?:^|;|(?P<arrow>->))[ \t]*(?(arrow)(?P<step>\w+)[ \t]*:|(?:
        (?:block|model|def)\b[ \t]*(?P<defined>\w+)
      | (?:input|weight|buffer|constant|shared)\b[ \t]*(?:(?:"[^"\n]*"|'[^'\n]*')[ \t]*as\b)?[ \t*]*(?P<declared>\w+(?:[ \t]+as[ \t]+\w+)?)
      | from\b.*?\bimport\b(?P<imported>[^\#\n]*)
      | (?P<targets>[\w(][\w \t,()]*?)(?:[-+*/%@]|//|\*\*)?=(?!=)
      | for\b(?P<turns>[\w \t,()]+?)\bin\b
      | import\b(?P<modules>[^\#\n]*)
      | (?P<annotated>\w+)[ \t]*:
    ))""",
    re.X | re.M,
)
_NAME = re.compile(r"(?:\w+[ \t]+as[ \t]+)?([A-Za-z_]\w*)")
_ENDS = re.compile(r"^[ \t]*(?:return|input)\b", re.M)


def broken(span: Span) -> t.Broken:
    """The statement that these lines are not: with the names that they would have bound, and whether a block ends there."""
    names: list[str] = []
    for found in _BINDS.finditer(span.text):
        bound = found[found.lastgroup or 0]
        names += (match[1] for match in _NAME.finditer(bound))
        if found["imported"] and "*" in bound:
            names.append(t.ALL)
    return t.Broken(span, tuple(dict.fromkeys(names)), _ENDS.search(span.text) is not None)


def error_of(fault: Fault, source: Source, base: int, text: str, whole: str) -> SpecError:
    """What is said of a fault in a text that stands at `base` in the source and is a `whole` file or expression."""
    from archspec.syntax.unexpected import indentation_help, unexpected  # which a right spec does not need

    if isinstance(fault, Stuck):
        said = unexpected(text, fault, whole)
        place = Span(source, base + said.start, base + said.end)
        return SpecError.of(said.code, said.message, place, help=said.help, instead=said.instead)
    if isinstance(fault, TooDeep):
        message = f"brackets are nested more than {DEEPEST} deep"
        place = Span(source, base + fault.start, base + fault.start + 1)
        return SpecError.of(codes.TOO_DEEP, message, place, help=NAMES_HELP)
    end = text.find("\n", fault.start)
    place = Span(source, base + fault.start, base + (end if end >= 0 else len(text)))
    message = "indentation matches no line above"
    return SpecError.of(codes.INDENTATION, message, place, help=indentation_help(text, fault.start))
