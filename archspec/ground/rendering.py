"""How a problem prints: plain, or with the colours and the width of a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import category, east_asian_width

if TYPE_CHECKING:
    from archspec.ground.errors import Problem
    from archspec.ground.source import Span


class Style(NamedTuple):
    """Whether there are colours, and how many columns there are: without a number, only very long lines are cut."""

    colour: bool = False
    width: int | None = None


PLAIN = Style()
_LONGEST_TRAIL = 8
_LONGEST_TEXT = 400
_WIDEST = 160
_NARROWEST = 20


def render(problem: Problem, style: Style = PLAIN) -> str:
    """The problem as a person reads it: message, place, underlined line, trail and help."""
    strong = _STRONG[problem.level]
    head = _painted(f"{problem.level}[{problem.code}]", strong, style)
    lines = [head + _painted(f": {_printable(problem.message)}", "1", style)]
    places = ((problem.label, problem.span), *problem.places) if problem.span is not None else ()
    numbers = [span.source.position(span.start)[0] for _, span in places]
    margin = " " * len(str(max(numbers, default=0)))
    before: Span | None = None
    for label, span in places:
        lines += _place(span, _printable(label), margin, strong, style, before)
        before = span
    notes = [*_notes(problem, margin, style)]
    if notes and problem.span is not None:
        lines.append(_painted(f"{margin} |", _FRAME, style))
    return "\n".join([*lines, *notes])


def _place(
    span: Span, label: str, margin: str, strong: str, style: Style, shown: Span | None
) -> Iterator[str]:
    """Where the problem is: the place, its line, and below it what is underlined, with the label.

    A second place, behind what has been `shown`, is underlined otherwise.
    """
    sign, arrow, strong = ("^", "-->", strong) if shown is None else ("-", ":::", _FRAME)
    number, column = span.source.position(span.start)
    text = span.source.line(number)
    if text.isspace():  # a place in a text that is not at hand
        yield f"{_painted(f'{margin}{arrow}', _FRAME, style)} {_printable(span.place)}"
        yield from [f"{_painted(f'{margin} =', _FRAME, style)} {label}"] if label else []
        return
    length = max(1, min(span.end - span.start, len(text) - column + 1))
    most = _WIDEST if style.width is None else max(_NARROWEST, style.width - len(margin) - 3)
    before, marked, after = _window(text, column - 1, length, most)
    bar = _painted(f"{margin} |", _FRAME, style)
    if shown is None or span.source is not shown.source:
        yield f"{_painted(f'{margin}{arrow}', _FRAME, style)} {_printable(span.place)}"
    yield bar
    yield f"{_painted(f'{number:>{len(margin)}} |', _FRAME, style)} {before}{marked}{after}".rstrip()
    start, caret = columns(before), sign * max(1, columns(marked))
    if style.width is None or start + len(caret) + 1 + columns(label) <= most:
        yield f"{bar} {' ' * start}{_painted(f'{caret} {label}'.rstrip(), strong, style)}"
        return
    yield f"{bar} {' ' * start}{_painted(caret, strong, style)}"
    yield from (f"{bar} {_painted(line, strong, style)}" for line in _wrapped(label, most))


def _notes(problem: Problem, margin: str, style: Style) -> Iterator[str]:
    """The blocks that led there, and how to mend it."""
    notes = [
        f"in {_printable(text)}, {'' if text.startswith('claims ') else 'called at '}{_printable(span.place)}"
        for text, span in problem.trail
    ]
    if len(notes) > _LONGEST_TRAIL:
        left_out = len(notes) - _LONGEST_TRAIL + 1
        notes[_LONGEST_TRAIL - 3 : -2] = [f"... {left_out} more blocks ..."]
    sign = _painted(f"{margin} =", _FRAME, style)
    most = None if style.width is None else max(_NARROWEST, style.width - len(margin) - 3)
    for note in notes:
        yield from (f"{sign} {line}" for line in _wrapped(note, most, "  "))
    if problem.help:
        most = most and max(_NARROWEST, most - 6)
        first, *rest = (
            line for text in problem.help.splitlines() for line in _wrapped(_printable(text), most)
        )
        yield f"{sign} {_painted('help', '1;36', style)}: {first}".rstrip()
        yield from (f"{sign}       {line}".rstrip() for line in rest)


def _wrapped(text: str, most: int | None, indent: str = "") -> list[str]:
    """The text in lines of at most so many columns, but for words that are longer; code, which is indented, stays as it is."""
    if most is None or len(text) <= most or text.startswith(" "):
        return [text]
    return wrap(text, most, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [
        text
    ]


# ------------------------------------------------------------------ colours

_FRAME = "1;34"
_STRONG = {"error": "1;31", "warning": "1;33"}


def _painted(text: str, colour: str, style: Style) -> str:
    return f"\033[{colour}m{text}\033[0m" if style.colour and text else text


# ------------------------------------------------------------------ columns

_JOINER, _AS_TEXT, _AS_EMOJI = "\u200d", "\ufe0e", "\ufe0f"


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(width for _, width in _clusters(text))


def _clusters(text: str) -> list[tuple[str, int]]:
    """The characters as a terminal draws them, each with what combines with it, and how many columns it takes.

    East Asian and emoji are two columns wide, also where several emoji are joined to one, a skin tone follows, or two letters make
    a flag; a selector makes a sign an emoji or text.
    """
    found: list[tuple[str, int]] = []
    for c in text:
        kind = category(c)
        if not found:
            found.append((c, 0 if kind in ("Mn", "Me") else _width(c)))
            continue
        last, width = found[-1]
        joined = True
        if c == _AS_EMOJI:
            width = 2 if not last[0].isalpha() or last[0] in "ℹⓂ" else width
        elif c == _AS_TEXT:
            width = min(width, 1)
        elif kind == "Mc":
            width = max(width, 2)
        elif _is_flag(c):
            joined = len(last) == 1 and _is_flag(last)
        elif not (kind in ("Mn", "Me") or c == _JOINER or _is_end_of_syllable(c)):
            joined = last.endswith(_JOINER) or (width == 2 and "\U0001f3fb" <= c <= "\U0001f3ff")
        if joined:
            found[-1] = (last + c, width)
        else:
            found.append((c, _width(c)))
    return found


def _width(c: str) -> int:
    return 2 if east_asian_width(c) in "WF" or _is_flag(c) else 1


def _is_flag(c: str) -> bool:
    """Whether this is one of the letters of which two make a flag."""
    return "\U0001f1e6" <= c <= "\U0001f1ff"


def _is_end_of_syllable(c: str) -> bool:
    """Whether this is a vowel or a last consonant of Hangul, drawn into the syllable that is begun."""
    return "\u1160" <= c <= "\u11ff" or "\ud7b0" <= c <= "\ud7fb"


# ------------------------------------------------------------------ what is shown


def _printable(text: str) -> str:
    """The text with whatever could command a terminal written as an escape, and cut where it is very long."""
    if len(text) > _LONGEST_TEXT:
        text = f"{text[: _LONGEST_TEXT - 100]} ... {text[-90:]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _window(text: str, start: int, length: int, most: int) -> tuple[str, str, str]:
    """A line in three parts, the middle one underlined; of one of more columns than `most`, only what stands around that.

    Tabs and control characters would shift the underline or worse, so each is shown as one blank.
    """
    # Only what joins emoji stays of the signs that cannot be seen.
    blank = re.sub(rf"(?<![^\w\s]){_JOINER}", " ", text) if _JOINER in text else text
    shown = "".join(c if c.isprintable() or c == _JOINER else " " for c in blank)
    if len(shown) * 2 <= most or columns(shown) <= most:
        return shown[:start], shown[start : start + length], shown[start + length :]
    clusters = _clusters(shown)
    places = [0]
    for cluster, _ in clusters:
        places.append(places[-1] + len(cluster))
    first = max(i for i, place in enumerate(places) if place <= start)
    room = most - 2 * len(_CUT)
    left, right, taken = first, first, 0
    while left > 0 and taken + clusters[left - 1][1] <= room // 4:
        left -= 1
        taken += clusters[left][1]
    while right < len(clusters) and taken + clusters[right][1] <= room:
        taken += clusters[right][1]
        right += 1
    while left > 0 and taken + clusters[left - 1][1] <= room:
        left -= 1
        taken += clusters[left][1]
    begin, end = places[left], places[right]
    stop = min(start + length, end)
    before = (_CUT if left else "") + shown[begin:start]
    return before, shown[start:stop], shown[stop:end] + (_CUT if right < len(clusters) else "")


_CUT = "..."
