"""What is wrong with a spec, where, and how it prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from archspec.source import Span


class Mistake(ValueError):  # noqa: N818  (an error only once it has a place)
    """Something is wrong, said by a rule that does not know where it is being applied.

    `kind` is one word (`shape`, `argument`, `name` ...), `label` what stands beside the underline,
    `help` the mend. Whoever knows the place turns it into a `Problem`.
    """

    def __init__(self, message: str, *, kind: str = "argument", label: str = "", help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.label = label
        self.help = help

    def at(self, span: Span | None) -> SpecError:
        """The same mistake with its place."""
        return SpecError([Problem(self.kind, self.message, span, self.label, self.help)])


@dataclass(frozen=True)
class Problem:
    """One thing wrong: what, where, the blocks that led there (innermost first), and the mend."""

    kind: str
    message: str
    span: Span | None = None
    label: str = ""
    help: str = ""
    trail: tuple[tuple[str, Span], ...] = field(default=())

    def render(self) -> str:
        """The problem as a person reads it: message, place, underlined line, trail and help."""
        lines = [f"error[{self.kind}]: {self.message}"]
        margin = " "
        if self.span is not None:
            number, column = self.span.source.position(self.span.start)
            text = self.span.source.line(number)
            margin = " " * len(str(number))
            # Tabs and control characters would shift the underline, so each is shown as one blank.
            shown = "".join(c if c.isprintable() else " " for c in text)
            width = max(1, min(self.span.end - self.span.start, len(text) - column + 1))
            start, shown = _window(shown, column - 1, width)
            underline = " " * start + "^" * min(width, max(1, len(shown) - start))
            lines += [
                f"{margin}--> {self.span.place}",
                f"{margin} |",
                f"{number} | {shown}".rstrip(),
                f"{margin} | {underline} {self.label}".rstrip(),
            ]
        notes = [f"in {text}, called at {span.place}" for text, span in self.trail]
        if self.help:
            notes += [
                f"help: {line}" if i == 0 else f"      {line}"
                for i, line in enumerate(self.help.splitlines())
            ]
        if notes and self.span is not None:
            lines.append(f"{margin} |")
        lines += [f"{margin} = {note}" for note in notes]
        return "\n".join(lines)


def _window(text: str, start: int, width: int, limit: int = 160) -> tuple[int, str]:
    """Cut a long line to what stands around the underline; returns where that starts, and the cut."""
    if len(text) <= limit:
        return start, text
    left = max(0, min(start - 40, len(text) - limit))
    return start - left, text[left : left + limit]


class SpecError(Exception):
    """A spec is wrong, or cannot be read. Carries every problem found, each with its place.

    `str(error)` is the whole report as the command line prints it.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n\n".join(problem.render() for problem in self.problems))

    @classmethod
    def of(
        cls, kind: str, message: str, span: Span | None = None, *, label: str = "", help: str = ""
    ) -> SpecError:
        """An error with one problem."""
        return cls([Problem(kind, message, span, label, help)])

    def inside(self, what: str, span: Span) -> SpecError:
        """The same error, seen from one block further out: `what` was called at `span`."""
        return SpecError(replace(problem, trail=(*problem.trail, (what, span))) for problem in self.problems)


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?`, or an empty string when nothing known is near."""
    names = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    near = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return f"did you mean `{lowered[near[0]]}`?" if near else ""
