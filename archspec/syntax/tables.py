"""The parser's tables, kept beside the grammar: to compute them takes longer than all else at start-up.

`python -c "from archspec.syntax import tables; tables.write()"` writes them. Tables that were made from another grammar, or by another
lark, are not used.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import lark
from lark.grammar import Rule
from lark.indenter import Indenter
from lark.lexer import TerminalDef

GRAMMAR = Path(__file__).with_name("arch.lark")
TABLES = Path(__file__).with_name("arch.tables.json")


class BracketedIndenter(Indenter):
    """Turns indentation into tokens, except between brackets."""

    NL_type = "_NL"
    OPEN_PAREN_types = ["LPAR", "LSQB", "LBRACE"]  # noqa: RUF012
    CLOSE_PAREN_types = ["RPAR", "RSQB", "RBRACE"]  # noqa: RUF012
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 8


def parser(postlex: Indenter) -> lark.Lark:
    """The parser of `.arch` files (start `file`) and of expressions alone (start `cond`)."""
    text = GRAMMAR.read_text(encoding="utf-8")
    try:
        stored = json.loads(TABLES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = {}
    if stored.get("made_from") != _origin(text):
        return _computed(text, postlex)
    data, memo = _with_numbers(stored)
    empty = lark.Lark.__new__(lark.Lark)
    made: lark.Lark = empty._load({"data": data, "memo": memo}, postlex=postlex, propagate_positions=True)
    return made


def tables() -> str:
    """The tables as JSON, computed from the grammar."""
    text = GRAMMAR.read_text(encoding="utf-8")
    data, memo = _computed(text, BracketedIndenter()).memo_serialize([TerminalDef, Rule])
    data["options"]["postlex"] = None
    return (
        json.dumps(
            {"made_from": _origin(text), "data": data, "memo": memo}, separators=(",", ":"), sort_keys=True
        )
        + "\n"
    )


def _computed(text: str, postlex: Indenter) -> lark.Lark:
    return lark.Lark(
        text,
        parser="lalr",
        postlex=postlex,
        start=["file", "cond"],
        propagate_positions=True,
        maybe_placeholders=True,
    )


def _origin(text: str) -> str:
    return f"lark {lark.__version__}, grammar {sha256(text.encode()).hexdigest()}"


def _with_numbers(stored: Any) -> tuple[Any, Any]:
    """The tables and lark's memo of them; numbers as keys, which JSON does not have, are made again."""
    data, memo = stored["data"], {int(key): value for key, value in stored["memo"].items()}
    automaton = data["parser"]["parser"]
    automaton["tokens"] = {int(key): value for key, value in automaton["tokens"].items()}
    automaton["states"] = {
        int(state): {int(token): action for token, action in actions.items()}
        for state, actions in automaton["states"].items()
    }
    return data, memo


def write() -> None:
    """Write the tables of the grammar as it stands now."""
    TABLES.write_text(tables(), encoding="utf-8")
