"""The automaton makes of a text what lark makes of it."""

from pathlib import Path
from typing import Any

import lark
import pytest
from lark.indenter import Indenter

from archspec import SpecError
from archspec.ground.source import Source
from archspec.syntax import automaton, tables
from archspec.syntax.parsing import parse_expression

SPECS = sorted((Path(__file__).parents[2] / "specs").rglob("*.arch"))


class Bracketed(Indenter):
    NL_type = "_NL"
    OPEN_PAREN_types = ["LPAR", "LSQB", "LBRACE"]  # noqa: RUF012
    CLOSE_PAREN_types = ["RPAR", "RSQB", "RBRACE"]  # noqa: RUF012
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 8


@pytest.fixture(scope="module")
def by_lark() -> lark.Lark:
    return lark.Lark(
        tables.GRAMMAR.read_text(),
        parser="lalr",
        postlex=Bracketed(),
        start=[*tables.STARTS],
        propagate_positions=True,
        maybe_placeholders=True,
    )


def plain(node: Any) -> Any:
    match node:
        case automaton.Node():
            return node.rule, node.start, node.end, [plain(part) for part in node.parts]
        case automaton.Token():
            return node.start, str(node)
        case lark.Tree():
            parts = [plain(child) for child in node.children]
            return str(node.data), node.meta.start_pos, node.meta.end_pos, parts
        case lark.Token():
            return node.start_pos, str(node)
    assert node is None
    return None


def test_each_shipped_spec_is_read_as_lark_reads_it(by_lark: lark.Lark) -> None:
    assert len(SPECS) > 100
    for path in SPECS:
        text = path.read_text(encoding="utf-8")
        assert plain(automaton.syntax_tree(text, "file")) == plain(by_lark.parse(text, start="file")), path


@pytest.mark.parametrize(
    "text",
    [
        "((a))", "a if b else c", "a[1:, ::2]", "-a ** -b ** 2", "x -> a: B(1)(c=2) -> D", "[a: b, for_: c]", "f(x for x in y)",
        "not a not in b", "1..2 .. 3", "a.b.c", "(a,)", "()", "[x for x, (y, z) in w if y if z]", "f(\n  a,\n\tb)", "a\n  -> b",
        "free + at * but", "a<b<=c!=d", "1e3 - 1.5e-3", "'a' \"b\" \"\"\"c\"d\"\"\"", "a \\\n + b", "inner + notable + orb", "2 x",
        "(a", "a)", "a +", "", "x = 1", "model", "if", "a -> ", "[1, 2", "12M", "$", "é", "'a", "**", "f(a=1, b)", "x...y", "a b",
    ],
)  # fmt: skip
def test_an_expression_is_read_or_refused_as_by_lark(text: str, by_lark: lark.Lark) -> None:
    try:
        expected = plain(by_lark.parse(text, start="cond"))
    except lark.UnexpectedInput as error:
        with pytest.raises(automaton.Stuck) as caught:
            automaton.syntax_tree(text, "cond")
        if isinstance(error, lark.UnexpectedToken):
            assert caught.value.kind == error.token.type
            assert caught.value.start == error.pos_in_stream
            assert caught.value.expected == error.accepts
        else:
            assert (caught.value.token, caught.value.start) == (None, error.pos_in_stream)
    else:
        assert plain(automaton.syntax_tree(text, "cond")) == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [("x andb", "andb"), ("1 input", "input"), ("a if b elsec", "elsec"), ("f(x forx in y)", "forx")],
)
def test_a_word_is_not_taken_apart(text: str, word: str) -> None:
    with pytest.raises(SpecError, match=f"unexpected `{word}`"):
        parse_expression(Source("here", text), 0, len(text))


def test_tables_of_another_grammar_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "arch.lark"
    other.write_text(tables.GRAMMAR.read_text().replace('"require"', '"any"'))
    monkeypatch.setattr(tables, "GRAMMAR", other)
    assert "any" in tables.tables().words
    monkeypatch.setattr(tables, "TABLES", tmp_path / "none.json")
    assert "free" not in tables.tables().words
