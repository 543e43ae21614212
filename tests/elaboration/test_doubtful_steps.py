"""Warnings about steps that are right and hardly meant so: told where they are, and not where they are meant."""

import random
import warnings
from pathlib import Path

import pytest
import torch

import archspec
from archspec import SpecWarning
from archspec.api.checking import check_file
from archspec.ground.errors import Problem

MODEL = "model Net:\n    input x: [8, 6, 6]\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def body(*lines: str, before: str = "") -> str:
    return before + MODEL + "".join(f"    {line}\n" for line in lines)


def problems(text: str) -> list[Problem]:
    Path("spec.arch").write_text(text)
    return check_file("spec.arch", 10_000)[1]


def said(text: str) -> list[tuple[str, str]]:
    """The kind of each warning, and the text that is underlined."""
    return [(problem.kind, problem.span.text) for problem in problems(text) if problem.span]


def mended(text: str) -> str:
    """The text after the edits of its warnings."""
    edits = [edit for problem in problems(text) if problem.fix for edit in problem.fix.edits]
    for span, new in sorted(edits, key=lambda edit: -edit.span.start):
        text = text[: span.start] + new + text[span.end :]
    return text


# ------------------------------------------------------------------ a bias before a norm


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ("x -> Conv(8, 3) -> BatchNorm", "Conv(8, 3)"),
        ("x -> Conv(8, 3) -> InstanceNorm", "Conv(8, 3)"),
        ("x -> Conv(8, 3) -> GroupNorm(8)", "Conv(8, 3)"),
        ("x -> ConvTranspose(8, 2, stride=2) -> BatchNorm", "ConvTranspose(8, 2, stride=2)"),
        ("x -> Flatten -> Linear(8) -> BatchNorm", "Linear(8)"),
        ("x -> [Conv(8), BatchNorm]", "[Conv(8), BatchNorm]"),
        ("x -> 3 * [Conv(8), BatchNorm, Conv(8)]", "3 * [Conv(8), BatchNorm, Conv(8)]"),
        ("x -> Conv(8) -> Normed", "Conv(8)"),
        ("x -> Convolved -> BatchNorm", "Conv(8, 3)"),
        ("x -> Convolved -> Normed", "Conv(8, 3)"),
        ("x -> Twice -> BatchNorm", "Conv(8, 3)"),
        ("(x -> c: Conv(8)) -> Both", "Conv(8)"),
    ],
)
def test_a_bias_before_a_norm_that_subtracts_the_mean_is_told(line: str, marked: str) -> None:
    blocks = (
        "block Normed:\n    input x\n    return x -> BatchNorm -> ReLU\n\n"
        "block Convolved:\n    input x\n    return x -> Conv(8, 3)\n\n"
        "block Twice:\n    input x\n    return x -> ReLU -> Convolved\n\n"
        "block Both:\n    input x\n    return (x -> BatchNorm) + (x -> InstanceNorm)\n\n"
    )
    assert said(body(f"return {line}", before=blocks)) == [("bias-before-norm", marked)]


@pytest.mark.parametrize(
    "lines",
    [
        ("return x -> Conv(8, bias=false) -> BatchNorm",),
        ("return x -> Conv(8) -> GroupNorm(4)",),
        ("return x -> Conv(8) -> LayerNorm(axis=0)",),
        ("return x -> Conv(8) -> RMSNorm(axis=0)",),
        ("return x -> Conv(8) -> ReLU -> BatchNorm",),
        ("return x -> Conv(8) -> MaxPool(2) -> BatchNorm",),
        ("y = x -> Conv(8)", "return y + (y -> BatchNorm)"),
        ("y = x -> Conv(8)", "return y, (y -> BatchNorm)"),
        ("return x -> Rearrange('c h w -> (h w) c') -> Linear(8) -> BatchNorm",),  # along another axis
        ("return x -> Unit(BatchNorm) -> Unit([])",),  # one application has need of it
        ("return x -> Own -> BatchNorm",),
    ],
)
def test_a_bias_that_has_an_effect_is_not_told(lines: tuple[str, ...]) -> None:
    blocks = (
        "block Unit(norm: layer):\n    input x\n    return x -> Conv(8, 3) -> norm\n\n"
        "block Own:\n    input x\n    y = x -> Conv(8, 3)\n    return y + (y -> ReLU)\n\n"
    )
    assert said(body(*lines, before=blocks).replace("'", '"')) == []


@pytest.mark.parametrize("seed", range(40))
def test_a_bias_is_told_where_it_has_no_gradient_and_only_there(seed: int) -> None:
    """Compared with autograd: of random layers over random values, what is added to a convolution's result changes nothing."""
    chosen = random.Random(seed)
    norms = ["BatchNorm", "InstanceNorm", "GroupNorm(8)", "GroupNorm(2)", "LayerNorm(axis=0)", "Norm", "ReLU"]
    lines, values, taken = ["x = x -> first: Conv(8, 3)"], ["x"], set()
    for i in range(chosen.randrange(2, 9)):
        source = chosen.choice(values[-3:])
        taken.add(source)
        lines.append(f"v{i} = {source} -> {chosen.choice([f's{i}: Conv(8, 3)', *norms])}")
        values.append(f"v{i}")
    ends = [value for value in values if value not in taken]
    text = body(
        *lines, f"return {', '.join(ends)}", before="block Norm:\n    input x\n    return x -> BatchNorm\n\n"
    )
    told = {problem.message.split("`")[1] for problem in problems(text) if problem.kind == "bias-before-norm"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpecWarning)
        net = archspec.load(archspec.read_text(text), seed=seed).double()
    outputs = net(torch.randn(3, 8, 6, 6, dtype=torch.float64))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    sum((out * torch.randn_like(out)).sum() for out in outputs).backward()
    biases = {name.removesuffix(".bias"): weight for name, weight in net.named_parameters()}
    idle = {name for name in biases if name in ("first", *(f"s{i}" for i in range(9)))}
    assert told == {name for name in idle if biases[name].grad.abs().max() < 1e-9}


def test_a_bias_that_has_no_effect_is_removed() -> None:
    text = body("return x -> a: Conv(8, 3) -> BatchNorm -> b: Conv(out=4,) -> BatchNorm")
    assert mended(text) == body(
        "return x -> a: Conv(8, 3, bias=false) -> BatchNorm -> b: Conv(out=4, bias=false,) -> BatchNorm"
    )
    assert said(mended(text)) == []


def test_a_layer_written_elsewhere_is_told_without_an_edit() -> None:
    text = body("return x -> layers", before="layers = [Conv(8), BatchNorm]\n\n")
    (problem,) = problems(text)
    assert problem.kind == "bias-before-norm"
    assert problem.fix is None


# ------------------------------------------------------------------ an activation after another


@pytest.mark.parametrize(
    ("lines", "marked"),
    [
        (("return x -> ReLU -> ReLU",), "ReLU"),
        (("return x -> ReLU -> GELU",), "GELU"),
        (("return x -> Conv(8) -> ReLU -> Flatten -> Linear(1) -> ReLU -> Sigmoid",), "Sigmoid"),
        (("y = x -> ReLU", "return y + (y -> SiLU)"), "SiLU"),
        (("return x -> Ends -> SiLU",), "SiLU"),
        (("return x -> GELU -> Starts",), "ReLU"),
    ],
)
def test_an_activation_of_an_activation_is_told(lines: tuple[str, ...], marked: str) -> None:
    blocks = (
        "block Ends:\n    input x\n    return x -> Conv(8) -> ReLU\n\n"
        "block Starts:\n    input x\n    return x -> ReLU -> Conv(8)\n\n"
    )
    assert said(body(*lines, before=blocks)) == [("repeated-activation", marked)]


def test_of_two_activations_the_one_is_told_that_always_meets_the_other() -> None:
    block = "block Pre:\n    input x\n    return x -> ReLU -> Conv(8)\n\n"
    assert said(body("return x -> Conv(8) -> SiLU -> Pre -> Pre", before=block)) == [
        ("repeated-activation", "SiLU")
    ]
    (problem,) = problems(body("return x -> Conv(8) -> SiLU -> Pre -> Pre", before=block))
    assert problem.label == "goes to `relu`"


@pytest.mark.parametrize(
    "lines",
    [
        ("return x -> ReLU -> Conv(8) -> ReLU",),
        ("y = x -> ReLU", "return y + x -> ReLU"),
        ("return x -> SiLU -> Sum",),
        ("return concat(x, -x) -> ReLU",),
        ("return x * (x -> Softplus -> Tanh)",),  # Mish
        ("return x -> ReLU -> MaxPool(2) -> ReLU",),
    ],
)
def test_activations_of_other_values_are_not_told(lines: tuple[str, ...]) -> None:
    block = "block Sum:\n    input x\n    return x + 1 -> ReLU\n\n"
    assert said(body(*lines, before=block)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return x -> Conv(8) -> ReLU -> ReLU", "return x -> Conv(8) -> ReLU"),
        ("return x -> Conv(8) -> ReLU -> ReLU -> Conv(4)", "return x -> Conv(8) -> ReLU -> Conv(4)"),
        ("return (x -> Conv(8) -> ReLU) -> ReLU", "return (x -> Conv(8) -> ReLU)"),
        ("return x -> Conv(8) -> ReLU\n        -> ReLU", "return x -> Conv(8) -> ReLU"),
    ],
)
def test_an_activation_that_changes_nothing_is_removed(before: str, after: str) -> None:
    text = body(before)
    assert mended(text) == body(after)
    x = torch.randn(2, 8, 6, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpecWarning)
        nets = [archspec.load(archspec.read_text(each), seed=0) for each in (text, mended(text))]
    assert torch.equal(nets[0](x), nets[1](x))


@pytest.mark.parametrize(
    "line",
    ["return x -> ReLU -> GELU", "return x -> ReLU  # one\n      -> ReLU"],
)
def test_what_is_not_sure_is_left(line: str) -> None:
    (problem,) = problems(body(line))
    assert problem.kind == "repeated-activation"
    assert problem.fix is None


# ------------------------------------------------------------------ the last axis of an image


@pytest.mark.parametrize(
    ("lines", "marked"),
    [
        (("return x -> Conv(8, 3) -> Linear(10)",), "Linear(10)"),
        (("return x -> Conv(8, 3, bias=false) -> BatchNorm -> ReLU -> Dropout(0.1) -> Linear(10)",), "Linear(10)"),
        (("return x -> MaxPool(2) -> LayerNorm",), "LayerNorm"),
        (("return x -> Conv(8, 3) -> RMSNorm",), "RMSNorm"),
        (("y = x -> Conv(8, 3)", "return x + y -> LayerNorm"), "LayerNorm"),
        (("return x -> Conv(8, 3) -> Head",), "Linear(10)"),
        (("return x -> Stem -> LayerNorm(axis=2)",), "LayerNorm(axis=2)"),
        (("return x -> 2 * [Stem] -> Linear(10)",), "Linear(10)"),
    ],
)  # fmt: skip
def test_a_layer_along_the_width_of_an_image_is_told(lines: tuple[str, ...], marked: str) -> None:
    blocks = (
        "block Head:\n    input x\n    return x -> ReLU -> Linear(10)\n\n"
        "block Stem:\n    input x\n    return x -> Conv(8, 3) -> ReLU\n\n"
    )
    assert said(body(*lines, before=blocks)) == [("last-axis", marked)]


@pytest.mark.parametrize(
    ("lines", "inputs"),
    [
        (("return x -> Conv(8, 3) -> Permute([1, 2, 0]) -> Linear(10)",), "[8, 6, 6]"),
        (("return x -> Conv(8, 3) -> Permute([1, 2, 0]) -> LayerNorm -> ReLU -> Linear(8)",), "[8, 6, 6]"),
        (("return x -> Conv(8, 3) -> LayerNorm(axis=0)",), "[8, 6, 6]"),
        (("return x -> Conv(8, 3) -> GroupNorm(1)",), "[8, 6, 6]"),
        (("return x -> Conv(8, 3) -> Flatten -> Linear(10)",), "[8, 6, 6]"),
        (("return x -> Conv(8, 3) -> GlobalAvgPool -> Linear(10)",), "[8, 6, 6]"),
        (('return x -> Conv(8, 3) -> Rearrange("c h w -> (h w) c") -> Linear(10)',), "[8, 6, 6]"),
        (("return x -> LayerNorm -> Linear(10)",), "[7, 7, 16]"),  # channels last
        (("return x -> Linear(10)",), "[3, 50, 64]"),
        (("return x -> LayerNorm",), "[3, 64]"),
    ],
)  # fmt: skip
def test_a_layer_along_features_is_not_told(lines: tuple[str, ...], inputs: str) -> None:
    assert said(body(*lines).replace("[8, 6, 6]", inputs)) == []


def test_a_picture_given_to_a_linear_layer_is_told() -> None:
    text = body("return x -> Linear(10)").replace("[8, 6, 6]", "[3, 32, 32]")
    assert said(text) == [("last-axis", "Linear(10)")]


def test_a_norm_chosen_for_a_shipped_net_is_told_where_it_is_chosen() -> None:
    net = "from families.resnet import BasicBlock, ResNet\n\nmodel Net = ResNet(BasicBlock, [1, 1, 1, 1], norm={})\n"
    assert said(net.format("LayerNorm(axis=0)")) == []
    (problem,) = problems(net.format("LayerNorm"))
    assert problem.kind == "last-axis"
    assert problem.span is not None
    assert problem.span.place.startswith("spec.arch:3:")
    with pytest.warns(SpecWarning, match="last axis"):
        archspec.read("resnet18", norm=archspec.parse_value("LayerNorm"))


def test_a_norm_chosen_by_defaults_is_told_there() -> None:
    text = body("defaults:", "    BatchNorm = LayerNorm", "return x -> Conv(8, 3, bias=false) -> BatchNorm")
    ((kind, _),) = said(text)
    assert kind == "last-axis"
    assert problems(text)[0].span.location.line == 4  # type: ignore[union-attr]


# ------------------------------------------------------------------ a softmax at the end


@pytest.mark.parametrize(
    "line",
    [
        "x -> Flatten -> Linear(10) -> Softmax",
        "x -> GlobalAvgPool -> [fc: Linear(10), soft: Softmax]",
        "x -> Conv(5) -> Softmax(axis=0)",
        'x -> Rearrange("c h w -> (h w) c") -> Linear(10) -> Softmax',
        "x -> Head",
        "x -> Flatten -> Linear(10) -> Softmax, x",
    ],
)
def test_a_model_that_ends_with_a_softmax_is_told(line: str) -> None:
    block = "block Head:\n    input x\n    return x -> GlobalAvgPool -> Linear(10) -> Softmax\n\n"
    ((kind, marked),) = said(body(f"return {line}", before=block))
    assert (kind, marked[:7]) == ("softmax-output", "Softmax")


@pytest.mark.parametrize(
    "lines",
    [
        ("y = x -> Flatten -> Linear(8) -> Softmax", "return x * (y -> Reshape([8, 1, 1]))"),  # a gate
        (
            "y = x -> Flatten -> Linear(8) -> Softmax",
            "return x * (y -> Reshape([8, 1, 1])), y",
        ),  # told as well as used
        ('q = x -> Rearrange("c h w -> (h w) c") -> Linear(8)', "return q @ q[:8] -> Softmax"),  # attention
        ("return x -> Softmax",),
        ("return x -> Flatten -> Linear(10) -> LogSoftmax",),
        ("return x -> Flatten -> Linear(10) -> Sigmoid",),
    ],
)
def test_other_uses_of_a_softmax_are_not_told(lines: tuple[str, ...]) -> None:
    assert said(body(*lines)) == []


# ------------------------------------------------------------------ comments, and other edits


def test_each_is_allowed_with_a_reason() -> None:
    allowed = body(
        "x = x -> Conv(8) -> BatchNorm  # allow bias-before-norm: old checkpoints have it",
        "x = x -> ReLU -> ReLU  # allow repeated-activation: as in the paper",
        "x = x -> Conv(8) -> Linear(6)  # allow last-axis: mixes columns",
        "return x -> Flatten -> Linear(3) -> Softmax  # allow softmax-output: served as it is",
    )
    assert said(allowed) == []
    right = body(
        "x = x -> Conv(8)  # allow bias-before-norm: no", "return x -> ReLU  # allow softmax-output: no"
    )
    assert [problem.message for problem in problems(right)] == [
        "there is no `bias-before-norm` to allow here",
        "there is no `softmax-output` to allow here",
    ]
    assert mended(right) == body("x = x -> Conv(8)", "return x -> ReLU")


def test_an_import_that_nothing_uses_is_removed() -> None:
    Path("a.arch").write_text("block A = Conv(3)\nblock B = Conv(4)\nblock C = Conv(5)\n")
    for names, used, left in (("A", "ReLU", ""), ("A, B", "B", "B"), ("A, B as D, C", "A -> C", "A, C")):
        imports = f"from a import {left}\n" if left else ""
        text = body(f"return x -> {used}", before=f"from a import {names}\n")
        assert mended(text) == body(f"return x -> {used}", before=imports)


def test_what_shipped_blocks_do_is_not_told_of_who_uses_them() -> None:
    before = "from families.vgg import VGG, A\n\nmodel Own = VGG(A, norm=BatchNorm)\n"
    assert said(before) == []
