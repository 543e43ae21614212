"""What people write out of habit from other languages: each is told what to write instead, and what is sure is a fix."""

import re

import pytest

import archspec
from archspec import SpecError
from archspec.syntax.other_languages import ANYWHERE, AT_START

HEAD = "model Net:\n    input x: [3, 32, 32]\n    n = 2\n"
LINES = {
    "print(n)": "`archspec show` prints every step",
    'assert n > 3, "no"': "`require condition",
    "f = lambda a, b: a": "`def name(x):`",
    'sizes = {"a": 1}': "a list of pairs",
    'y = x -> f"conv{n}": Conv(8)': "every string fills in",
    "k = 1 if n is not none else 2": "compare with `!=`",
    "k = 1 if n is none else 2": "compare with `==`",
    "y = x -> Conv(8, **cfg)": "write each by its name",
    "class A:": "`block Name:`",
    "k = n > 1 && n < 3": "write `and`",
    "k = n > 1 || n < 3": "write `or`",
    "k = !n": "write `not`",
    "n++": "`n += 1`",
    "y = x => Conv(8)": "write `->`",
    "y = x |> Conv(8)": "write `->`",
    "k = n > 1 ? 1 : 2": "`a if condition else b`",
    "/* a comment */": "starts with `#`",
    "y = x[..., 0]": "`x[:, 0]`",
    "self.conv = Conv(8)": "names stand alone",
    "while n > 1:": "`for i in range(n):`",
    "try:": "decide with `if`",
    "pass": "an empty list",
    "let k = 3": "`name = value`",
    "k := 3": "on a line of its own",
    "y: int = 3": "`y = 3`",
    "y = x -> Conv(8);": "ends with its line",
    "for i in 1..3:": "`range(1, 4)`",
    "y = x -> (name: ReLU)": "`[name: ReLU]`",
    "y = x -> se.fc1: Conv(8)": '`"se.fc1": ...`',
    "y = x - > ReLU": "write `->` in one",
    "y = x ReLU": "`x -> ReLU`",
    "y = x -> Conv 8": "`Conv(8)`",
    "y = 3n": "`3 * n`",
    "input z: 3, 32": "in brackets",
    "y = x -> Conv(8) as conv": "comes first",
    "y = '''a'''": '`"""`',
    "y = x ->": "a layer follows",
    "y =": "a value is missing",
    "if n > 1": "expected `:`",
    "import torch": "`from family import Name`",
    "parameter a": "stand behind the name",
    "output y": "`return y`",
}


def mistake_of(line: str) -> archspec.ground.errors.Problem:
    with pytest.raises(SpecError) as caught:
        archspec.read_text(f"{HEAD}    {line}\n    return x\n")
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("line", LINES)
def test_the_help_has_the_form_of_the_language(line: str) -> None:
    problem = mistake_of(line)
    assert LINES[line] in problem.help
    assert problem.span is not None
    assert problem.span.source.position(problem.span.start)[0] == 4


@pytest.mark.parametrize("line", LINES)
def test_a_fix_mends_it(line: str) -> None:
    problem = mistake_of(line)
    if problem.fix is None:
        return
    text = f"{HEAD}    {line}\n    return x\n"
    for span, new in reversed(problem.fix.edits):
        text = text[: span.start] + new + text[span.end :]
    try:
        archspec.read_text(text)
    except SpecError as error:  # whatever else is wrong, it is another thing
        assert all(other.message != problem.message for other in error.problems)


def test_most_of_these_have_fixes() -> None:
    assert sum(mistake_of(line).fix is not None for line in LINES) >= 10


def test_the_batch_in_an_input_is_told() -> None:
    with pytest.raises(SpecError) as caught:
        archspec.read_text("model Net:\n    input x: [B, 3, 32, 32]\n    return x\n")
    (problem,) = caught.value.problems
    assert "leave `B` out" in problem.help
    assert problem.fix is not None
    ((span, new),) = problem.fix.edits
    assert (span.text, new) == ("B, ", "")


@pytest.mark.parametrize("name", [word for word in AT_START if word.isidentifier()])
def test_words_of_other_languages_are_names_all_the_same(name: str) -> None:
    if name in archspec.syntax.tables.tables().words:
        return
    graph = archspec.read_text(
        f"model Net:\n    input x: [3]\n    {name} = 2\n    return x -> Linear({name})\n"
    )
    assert graph.outputs[0].type.shape == (2,)


def test_the_help_is_in_one_style() -> None:
    for help in (*AT_START.values(), *(construct.help for construct in ANYWHERE)):
        assert help[0].islower() or help[0] == "`"
        assert not help.endswith(".")
        assert len(re.findall("`", help)) % 2 == 0
