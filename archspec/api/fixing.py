"""Mending specs: applying the edits that problems have where these are sure."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from archspec.api.checking import Checked, check_models
from archspec.api.formatting import Rewritten
from archspec.elaboration import shipped_specs, text_of
from archspec.elaboration.files import resolved
from archspec.ground.errors import Edit, Fix, Problem, SpecError
from archspec.ground.source import Span

MOST_ROUNDS = 5


def apart(problems: Iterable[Problem]) -> list[Fix]:
    """The fixes that are sure and can be applied together: of two that meet, the first."""
    chosen: list[Fix] = []
    taken: dict[str, list[tuple[int, int]]] = {}  # by file, in order and apart
    for problem in problems:
        if problem.fix is None or not problem.fix.sure:
            continue
        spans = [edit.span for edit in problem.fix.edits]
        if not any(_meets(span, taken.get(span.source.path, [])) for span in spans):
            chosen.append(problem.fix)
            for source, start, end in spans:
                insort(taken.setdefault(source.path, []), (start, end))
    return chosen


def _meets(span: Span, taken: list[tuple[int, int]]) -> bool:
    """Whether a span touches one of those before or behind it."""
    at = bisect_left(taken, (span.start, span.end))
    return any(start <= span.end and span.start <= end for start, end in taken[max(0, at - 1) : at + 1])


def edited(text: str, edits: Iterable[Edit]) -> str:
    """What a file holds after edits that do not meet; the mark of a byte order and the ends of lines stay as they are.

    Places in edits are, as everywhere, those of the text as it is parsed.
    """
    # Where each character of the parsed text stands in the file.
    places = [found.start() for found in _CHARACTER.finditer(text, int(text.startswith("\ufeff")))]
    places.append(len(text))
    end_of_line = _END_OF_LINE.search(text)
    for edit in sorted(edits, key=lambda edit: edit.span.start, reverse=True):
        start, end = (places[min(offset, len(places) - 1)] for offset in edit.span[1:])
        said = edit.text.replace("\n", end_of_line[0]) if end_of_line else edit.text
        text = text[:start] + said + text[end:]
    return text


_CHARACTER = re.compile(r"\r\n|.", re.S)
_END_OF_LINE = re.compile(r"\r\n|\r|\n")


class Fixed(NamedTuple):
    """How many problems of a spec were mended, and what a check says before and after."""

    mended: int
    before: Checked
    after: Checked


class Fixer:
    """Mends specs and the files that they import, but for shipped ones; none is written before `write`."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.files: dict[Path, Rewritten] = {}  # those read so far, by their resolved paths

    def fix(self, spec: str) -> Fixed:
        """Mend what is sure in a spec, and what is then, until nothing changes."""
        before = checked = self._check(spec)
        count = 0
        for _ in range(MOST_ROUNDS):
            applied = self._apply(checked.problems)
            if not applied:
                break
            count += applied
            checked = self._check(spec)
        return Fixed(count, before, checked)

    def write(self) -> None:
        """Write each file that changed, whole or not at all. Raises SpecError with those that cannot be, which are as they were."""
        problems: list[Problem] = []
        for key, file in self.files.items():
            if file.changes:
                try:
                    file.write()
                except SpecError as error:
                    problems += error.problems
                    self.files[key] = file._replace(after=file.before)
                else:
                    self.files[key] = file._replace(before=file.after)
        if problems:
            raise SpecError(problems)

    def _check(self, spec: str) -> Checked:
        return check_models(
            spec, self.budget, {key: file.after for key, file in self.files.items() if file.changes}
        )

    def _apply(self, problems: Iterable[Problem]) -> int:
        """Apply what fixes can be applied together; how many these were."""
        shipped = resolved(shipped_specs())
        count = 0
        edits: dict[Path, list[Edit]] = {}
        for fix in apart(problems):
            keys = [resolved(Path(edit.span.source.path)) for edit in fix.edits]
            if any(key.is_relative_to(shipped) for key in keys):
                continue
            count += 1
            for key, edit in zip(keys, fix.edits, strict=True):
                edits.setdefault(key, []).append(edit)
        for key, wanted in edits.items():
            path = wanted[0].span.source.path
            file = self.files.get(key) or Rewritten(path, *[text_of(Path(path), path)] * 2)
            self.files[key] = file._replace(after=edited(file.after, wanted))
        return count
