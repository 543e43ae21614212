"""tree-sitter's grammar reads specs as archspec does: it accepts the same texts, and makes the same tree of them."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from parsed import GRAMMAR, Theirs, language, ours

from archspec.ground.errors import SpecError
from archspec.ground.source import Source
from archspec.syntax import automaton, tables
from archspec.syntax import tree as t
from archspec.syntax.parsing import parse_file

ROOT = Path(__file__).parents[2]
CONSTRUCTS = ROOT / "editors" / "vscode" / "test" / "constructs.arch"
SPECS = [
    CONSTRUCTS,
    *(path for folder in ("specs", "tests") for path in sorted((ROOT / folder).rglob("*.arch"))),
]
TEXTS = {path: path.read_text(encoding="utf-8") for path in SPECS}


@pytest.fixture(scope="module")
def arch(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return language(tmp_path_factory.mktemp("tree-sitter"))


@pytest.fixture(scope="module")
def parser(arch: Any) -> Any:
    import tree_sitter

    return tree_sitter.Parser(arch)


def read(text: str) -> t.File | str:
    """What archspec makes of a text: a tree, or why there is none, be it the grammar or what the text says."""
    try:
        automaton.syntax_tree(text if text.endswith("\n") else text + "\n", "file")
    except (automaton.Stuck, automaton.Misindented):
        return "refused"
    except automaton.TooDeep:
        return "refused for what it says"
    try:
        return parse_file(Source("spec.arch", text))
    except SpecError:
        return "refused for what it says"


def compare(parser: Any, text: str) -> str:
    """Fail if the two differ; what the text is to archspec."""
    tree = read(text)
    theirs = Theirs(parser.parse(text.encode()).root_node, text)
    if isinstance(tree, t.File):
        assert theirs.accepted, f"tree-sitter refuses\n{text}"
        assert str(theirs.tree()) == str(ours(tree)), text
        return "accepted"
    assert tree != "refused" or not theirs.accepted, f"tree-sitter accepts\n{text}"
    return tree


def test_the_parser_is_made_from_the_grammar() -> None:
    made_from = (GRAMMAR / "src" / "made_from").read_text().strip()
    made = sha256((GRAMMAR / "grammar.js").read_bytes()).hexdigest()
    assert made == made_from, "editors/tree-sitter-arch/generate writes src/parser.c anew"


def test_the_file_of_all_constructs_has_them_all() -> None:
    tree = parse_file(Source("constructs.arch", TEXTS[CONSTRUCTS]))
    found = {type(node).__name__ for node in tree.nodes} | {"File"}
    nodes = {
        kind.__name__ for kind in vars(t).values() if isinstance(kind, type) and issubclass(kind, t.Tree)
    }
    assert found == nodes - {"Tree", "Expression", "Statement", "Broken"}
    code = re.sub(r"#.*", "", TEXTS[CONSTRUCTS])
    for word in [*tables.tables().words, *tables.tables().symbols]:
        assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)" if word.isalpha() else re.escape(word), code), (
            word
        )


def test_each_spec_is_read_the_same(parser: Any) -> None:
    verdicts = [compare(parser, text) for text in TEXTS.values()]
    assert verdicts.count("accepted") > 400
    assert verdicts.count("refused") > 20


TOKEN = re.compile(r'"""|\w+|[ \t]+|\n[ ]*|.', re.S)
ODD = [
    *(
        "{",
        "}",
        '"',
        "'",
        '"""',
        "#",
        "\\\n",
        "\n",
        "\n    ",
        "\t",
        "\r\n",
        "é",
        "{{",
        "1_",
        "_1",
        "2M",
        "free ",
    ),
    *tables.tables().words,
    *tables.tables().symbols,
]


def mutated(random: Random, text: str, words: list[str]) -> str:
    """The text with up to three of its tokens or characters left out, added, changed or swapped."""
    tokens = TOKEN.findall(text)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        at, other = random.randrange(len(tokens)), random.randrange(len(tokens))
        match random.randrange(5):
            case 0:
                tokens[at] = ""
            case 1:
                tokens.insert(at, random.choice(ODD))
            case 2:
                tokens[at] = random.choice(words)
            case 3:
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 4:
                place = random.randrange(len(tokens[at]) + 1)
                tokens[at] = (
                    tokens[at][:place] + random.choice("ab_ \n\"'{}()[]:=->*.,#0") + tokens[at][place + 1 :]
                )
    return "".join(tokens)


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_mutated_specs_are_read_the_same(count: int, parser: Any) -> None:
    random = Random(count)
    texts = [text for text in TEXTS.values() if text and len(text) < 5000]
    words = sorted({token for text in texts for token in TOKEN.findall(text)})
    verdicts = [compare(parser, mutated(random, random.choice(texts), words)) for _ in range(count)]
    assert min(verdicts.count("accepted"), verdicts.count("refused")) > count // 10


def test_strings_with_expressions_in_braces_are_read_the_same(parser: Any) -> None:
    random = Random(1)
    accepted = 0
    for _ in range(5000):
        parts = [
            "".join(
                random.choices(
                    ["{", "}", "a", "1", "\\", "#", "\n", " ", "{{", "(", ")", '"', "'", '"""'], k=6
                )
            )
        ]
        quote = random.choice(['"', "'", '"""', ""])
        text = f"x = {quote}{parts[0]}{quote}\ny = 1\n"
        tree, theirs = read(text), Theirs(parser.parse(text.encode()).root_node, text)
        assert theirs.accepted == isinstance(tree, t.File), text
        if isinstance(tree, t.File):
            accepted += 1
            assert str(theirs.tree()) == str(ours(tree)), text
    assert 500 < accepted < 4500


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "# only this", "  x = 1\n", "\n  x = 1\n", "x = 1", "x =\n  1\n", "x = (\n 1\n)\n", "def\nf():\n  return 1\n", "x = 1 \\\n",
        "block A:\n\tinput x\n        return x\n", "block A:\n  input x\n   return x\n", "block A:\n    input x\n  return x\n",
        "block A:\nreturn x\n", "block A:\n\n  # c\n\n    input x\n# d\n    return x\n      -> B\n# e\n\n", "x = a\n\n# c\n  + b\n# d\n* c\n",
        "x = 1\r\nblock A:\r\n  return 1\r\n\r\ny = 2\r\n", "x = 1\f\n\f\ny = 2\n", "x = 1\n\f\ny = 2", "x = free\ny = free if a else b\n",
        "block = 1\n", "x = block\n", "free = free free\n", "claims A:\n  params 25Mbut 2 'x'\n", "claims A:\n  p 1__0\n", "x = 1__0\n",
        "x = 1.\n", "x = 1..2\n", "budget 10\n", "input = 1\n", "if a:\n  input = 1\n", "f(for=3)\n", "x = f(for=3, in=2, not_=1)\n",
        "x = [a -> b: c]\n", "x = [a: b -> c]\n", "x = a[b:c:d, e:]\n", "x = 3if a else 4\n", "x = a if b else c -> d\n", "x = ((((((1))))))\n",
        "for x in a, b:\n  y = 1\n", "for (a, b), in c:\n  d = 1\n", "a, = b\n", "return 1\n", "x = {1}\n", "x = '\\\n'\n", '"""a\n', "x\n",
    ],
)  # fmt: skip
def test_corners_are_read_the_same(text: str, parser: Any) -> None:
    compare(parser, text)


@pytest.mark.slow
def test_written_programs_are_read_the_same(parser: Any) -> None:
    from random_programs import program

    for seed in range(200):
        assert compare(parser, program(Random(seed), 3, 6).text) == "accepted"


# ---------------------------------------------------------------- queries


@pytest.mark.parametrize("path", sorted((GRAMMAR / "queries").glob("*.scm")), ids=lambda path: path.stem)
def test_each_pattern_of_a_query_is_of_the_grammar_and_matches_something(
    path: Path, arch: Any, parser: Any
) -> None:
    import tree_sitter

    query = tree_sitter.Query(arch, path.read_text(encoding="utf-8"))
    root = parser.parse(TEXTS[CONSTRUCTS].encode()).root_node
    matched = {pattern for pattern, _ in tree_sitter.QueryCursor(query).matches(root)}
    assert matched == set(range(query.pattern_count)), (
        "patterns that the file of all constructs has no use for"
    )


def captures(arch: Any, parser: Any, text: str) -> dict[str, set[str]]:
    """The words that each name of the highlight query captures."""
    import tree_sitter

    query = tree_sitter.Query(arch, (GRAMMAR / "queries" / "highlights.scm").read_text(encoding="utf-8"))
    found = tree_sitter.QueryCursor(query).captures(parser.parse(text.encode()).root_node)
    return {name: {node.text.decode() for node in nodes} for name, nodes in found.items()}


def test_words_are_coloured_by_what_they_are(arch: Any, parser: Any) -> None:
    found = captures(arch, parser, TEXTS[CONSTRUCTS])
    assert found["type.definition"] == {"Unit", "Short", "Net"}
    assert found["function"] == {"divisible"}
    assert {"conv1", "fc1", '"{x.name}.{{i}}\\n"'} <= found["label"]
    assert found["function.builtin"] == {"max", "int", "len", "enumerate", "sum"}
    assert found["constant.builtin"] == {"none", "zeros", "ones", "trunc_normal", "pi"}
    assert {"Conv", "ReLU", "GELU", "Linear", "SqueezeExcite"} <= found["type"]
    assert not {"C", "H", "W", "D", "S", "N"} & found["type"], "sizes are no layers"
    assert {"25.56M", "3.8B", "3.858G", "1000", "64"} <= found["number"]
    assert {"params", "macs", "output", "name"} == found["property"]
    keywords = set().union(*(words for name, words in found.items() if name.startswith("keyword")))
    assert keywords == {*tables.tables().words, "free", "names"} - {"true", "false", "none"}
