"""What is wrong with a spec, where, and how it prints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import archspec.namesake  # noqa: F401  (nearly every module imports this one)
from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.source import Span

if TYPE_CHECKING:
    from archspec.ground.rendering import Style

MOST_PROBLEMS = 20


class Mistake(ValueError):  # noqa: N818  (an error only once it has a place)
    """Something is wrong, as found by a rule that does not know where it is applied.

    `code` is one of those in `archspec.ground.codes`, `label` what stands beside the underline, `help` how to mend it.
    `instead` is what to write in the place of what is underlined, where that is sure. Whoever knows the place turns it
    into a `Problem`.
    """

    def __init__(
        self,
        message: str,
        code: str = codes.ARGUMENT,
        *,
        label: str = "",
        help: str = "",
        instead: str | None = None,
        places: Places = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.label = label
        self.help = help
        self.instead = instead
        self.places = places
        self.others: tuple[Mistake, ...] = ()  # found with it, of which none follows from another

    @property
    def kind(self) -> str:
        """What sort of thing is wrong, in a word: `shape`, `argument`, `name` ..."""
        return codes.kind_of(self.code)

    def at(self, span: Span | None) -> SpecError:
        """The same mistake with its place."""
        fix = replaced(span, self.instead) if span is not None and self.instead is not None else None
        problem = Problem(self.code, self.message, span, self.label, self.help, places=self.places, fix=fix)
        return SpecError([problem])


class Edit(NamedTuple):
    """Some text of a source, replaced by other text; an empty span is where something is inserted."""

    span: Span
    text: str


class Fix(NamedTuple):
    """What mends a problem, as a program can apply it: in a few words, and as edits that do not overlap.

    What is not `sure`, as a name that is only near, is offered to a person and never applied unasked.
    """

    title: str
    edits: tuple[Edit, ...]
    sure: bool = True


def replaced(span: Span, text: str) -> Fix:
    """The fix that writes a text in the place of another."""
    return Fix(f"write `{text.strip()}`" if text else f"remove `{span.text}`", (Edit(span, text),))


Places = tuple[tuple[str, Span], ...]
"""Texts beside places: what each has to do with a problem, or the blocks that led there."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong: its code, what and where, the blocks that led there (innermost first), and how to mend it.

    `places` are others that have to do with it, with what stands there; `fix` is the edit that mends it, where one is sure.
    `level` is "error", or "warning" for what is right but hardly meant.
    """

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    help: str = ""
    trail: Places = ()
    places: Places = ()
    fix: Fix | None = None

    def __post_init__(self) -> None:
        if self.fix is None and self.span is not None and isinstance(self.help, Near):
            object.__setattr__(self, "fix", self.help.fix(self.span))

    def __repr__(self) -> str:
        place = f" at {self.span.place}" if self.span else ""
        return brief(self, f"{self.code}{place}: {self.message}")

    @property
    def level(self) -> Literal["error", "warning"]:
        """Whether it is wrong, or only hardly meant."""
        return "warning" if self.code.startswith("W") else "error"

    @property
    def kind(self) -> str:
        """What sort of thing is wrong, in a word (`shape`, `name` ...); of a warning, the name by which it is allowed."""
        return codes.kind_of(self.code)

    def render(self, style: Style | None = None) -> str:
        """The problem as a person reads it: message, place, underlined line, trail and help; plain unless a style is given."""
        from archspec.ground.rendering import PLAIN, render  # which a spec without mistakes does not need

        return render(self, style or PLAIN)

    def as_record(self) -> dict[str, Any]:
        """The problem as JSON holds it: places in lines and columns counted from 1, an end behind the last letter."""
        return {
            "level": self.level,
            "code": self.code,
            "kind": self.kind,
            "message": self.message,
            **_record_of(self.span),
            "label": self.label,
            "help": self.help,
            "places": [{"label": text, **_record_of(span)} for text, span in self.places],
            "trail": [{"block": text, **_record_of(span)} for text, span in self.trail],
            "fix": self.fix
            and {
                "title": self.fix.title,
                "sure": self.fix.sure,
                "edits": [{"text": edit.text, **_record_of(edit.span)} for edit in self.fix.edits],
            },
        }


def _record_of(span: Span | None) -> dict[str, str | int | None]:
    start, end = (span.source.position(o) for o in span[1:]) if span else ((None, None), (None, None))
    record: dict[str, str | int | None] = {"file": span.source.path if span else None}
    return record | {"line": start[0], "column": start[1], "end_line": end[0], "end_column": end[1]}


def each_once(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, of those with one code and place the first: a block used in many ways may be wrong in each."""
    first: dict[object, Problem] = {}
    for problem in problems:
        first.setdefault((problem.code, problem.span) if problem.span else problem, problem)
    return list(first.values())


class SpecError(Exception):
    """A spec is wrong, or cannot be read. Carries every problem found, each with its place.

    `str(error)` is the whole report as the command line prints it.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        found = each_once(problems)
        self.problems = tuple(found[:MOST_PROBLEMS])
        self.complete = len(found) <= MOST_PROBLEMS
        super().__init__(self.report())

    def __repr__(self) -> str:
        others = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        first = self.problems[0] if self.problems else None
        place = f" at {first.span.place}" if first and first.span else ""
        return brief(self, f"{first.code}{place}{others}: {first.message}" if first else "without a problem")

    def report(self, style: Style | None = None) -> str:
        """All problems as `Problem.render` prints them."""
        report = [problem.render(style) for problem in self.problems]
        if not self.complete:
            report.append(f"There may be more errors; these are the first {MOST_PROBLEMS}.")
        return "\n\n".join(report)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)

    @classmethod
    def of(
        cls,
        code: str,
        message: str,
        span: Span | None = None,
        *,
        label: str = "",
        help: str = "",
        places: Places = (),
        instead: str | None = None,
        fix: Fix | None = None,
    ) -> SpecError:
        """An error with one problem; `instead` is what to write in the place of the span, where that is sure, or else `fix`."""
        if span is not None and instead is not None:
            fix = replaced(span, instead)
        return cls([Problem(code, message, span, label, help, places=places, fix=fix)])

    def inside(self, what: str, span: Span) -> SpecError:
        """The same error, seen from one block further out: `what` was called at `span`."""
        return SpecError(replace(problem, trail=(*problem.trail, (what, span))) for problem in self.problems)


WARNINGS = tuple(codes.NAMES.values())
"""The names of warnings, which do not change."""


class SpecWarning(UserWarning):
    """A spec is right, but something in it is hardly meant so: nothing uses it, or it hides something. `problem` says all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)  # so that it can be pickled
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.problem.message} [{self.problem.code} {self.problem.kind}]"


class InputError(SpecError, ValueError):
    """A network was given tensors that its spec does not allow."""


class StepError(InputError, RuntimeError):
    """A step of a network failed at run time, on tensors that its op does not take.

    `step` is the step's full name, and `__cause__` the error that PyTorch raised; `except` clauses for that one's class still hold.
    """

    step = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return StepError, (self.problems,), {"step": self.step}


class Near(str):
    """The help that asks whether another name was meant, which a person may take."""

    wrong: str
    right: str

    def __new__(cls, wrong: str, right: str) -> Near:
        """The help for a `wrong` name that is near a `right` one."""
        near = super().__new__(cls, f"did you mean `{right}`?")
        near.wrong, near.right = wrong, right
        return near

    def __reduce__(self) -> tuple[Any, ...]:
        return Near, (self.wrong, self.right)

    def fix(self, span: Span) -> Fix | None:
        """The edit that writes the right name where the wrong one stands in a span; None where it stands there not just once."""
        found = [*re.finditer(rf"(?<![\w.]){re.escape(self.wrong)}(?!\w)", span.text)]
        if not found:  # behind a dot
            found = [*re.finditer(rf"(?<!\w){re.escape(self.wrong)}(?!\w)", span.text)]
        if len(found) != 1:
            return None
        start = span.start + found[0].start()
        place = Span(span.source, start, start + len(self.wrong))
        return Fix(f"write `{self.right}`", (Edit(place, self.right),), sure=False)


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?` (`Near`), or an empty string when nothing known is near."""
    from difflib import get_close_matches  # which a spec without mistakes does not need

    lowered = {candidate.lower(): candidate for candidate in sorted(known)}
    wanted = name.lower()[:_LONGEST_NAME]
    near = [n for n in get_close_matches(wanted, lowered, n=3, cutoff=0.6) if _alike(wanted, n)]
    if not near:  # an abbreviation, or a name that was abbreviated: `Conv` for `Convolution`
        near = [
            n
            for n in lowered
            if min(len(n), len(wanted)) > 2 and (n.startswith(wanted) or wanted.startswith(n))
        ]
    return Near(name, lowered[near[0]]) if near else ""


def _alike(wanted: str, found: str) -> bool:
    """Whether a word is another one misspelt, rather than one with some letters of it: two edits for each six letters, a swap being one."""
    most = max(1, (max(len(wanted), len(found)) + 3) // 4)
    rows: list[list[int]] = [list(range(len(found) + 1))]
    for i, letter in enumerate(wanted, 1):
        row = [i]
        for j, other in enumerate(found, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == found[j - 2] and wanted[i - 2] == other:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1] <= most


_LONGEST_NAME = 100
