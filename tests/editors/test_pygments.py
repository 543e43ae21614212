"""The Pygments lexer: what it says of the words of specs is what the compiler knows of them."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import Token
from told import words

from archspec.highlighting import ArchLexer
from archspec.syntax import tables

ROOT = Path(__file__).parents[2]
CONSTRUCTS = ROOT / "editors" / "vscode" / "test" / "constructs.arch"
SPECS = [CONSTRUCTS, *sorted((ROOT / "specs").rglob("*.arch"))]

KINDS: dict[str, tuple[Any, ...]] = {
    "argument": (Token.Name.Attribute,),
    "block": (Token.Keyword.Declaration,),
    "comment": (Token.Comment.Single,),
    "constant": (Token.Keyword.Constant,),
    "def": (Token.Keyword.Declaration,),
    "defined": (Token.Name.Class, Token.Name.Function),
    "docstring": (Token.Literal.String.Doc,),
    "figure": (Token.Literal.Number,),
    "flow": (Token.Keyword,),
    "input": (Token.Keyword.Declaration,),
    "label": (Token.Name.Label,),
    "model": (Token.Keyword.Declaration,),
    "number": (Token.Literal.Number,),
    "own": (Token.Keyword.Declaration,),
    "parameter": (Token.Name.Variable,),
    "quantity": (Token.Name.Attribute,),
    "string": (Token.Literal.String,),
    "type": (Token.Keyword.Type,),
}


def tokens(text: str) -> list[tuple[int, Any, str]]:
    return list(ArchLexer().get_tokens_unprocessed(text))


def test_each_word_of_each_shipped_spec_is_what_it_is() -> None:
    total = 0
    for path in SPECS:
        text = path.read_text(encoding="utf-8")
        found = tokens(text)
        assert "".join(value for _, _, value in found) == text
        assert not [value for _, kind, value in found if kind is Token.Error], path
        at = {start + i: kind for start, kind, value in found for i in range(len(value))}
        for start, length, kind in words(text):
            total += 1
            place = f"{path}:{text.count(chr(10), 0, start) + 1}: {text[start : start + length]} is a {kind}"
            for offset in (start, start + length - 1):
                assert any(at[offset] in expected for expected in KINDS[kind]), f"{place}, not {at[offset]}"
    assert total > 10_000


def test_words_and_names_of_the_vocabulary_are_coloured_as_such() -> None:
    found = tokens(CONSTRUCTS.read_text(encoding="utf-8"))
    coloured = {value for _, kind, value in found if kind in Token.Keyword or kind is Token.Operator.Word}
    types = {"int", "float", "layer", "list", "pair", "bf16", "f32", "i64"}
    assert coloured - types == {*tables.tables().words, "free", "names"}
    kinds = {value: kind for _, kind, value in found}
    for name, kind in {
        "Conv": Token.Name.Builtin,
        "GELU": Token.Name.Builtin,
        "enumerate": Token.Name.Builtin,
        "trunc_normal": Token.Name.Builtin.Pseudo,
        "pi": Token.Name.Builtin.Pseudo,
        "SqueezeExcite": Token.Name.Class,
        "blocks.attention": Token.Name.Namespace,
        "{{": Token.Literal.String.Escape,
        "->": Token.Operator,
        "**=": Token.Operator,
    }.items():
        assert kinds[name] is kind, name


@given(st.text(st.sampled_from("ab \n\"'{}()[]:=->*.,#0\\é$") | st.characters(codec="utf-8"), max_size=60))
def test_no_text_is_lost_whatever_it_is(text: str) -> None:
    assert "".join(value for _, _, value in tokens(text)) == text


def test_a_string_without_its_end_ends_with_its_line() -> None:
    kinds = {value: kind for _, kind, value in tokens("x = 'a{b\ny = 1\n")}
    assert kinds["y"] is Token.Name
    assert kinds["1"] is Token.Literal.Number.Integer


def test_pygments_finds_it_by_its_names() -> None:
    found = [entry.value for entry in entry_points(group="pygments.lexers") if entry.name == "archspec"]
    assert found == ["archspec.highlighting:ArchLexer"], "`pip install -e .` registers it"
    assert type(get_lexer_by_name("arch")) is ArchLexer
    assert type(get_lexer_for_filename("net.arch")) is ArchLexer


def test_a_page_can_be_made_of_it() -> None:
    from pygments import highlight

    page = highlight("y = x -> conv1: Conv(8)\n", ArchLexer(), HtmlFormatter())
    assert '<span class="nl">conv1</span>' in page and '<span class="nb">Conv</span>' in page


@pytest.mark.parametrize(
    ("text", "least", "most"), [("model Net:\n    return x -> ReLU\n", 0.4, 1), ("x = 1\n", 0, 0)]
)
def test_a_text_is_guessed_to_be_a_spec(text: str, least: float, most: float) -> None:
    assert least <= ArchLexer.analyse_text(text) <= most
