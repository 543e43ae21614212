"""A Pygments lexer for `.arch` specs, which Pygments finds by the names `arch` and `archspec`: for Sphinx, MkDocs, Jupyter and terminals.

>>> pygments.highlight(text, ArchLexer(), TerminalFormatter())
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar

from pygments.lexer import RegexLexer, bygroups, default, include
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Whitespace

from archspec.syntax.tables import tables

_WORDS = tables().words
_KINDS = {
    Keyword.Declaration: {"KIND", "OWN", "DEF", "INPUT", "SHARED"},
    Keyword.Namespace: {"FROM", "IMPORT", "AS"},
    Keyword.Constant: {"TRUE", "FALSE", "NONE"},
    Operator.Word: {"AND", "OR", "NOT", "IN"},
}
_IN_EXPRESSIONS = {"AND", "OR", "NOT", "IN", "IF", "ELSE", "FOR", "TRUE", "FALSE", "NONE"}
_IN_STATEMENTS = {"IMPORT", "AS", "AT", "BUT"}
_NOT_FIRST = _IN_STATEMENTS | _IN_EXPRESSIONS - {"IF", "ELSE", "FOR"}


def _words(terminals: set[str]) -> str:
    """A regular expression of the words that are of these terminals."""
    return rf"(?:{'|'.join(word for word, terminal in _WORDS.items() if terminal in terminals)})\b"


_TOKENS = tables().patterns
_NAME = _TOKENS["NAME"]
_FIGURE = _TOKENS["FIGURE"]
# A docstring, and not the first line of a rule of `names`, which goes on with its arrow.
_WHOLE_STRING = rf"{_TOKENS['STRING']}(?=[ \t]*(?:#|\r?\n|\Z))(?!\s*->)"
_OPERATORS = "|".join(re.escape(text) for text in tables().symbols if not re.fullmatch(r"[][(){},:.]", text))


def _word(_: RegexLexer, match: re.Match[str]) -> Iterator[tuple[int, Any, str]]:
    """A word of the language, as what it is."""
    terminal = _WORDS[match.group()]
    kinds = (kind for kind, terminals in _KINDS.items() if terminal in terminals)
    yield match.start(), next(kinds, Keyword), match.group()


@cache
def _known() -> dict[str, Any]:
    """The names that every spec knows."""
    from archspec.elaboration.functions import FUNCTIONS
    from archspec.elaboration.vocabulary import CONSTANTS
    from archspec.op import Op
    from archspec.op.initialisation import Initialiser

    values = dict.fromkeys([*Initialiser.known, *CONSTANTS], Name.Builtin.Pseudo)
    return values | dict.fromkeys([*FUNCTIONS, *Op.names()], Name.Builtin)


def _name(_: RegexLexer, match: re.Match[str]) -> Iterator[tuple[int, Any, str]]:
    """A name: one that every spec knows, an author's own layer, which has a capital and small letters, or any other."""
    name = match.group()
    own = Name.Class if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name) else Name
    yield match.start(), _known().get(name, own), name


class ArchLexer(RegexLexer):  # type: ignore[misc]  # Pygments has no types
    """Lexes `.arch` specs. Of what is none, each character that begins no token is an `Error`, and nothing is lost."""

    name = "archspec"
    aliases: ClassVar[list[str]] = ["arch", "archspec"]
    filenames: ClassVar[list[str]] = ["*.arch"]
    mimetypes: ClassVar[list[str]] = ["text/x-arch"]

    def analyse_text(text: str) -> float:  # noqa: N805  (Pygments makes it static)
        """How sure it is that a text is a spec, from 0 to 1."""
        return 0.5 if re.search(r"^(?:block|model) \w+.*[:=]", text, re.M) and "->" in text else 0.0

    tokens: ClassVar[dict[str, list[Any]]] = {
        "root": [
            (r"\s*\n", Whitespace),
            (r"([ \t\f]*)(#[^\n]*)", bygroups(Whitespace, Comment.Single)),
            (r"[ \t\f]*", Whitespace, "line"),
        ],
        "line": [
            (_WHOLE_STRING, String.Doc, ("#pop", "rest")),
            (
                rf"({_words({'KIND'})})(\s+)({_NAME})([ \t]*)(\()",
                bygroups(Keyword.Declaration, Whitespace, Name.Class, Whitespace, Punctuation),
                ("#pop", "rest", "parameters"),
            ),
            (
                rf"({_words({'KIND'})})(\s+)({_NAME})",
                bygroups(Keyword.Declaration, Whitespace, Name.Class),
                ("#pop", "rest"),
            ),
            (
                rf"({_words({'DEF'})})(\s+)({_NAME})([ \t]*)(\()",
                bygroups(Keyword.Declaration, Whitespace, Name.Function, Whitespace, Punctuation),
                ("#pop", "rest", "parameters"),
            ),
            (
                rf"({_words({'FROM'})})([ \t]+)([\w.]+)",
                bygroups(Keyword.Namespace, Whitespace, Name.Namespace),
                ("#pop", "imports"),
            ),
            (
                rf"({_words({'CLAIMS'})})([ \t]+)({_NAME})",
                bygroups(Keyword, Whitespace, Name.Class),
                ("#pop", "claims"),
            ),
            (
                rf"({_TOKENS['NAMES']})([ \t]+)({_NAME})",
                bygroups(Keyword, Whitespace, Name.Class),
                ("#pop", "rest"),
            ),
            (
                rf"({_words({'INPUT'})})([ \t]+)(\*?)([ \t]*)({_NAME})",
                bygroups(Keyword.Declaration, Whitespace, Operator, Whitespace, Name.Variable),
                ("#pop", "declaration"),
            ),
            (
                rf"({_words({'OWN', 'SHARED'})})([ \t]+)({_NAME})",
                bygroups(Keyword.Declaration, Whitespace, Name.Variable),
                ("#pop", "declaration"),
            ),
            (rf"{_words({'OWN', 'SHARED'})}(?=[ \t]*[\"'])", Keyword.Declaration, ("#pop", "declaration")),
            (
                rf"(?!{_words(set(_WORDS.values()))})({_NAME})([ \t]+)(?:({_NAME})([ \t]+))?(?=\d|\[)",
                bygroups(Name.Attribute, Whitespace, Name, Whitespace),
                ("#pop", "claim"),
            ),
            (
                rf"(?!{_words(set(_WORDS.values()))})({_NAME})([ \t]*)(:)",  # a step that `defaults` insert before another
                bygroups(Name.Label, Whitespace, Punctuation),
                ("#pop", "rest"),
            ),
            (_words(set(_WORDS.values()) - _NOT_FIRST), _word, ("#pop", "rest")),
            default(("#pop", "rest")),
        ],
        # ------------------------------------------------------------ the rest of a line
        "rest": [
            (r"\r?\n", Whitespace, "#pop"),
            (r"\\\r?\n", Whitespace),
            (r"[ \t\f]+", Whitespace),
            include("expression"),
        ],
        "imports": [
            (_words({"IMPORT", "AS"}), Keyword.Namespace),
            (_NAME, Name.Class),
            include("rest"),
        ],
        "claims": [
            (rf"({_NAME})([ \t]*)(=)(?!=)", bygroups(Name.Attribute, Whitespace, Operator)),
            (_words({"AT"}), Keyword),
            include("rest"),
        ],
        "claim": [
            (_words({"BUT"}), Keyword),
            (_FIGURE, Number),
            include("rest"),
        ],
        "declaration": [
            (
                rf"({_words({'AS'})})([ \t]+)({_NAME})",
                bygroups(Keyword.Namespace, Whitespace, Name.Variable),
            ),
            (rf"(:)([ \t]*)({_NAME})(?=[ \t]*\[)", bygroups(Punctuation, Whitespace, Keyword.Type)),
            include("rest"),
        ],
        # ------------------------------------------------------------ brackets
        "space": [(r"\s+", Whitespace), (r"\\\r?\n", Whitespace)],
        "parameters": [
            include("space"),
            (r"\)", Punctuation, "#pop"),
            (_NAME, Name.Variable, "parameter"),
            include("expression"),
        ],
        "parameter": [
            include("space"),
            (r"(:)(\s*)", bygroups(Punctuation, Whitespace), "type"),
            (r",", Punctuation, "#pop"),
            (r"(?=\))", Punctuation, "#pop"),
            include("expression"),
        ],
        "type": [(_NAME, Keyword.Type), (r"[][]", Punctuation), default("#pop")],
        "arguments": [
            (rf"({_NAME})(\s*)(=)(?!=)", bygroups(Name.Attribute, Whitespace, Operator)),
            include("parentheses"),
        ],
        "parentheses": [include("space"), (r"\)", Punctuation, "#pop"), include("expression")],
        "list": [
            (rf"({_NAME})(\s*)(:)", bygroups(Name.Label, Whitespace, Punctuation)),
            include("subscript"),
        ],
        "subscript": [include("space"), (r"\]", Punctuation, "#pop"), include("expression")],
        "braces": [include("space"), (r"\}", Punctuation, "#pop"), include("expression")],
        # ------------------------------------------------------------ expressions
        "expression": [
            (r"#[^\n]*", Comment.Single),
            (r'"""', String.Double, "triple"),
            (r'"', String.Double, "double"),
            (r"'", String.Single, "single"),
            (
                rf"(->)([ \t]*)({_NAME})([ \t]*)(:)",
                bygroups(Operator, Whitespace, Name.Label, Whitespace, Punctuation),
            ),
            (rf"(?<!\.)(\.)(\s*)({_NAME})", bygroups(Punctuation, Whitespace, Name.Attribute)),
            (_TOKENS["FREE"], Keyword),
            (_TOKENS["FLOAT"], Number.Float),
            (_TOKENS["INT"], Number.Integer),
            (_words(_IN_EXPRESSIONS), _word),
            (_NAME, _name),
            (r"(?<=[\w)\]])\(", Punctuation, "arguments"),
            (r"\(", Punctuation, "parentheses"),
            (r"(?<=[\w)\]\"'])\[", Punctuation, "subscript"),
            (r"\[", Punctuation, "list"),
            (r"\{", Punctuation, "braces"),
            (_OPERATORS, Operator),
            (r"[,:.]", Punctuation),
        ],
        # ------------------------------------------------------------ strings
        "triple": [
            (r'"""', String.Double, "#pop"),
            include("inside"),
            (r'[^\\{}"]+|"', String.Double),
        ],
        "double": [(r'"', String.Double, "#pop"), include("inside"), (r'[^\\{}"\n]+', String.Double)],
        "single": [(r"'", String.Single, "#pop"), include("inside"), (r"[^\\{}'\n]+", String.Single)],
        "inside": [
            (r"\{\{|\}\}|\\[^{}]", String.Escape),
            (r"\\", String),
            (r"\{", String.Interpol, "hole"),
        ],
        "hole": [
            (r"\}", String.Interpol, "#pop"),
            (r"'[^'}\n]*'|\"[^\"}\n]*\"", String),
            include("space"),
            include("expression"),
        ],
    }
