"""Problems in the editor's terms: the edits that fix them, and where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from editor import Editor
from lsprotocol import types

from archspec.api.fixing import Fixer
from archspec.editing.analysis import analyse
from archspec.editing.diagnosing import diagnostics, fix_of_all, fixes
from archspec.editing.positions import Positions
from archspec.ground import codes
from archspec.ground.errors import Edit, Fix, Problem
from archspec.ground.source import Span

START = types.Position(0, 0)
NOTHING_SURE = "model Net:\n    input x: [3, 8, 8]\n    return x -> Relu\n"
TEXT = "model Net:\n    input x: [3, 8, 8]\n    return x -> Relu\n"


def test_a_fix_is_offered_where_its_problem_stands() -> None:
    analysis = analyse(TEXT, Path("net.arch"))
    positions = Positions(TEXT)
    start = TEXT.index("Relu")
    span = Span(analysis.source, start, start + 4)
    places = (("bound here", Span(analysis.source, 0, 5)),)
    fix = Fix("write `ReLU`", (Edit(span, "ReLU"),))
    analysis.problems = [Problem(codes.UNKNOWN_NAME, "there is no `Relu`", span, places=places, fix=fix)]

    def locate(source):
        return "untitled:net", positions

    (action,) = fixes(analysis, positions, locate, start, start)
    assert action.title == "Write `ReLU`"
    assert action.edit is not None and action.edit.changes is not None
    (edit,) = action.edit.changes["untitled:net"]
    assert (positions.offset(edit.range.start), positions.offset(edit.range.end)) == (start, start + 4)
    assert fixes(analysis, positions, locate, 0, 5) == []
    every = fix_of_all(analysis, locate)
    assert every is not None and every.edit is not None
    assert every.edit.changes is not None
    (line,) = every.edit.changes["untitled:net"]
    assert line.new_text == "    return x -> ReLU\n"
    assert (positions.offset(line.range.start), positions.offset(line.range.end)) == (start - 16, start + 5)
    (found,) = diagnostics(analysis, positions, locate)
    assert found.related_information is not None
    assert found.related_information[0].message == "bound here"


UNUSED = "from families.resnet import ResNet, BasicBlock\n\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> Conv(4)\n"


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "text",
    [
        UNUSED,
        UNUSED.replace("Conv(4)", "nn.Conv2d(4) -> Swish"),
        UNUSED.replace("import", "import MBConv,"),
        NOTHING_SURE,
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_all_is_fixed_as_check_does(editor: Editor, tmp_path: Path, text: str, ends: str) -> None:
    path = tmp_path / "net.arch"
    text = text.replace("\n", ends)
    path.write_bytes(text.encode())
    uri = await editor.open(path.as_uri(), text)
    only = types.CodeActionContext([], only=[types.CodeActionKind.SourceFixAll])
    found = await editor.client.text_document_code_action_async(
        types.CodeActionParams(types.TextDocumentIdentifier(uri), types.Range(START, START), only)
    )
    fixer = Fixer(1_000_000)
    fixer.fix(str(path))
    fixer.write()
    after = path.read_bytes().decode()
    if text == after:
        assert not found
        return
    (action,) = found or []
    assert isinstance(action, types.CodeAction) and action.edit and action.edit.changes
    assert editor.applied(uri, action.edit.changes[uri]) == after
    assert ("ResNet" in after) is (
        "nn.Conv2d" in after
    )  # of a text that is wrong, nobody knows what is unused


H = "model N:\n    input x: [3, 4, 4]\n"
WIDE = H.replace("[3,", "[32,")
NEAR = [
    ("from blcks.attention import SqueezeExcite\n" + WIDE + "    return x -> SqueezeExcite\n", "Write `blocks.attention`"),
    ("from blocks.attention import SqueezExcite as SE\n" + WIDE + "    return x -> SE\n", "Write `SqueezeExcite`"),
    (H + "    return x -> Con(4) -> Con(5)\n", "Write `Conv`"),
    (H + "    return x -> Conv(4, strid=2)\n", "Write `stride`"),
    (H + "    return x -> Conv(4, init=None)\n", "Write `none`"),
    (H + "    b = x -> l: [layer1: Conv(4), layer2: Conv(4)]\n    return b.laye1\n", "Write `layer1`"),
    (H + "    return x -> Conv(x.chanels)\n", "Write `channels`"),
    (H + "    return x -> Conv(3)\n\nclaims N:\n    parms 12\n", "Write `params`"),
    (H.replace("N", "Net") + "    return x -> Conv(3)\n\nclaims Nte:\n    params 12\n", "Write `Net`"),
    ("block B(width: itn):\n    input x: [C, H, W]\n    return x -> Conv(width)\n\n" + H + "    return x -> B(3)\n", "Write `int`"),
    ("block B(width: int):\n    input x: [C, H, W]\n    return x -> Conv(width)\n\n" + H + "    return x -> B(wdth=3)\n", "Write `width`"),
    (WIDE + "    x = x -> SqueezeExcite\n    return x -> SqueezeExcite\n", "Add `from blocks.attention import SqueezeExcite`"),
    ("# It.\nfrom blocks.head import Classifier\n\n" + H + "    return x -> ConvBnAct(4, 1) -> GlobalAvgPool -> Classifier(4)\n", "Add `from blocks.conv_bn import ConvBN`"),
    ('"Two words."\n\nn = 4\n' + H + "    return x -> GLU\n", "Add `from blocks.gated import GLU`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "title"), NEAR)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_likely_meant_is_offered_and_never_applied_unasked(
    editor: Editor, tmp_path: Path, text: str, title: str
) -> None:
    path = tmp_path / "net.arch"
    path.write_text(text)
    uri = await editor.open(path)
    problems = await editor.problems_come(uri)
    whole = types.Range(START, types.Position(100, 0))
    found = await editor.client.text_document_code_action_async(
        types.CodeActionParams(types.TextDocumentIdentifier(uri), whole, types.CodeActionContext(problems))
    )
    (action,) = found or []
    assert isinstance(action, types.CodeAction) and action.edit and action.edit.changes
    assert action.title == title
    assert action.kind == types.CodeActionKind.QuickFix
    assert not action.is_preferred
    after = await editor.write(uri, editor.applied(uri, action.edit.changes[uri]))
    assert [p.message for p in after if p.severity == types.DiagnosticSeverity.Error] == []
    assert Fixer(1_000_000).fix(str(path)).mended == 0


def test_every_offset_has_a_position_and_back() -> None:
    text = "# 模型 𝔸é\nx = 1\n\n𝔸𝔸𝔸"
    for encoding in ("utf-8", "utf-16", "utf-32"):
        positions = Positions(text, encoding)
        for offset in range(len(text) + 1):
            position = positions.position(offset)
            assert positions.offset(position) == offset
            line = text.split("\n")[position.line]
            before = line[: offset - positions.starts[position.line]]
            width = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
            encoded = before.encode(encoding if width == 1 else f"{encoding}-le")
            assert position.character == len(encoded) // width
