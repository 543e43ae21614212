"""What is offered where somebody writes: what can stand there, what must come first, and no more than that."""

from __future__ import annotations

import pytest
from editor import Editor

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAD = """from families.resnet import ResNet

block B(mode: str in {"q", "r"}, n: int = 2):
    input x: [C, H, W]
    return x -> Conv(n)

block S:
    input x: [C, H, W]
    return x -> layer1: [Conv(4), ReLU] -> layer2: B("q")

model Net(a: str in {"small", "large"} = "small", n: int in {1, 2} = 1):
    input x: [3, 4, 4]
    b = x -> S
"""
TAIL = """    return deep=b, low=(b -> ReLU)

claims Net "x":
    params 1
"""


async def _labels(editor: Editor, line: str, *, within: bool = False) -> list[str]:
    """What is offered at the bar in a line that stands in the model, or else below it, in order."""
    text = HEAD + (f"{line}\n{TAIL}" if within else f"{TAIL}{line}\n")
    uri = await editor.open("untitled:completing", text.replace("|", ""))
    found = await editor.completions(uri, line)
    return sorted(found, key=lambda label: found[label].sort_text or label)


@pytest.mark.parametrize(
    ("line", "first", "never"),
    [
        ("    y = b -> Conv(8, |)", ["bias"], ["out"]),
        ("    y = b -> Conv(8, 3, |)", ["bias"], ["out", "kernel"]),
        ("    y = b -> Conv(|)", ["out"], []),
        ("    y = b -> B(|)", ['"q"', '"r"', "mode"], []),
        ('    y = b -> B("q", |)', ["n"], ["mode", '"q"']),
        ('    y = b -> B("|")', ["q", "r"], ["Conv"]),
        ('    y = b -> B(mode="|")', ["q", "r"], ["Conv"]),
        ('    y = b -> Reduce("|", 0)', ["max", "mean"], ["Conv"]),
        ('    y = b -> Cast("|")', ["bf16", "bool"], ["Conv"]),
        ("    y = b -> Cast(|)", ['"bf16"'], []),
        ('    y = b["|"]', ["layer1", "layer2"], ["shape", "Conv"]),
        ('    y = b["layer1.|"]', ["0", "1"], ["layer1", "Conv"]),
        ('    y = b.layer1["|"]', ["0", "1"], ["layer1"]),
        ("    y = b.|", ["layer1", "layer2", "channels"], []),
        ("    z = x -> |", ["B", "ResNet", "S"], ["x", "b", "z", "n", "a", "pi", "true", "range", "Net"]),
        ("    z = x -> name: |", ["B", "ResNet", "S"], ["x", "b"]),
        ("    for |", [], ["x", "Conv", "Net"]),
        ("    for i, |", [], ["x", "Conv", "Net"]),
        ("    y = [i for |", [], ["x", "Conv", "Net"]),
        ("    shared |", [], ["x", "Conv", "Net"]),
    ],
)  # fmt: skip
async def test_within_a_model(editor: Editor, line: str, first: list[str], never: list[str]) -> None:
    found = await _labels(editor, line, within=True)
    assert found[: len(first)] == first
    assert not {*never} & {*found}
    if not first:
        assert found == []


RULES = """block B:
{of_block}    input x: [C, H, W]
    return x -> conv: Conv(C) -> act: ReLU

{at_top}model Net:
{of_model}    input x: [3, 4, 4]
    return x -> layer1: [Conv(4), B] -> layer2: B
"""


@pytest.mark.parametrize(
    ("place", "rule", "found"),
    [
        ("of_model", '"|', ["layer1", "layer2"]),
        ("of_model", '"|" = []', ["layer1", "layer2"]),
        ("of_model", '"layer1.|', ["0", "1"]),
        ("of_model", '"*.1.|"', ["act", "conv"]),
        ("of_model", '"layer*.|" -> drop: Dropout(0.1)', ["0", "1", "act", "conv"]),
        ("of_model", 'drop: Dropout(0.1) -> "layer2.|', ["act", "conv"]),
        ("of_model", '"layer3.|', []),
        ("at_top", '"layer2.|"', ["act", "conv"]),
        ("of_block", '"|"', ["act", "conv"]),
    ],
)
async def test_paths_in_rules(editor: Editor, place: str, rule: str, found: list[str]) -> None:
    depth = "" if place == "at_top" else "    "
    for other in ("", f"{depth}    Conv(bias=false)\n"):
        stated = f"{depth}defaults:\n{other}{depth}    {rule}\n"
        text = RULES.format_map({"of_block": "", "at_top": "", "of_model": "", place: stated})
        uri = await editor.open("untitled:rules", text.replace("|", ""))
        offered = await editor.completions(uri, rule)
        assert sorted(offered) == found


@pytest.mark.parametrize(
    ("line", "wanted", "never"),
    [
        ('claims Net "x" at |', ["a", "n"], ["Conv", "params"]),
        ('claims Net at n=1, |', ["a"], ["n", "Conv", "params"]),
        ('claims Net "x" at a="|"', ["large", "small"], ["Conv", "params"]),
        ('claims Net "x" at a=|', ['"large"', '"small"'], ["Conv", "params"]),
        ('claims Net "x" at n=|', ["1", "2"], ["Conv", "params"]),
        ("claims |", ["Net"], ["B", "Conv"]),
        ('claims Net "x":\n    output |', ["deep", "low"], ["params", "Conv"]),
        ("from families.resnet import ResNet, |", ["BasicBlock", "Bottleneck"], ["ResNet"]),
        ("from families.resnet import ResNet as R, |", ["BasicBlock", "Bottleneck"], ["ResNet", "R"]),
        ("from families.resnet import ResNet as |", [], ["ResNet", "Conv"]),
        ("model Other = |", ["B", "Net"], ["Other"]),
        ("model |", [], ["Net", "Conv"]),
        ("def |", [], ["Net", "Conv"]),
    ],
)  # fmt: skip
async def test_below_a_model(editor: Editor, line: str, wanted: list[str], never: list[str]) -> None:
    found = await _labels(editor, line)
    assert [label for label in found if label in wanted] == wanted
    assert not {*never} & {*found}
    if not wanted:
        assert found == []


async def test_a_model_is_not_offered_within_itself(editor: Editor) -> None:
    uri = await editor.open("untitled:itself", HEAD + TAIL + "\nmodel Second = ResNet\n")
    assert "Second" not in await editor.completions(uri, "model Second = |Res")
