"""What is shown of a document as a whole: outline, folds, colours, figures above models; and the signature of a call."""

from __future__ import annotations

import pytest
from editor import Editor
from lsprotocol import types

from archspec.editing.changes import changes
from archspec.editing.tokens import MODIFIERS, TYPES
from archspec.elaboration import shipped_specs
from archspec.syntax.formatting import format_text

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPECS = shipped_specs()


async def test_the_outline_of_a_shipped_family(editor: Editor) -> None:
    uri = await editor.open(SPECS / "families/mobilenet.arch")
    found = await editor.client.text_document_document_symbol_async(
        types.DocumentSymbolParams(types.TextDocumentIdentifier(uri))
    )
    entries = {symbol.name: symbol for symbol in found or []}
    names = ["MobileNet", "Separable", "stages_v1", "stages_v2", "MobileNetV1", "MobileNetV2"]
    assert [name for name in entries if not name.startswith("names ")] == names
    net = entries["MobileNet"]
    assert isinstance(net, types.DocumentSymbol)
    assert [inner.name for inner in net.children or []] == [
        "image", "conv_stem", "bn1", "blocks", "conv_head", "bn2", "classifier",
    ]  # fmt: skip
    assert editor.under(uri, net.selection_range) == "MobileNet"
    assert editor.under(uri, net.range).endswith("classifier: Classifier(classes)")


async def test_folds_are_blocks_loops_lists_and_comments(editor: Editor) -> None:
    uri = await editor.open(SPECS / "families/mobilenet.arch")
    found = await editor.client.text_document_folding_range_async(
        types.FoldingRangeParams(types.TextDocumentIdentifier(uri))
    )
    lines = editor.texts[uri].split("\n")
    folds = {(lines[f.start_line].strip(), lines[f.end_line].strip()): f.kind for f in found or []}
    region = types.FoldingRangeKind.Region
    assert (
        folds[
            "model MobileNet(",
            "return x -> GlobalAvgPool -> Dropout(dropout) -> classifier: Classifier(classes)",
        ]
        == region
    )
    assert folds["stages_v1 = [", "]"] == region
    assert folds["for unit, channels, layers, stride in scaled:", "before += layers"] == region
    assert (
        folds["from blocks.head import Classifier", "from blocks.mobile import Depthwise, MBConv, conv"]
        == "imports"
    )


async def _tokens(editor: Editor, uri: str) -> list[tuple[str, str, tuple[str, ...]]]:
    found = await editor.client.text_document_semantic_tokens_full_async(
        types.SemanticTokensParams(types.TextDocumentIdentifier(uri))
    )
    assert found is not None
    data, line, column, tokens = list(found.data), 0, 0, []
    for i in range(0, len(data), 5):
        down, right, length, type_, modifiers = data[i : i + 5]
        line, column = line + down, right if down else column + right
        word = editor.under(
            uri, types.Range(types.Position(line, column), types.Position(line, column + length))
        )
        names = tuple(name for bit, name in enumerate(MODIFIERS) if modifiers >> bit & 1)
        tokens.append((word, TYPES[type_], names))
    return tokens


async def test_colours(editor: Editor) -> None:
    text = """from blocks.mobile import MBConv

def twice(n):
    return 2 * n

model Net(width: int = 8):
    "𝔸 wide letter"
    input x: [3, 8, 8]
    y = x -> "𝔸b": Conv(twice(width), stride=1) -> MBConv(8)
    return y
"""
    uri = await editor.open("untitled:colours", text)
    found = await _tokens(editor, uri)
    assert ("MBConv", "struct", ()) in found
    assert ("Conv", "class", ("defaultLibrary",)) in found
    assert ("twice", "function", ("declaration",)) in found
    assert ("width", "parameter", ()) in found
    assert ("stride", "property", ()) in found
    assert ("int", "type", ()) in found
    assert ("y", "variable", ("declaration",)) in found
    assert ('"𝔸b"', "property", ("declaration",)) in found


@pytest.mark.parametrize("name", ["families/resnet", "families/swin", "families/densenet", "detr_resnet50"])
async def test_colours_of_shipped_specs_stand_on_words(editor: Editor, name: str) -> None:
    uri = await editor.open(SPECS / f"{name}.arch")
    found = await _tokens(editor, uri)
    assert len(found) > 10 or name.startswith("detr")
    assert all(word.strip("\"'{}") and "\n" not in word for word, _, _ in found)


async def test_figures_above_models_and_claims(editor: Editor) -> None:
    uri = await editor.open(SPECS / "resnet50.arch")
    found = await editor.client.text_document_code_lens_async(
        types.CodeLensParams(types.TextDocumentIdentifier(uri))
    )
    titles = [lens.command.title for lens in found or [] if lens.command]
    assert titles[0] == "25.56M parameters · 4.089G multiply-adds · 174 steps"
    assert titles[1:5] == ["params 26M ok", "macs 4.1B ok", "params 25_557_032 ok", "macs 4.09G ok"]
    assert "macs claimed 3.8B, measured 3.858G (known)" in titles


SIGNED = """block Part(out: int, kernel: int = 3, act: layer = ReLU):
    input x: [C, H, W]
    return x -> Conv(out, kernel) -> act

model Net:
    input x: [3, 8, 8]
    return x -> {}
"""


@pytest.mark.parametrize(
    ("call", "label", "argument"),
    [
        ("Conv(|)", "Conv(out, kernel=1, *, stride=1, ", "out"),
        ("concat(x, |)", "concat(*tensors, axis=0)", "*tensors"),
        ("Conv(8, 3, bias=|)", "Conv(", "bias=true"),
        ("Conv(8, |)", "Conv(", "kernel=1"),
        ("Conv(8, 3, groups=|2)", "Conv(", "groups=1"),
        ("Conv(8, 3, |)", "Conv(", None),
        ("Part(8, |)", "Part(out: int, kernel: int = 3, act: layer = ReLU)", "kernel: int = 3"),
        ("Part(8, act=|)", "Part(", "act: layer = ReLU"),
        ("Conv(round_to(8, |))", "round_to(value, divisor)", "divisor"),
        ("Conv(8, init=kaiming_normal(|))", "kaiming_normal(", None),
        ("[Conv(8), |]", None, None),
    ],
)
async def test_the_signature_of_what_is_called(
    editor: Editor, call: str, label: str | None, argument: str | None
) -> None:
    uri = await editor.open("untitled:signed", SIGNED.format(call.replace("|", "")))
    found = await editor.client.text_document_signature_help_async(
        types.SignatureHelpParams(**editor.place(uri, call))
    )
    if label is None:
        assert found is None
        return
    assert found is not None
    (signature,) = found.signatures
    assert signature.label.startswith(label)
    assert signature.active_parameter == found.active_parameter
    places = [parameter.label for parameter in signature.parameters or []]
    assert all(isinstance(place, tuple | list) for place in places)
    shown = [signature.label[start:end] for start, end in places]
    active = found.active_parameter or 0
    assert (shown[active] if active < len(shown) else None) == argument


async def test_formatting_is_that_of_fmt(editor: Editor) -> None:
    text = "model  Net( width:int=8 ):\n  input x:[3,8,8]\n  # what it is\n  y=x->Conv( width,3 )   ->ReLU\n\n\n\n  return y\n"
    uri = await editor.open("untitled:unformatted", text)
    options = types.FormattingOptions(4, True)

    async def formatted() -> str:
        edits = await editor.client.text_document_formatting_async(
            types.DocumentFormattingParams(types.TextDocumentIdentifier(uri), options)
        )
        lines = editor.texts[uri].splitlines(keepends=True)
        for edit in reversed(edits or []):
            assert edit.range.start.character == edit.range.end.character == 0
            lines[edit.range.start.line : edit.range.end.line] = [edit.new_text]
        return "".join(lines)

    once = await formatted()
    assert once == format_text(text)
    await editor.write(uri, once)
    assert await formatted() == once
    await editor.write(uri, "model (")
    assert await formatted() == "model ("


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
async def test_formatting_keeps_the_ends_of_lines(editor: Editor, ends: str, mark: str) -> None:
    text = "# 𝔸\nmodel Net( width:int=8 ):\n  input x:[3,8,8]\n\n\n  y = x->Conv( width,3 )\n  return y\n"
    text = mark + text.replace("\n", ends)
    for given in (text, text.replace(ends, "\n", 2)):
        uri = await editor.open("untitled:ends of lines", given)
        edits = await editor.client.text_document_formatting_async(
            types.DocumentFormattingParams(
                types.TextDocumentIdentifier(uri), types.FormattingOptions(4, True)
            )
        )
        assert editor.applied(uri, edits or []) == format_text(given)
    if ends == "\r\n":
        assert "\n" not in format_text(given).replace(ends, "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\r\nb\r\n", "a\nb\n"),
        ("a\rb", "a\r\nb\r\n"),
        ("", ""),
        ("a\nb\nc\n", "a\nc\n"),
        ("a\nb", "a\nb\n"),
        ("", "a\n"),
        ("a\n" * 4000, "b\n"),
        ("a\nb\n", "x\na\ny\nb\nz"),
    ],
)
async def test_changes_make_one_text_of_another(before: str, after: str) -> None:
    text = before
    for change in reversed([*changes(before, after)]):
        text = text[: change.start] + change.text + text[change.end :]
    assert text == after
