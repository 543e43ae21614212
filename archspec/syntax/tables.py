"""The parser's tables, kept beside the grammar: to compute them takes longer than all else at start-up, and takes lark.

`python -c "from archspec.syntax import tables; tables.write()"` writes them. Tables of another grammar are not used.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from lark import Lark
    from lark.grammar import Rule

GRAMMAR = Path(__file__).with_name("arch.lark")
TABLES = Path(__file__).with_name("arch.tables.json")
STARTS = ("file", "cond")


class Tables(NamedTuple):
    """What an LALR(1) parser of `.arch` files goes by. Terminals and rules have the names that the grammar gives them.

    `patterns` are the regular expressions of tokens, `skipped` those of what stands between them; `words` and `symbols` are
    tokens that have one text each, for symbols also what their first characters could be alone: `**` is `_POWER` of two
    characters, or `STAR` of one. `rows` says what to do in each state, by the name of what comes next: the state to go to, or
    below 0 the rule to reduce by, ~r for rule r. `rules` are (what is made, the name of the rule, how many parts it has, which
    of them are kept): a part that is kept has its index, a list of parts that become the rule's own ~index, and None stands for
    what may be there and is not. What is made is empty where it is the one part itself, and "*" for a list.
    """

    patterns: dict[str, str]
    skipped: list[str]
    words: dict[str, str]
    symbols: dict[str, list[tuple[str, int]]]
    rules: list[tuple[str, str, int, list[int | None]]]
    rows: list[dict[str, int]]
    starts: dict[str, int]
    ends: dict[str, int]


def tables() -> Tables:
    """The tables of the grammar: those kept, if they are its own."""
    text = GRAMMAR.read_bytes()
    try:
        kept = json.loads(TABLES.read_bytes())
    except (OSError, ValueError):
        kept = {}
    return Tables(**kept["tables"]) if kept.get("made_from") == _origin(text) else computed()


def computed() -> Tables:
    """The tables, computed from the grammar by lark."""
    from lark.parsers.lalr_analysis import Shift

    parser = grammar()
    automaton: Any = parser.parser.parser._parse_table
    names = list(automaton.states)
    number = {name: index for index, name in enumerate(names)}
    rules = list(parser.rules)
    rows = [
        {
            symbol: number[to] if action is Shift else ~rules.index(to)
            for symbol, (action, to) in sorted(automaton.states[name].items())
        }
        for name in names
    ]
    return Tables(
        **_tokens(parser),
        rules=[_rule(rule) for rule in rules],
        rows=rows,
        starts={start: number[automaton.start_states[start]] for start in STARTS},
        ends={start: number[automaton.end_states[start]] for start in STARTS},
    )


def grammar() -> Lark:
    """The grammar as lark has it."""
    import lark

    return lark.Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start=list(STARTS),
        maybe_placeholders=True,
    )


def _tokens(parser: Lark) -> dict[str, Any]:
    """What lark knows of tokens, those of one text apart from those of many."""
    import re

    from lark.lexer import PatternStr

    patterns: dict[str, str] = {}
    words: dict[str, str] = {}
    symbols: dict[str, list[str]] = {}
    for terminal in parser.terminals:
        pattern = terminal.pattern.to_regexp()
        if isinstance(terminal.pattern, PatternStr):
            spelled = [terminal.pattern.value]
        else:
            spelled = re.sub(r"\\b$|\\(?=\W)", "", pattern).strip("()").removeprefix("?:").split("|")
        if not all(re.fullmatch(pattern, text) for text in spelled):
            patterns[terminal.name] = pattern
        for text in spelled if terminal.name not in patterns else ():
            if text.isidentifier():
                words[text] = terminal.name
            else:
                symbols.setdefault(text, []).append(terminal.name)
    skipped = sorted(parser.ignore_tokens, key=lambda name: -parser.get_terminal(name).priority)
    return {
        "patterns": {name: pattern for name, pattern in patterns.items() if name not in skipped},
        "skipped": [patterns[name] for name in skipped],
        "words": words,
        "symbols": {
            text: [
                (name, end) for end in range(len(text), 0, -1) for name in sorted(symbols.get(text[:end], ()))
            ]
            for text in sorted(symbols, key=lambda text: (-len(text), text))
        },
    }


def _rule(rule: Rule) -> tuple[str, str, int, list[int | None]]:
    missing = "".join("-" if empty else "+" for empty in rule.options.empty_indices) or "+" * len(
        rule.expansion
    )
    kept: list[int | None] = []
    index = -1
    for there in missing:
        if there == "-":
            kept.append(None)
            continue
        index += 1
        symbol = rule.expansion[index]
        if not (symbol.is_term and getattr(symbol, "filter_out", False)):
            kept.append(~index if not symbol.is_term and symbol.name.startswith("_") else index)
    made = str(rule.alias or rule.origin.name)
    if str(rule.origin.name).startswith("_"):
        made = "*"
    elif rule.options.expand1 and not rule.alias and len(kept) == 1:
        made = ""
    return made, str(rule.origin.name), len(rule.expansion), kept


def _origin(text: bytes) -> str:
    return f"grammar {sha256(text).hexdigest()}"


def written() -> str:
    """The file of the tables."""
    kept = {"made_from": _origin(GRAMMAR.read_bytes()), "tables": computed()._asdict()}
    return json.dumps(kept, separators=(",", ":")) + "\n"


def write() -> None:
    """Write the tables of the grammar as it stands now."""
    TABLES.write_text(written(), encoding="utf-8")
