"""All mistakes of a file are told in one run, in the order of their places, and nothing that follows from one."""

import random
import re
from pathlib import Path

import pytest

import archspec
from archspec import SpecError
from archspec.api.fixing import Fixer
from archspec.elaboration import shipped_specs
from archspec.ground.source import Source
from archspec.syntax.parsing import parse_file, parse_what_can_be

SPECS = sorted(shipped_specs().rglob("*.arch"))


def lines_of(text: str) -> list[int]:
    """Where the mistakes in a spec are told, each by its line."""
    with pytest.raises(SpecError) as caught:
        archspec.read_text(text)
    return [
        problem.span.source.position(problem.span.start)[0]
        for problem in caught.value.problems
        if problem.span
    ]


def breakable(path: Path) -> list[int]:
    """The lines of a spec that are a statement of their own, whose loss nothing around them notices in its syntax."""
    text = path.read_text(encoding="utf-8")
    statements = [
        node for node in parse_file(Source(path.name, text)).nodes if type(node).__name__ == "Assign"
    ]
    lines = text.splitlines()
    found = {text.count("\n", 0, node.span.start) for node in statements if "\n" not in node.span.text}
    return sorted(
        n
        for n in found
        if re.fullmatch(r" *\w+ = .*", lines[n]) and not re.match(r" *[-+]", "".join(lines[n + 1 : n + 2]))
    )


def broken_at(source: Source) -> list[int]:
    return [p.span.source.position(p.span.start)[0] - 1 for p in parse_what_can_be(source).problems if p.span]


@pytest.mark.parametrize("wrong", [")", "+ ,", "-> -> x", "?"])
@pytest.mark.parametrize("path", SPECS[::9], ids=lambda path: path.stem)
def test_each_broken_line_is_told_once_and_no_other(path: Path, wrong: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    choice = random.Random(path.stem + wrong)
    able = breakable(path)
    chosen = sorted(choice.sample(able, min(len(able), 6)))
    for n in chosen:
        lines[n] = lines[n].split("#")[0].rstrip() + " " + wrong
    assert broken_at(Source(path.name, "\n".join(lines) + "\n")) == chosen


def test_mistakes_of_all_sorts_are_told_in_the_order_of_their_places() -> None:
    text = (
        "from blocks.attention import SqueezeExcte\n"  # no such name; its use is no mistake more
        "block Branch:\n"
        "    input x: [C, H, W]\n"
        "    y = x -> SqueezeExcte(C)\n"
        "    return y + (\n"  # unclosed
        "block Stem(width):\n"
        "    input x: [C, H, W]\n"
        "    y = x -> Conv(width, strid=2) -> Conv(8, kernl=3)\n"  # two arguments that are not there
        "    return y -> BatchNrm\n"  # no such op
        "model Net:\n"
        "    input x: [3, 32, 32]\n"
        "    a = x -> Stem(8) -> Branch\n"
        "    b = x -> Conv(2.5)\n"  # a type
        "    return x -> Conv(8) + x\n"  # a shape
    )
    assert lines_of(text) == [1, 5, 8, 8, 9, 13, 14]


def test_a_definition_without_indented_lines_is_one_mistake() -> None:
    assert lines_of(
        "block B:\ninput x: [C]\nreturn x\nmodel Net:\n    input x: [3]\n    return x -> B\n"
    ) == [2]


def test_a_broken_header_is_one_mistake() -> None:
    text = "block B(:\n    input x: [C]\n    y = x -> Linear(C)\n    return y\nmodel Net:\n    input x: [3]\n    return x -> B\n"
    assert lines_of(text) == [1]


def told(text: str) -> list[tuple[str, int]]:
    """The mistakes in a spec, each by its code and line."""
    with pytest.raises(SpecError) as caught:
        archspec.read_text(text)
    return [(p.code, p.span.source.position(p.span.start)[0]) for p in caught.value.problems if p.span]


def test_behind_a_line_without_its_colon_reading_goes_on_as_if_it_stood_there() -> None:
    text = (
        "model Net(n: int = 8)\n"
        "    input x: [3]\n"
        "    if n > 3\n"
        "        y = x -> Cnv(3)\n"
        "    elif n > 2  # why\n"
        "        y = Cnw\n"
        "    else\n"
        "        y = x -> Linear(3, bais=true)\n"
        "    for i in range(3)\n"
        "        y = y -> Foo\n"
        "    return y\n"
    )
    syntax, name, argument = "E0101", "E0201", "E0401"
    assert told(text) == [
        (syntax, 1), (syntax, 3), (name, 4), (syntax, 5), (name, 6), (syntax, 7), (argument, 8), (syntax, 9), (name, 10),
    ]  # fmt: skip


def test_a_colon_that_is_missing_is_put_there(tmp_path: Path) -> None:
    wrong = (
        "block Two(n: int = 2\n:\n    input x\n    return x\n".replace("\n:", ":")
        + "model Net(n: int = 8)\n    input x: [3]\n    if n > 3\n        y = x\n    else\n        y = x\n"
        "    return y -> Two\n"
    )
    (tmp_path / "net.arch").write_text(wrong)
    fixer = Fixer(10_000)
    fixed = fixer.fix(str(tmp_path / "net.arch"))
    assert (fixed.mended, fixed.after.error) == (4, None)


def test_a_line_without_a_colon_and_lines_below_it_is_one_mistake() -> None:
    text = "model Net:\n    input x: [3]\n    if true\n    return x -> Foo\n"
    assert told(text) == [("E0101", 3), ("E0201", 4)]


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("class Net:\n    input x: [3]\n    return x -> Foo\n", [("E0106", 1), ("E0201", 3)]),
        ("n = 3\nwhile n > 2:\n    m = Foo\n", [("E0106", 2), ("E0201", 3)]),
        ("if 3 > 4:\n    n = 3\nelse if 4 > 3:\n    n = Foo\n", [("E0106", 3), ("E0201", 4)]),
        ("if 3 > 4:\n    n = 3\nelse 4 > 3:\n    n = Foo\n", [("E0105", 3), ("E0201", 4)]),
        ("if ..:\n    n = 3\nelse if ..:\n    n = 4\nelse:\n    n = 5\n", [("E0101", 1)]),
        ("if true:\n    n = 3\nelif ..:\n    n = 4\nelse:\n    n = 5\n", [("E0101", 3)]),
        ("try:\n    n = 3\nexcept:\n    n = 4\nfinally:\n    n = 5\n", [("E0106", 1)]),
    ],
)
def test_lines_below_a_word_of_another_language_are_read_as_they_are_meant(
    text: str, mistakes: list[tuple[str, int]]
) -> None:
    net = "" if text.startswith("class") else "model Net:\n    input x: [3]\n    return x\n"
    if net:
        assert told(text + net) == mistakes
    else:
        assert told(text + "model Net2:\n    input x: [3]\n    return x -> Net\n") == mistakes


def test_a_line_that_is_indented_too_little_is_counted_to_the_block_above() -> None:
    text = "model Net:\n    input x: [3]\n    if true:\n        y = x -> Foo\n      z = Fooo\n      w = 3\n  return y -> Bar\n"
    assert told(text) == [("E0201", 4), ("E0103", 5), ("E0201", 5), ("E0103", 7), ("E0201", 7)]


@pytest.mark.parametrize(
    "lines",
    [
        "    width: int = 8\n    return x -> Linear(width)\n",
        "    width: int = 8;\n    return x -> Linear(width)\n",
        "    layer: Linear(8)\n    return x -> layer\n",
        "    z = x; y = x -> ReLU\n    return y\n",
        "    x -> fc1: Linear(8) -> fc2: ReLU\n    return fc1 + fc2\n",
        "    import torch.nn as nn\n    return x -> nn.Linear(3)\n",
    ],
)
def test_names_that_a_broken_line_would_have_bound_are_known(lines: str) -> None:
    assert lines_of("model Net:\n    input x: [3]\n" + lines) == [3]


def test_behind_an_import_of_all_names_no_name_is_unknown() -> None:
    net = "model Net:\n    input x: [3]\n    y = x -> Fancy(nothing)\n    return y -> Linear(3, bais=true)\n"
    assert lines_of("from blocks.attention import *\n" + net) == [1, 5]
    assert lines_of(
        "import blocks.attention\n" + net.replace("Fancy(nothing)", "blocks.attention.Fancy")
    ) == [1, 5]


def test_what_is_added_to_nothing_is_told_so() -> None:
    with pytest.raises(SpecError) as caught:
        archspec.read_text("model Net:\n    input x: [3]\n    z += x\n    z += x\n    return z\n")
    (problem,) = caught.value.problems
    assert (problem.code, problem.help) == ("E0202", "give it one above: `z = ...`")
    archspec.read_text("z = 3\nmodel Net:\n    input x: [3]\n    z += 1\n    return x -> Linear(z)\n")


def test_items_without_a_comma_are_told_so() -> None:
    with pytest.raises(SpecError) as caught:
        archspec.read_text("model Net:\n    input x: [3]\n    return x -> [Linear(8) ReLU]\n")
    assert "`Linear(8), ReLU`" in caught.value.problems[0].help


def test_a_string_that_is_not_closed_ends_the_search() -> None:
    assert lines_of('model Net:\n    """What it is.\n    input x: [3]\n    return x -> )\n') == [2]


def test_what_a_requirement_implies_is_not_told() -> None:
    text = (
        "block Heads(count):\n"
        "    input x: [L, D]\n"
        '    require D % count == 0, "the heads divide the width"\n'
        "    return x -> MultiheadAttention(count)\n"
        "model Net:\n    input x: [4, 10]\n    return x -> Heads(3)\n"
    )
    assert lines_of(text) == [3]


def test_a_mistake_in_a_model_does_not_hide_those_in_another(tmp_path: Path) -> None:
    (tmp_path / "two.arch").write_text(
        "model One:\n    input x: [3]\n    return x -> Linear(2, strid=1)\n"
        "model Two:\n    input x: [3]\n    return x -> Conv(8) -> nothing\n"
    )
    with pytest.raises(SpecError) as caught:
        archspec.check(tmp_path / "two.arch")
    assert [p.code for p in caught.value.problems] == ["E0401", "E0502", "E0201"]


def test_there_is_an_end_to_mistakes() -> None:
    text = "".join(f"y{i} = )\n" for i in range(10_000))
    assert lines_of(text) == list(range(1, 21))


def test_second_places_are_told() -> None:
    text = "block B:\n    input x: [C, H, H]\n    return x\nmodel Net:\n    input x: [3, 4, 5]\n    return x -> B\n"
    with pytest.raises(SpecError) as caught:
        archspec.read_text(text)
    (problem,) = caught.value.problems
    assert [(label, span.text, span.start) for label, span in problem.places] == [
        ("`H` was bound to 4 here", "H", text.index("H, H]"))
    ]
    assert "2 |     input x: [C, H, H]\n  |                  - `H` was bound to 4 here" in problem.render()


def test_a_name_that_is_not_there_is_told_once() -> None:
    text = "model Net:\n    input x: [3, 8, 8]\n" + "    x = x -> Cnov(8)\n" * 9 + "    return x -> Cnov(8)\n"
    with pytest.raises(SpecError) as caught:
        archspec.read_text(text)
    (problem,) = caught.value.problems
    assert [label for label, _ in problem.places] == ["and here"] * 3
    assert lines_of(
        "a = zzz\nb = zzz\nc = yyy\nmodel Net:\n    input x: [3]\n    return x -> Linear(zzz)\n"
    ) == [1, 3]


def test_a_name_that_is_surely_another_is_mended_everywhere() -> None:
    text = "model Net:\n    input x: [3]\n    y = x -> Swish\n    return y -> Linear(3) -> Swish\n"
    with pytest.raises(SpecError) as caught:
        archspec.read_text(text)
    (problem,) = caught.value.problems
    assert problem.fix is not None
    assert [edit.text for edit in problem.fix.edits] == ["SiLU", "SiLU"]
