"""Text to a bare tree, as the tables say: what lark's parser does with them, without importing it, in a third of the time."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from archspec.syntax.tables import Tables, tables

DEEPEST = 64  # brackets within brackets
_TAB = 8  # columns


class Token(str):
    """The text of a token, and its offset."""

    __slots__ = ("start",)
    start: int


class Node(NamedTuple):
    """What a rule of the grammar made: the rule's name, offsets into the text, and parts; None for one that is not there."""

    rule: str
    start: int
    end: int
    parts: list[Node | Token | None]


class Stuck(Exception):  # noqa: N818  (becomes a SpecError)
    """The first place where the text is not what the grammar expects.

    `token` is the word there, None for a character that begins none; `kind` the grammar's name for it; `expected` are the
    names of those that could be there.
    """

    def __init__(self, start: int, token: str | None, kind: str, expected: set[str]) -> None:
        super().__init__(start, token, kind)
        self.start, self.token, self.kind, self.expected = start, token, kind, expected


class Misplaced(Exception):  # noqa: N818
    """A place that the automaton does not get to: an offset."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.start = start


class Misindented(Misplaced):
    """The line that begins there is indented like no line above it."""


class TooDeep(Misplaced):
    """The bracket there is one within too many."""


def syntax_tree(text: str, start: str) -> Node | Token:
    """The tree of a text that is what the rule `start` says. Raises Stuck, Misindented or TooDeep where it is none."""
    return _Run(text, start).tree()


def tokens(text: str, start: str) -> list[tuple[str, int, int]]:
    """The tokens of a text that is what the rule `start` says: the grammar's names of them, and where each starts and ends.

    Line breaks that end something (`_NL`), and the starts and ends of blocks (`_INDENT`, `_DEDENT`), are among them.
    """
    run = _Recorded(text, start)
    run.tree()
    return run.taken


@cache
def _automaton() -> tuple[Tables, re.Pattern[str], re.Pattern[str]]:
    """The tables, how all tokens look, and how figures do, which look like numbers and stand elsewhere."""
    found = tables()
    looks = {
        "skipped": "|".join(found.skipped),
        **{name: found.patterns[name] for name in ("_NL", "FREE", "NAME", "FLOAT", "INT", "STRING")},
        "symbol": "|".join(map(re.escape, found.symbols)),
    }
    token = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in looks.items()))
    return found, token, re.compile(found.patterns["FIGURE"])


_passed: dict[tuple[int, str, str], int] = {}
"""The state after rules that hand on their one part (`cond`, `or_`, `and_` ... of a mere name): of the state before, what was
made, and the token that follows."""


class _Run:
    """One text on its way through the automaton."""

    def __init__(self, text: str, start: str) -> None:
        self.text = text
        self.tables, self.looks, self.figure = _automaton()
        self.rows = self.tables.rows
        self.states = [self.tables.starts[start]]
        self.end = self.tables.ends[start]
        # Of each part so far: itself, and where it starts and ends, brackets around it that leave no trace in the tree included.
        self.values: list[Node | Token | list[Node | Token | None] | None] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def tree(self) -> Node | Token:
        text, match, words = self.text, self.looks.match, self.tables.words
        indents, depth, at, start, end = [0], 0, 0, 0, 0
        while at < len(text):
            found = match(text, at)
            if found is None:
                raise Stuck(at, None, "", self.accepted())
            kind = found.lastgroup
            if kind == "skipped":
                at = found.end()
                continue
            start, end = at, found.end()
            if kind == "_NL":
                at = end
                if not depth:
                    self.feed("_NL", start, end)
                    self.indent(indents, start, end)
                continue
            row = self.rows[self.states[-1]]
            if kind == "FREE":
                kind = kind if kind in row else "NAME"
            elif kind == "NAME":
                word = words.get(found.group(), "NAME")
                kind = word if word in row else "NAME"
            elif kind == "symbol":
                for kind, length in self.tables.symbols[found.group()]:
                    if kind in row:
                        end = start + length
                        break
            elif "FIGURE" in row and kind != "STRING":
                figure = self.figure.match(text, start)
                kind, end = ("FIGURE", figure.end()) if figure else (kind, end)
            if kind not in row:
                raise self.misplaced(found)
            self.feed(kind, start, end)
            if kind in ("LPAR", "LSQB", "LBRACE"):
                depth += 1
                if depth > DEEPEST:
                    raise TooDeep(start)
            elif kind in ("RPAR", "RSQB", "RBRACE"):
                depth -= 1
            at = end
        for _ in indents[1:]:
            self.feed("_DEDENT", start, end)
        self.feed("$END", start, end)
        made = self.values[-1]
        assert isinstance(made, Node | Token)
        return made

    def indent(self, indents: list[int], start: int, end: int) -> None:
        """Open or close blocks, as the line that follows a line break from `start` to `end` is indented."""
        blank = self.text[self.text.rfind("\n", start, end) + 1 : end]
        columns = blank.count(" ") + blank.count("\t") * _TAB
        if columns > indents[-1]:
            indents.append(columns)
            self.feed("_INDENT", start, end)
            return
        while columns < indents[-1]:
            indents.pop()
            self.feed("_DEDENT", start, end)
        if columns != indents[-1]:
            raise Misindented(end)

    def feed(self, kind: str, start: int, end: int) -> None:
        """Take the next token: reduce by what ends before it, and shift it. Raises Stuck where it cannot stand."""
        states, rows, values, starts, ends = self.states, self.rows, self.values, self.starts, self.ends
        while True:
            action = rows[states[-1]].get(kind)
            if action is None:
                raise Stuck(start, "$END" if kind == "$END" else self.text[start:end], kind, self.accepted())
            if action >= 0:
                states.append(action)
                token = Token(self.text[start:end])
                token.start = start
                values.append(token)
                starts.append(start)
                ends.append(end)
                return
            made, rule, size, kept = self.tables.rules[~action]
            if size:
                parts, first, last = values[-size:], starts[-size], ends[-1]
                del states[-size:], values[-size:], starts[-size:], ends[-size:]
            else:
                parts, first, last = [], -1, -1
            if not made:
                values.append(parts[kept[0] or 0])
            else:
                children: list[Node | Token | None] = []
                for index in kept:
                    if index is None:
                        children.append(None)
                    elif index < 0:
                        children += parts[~index]  # type: ignore[arg-type]
                    else:
                        children.append(parts[index])  # type: ignore[arg-type]
                values.append(children if made == "*" else Node(made, first, last, children))
            starts.append(first)
            ends.append(last)
            state = self.passed(states[-1], rule, kind)
            states.append(state)
            if kind == "$END" and state == self.end:
                return

    def passed(self, state: int, rule: str, kind: str) -> int:
        """The state that follows `state` when a rule has been read and `kind` comes next, rules that only hand it on gone through."""
        key = state, rule, kind
        known = _passed.get(key)
        if known is None:
            known = self.rows[state][rule]
            action = self.rows[known].get(kind, 0)
            if action < 0 and known != self.end:
                made, outer, size, _ = self.tables.rules[~action]
                if not made and size == 1:
                    known = self.passed(state, outer, kind)
            _passed[key] = known
        return known

    def misplaced(self, found: re.Match[str]) -> Stuck:
        """What to say of a token that cannot come next, taken as long as it could be anywhere."""
        kind, text = found.lastgroup or "", found.group()
        if kind == "INT":
            figure = self.figure.match(self.text, found.start())
            text = figure.group() if figure else text
        elif kind == "NAME":
            kind = self.tables.words.get(text, kind)
        elif kind == "symbol":
            kind = self.tables.symbols[text][0][0]
        return Stuck(found.start(), text, kind, self.accepted())

    def accepted(self) -> set[str]:
        """The terminals that can come next: of those in the state's row, the ones that are shifted in the end."""
        return {kind for kind in self.rows[self.states[-1]] if kind.isupper() and self.shifts(kind)}

    def shifts(self, kind: str) -> bool:
        states = [*self.states]
        while True:
            action = self.rows[states[-1]].get(kind)
            if action is None or action >= 0:
                return action is not None
            _, rule, size, _ = self.tables.rules[~action]
            del states[len(states) - size :]
            states.append(self.rows[states[-1]][rule])
            if kind == "$END" and states[-1] == self.end:
                return True


class _Recorded(_Run):
    """One that keeps the tokens which it took."""

    def __init__(self, text: str, start: str) -> None:
        super().__init__(text, start)
        self.taken: list[tuple[str, int, int]] = []

    def feed(self, kind: str, start: int, end: int) -> None:
        super().feed(kind, start, end)
        self.taken.append((kind, start, end))
