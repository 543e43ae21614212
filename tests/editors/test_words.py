"""The words that editors know are those of the grammar and of the vocabulary: none is missing, none is left over.

`pytest tests/editors/test_words.py --bless` writes the lists of functions, initialisations and constants anew.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archspec.analyses.claims import MEASURES
from archspec.api import read_text
from archspec.elaboration.functions import FUNCTIONS
from archspec.elaboration.vocabulary import CONSTANTS
from archspec.ground.source import Source
from archspec.op.initialisation import Initialiser
from archspec.syntax import tables
from archspec.syntax.parsing import parse_file

EDITORS = Path(__file__).parents[2] / "editors"
TEXTMATE = EDITORS / "vscode" / "syntaxes" / "arch.tmLanguage.json"
CONFIGURATION = EDITORS / "vscode" / "language-configuration.json"
SNIPPETS = EDITORS / "vscode" / "snippets" / "arch.json"
HIGHLIGHTS = EDITORS / "tree-sitter-arch" / "queries" / "highlights.scm"
NODES = EDITORS / "tree-sitter-arch" / "src" / "node-types.json"

WORDS = {*tables.tables().words, "free", "names"}
CONSTANT_WORDS = {"true", "false", "none"}
VALUES = sorted({*Initialiser.known, *CONSTANTS})


# ---------------------------------------------------------------- TextMate


def words_in(pattern: str) -> set[str]:
    """The words that a regular expression spells out."""
    return set(re.findall(r"(?<![A-Za-z])[a-z]{2,}", re.sub(r"\\.", " ", pattern)))


def patterns(value: Any) -> Iterator[str]:
    """The regular expressions of a grammar."""
    if isinstance(value, dict):
        for name, below in value.items():
            if name in ("match", "begin", "end", "while"):
                yield below
            else:
                yield from patterns(below)
    elif isinstance(value, list):
        for below in value:
            yield from patterns(below)


def test_textmate_knows_the_words_of_the_grammar_and_the_names_of_the_vocabulary(bless: bool) -> None:
    grammar = json.loads(TEXTMATE.read_text(encoding="utf-8"))
    parts = grammar["repository"]
    name = r"\b(?:([A-Z]\w*)|({})|({})|([A-Za-z_]\w*))(\()"
    call = name.format("|".join(sorted(FUNCTIONS)), "|".join(sorted(Initialiser.known)))
    values = rf"\b(?:{'|'.join(VALUES)})\b"
    if bless:
        parts["call"]["begin"], parts["name"]["patterns"][0]["match"] = call, values
        TEXTMATE.write_text(json.dumps(grammar, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert parts["call"]["begin"] == call
    assert parts["name"]["patterns"][0]["match"] == values
    del parts["call"], parts["name"]
    found = {word for text in patterns(grammar) for word in words_in(text)}
    assert found == WORDS


# ---------------------------------------------------------------- tree-sitter


def wrapped(names: list[str]) -> str:
    lines = textwrap.wrap(" ".join(f'"{name}"' for name in names), 130, break_on_hyphens=False)
    return "\n".join(f"    {line}" for line in lines)


def test_tree_sitter_knows_the_same(bless: bool) -> None:
    nodes = json.loads(NODES.read_text(encoding="utf-8"))
    assert {
        node["type"] for node in nodes if not node["named"] and node["type"].isalpha()
    } == WORDS - CONSTANT_WORDS
    assert {node["type"] for node in nodes if node["named"]} >= CONSTANT_WORDS
    text = HIGHLIGHTS.read_text(encoding="utf-8")
    for capture, names in {"@function.builtin": sorted(FUNCTIONS), "@constant.builtin": VALUES}.items():
        list_of = re.compile(rf"(#any-of\? {re.escape(capture)}\n)([^)]*)\)")
        if bless:
            text = list_of.sub(lambda match, names=names: match[1] + wrapped(names) + ")", text)
            HIGHLIGHTS.write_text(text, encoding="utf-8")
        found = list_of.search(text)
        assert found
        assert re.findall(r'"(\w+)"', found[2]) == names


# ---------------------------------------------------------------- snippets, indentation


def written(snippet: dict[str, Any]) -> str:
    """What a snippet writes, when nothing in it is changed."""
    text = "\n".join(snippet["body"]).replace("$0", "")
    text = re.sub(r"\$\{\d+\|([^,|]*)[^|]*\|\}", r"\1", text)
    return re.sub(r"\$\{\d+:((?:[^{}]|\{[^{}]*\})*)\}", r"\1", text)


SNIPPETS_BY_NAME = json.loads(SNIPPETS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SNIPPETS_BY_NAME)
def test_each_snippet_writes_what_the_grammar_accepts(name: str) -> None:
    text = written(SNIPPETS_BY_NAME[name])
    assert "$" not in text
    at_the_top = re.match(r"(model|block|def|claims|names|defaults|from)\b", text)
    if not at_the_top:
        body = textwrap.indent(text if not text.endswith(":\n    ") else f"{text}y = 1", "    ")
        text = f"block Part:\n    input x: [C, H, W]\n{body}\n    return x\n"
    parse_file(Source("snippet.arch", text))


def test_the_snippet_of_a_model_is_a_model() -> None:
    model, claims = written(SNIPPETS_BY_NAME["Model"]), written(SNIPPETS_BY_NAME["Claims"])
    graph = read_text(f"{model}\n")
    assert str(graph.outputs[0].type) == "f32[10]"
    quantities = re.search(r"\|(.*)\|", "".join(SNIPPETS_BY_NAME["Claims"]["body"]))
    assert quantities and claims.startswith("claims Net")
    assert set(quantities[1].split(",")) <= set(MEASURES)


def test_lines_that_indent_begin_with_words_of_the_grammar() -> None:
    rules = json.loads(CONFIGURATION.read_text(encoding="utf-8"))["indentationRules"]
    words = words_in(rules["increaseIndentPattern"])
    grammar = tables.GRAMMAR.read_text(encoding="utf-8")
    opening = {
        word
        for line in re.findall(r".*\bsuite\b.*|.*_INDENT.*", grammar)
        for word in re.findall(r'"([a-z]+)"', line)
    }
    assert words == (opening & WORDS) - {"in", "at"} | {"block", "model"}
