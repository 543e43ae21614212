"""All that can be mended in a text that is being edited and in the files that it imports, as `archspec check --fix` mends files."""

from __future__ import annotations

from pathlib import Path

from archspec.api.fixing import MOST_ROUNDS, apart, edited
from archspec.editing.analysis import Analysis, analyse
from archspec.editing.looking_up import path_of
from archspec.elaboration.files import normal, resolved, text_of
from archspec.ground.errors import Edit
from archspec.ground.shipped import shipped_specs
from archspec.ground.source import Source


def mended(analysis: Analysis) -> list[tuple[Source, str]]:
    """The sources that change, each with its text after all that is sure was mended, and what is then, until nothing changes.

    What a shipped spec says stays. Lines of the texts end with a line feed.
    """
    if analysis.mended is None:
        analysis.mended = _mended(analysis)
    return analysis.mended


def _mended(analysis: Analysis) -> list[tuple[Source, str]]:
    shipped = resolved(shipped_specs())
    own = analysis.path.resolve()
    before: dict[Path, str] = {own: analysis.text}
    after: dict[Path, str] = {}
    sources: dict[Path, Source] = {own: analysis.source}
    problems = analysis.problems
    for _ in range(MOST_ROUNDS):
        edits: dict[Path, list[Edit]] = {}
        for fix in apart(problems):
            paths = [resolved(path_of(analysis, edit.span.source.path)) for edit in fix.edits]
            if any(path.is_relative_to(shipped) for path in paths):
                continue
            for path, edit in zip(paths, fix.edits, strict=True):
                sources.setdefault(path, edit.span.source)
                edits.setdefault(path, []).append(edit)
        if not edits:
            break
        for path, wanted in edits.items():
            if path not in before:
                text = analysis.texts.get(path)
                before[path] = normal(text_of(path, str(path)) if text is None else text)
            after[path] = edited(after.get(path, before[path]), wanted)
        texts = {**analysis.texts, **after}
        text = texts.pop(own, analysis.text)
        problems = analyse(text, analysis.path, texts=texts).problems
    return [
        (Source(sources[path].path, before[path], sources[path].name), text)
        for path, text in after.items()
        if text != before[path]
    ]
