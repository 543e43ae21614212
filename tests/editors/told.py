"""What the compiler knows of the words of specs, as JSON for tests in other languages: `python told.py FILE.arch...`.

It prints, for each file, [offset, length, kind] of comments, strings, numbers, names of steps, arguments, parameters and types, of what
is defined, of figures, and of the words that begin statements.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from archspec.ground.source import Source
from archspec.syntax import tree as t
from archspec.syntax.parsing import parse_file

Word = tuple[int, int, str]


def words(text: str) -> list[Word]:
    """The words of a spec whose kind is sure."""
    tree = parse_file(Source("spec.arch", text))
    return sorted(word for node in tree.nodes for word in _told(node, text))


def _told(node: t.Tree, text: str) -> Iterator[Word]:
    start, end = node.span.start, node.span.end
    match node:
        case t.Comment():
            yield start, len(node.text), "comment"
        case t.Docstring():
            yield start, end - start, "docstring"
        case t.Literal_():
            bare = text[start:end].strip("() ")
            at = text.index(bare, start)
            yield at, len(bare), "number" if bare[0].isdigit() else "constant"
        case t.Step(label=t.Text() as label) | t.Item(label=t.Text() as label):
            yield from _label(label, text)
        case t.Argument(name=str(name)):
            yield start, len(name), "argument"
        case t.Parameter(name=name):
            yield start, len(name), "parameter"
        case t.TypeName(name=name):
            yield start, len(name), "type"
        case t.Definition(kind=kind, name=name):
            yield start, len(kind), kind
            yield end - len(name), len(name), "defined"
        case t.FunctionDefinition(name=name):
            yield start, len("def"), "def"
            yield end - len(name), len(name), "defined"
        case t.Claim(quantity=quantity, figure=figure):
            yield start, len(quantity), "quantity"
            if figure:
                yield text.index(figure, start + len(quantity)), len(figure), "figure"
        case t.Own(kind=kind):
            yield start, len(kind), "own"
        case t.Input(name=name):
            yield start, len("input"), "input"
            yield text.index(name, start + len("input")), len(name), "parameter"
        case t.Return():
            yield start, len("return"), "flow"
        case t.Text() if text[start] in "\"'":
            yield start, 1, "string"
            yield end - 1, 1, "string"


def _label(label: t.Text, text: str) -> Iterator[Word]:
    word = text[label.span.start : label.span.end]
    if word.isidentifier():
        yield label.span.start, len(word), "label"


if __name__ == "__main__":
    files = {name: words(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]}
    json.dump(files, sys.stdout)
