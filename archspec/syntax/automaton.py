"""Text to a bare tree, as the tables say: what lark's parser does with them, without importing it, in a third of the time."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from archspec.syntax.tables import Tables, tables

DEEPEST = 64  # brackets within brackets
NAMES_HELP = "give parts of it names"  # what to do about what is nested too deeply
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
        self.since = 0  # where reading was taken up, behind the fault before


class Misplaced(Exception):  # noqa: N818
    """A place that the automaton does not get to: an offset."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.start = start


class Misindented(Misplaced):
    """The line that begins there is indented like no line above it."""


class TooDeep(Misplaced):
    """The bracket there is one within too many."""


Fault = Stuck | Misplaced

MOST_FAULTS = 20
_STATEMENT = "docstring"  # what stands wherever a statement does, at the top of a file too
_GOES_ON = re.compile(
    r"[)\]}]|[-+*/%@<>]|[=!]=|(?:and|or)\b"
)  # the start of a line that ends the statement above
_BRANCHES = re.compile(r"(?:if|elif|else|for|while|try|match|switch)\b")
_WITH_BRANCHES = re.compile(
    rf"{_GOES_ON.pattern}|(?:elif|else|elseif|elsif|except|finally|catch|case|default)\b"
)


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


def syntax_tree_of_file(text: str) -> tuple[Node, list[Fault]]:
    """The tree of a whole file, and each place where it departs from the grammar.

    A statement in which it does is a node `broken`, with the lines below it that are indented more, unless it is plain how the
    line that leads them was meant.
    """
    run, at = _Lenient(text, "file"), 0
    faults = run.faults
    while True:
        try:
            made = run.tree(at)
        except (Stuck, Misplaced) as fault:
            if isinstance(fault, Stuck):
                fault.since = at
            run.note(fault)
            meant = run.read_as_meant(fault) if len(faults) < MOST_FAULTS else None
            if meant is not None:
                at = meant
                continue
            last = len(faults) == MOST_FAULTS or _never_ends(text, fault)
            at = run.recover(
                fault.start, last=last, bare=isinstance(fault, Stuck) and fault.expected == {"_INDENT"}
            )
        else:
            assert isinstance(made, Node)
            return made, faults


def _never_ends(text: str, fault: Fault) -> bool:
    """Whether what starts there is a string of many lines that is not closed, so that all below is part of it."""
    return isinstance(fault, Stuck) and fault.token is None and text.startswith('"""', fault.start)


@cache
def _automaton() -> tuple[Tables, re.Pattern[str], re.Pattern[str]]:
    """The tables, how all tokens look, and how figures do, which look like numbers and stand elsewhere."""
    found = tables()
    looks = {
        "skipped": "|".join(found.skipped),
        **{name: found.patterns[name] for name in ("_NL", "FREE", "NAMES", "NAME", "FLOAT", "INT", "STRING")},
        "symbol": "|".join(map(re.escape, found.symbols)),
    }
    token = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in looks.items()))
    return found, token, re.compile(found.patterns["FIGURE"])


_passed: dict[tuple[int, str, str], int] = {}
"""The state after rules that hand on their one part (`cond`, `or_`, `and_` ... of a mere name): of the state before, what was
made, and the token that follows."""


_DEFINES = re.compile(r"(?:block|model|def)\b")
_DEFINES_BELOW = re.compile(r"^(?:(?:block|model|def|from|claims)\b|names[ \t]+[A-Za-z_])", re.M)
_BLANK = re.compile(r"[ \t]*")


def _columns(blank: str) -> int:
    return blank.count(" ") + blank.count("\t") * _TAB


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
        # Of each block that is open: in which column its lines start, and how many states there were when it did.
        self.indents = [(0, 0)]

    def tree(self, at: int = 0) -> Node | Token:
        """The tree of the whole, read on from an offset at which a line begins."""
        text, match, words = self.text, self.looks.match, self.tables.words
        depth, start, end = 0, at, at
        if at and at < len(text):
            end = at + len(text[at:]) - len(text[at:].lstrip(" \t"))
            self.indent(at, end)
            at = end
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
                    self.end_line(start, end)
                    self.indent(start, end)
                continue
            row = self.rows[self.states[-1]]
            if kind in ("FREE", "NAMES"):
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
                if not (depth and kind == "COLON" and self.closes(found)):
                    raise self.misplaced(found)
                depth -= 1
            self.feed(kind, start, end)
            if kind in ("LPAR", "LSQB", "LBRACE"):
                depth += 1
                if depth > DEEPEST:
                    raise TooDeep(start)
            elif kind in ("RPAR", "RSQB", "RBRACE"):
                depth -= 1
            at = end
        while len(self.indents) > 1:
            self.feed("_DEDENT", start, end)
            self.indents.pop()
        self.feed("$END", start, end)
        made = self.values[-1]
        assert isinstance(made, Node | Token)
        return made

    def end_line(self, start: int, end: int) -> None:
        """Take the end of a line."""
        self.feed("_NL", start, end)

    def closes(self, found: re.Match[str]) -> bool:
        """Whether a colon that cannot stand in brackets is taken as if they were closed before it."""
        return False

    def indent(self, start: int, end: int) -> None:
        """Open or close blocks, as the line is indented that begins between `start` and `end`, where its first token is."""
        columns = _columns(self.text[max(start, self.text.rfind("\n", start, end) + 1) : end])
        if columns > self.indents[-1][0]:
            self.feed("_INDENT", start, end)
            self.indents.append((columns, len(self.states)))
            return
        while columns < self.indents[-1][0]:
            self.feed("_DEDENT", start, end)
            self.indents.pop()
        if columns != self.indents[-1][0]:
            raise Misindented(end)

    def recover(self, start: int, *, last: bool, bare: bool) -> int:
        """Put a `broken` node in the place of the statement in which a fault is, and give where the next statement begins.

        With `last`, all that follows is part of it. A definition that is `bare`, nothing below it being indented, goes on up to
        the next one.
        """
        begin = self.back(start)
        states, rows = self.states, self.rows
        border = len(self.text) if last else self.border(begin, self.indents[-1][0])
        if bare and _DEFINES.match(self.text, begin):
            following = None if last else _DEFINES_BELOW.search(self.text, border)
            border = following.start() if following else len(self.text)
        self.values.append(Node("broken", begin, len(self.text[:border].rstrip()), []))
        self.starts.append(begin)
        self.ends.append(border)
        states.append(rows[states[-1]][_STATEMENT])
        return border

    def back(self, start: int) -> int:
        """Go back to before the statement in which an offset is, and give where that begins."""
        self.settle()
        begin = start
        while _STATEMENT not in self.rows[self.states[-1]]:
            first = self.drop()
            begin = min(begin, first) if first >= 0 else begin
        while self.indents[-1][1] > len(self.states):
            self.indents.pop()
        return begin

    def drop(self) -> int:
        """Forget the last part, and give where it starts."""
        del self.states[-1], self.values[-1], self.ends[-1]
        return self.starts.pop()

    def settle(self) -> None:
        """Reduce what is whole if a statement follows, so that nothing before it is taken as part of what is broken."""
        states = [*self.states]
        while (action := self.rows[states[-1]].get("NAME")) is not None and action < 0:
            _, rule, size, _ = self.tables.rules[~action]
            del states[len(states) - size :]
            states.append(self.rows[states[-1]][rule])
        if action is not None and _STATEMENT in self.rows[states[-1]]:
            self.feed("NAME", 0, 0)
            del self.states[-1], self.values[-1], self.starts[-1], self.ends[-1]

    def border(self, begin: int, column: int) -> int:
        """The start of the first line behind the one of an offset that begins a statement in a column or further left."""
        text, at = self.text, begin
        goes_on = _WITH_BRANCHES if _BRANCHES.match(text, begin) else _GOES_ON
        while (at := text.find("\n", at) + 1) and at < len(text):
            blank = _BLANK.match(text, at)
            assert blank is not None
            first = blank.end()
            if text[first : first + 1] in ("\n", "#", "") or _columns(blank.group()) > column:
                continue
            if not goes_on.match(text, first):
                return at
        return len(text)

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


_BLANK_LINES = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*")
_LEADS = re.compile(r"[ \t]*(?:if|elif|else|for|block|model|def|defaults|claims|names)\b")
_HEADS = re.compile(r"[ \t]*(?:block|model|def)\b")
_AS_MEANT = (
    (re.compile(r"[ \t]*(else[ \t]+if)\b"), "elif"),
    (re.compile(r"[ \t]*(else)[ \t]+(?!if\b)[\w(]"), "elif"),
    (re.compile(r"[ \t]*(class)[ \t]+\w+[ \t]*(?:\(\w*\))?:"), "block"),
    (re.compile(r"[ \t]*(while)\b[ \t]*(?!(?:[-+*/%@]|//|\*\*)?=(?!=))"), "if"),
)
"""How a line begins that leads others in other languages, and as what it is read, so that what is wrong in those is told too."""


class _Lenient(_Run):
    """One of a whole file, that reads a line which leads others as it is plainly meant: with its colon, or another word.

    `faults` are all places where the text departs from the grammar, whatever was made of it.
    """

    def __init__(self, text: str, start: str) -> None:
        super().__init__(text, start)
        self.faults: list[Fault] = []
        self.taken_as: dict[
            int, int
        ] = {}  # of columns that no block has: those of the block to which such lines are counted

    def indent(self, start: int, end: int) -> None:
        columns = _columns(self.text[max(start, self.line_of(end)) : end])
        levels = [level for level, _ in self.indents]
        if columns >= levels[-1] or columns in levels or len(self.faults) >= MOST_FAULTS:
            super().indent(start, end)
            return
        within = next(level for level in levels if level > columns)
        while self.indents[-1][0] != within:
            self.feed("_DEDENT", start, end)
            self.indents.pop()
        if self.taken_as.get(columns) != within:
            self.note(Misindented(end))
        self.taken_as = {columns: within}

    def note(self, fault: Fault) -> None:
        """Keep a fault, unless its line was read as something else: then what is wrong in it was said."""
        line = self.line_of(fault.start)
        if not self.faults or self.line_of(self.faults[-1].start) != line:
            self.faults.append(fault)

    def line_of(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1

    def end_line(self, start: int, end: int) -> None:
        try:
            self.feed("_NL", start, end)
        except Stuck as fault:
            leads = "COLON" in fault.expected and _LEADS.match(self.text, self.line_of(start))
            if not leads or not self.is_led(start, end) or len(self.faults) >= MOST_FAULTS:
                raise
            self.note(fault)
            self.feed("COLON", start, start)
            self.feed("_NL", start, end)

    def closes(self, found: re.Match[str]) -> bool:
        end = self.text.find("\n", found.end())
        behind = self.text[found.end() : end if end >= 0 else len(self.text)]
        line = self.line_of(found.start())
        if (
            behind.split("#")[0].strip()
            or not _HEADS.match(self.text, line)
            or not self.shifts("RPAR")
            or len(self.faults) >= MOST_FAULTS
        ):
            return False
        fault = self.misplaced(found)
        fault.since = line
        self.note(fault)
        self.feed("RPAR", found.start(), found.start())
        return "COLON" in self.accepted()

    def is_led(self, start: int, end: int) -> bool:
        """Whether the next line is indented more than the one that ends there."""
        line = self.line_of(start)
        below = _BLANK_LINES.match(self.text, self.line_of(end)).end()  # type: ignore[union-attr]
        columns = [_columns(_BLANK.match(self.text, at)[0]) for at in (line, below)]  # type: ignore[index]
        return below < len(self.text) and columns[1] > columns[0]

    def read_as_meant(self, fault: Fault) -> int | None:
        """Where to read on, if it is plain how the line of a fault was meant, which is then written so; else None."""
        line, end_of_line = self.line_of(fault.start), self.text.find("\n", fault.start)
        if not isinstance(fault, Stuck) or end_of_line < 0 or not self.is_led(fault.start, end_of_line + 1):
            return None
        for looks, meant in _AS_MEANT:
            found = looks.match(self.text, line)
            if found is None or fault.start > found.end():
                continue
            start, end = found.span(1)
            if meant == "elif" and not (fault.expected == {"COLON"} and self.starts[-1] == start):
                continue
            if meant == "elif":
                self.drop()
            elif self.back(fault.start) != start:
                continue
            self.text = self.text[:start] + meant.ljust(end - start) + self.text[end:]
            return line
        return None


class _Recorded(_Run):
    """One that keeps the tokens which it took."""

    def __init__(self, text: str, start: str) -> None:
        super().__init__(text, start)
        self.taken: list[tuple[str, int, int]] = []

    def feed(self, kind: str, start: int, end: int) -> None:
        super().feed(kind, start, end)
        self.taken.append((kind, start, end))
