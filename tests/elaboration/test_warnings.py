"""Warnings: what nothing uses, and what hides something, is told with its place; a comment allows it with a reason."""

import random
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from work import calls

import archspec
from archspec import SpecWarning
from archspec.analyses.formatting import short
from archspec.analyses.unused_steps import Steps
from archspec.api.checking import check_file
from archspec.api.fixing import edited
from archspec.ground.errors import WARNINGS, Problem
from archspec.ground.shipped import shipped_specs

ROOT = Path(__file__).resolve().parents[2]
MODEL = "model Net:\n    input x: [8, 4, 4]\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(text: str, *others: str) -> list[Problem]:
    """The warnings about a spec, beside files `a.arch`, `b.arch` ... that it may import."""
    for name, other in zip("abc", others, strict=False):
        Path(f"{name}.arch").write_text(other)
    Path("spec.arch").write_text(text)
    return check_file("spec.arch", 10_000)[1]


def said(text: str, *others: str) -> list[tuple[str, str]]:
    """The kind of each warning, and the text that is underlined."""
    return [(problem.kind, problem.span.text) for problem in problems(text, *others) if problem.span]


def body(*lines: str, before: str = "") -> str:
    return before + MODEL + "".join(f"    {line}\n" for line in lines)


# ------------------------------------------------------------------ steps


def test_a_step_that_nothing_uses_is_told_with_those_that_lead_to_it() -> None:
    layers = "conv1: Conv(8, 3, bias=false) -> bn1: BatchNorm -> ReLU"
    text = body(f"y = x -> {layers}", "return x -> conv2: Conv(8, 3)")
    (problem,) = problems(text)
    assert (problem.kind, problem.message) == ("unused-step", "nothing uses `y`")
    assert (
        problem.label == "`conv1`, `bn1` and `relu` are in the network all the same, and hold 592 parameters"
    )
    assert problem.span is not None
    assert problem.span.place == "spec.arch:3:5"


@pytest.mark.parametrize("layer", ["2 * [Pair]", "[Pair, Twice]", "Shared"])
def test_what_a_step_holds_in_vain_is_what_no_gradient_reaches(layer: str) -> None:
    """Counted by autograd, also in blocks that are applied several times, and of layers that are shared."""
    blocks = """
block Pair:
    input x: [C, H, W]
    y = x -> a: Conv(C) -> [Conv(C, 3), PReLU]
    return x -> b: Conv(C)

block Twice:
    input x: [C, H, W]
    return x -> 3 * [Pair]

block Shared:
    input x: [C, H, W]
    shared pair = Pair
    return x -> pair -> pair

"""
    text = body(f"return x -> {layer}", before=blocks)
    (problem,) = problems(text)
    net = archspec.load(archspec.read_text(text), seed=0)
    net(torch.randn(1, 8, 4, 4)).sum().backward()
    idle = sum(weight.numel() for weight in net.parameters() if weight.grad is None)
    assert problem.label.endswith(f", and hold {short(idle)} parameters")


def test_of_many_names_only_their_number_is_told() -> None:
    (problem,) = problems(body("a, b, c, d, e = range(5)", "return x"))
    assert problem.message == "nothing uses any of 5 names"


def test_warnings_take_work_in_proportion_to_the_text() -> None:
    """Ten times as many statements and comments take about ten times the calls, not a hundred times."""

    def work(count: int) -> int:
        lines = [
            "a, b = (x -> ReLU), 3  # allow unused-step: because",
            "y = x -> ReLU  # allow hidden-name: because",
            "sum = 3",
            "y = x -> ReLU",
        ]
        names = ", ".join(f"n{i}" for i in range(count))
        inputs = "".join(f"    input x{i}: [N{i}]\n" for i in range(count))
        block = f"block Many({names}):\n{inputs}    return x0\n\n"
        text = body(*lines * count, f"{names} = range({count})", "return x", before=block)
        Path("spec.arch").write_text(text)
        return calls(lambda: check_file("spec.arch", 10_000), 5_000_000)

    assert work(400) < 15 * work(40)


@pytest.mark.parametrize(
    "text",
    [
        lambda count: body("return x" + " -> ReLU" * count),
        lambda count: body("return x" + " -> Conv(8, 3) -> BatchNorm" * count),
        lambda count: body("y = (x -> ReLU," + "x -> ReLU," * count + ")", "return x"),
        lambda count: "".join(
            f"model Net{i}:\n    input x: [3]\n    y = x -> ReLU\n    return x\nclaims Net{i}:\n    params 0\n"
            for i in range(count)
        ),
        lambda count: body(
            *["# allow unused-step: because", "# allow odd-sized: because"] * count, "return x"
        ),
    ],
    ids=["activations", "biases", "steps of one line", "models", "comments above each other"],
)
def test_warnings_within_one_statement_take_work_in_proportion_too(text: Callable[[int], str]) -> None:
    def work(count: int) -> int:
        Path("spec.arch").write_text(text(count))
        return calls(lambda: check_file("spec.arch", 10_000), 5_000_000)

    assert work(400) < 15 * work(40)


def test_a_value_that_is_bound_anew_before_it_is_used_is_told() -> None:
    text = body("y = x -> a: Conv(8)", "y = x -> b: Conv(8)", "return y")
    (problem,) = problems(text)
    assert (problem.message, problem.span and problem.span.place) == (
        "nothing uses this `y`",
        "spec.arch:3:5",
    )


@pytest.mark.parametrize(
    "lines",
    [
        ("require (x -> Flatten).shape == [128]", "return x"),
        ("y = (x -> a: Conv(3)).channels", "return x -> Conv(y)"),
    ],
)
def test_a_step_that_is_asked_for_its_shape_alone_is_told(lines: tuple[str, ...]) -> None:
    (problem,) = problems(body(*lines))
    assert problem.kind == "unused-step"
    assert problem.message in ("nothing uses the result of `flatten`", "nothing uses the result of `a`")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("y = x + x", "unused-value"),
        ("y = -x", "unused-value"),
        ("y = x[0]", "unused-value"),
        ("y = concat(x, x)", "unused-value"),
        ("a, b = x -> Split(2)", "unused-step"),
        ("ys = [x -> Conv(8) for i in range(3)]", "unused-step"),
        ("ys = [x, x -> Conv(8)]", "unused-step"),
        ("weight w: [8, 1, 1] = zeros", "unused-value"),
        ("constant w: [2] = [1.0, 2.0]", "unused-value"),
        ("shared f = Conv(8)", "unused-value"),
        ('weight "w.gamma" as gamma: [8, 1, 1] = zeros', "unused-value"),
        ("width = 3", "unused-value"),
        ("act = ReLU", "unused-value"),
    ],
)
def test_each_statement_is_told_once(line: str, kind: str) -> None:
    ((found, marked),) = said(body(line, "return x"))
    assert found == kind
    assert re.fullmatch(r"\w+(, \w+)*", marked)
    assert line.count(marked) == 1 or line.startswith(marked) or f"as {marked}:" in line


@pytest.mark.parametrize(
    "lines",
    [
        ("a, b = x -> Split(2)", "return a"),
        ("ys = [x -> Conv(8) for i in range(3)]", "return ys[0]"),
        ("for i in range(3):", "    y = x -> Conv(8)", "return y"),
        ("shared f = Linear(4)", "y = x -> f", "return y * f.weight[0, 0]"),
        ("y = x -> Conv(8)", "if y.channels == 8:", "    x = y", "return x"),
        ("x += x -> Conv(8)", "return x"),
        ("return a=x, b=x -> Conv(8)",),
    ],
)  # fmt: skip
def test_what_is_used_somewhere_is_not_told(lines: tuple[str, ...]) -> None:
    assert said(body(*lines)) == []


BLOCK = """
block Unit(keep: bool):
    input x: [C, H, W]
    y = x -> conv: Conv(C, 3)
    if keep:
        return x + y
    return x

"""


def test_a_step_that_one_application_of_its_block_uses_is_used() -> None:
    assert said(body("return x -> Unit(true) -> Unit(false)", before=BLOCK)) == []
    assert said(body("return x -> Unit(false)", before=BLOCK)) == [("unused-step", "y")]


def test_a_step_that_one_model_of_the_file_uses_is_used_there() -> None:
    other = body("return x -> Unit(true)").replace("Net", "Other")
    assert said(body("return x -> Unit(false)", before=BLOCK + other)) == []
    with pytest.warns(SpecWarning, match=r"this `y`|`y`"):
        archspec.read("spec.arch")  # of the last model alone
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        archspec.read("spec.arch:Other")


def test_a_step_that_a_claim_s_settings_use_is_used() -> None:
    text = "model Net(keep: bool = false):\n    input x: [8, 4, 4]\n    return x -> Unit(keep)\n"
    assert said(BLOCK + text) == [("unused-step", "y")]
    claims = '\nclaims Net "by hand" at keep=true:\n    params 584\n'
    assert said(BLOCK + text + claims) == []


@pytest.mark.parametrize("seed", range(60))
def test_what_is_told_as_unused_has_no_gradient_and_all_else_has_one(seed: int) -> None:
    """Compared with autograd: of random chains of layers over random values, those that are told change nothing."""
    chosen = random.Random(seed)
    lines, values = [], ["x"]
    for i in range(chosen.randrange(2, 9)):
        a, b = chosen.choice(values), chosen.choice(values)
        lines.append(
            f"v{i} = {a} + {b} -> s{i}: Conv(8, 1)"
            if chosen.random() < 0.5
            else f"v{i} = {a} -> s{i}: Conv(8, 1)"
        )
        values.append(f"v{i}")
    lines.append(f"return {chosen.choice(values[1:])}")
    text = body(*lines)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = archspec.read_text(text)
    steps = Steps()
    steps.add(graph)
    net = archspec.load(graph, seed=0)
    net(torch.randn(1, 8, 4, 4)).sum().backward()
    told = [name for unused in steps.unused() for name in (*unused.leading, unused.name)]
    idle = {name.split(".")[0] for name, weight in net.named_parameters() if weight.grad is None}
    assert sorted(name for name in told if name.startswith("s")) == sorted(idle)


# ------------------------------------------------------------------ names


def test_inputs_and_parameters_that_nothing_uses_are_told() -> None:
    block = "block Unit(out: int, extra: int = 3, more: int = extra):\n    input x: [C, H, W]\n    input mask\n    return x -> Conv(out)\n\n"
    assert said(body("return (x, x) -> Unit(4)", before=block)) == [
        ("unused-parameter", "more"),
        ("unused-input", "mask"),
    ]


def test_an_input_is_used_for_its_sizes() -> None:
    block = "block Table:\n    input x: [{}]\n    weight w: [{}] = zeros\n    return w\n\n"
    for shape, use in (("N, H, W", "N"), ("N, M, W", "M"), ("*S", "S[0]")):
        assert said(body("return x -> Table", before=block.format(shape, use))) == []
    assert said(body("return x", before=block.format("N", "3"))) == [("unused-input", "x")]


def test_a_block_that_is_never_applied_is_looked_at_as_well() -> None:
    block = "block Unit(n: int):\n    input x\n    y = x -> Conv(3)\n    return x\n\n"
    assert said(body("return x", before=block)) == [("unused-parameter", "n"), ("unused-step", "y")]


@pytest.mark.parametrize(
    "block",
    [
        "block U(n: int) = Conv(n)\n",
        "block U(n: int):\n    input x: [n, H, W]\n    return x\n",
        "block U(n: list):\n    input x: [*n]\n    return x\n",
        "block U(n: int, m: int in 1..n = 1):\n    input x\n    return x -> Conv(m)\n",
        "block U(n: str):\n    input x\n    return x -> \"{n}\": Conv(1)\n",
        "block U(n: int):\n    input x\n    require x.rank == n\n    return x\n",
        "block U(n: layer):\n    input x\n    shared f = n\n    return x -> f\n",
        "block U(n: int):\n    input x\n    weight w: [n] = zeros\n    return x * w\n",
        "block U(n: list):\n    input x\n    for i in range(2):\n        x = x -> Conv(8)\n    return x -> [Conv(c) for c in n]\n",
        "def u(n):\n    return n + 1\n",
    ],
)  # fmt: skip
def test_each_way_to_use_a_name_counts(block: str) -> None:
    assert said(body("return x", before=f"{block}\n")) == []


def test_functions_are_looked_at_as_well() -> None:
    function = "def half(value, spare=2):\n    rest = value % 2\n    return value // 2\n\n"
    assert said(body("return x -> Conv(half(8))", before=function)) == [
        ("unused-parameter", "spare"),
        ("unused-value", "rest"),
    ]


def test_an_import_that_nothing_uses_is_told_unless_it_is_passed_on() -> None:
    a, b = "block A = Conv(3)\nblock B = Conv(4)\n", "from a import A, B\n"
    assert said(body("return x", before="from a import A, B as C\n"), a) == [
        ("unused-import", "A"),
        ("unused-import", "B as C"),
    ]
    assert said(body("return x -> A", before="from b import A\n"), a, b) == [("unused-import", "B")]
    assert said(body("return x -> A -> B", before="from b import A, B\n"), a, b) == []


def test_a_file_that_is_imported_is_looked_at_but_not_one_that_comes_with_archspec() -> None:
    a = "block A(n: int) = Conv(3)\n"
    (problem,) = problems(body("return x -> A(1)", before="from a import A\n"), a)
    assert problem.span is not None
    assert problem.span.place == "a.arch:1:9"
    assert (
        said(body("return x -> SqueezeExcite(4)", before="from blocks.attention import SqueezeExcite\n"))
        == []
    )


@pytest.mark.parametrize(
    ("text", "kind", "meaning"),
    [
        (body("ReLU = GELU", "return x -> ReLU"), "ReLU", "the op `ReLU`"),
        (body("sum = x + x", "return sum"), "sum", "the function `sum`"),
        (body("pi = x", "return pi"), "pi", "the number `pi`"),
        (body("width = 3", "return x -> Conv(width)", before="width = 4\n"), "width", "the value of line 1"),
        (body("Unit = Conv(8)", "return x -> Unit", before="block Unit = Conv(3)\n"), "Unit", "the block of line 1"),
        (body("return x -> [Conv(width) for width in [8, 9]]", before="width = 4\n"), "width", "the value of line 1"),
        (body("return x -> U(2)", before="w = 4\nblock U(w: int) = Conv(w)\n"), "w", "the value of line 1"),
        (body("return x -> Conv", before="block Conv = Linear(4)\n"), "Conv", "the op `Conv`"),
        (body("return x -> ReLU", before="ReLU = GELU\n"), "ReLU", "the op `ReLU`"),
        (body("half = 2", "return x -> Conv(half)", before="def half(n):\n    return n // 2\n"), "half",
         "the function of line 1"),
    ],
)  # fmt: skip
def test_a_name_that_hides_another_is_told(text: str, kind: str, meaning: str) -> None:
    found = [p for p in problems(text) if p.kind == "hidden-name"]
    assert [p.message for p in found] == [f"`{kind}` hides {meaning}"]
    assert found[0].span is not None
    assert found[0].span.text == kind


@pytest.mark.parametrize(
    "text",
    [
        body("return x -> U", before="norm = BatchNorm\nblock U(norm: layer = norm) = [norm]\n"),
        body("return x -> U", before="C = 8\nblock U:\n    input x: [C, H, W]\n    return x\n"),
        body("x = x -> Conv(8)", "return x"),
        body("normal = x + x", "return normal"),
        body("return x -> relu: ReLU -> sum: Conv(8)"),
        body("return sum=x"),
        body("return x -> U(width=3)", before="width = 3\nblock U(out: int = width, width: int = width) = [Conv(out), Conv(width)]\n"),
    ],
)  # fmt: skip
def test_a_name_that_hides_nothing_is_not_told(text: str) -> None:
    assert said(text) == []


# ------------------------------------------------------------------ comments


@pytest.mark.parametrize(
    "lines",
    [
        ("y = x -> Conv(8)  # allow unused-step: kept for old checkpoints", "return x"),
        ("# allow unused-step: kept for old checkpoints", "y = x -> Conv(8)", "return x"),
        ("# allow unused-step: kept", "# for old checkpoints", "y = x -> Conv(8)", "return x"),
        ("y = x -> Conv(8)  # allow unused-step: kept", "  -> ReLU", "return x"),
        ("sum = x + x  # allow hidden-name, unused-value: both", "return x"),
        ("#allow unused-value:why", "y = 3", "return x"),
    ],
)
def test_a_comment_allows_a_warning_with_a_reason(lines: tuple[str, ...]) -> None:
    assert said(body(*lines)) == []


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("# allow unused-value", "`unused-value` is allowed without a reason"),
        ("# allow unused-value: ", "`unused-value` is allowed without a reason"),
        ("# allow unused-value because", "`unused-value` is allowed without a reason"),
        ("# allow unused-step: other kind", "there is no `unused-step` to allow here"),
        ("# allow unused-valeu: misspelt", "there is no warning `unused-valeu`"),
    ],
)
def test_a_comment_that_allows_nothing_is_told_and_so_is_what_it_does_not_allow(
    comment: str, message: str
) -> None:
    found = problems(body(f"y = 3  {comment}", "return x -> ReLU"))
    assert [(p.kind, p.message) for p in found] == [
        ("unused-value", "nothing uses `y`"),
        ("unused-allow", message),
    ]


ALLOWED = {
    "unused-step": body("y = x -> ReLU  # allow", "return x"),
    "unused-value": body("y = x.shape  # allow", "return x"),
    "unused-input": body("input y: [3]  # allow", "return x"),
    "unused-parameter": "block A(n=1):  # allow\n    input x\n    return x\n" + body("return x -> A"),
    "unused-import": "from blocks.attention import SqueezeExcite  # allow\n" + body("return x"),
    "unused-default": body("defaults:", "    Conv(bias=false)  # allow", "return x -> ReLU"),
    "unused-allow": body("return x  # allow unused-value: no more;# allow"),
    "hidden-name": body("sum = 3  # allow", "return x -> Conv(sum)"),
    "bias-before-norm": body("return x -> Conv(8)  # allow", "  -> BatchNorm"),
    "repeated-activation": body("return x -> ReLU", "  -> ReLU  # allow"),
    "last-axis": body("return x -> Conv(8, 3) -> Linear(3)  # allow"),
    "softmax-output": body("return x -> Flatten -> Linear(3) -> Softmax  # allow"),
}


def test_every_kind_can_be_allowed() -> None:
    assert set(ALLOWED) == set(WARNINGS) - {"partial-weights"}  # which is about no place in a spec


@pytest.mark.parametrize("kind", ALLOWED)
def test_a_comment_silences_each_kind(kind: str) -> None:
    text = ALLOWED[kind]
    if kind == "unused-allow":  # a comment about what it says itself
        without = text.replace(": no more;# allow", ": no more")
        text = text.replace("unused-value: no more;# allow", "unused-value, unused-allow: now and then")
    else:
        without = text.replace("  # allow", "")
        text = text.replace("# allow", f"# allow {kind}: a reason")
    assert kind in [problem.kind for problem in problems(without)]
    assert kind not in [problem.kind for problem in problems(text)]
    assert "unused-allow" not in [problem.kind for problem in problems(text)]


@pytest.mark.parametrize(
    "comment",
    [
        "# allow W0101: because",
        "# Allow unused-step: because",
        "# ALLOW UNUSED-STEP: because",
        "# allow unused_step: because",
        "# allow: unused-step: because",
        "# allow(unused-step): because",
        "#allow [w0101]: because",
    ],
)
def test_a_comment_that_is_nearly_one_is_told_and_mended(comment: str) -> None:
    text = body(f"y = x -> ReLU  {comment}", "return x")
    unused, nearly = problems(text)
    assert (unused.kind, nearly.kind) == ("unused-step", "unused-allow")
    assert nearly.help == "write `# allow unused-step: because`"
    assert nearly.fix is not None
    assert problems(edited(text, nearly.fix.edits)) == []


def test_warnings_come_in_order_of_place() -> None:
    text = body("# allow unused-step: nothing to allow", "y = 3", "return x -> ReLU -> ReLU")
    text = text.replace("    y = 3", "    z = x + x  # allow unused-step: why\n    y = 3")
    found = problems(text)
    assert [problem.kind for problem in found] == [
        "unused-allow",
        "unused-value",
        "unused-allow",
        "unused-value",
        "repeated-activation",
    ]
    places = [problem.span.start for problem in found if problem.span]
    assert places == sorted(places)


def test_python_is_warned_of_two_of_one_text_on_one_line(here: Path) -> None:
    """With the filter that Python starts with, which shows what is said at a line once."""
    Path("spec.arch").write_text(body("a, b = (x -> ReLU -> ReLU), (x -> ReLU -> ReLU)", "return a + b"))
    code = "import archspec; archspec.cost('spec.arch'); archspec.cost('spec.arch')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(re.findall("spec.arch:3: SpecWarning", done.stderr)) == 2


def test_a_comment_is_about_its_line_alone() -> None:
    assert [kind for kind, _ in said(body("# allow unused-value: no", "", "y = 3", "return x"))] == [
        "unused-allow",
        "unused-value",
    ]


@pytest.mark.parametrize(
    "comment",
    ["# allow any size", "# allow odd-sized windows", "# allowed: all", "# disallow unused-step: x"],
)
def test_other_comments_are_only_comments(comment: str) -> None:
    assert said(body(comment, "return x")) == []


def test_a_step_that_is_allowed_may_be_used_where_only_one_model_is_read() -> None:
    allowed = BLOCK.replace("Conv(C, 3)\n", "Conv(C, 3)  # allow unused-step: dropped at times\n")
    assert said(body("return x -> Unit(false)", before=allowed)) == []
    assert [kind for kind, _ in said(body("return x -> Unit(true)", before=allowed))] == ["unused-allow"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        archspec.read("spec.arch")
    assert said(body("return x", before=allowed)) == []  # the block is applied nowhere


# ------------------------------------------------------------------ doors


def test_python_is_warned_at_the_line_of_the_spec(here: Path) -> None:
    (here / "net.arch").write_text(body("y = x -> Conv(8)", "return x"))
    with pytest.warns(SpecWarning) as caught:
        archspec.read("net.arch")
    (warning,) = caught
    assert (warning.filename, warning.lineno) == ("net.arch", 3)
    assert str(warning.message) == "nothing uses `y` [W0101 unused-step]"
    assert isinstance(warning.message, SpecWarning)
    assert warning.message.problem.kind == "unused-step"
    with warnings.catch_warnings():
        warnings.simplefilter("error", SpecWarning)
        for function in (archspec.read, archspec.load, archspec.check, archspec.cost, archspec.draw):
            with pytest.raises(SpecWarning):
                function("net.arch")
        archspec.load("resnet18", seed=0)


def run(*arguments: str, status: int = 0) -> tuple[str, str]:
    command = [sys.executable, "-m", "archspec", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_the_command_line_prints_warnings_as_errors_are_printed(here: Path) -> None:
    (here / "net.arch").write_text(body("y = x -> Conv(8)", "return x"))
    out, said = run("check", "net.arch")
    assert out == "net.arch: ok (1 node, 72 parameters, 1 warning)\n"
    assert said.startswith(
        "warning[W0101]: nothing uses `y`\n --> net.arch:3:5\n  |\n3 |     y = x -> Conv(8)\n"
    )
    assert (
        run("check", "--strict", "net.arch", status=1)[0]
        == "net.arch: not ok (1 node, 72 parameters, 1 warning)\n"
    )
    assert run("check", "--strict", "lenet5")[1] == ""
    assert run("cost", "net.arch")[1] == said


def test_the_command_line_lists_problems_as_json(here: Path) -> None:
    import json

    (here / "net.arch").write_text(body("y = x -> Conv(8)", "return x"))
    (here / "wrong.arch").write_text(body("return x -> Conv(2.5)"))
    out, _ = run("check", "--format", "json", "net.arch", "wrong.arch", status=1)
    warned, wrong = json.loads(out)
    assert warned["models"] == [{"name": "Net", "nodes": 1, "parameters": 72, "claims": 0}]
    (problem,) = warned["problems"]
    assert (problem["level"], problem["code"], problem["file"]) == ("warning", "W0101", "net.arch")
    assert problem["kind"] == "unused-step"
    assert (problem["line"], problem["column"], problem["end_line"], problem["end_column"]) == (3, 5, 3, 6)
    assert [(p["level"], p["code"]) for p in wrong["problems"]] == [("error", "E0411")]
    assert json.loads(run("check", "--format", "json", "net.arch")[0]) == [warned]
    run("check", "--format", "json", "--strict", "net.arch", status=1)


# ------------------------------------------------------------------ what comes with archspec


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(shipped_specs().rglob("*.arch")), ids=lambda path: path.stem)
def test_shipped_specs_have_no_warnings(path: Path) -> None:
    assert [problem.render() for problem in check_file(str(path), 1_000_000)[1]] == []


def test_every_kind_is_in_the_manual() -> None:
    manual = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    section = manual.split("\n## Warnings\n")[1].split("\n## ")[0]
    assert [kind for kind in WARNINGS if f"`{kind}`" not in section] == []
