"""Constructs of Python and its neighbours that people write out of habit, and what stands for them here: data, for help in errors."""

from __future__ import annotations

import re
from typing import NamedTuple


class Construct(NamedTuple):
    """How a construct looks, what is said of it, what to write for it, and that itself where it is sure."""

    looks: re.Pattern[str]
    message: str
    help: str
    instead: str | None = None


def _of(looks: str, message: str, help: str, instead: str | None = None) -> Construct:
    return Construct(re.compile(looks, re.M), message, help, instead)


AT_START = {
    "class": "write `block Name:` for what is used again",
    "while": "loops run over lists: `for i in range(n):`",
    "import": "write `from family import Name`",
    "assert": 'write `require condition, "why"`',
    "print": '`archspec show` prints every step, `archspec cost` what each takes; numbers show up in a name: `"conv{n}"`',
    "try": "nothing fails in a spec that is read: decide with `if`",
    "with": "there are no contexts",
    "raise": 'write `require condition, "why"`',
    "pass": "a block needs no placeholder: an empty list, `[]`, is the layer that does nothing",
    "break": "a loop runs over its whole list: shorten the list, as in `for x in xs[:n]:`",
    "continue": "put what follows under an `if`",
    "del": "names last until the end of their block",
    "global": "names at the top of a file can be read everywhere in it",
    "nonlocal": "names at the top of a file can be read everywhere in it",
    "yield": "a function gives a list: `return [f(i) for i in range(n)]`",
    "async": "a network has no order but that of its steps",
    "await": "a network has no order but that of its steps",
    "match": "decide with `if` and `elif`",
    "switch": "decide with `if` and `elif`",
    "function": "write `def name(x):` for numbers, `block Name:` for tensors",
    "func": "write `def name(x):` for numbers, `block Name:` for tensors",
    "fn": "write `def name(x):` for numbers, `block Name:` for tensors",
    "module": "write `block Name:`, or `model Name:` for a whole network",
    "layer": "write `block Name:`, or `model Name:` for a whole network",
    "network": "write `model Name:`",
    "net": "write `model Name:`",
    "graph": "write `model Name:`",
    "let": "write `name = value`",
    "var": "write `name = value`",
    "const": "write `name = value`",
    "param": "parameters stand behind the name: `model Net(width: int = 64):`",
    "parameter": "parameters stand behind the name, `model Net(width: int = 64):`; a tensor is a `weight`",
    "output": "write `return y`, or `return name=y`",
    "include": "write `from family import Name`",
    "use": "write `from family import Name`",
    "else if": "write `elif`",
}
"""Words that begin a line in other languages."""

ANYWHERE = (
    _of(r"\blambda\b", "there is no `lambda`", "write `def name(x):` at the top of the file for numbers, `block Name:` for tensors"),
    _of(r"\bis\s+not\b", "there is no `is not`", "compare with `!=`: `x != none`", "!="),
    _of(r"\bis\b", "there is no `is`", "compare with `==`: `x == none`", "=="),
    _of(r"""\b[fF](?=["'])""", "a string has no prefix", 'every string fills in what stands in braces: `"stage{i}"`', ""),
    _of(r"""\b(?:[rRbBuU]|[rR][bB]|[bB][rR])(?=["'])""", "a string has no prefix", "write the string alone"),
    _of(r"\*\*(?=\s*[A-Za-z_]\w*\s*[,)])", "there is no `**` of arguments", "write each by its name, `width=width`; `*row` gives a list by position"),
    _of(r"""["']\s*\.\s*(?:format|join|replace|lower|upper|split)\(""", "a string has no methods", 'it fills in what stands in braces: `"conv{n}"`'),
    _of(r"^[ \t]*return\s*\{", "outputs with names are no dictionary", "name each: `return a=x, b=y`"),
    _of(r"^[ \t]*(?:model|block)\b[^{#]*\{[ \t]*$", "a block has no braces", "write `:`, and indent what follows"),
    _of(r"^[ \t]*(?!(?:self|cls)\b)\w+(?:\.\w+|\[[^\]\n]*\])+[ \t]*=(?!=)", "only a name can be assigned", "make the whole anew under a name: `row = [5] + row[1:]`"),
    _of(r"<-", "the arrow is `->`", "write `->`: `x -> ReLU`"),
    _of("[\u2013\u2014\u2212\u2192]>?", "the arrow is `->`", "write `->`: `x -> ReLU`", "->"),
    _of(r"\b0[xXbBoO][0-9a-fA-F_]+", "numbers are decimal", "write the number in digits of ten"),
    _of(r"(?<![\w)\]])//(?!=)", "a comment starts with `#`", "a comment starts with `#` and ends with its line"),
    _of(r"\b\w+\.(?:append|extend|insert)\(", "a list has no methods", "add a list to it: `layers += [ReLU]`, `layers = [ReLU] + layers`"),
    _of(r"&&", "there is no `&&`", "write `and`", "and"),
    _of(r"\|\|", "there is no `||`", "write `or`", "or"),
    _of(r"!(?!=)", "there is no `!`", "write `not`, or `!=`"),
    _of(r":=", "there is no `:=`", "assign on a line of its own: `y = x -> ReLU`"),
    _of(r"\+\+|--(?!>)", "there is no `++` and no `--`", "write `n += 1`"),
    _of(r"=>|\|>|>>>?|~>", "the arrow is `->`", "write `->`: `x -> ReLU`", "->"),
    _of(r"\?", "there is no `?`", "write `a if condition else b`"),
    _of(r"/\*|\*/|<!--", "a comment starts with `#`", "a comment starts with `#` and ends with its line"),
    _of(r"\.\.\.", "`...` stands in patterns only", "write the axes, `x[:, 0]`; a pattern can have it: `Rearrange(\"... c -> c ...\")`"),
    _of(r"\{", "there are no dictionaries and no sets", 'write a list of pairs, `[("a", 1), ("b", 2)]`: `for name, n in pairs:`'),
    _of(r"\b(?:self|cls)\b", "there is no `self`", "names stand alone: a step's name is its key, `x -> conv1: Conv(64)`"),
    _of(r"^\s*@\s*\w+", "there are no decorators", "write `block Name:` alone"),
    _of(r"\basync\b|\bawait\b|\byield\b", "there are no generators", "write a list: `[f(i) for i in range(n)]`"),
    _of(r"\belse\s+if\b", "there is no `else if`", "write `elif`", "elif"),
    _of(r"\bend\b", "there is no `end`", "a block ends where its indentation does"),
)  # fmt: skip
"""Constructs that can stand within a line; the first that fits is told of."""


_BLANK = re.compile(r"[ \t]*")


def construct_at(text: str, line: int, end: int, offset: int) -> tuple[int, int, Construct] | None:
    """The construct in a line from `line` to `end` on which a text comes to grief at an offset: where it is, and which."""
    first = re.compile(r"[ \t]*(else[ \t]+if|\w+)\b").match(text, line)
    if first and first.start(1) <= offset <= first.end() + 1:
        word = " ".join(first[1].split())
        called = AT_START.get(word)
        if called and not re.compile(r"[ \t]*(?:[-+*/%@]|//|\*\*)?=(?!=)|[ \t]*->").match(text, first.end()):
            instead = "elif" if word == "else if" else None
            return first.start(1), first.end(1), Construct(first.re, f"there is no `{word}`", called, instead)
    for construct in ANYWHERE:
        for found in construct.looks.finditer(text, line, end):
            behind = found.end() + len(_BLANK.match(text, found.end())[0])  # type: ignore[index]
            if found.start() <= offset <= behind:
                return *found.span(), construct
    return None
