"""The language server as an editor sees it, over the standard streams: on shipped specs, and on texts that are wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from editor import Editor
from lsprotocol import types

import archspec
from archspec.api.checking import check_models
from archspec.elaboration import shipped_specs
from archspec.ground import codes

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPECS = shipped_specs()
NET = """model Net(width: int = 8, classes: int = 10):
    "A small net."
    input image: [3, 32, 32]
    x = image -> stem: Conv(width, 3, stride=2) -> GroupNorm(2) -> ReLU
    y = x -> Conv(2 * width, 3)
          -> ReLU
    return x + (y -> proj: Conv(width)) -> GlobalAvgPool -> head: Linear(classes)
"""


@pytest.mark.parametrize(
    "name", ["efficientnet_b3", "resnet50", "unet", "detr_resnet50", "families/mobilenet"]
)
async def test_a_shipped_spec_has_no_problems_and_its_models_say_what_read_does(
    editor: Editor, name: str
) -> None:
    uri = await editor.open(SPECS / f"{name}.arch")
    assert await editor.problems_come(uri) == []
    graph = archspec.read(str(SPECS / f"{name}.arch"))
    text = editor.texts[uri]
    line = next(i for i, line in reversed([*enumerate(text.split("\n"))]) if line.startswith("model "))
    labels = [hint.label for hint in await editor.hints(uri) if hint.position.line >= line]
    shapes = ", ".join(str(list(t.shape)) for t in graph.result_types)
    assert shapes in labels[0]


async def test_shapes_stand_behind_steps(editor: Editor) -> None:
    uri = await editor.open("untitled:shapes", NET)
    assert (
        await editor.hinted(uri)
        == """model Net(width: int = 8, classes: int = 10): ⟨[3, 32, 32] → [10] · 1.634K parameters⟩
    "A small net."
    input image: [3, 32, 32]
    x = image -> stem: Conv(width, 3, stride=2) ⟨[8, 16, 16]⟩ -> GroupNorm(2) -> ReLU ⟨[8, 16, 16]⟩
    y = x -> Conv(2 * width, 3) ⟨[16, 16, 16]⟩
          -> ReLU ⟨[16, 16, 16]⟩
    return x + (y -> proj: Conv(width) ⟨[8, 16, 16]⟩) -> GlobalAvgPool ⟨[8]⟩ -> head: Linear(classes) ⟨[10]⟩
"""
    )
    assert archspec.read_text(NET).parameters == 1634


async def test_hover_tells_what_torch_would_of_a_step(editor: Editor) -> None:
    uri = await editor.open("untitled:hover", NET)
    said = await editor.hover(uri, "st|em: Conv")
    assert "[3, 32, 32] → [8, 16, 16]" in said
    assert "224 parameters" in said  # 8 * 3 * 3 * 3 + 8
    assert "55.30K multiply-adds" in said  # 8 * 16 * 16 * 27
    assert "`stem.weight` [8, 3, 3, 3], `stem.bias` [8]" in said
    assert "Conv(out, kernel=1, *, stride=1" not in said
    assert "Conv(out, kernel=1, *, stride=1" in await editor.hover(uri, "stem: C|onv")


async def test_hover_tells_of_names(editor: Editor) -> None:
    uri = await editor.open("untitled:names", NET)
    assert "width = 8" in await editor.hover(uri, "Conv(wi|dth, 3")
    assert "x: [8, 16, 16]" in await editor.hover(uri, "return |x")
    assert "image: [3, 32, 32]" in await editor.hover(uri, "= im|age")
    assert "A small net." in await editor.hover(uri, "model N|et")
    assert "stride=1" in await editor.hover(uri, "str|ide=2")
    assert await editor.hover(uri, '"A sm|all') == ""
    uri = await editor.open("untitled:facts", NET.replace("2 * width", "2 * x.channels"))
    assert "x.channels = 8" in await editor.hover(uri, "x.chan|nels")


async def test_hover_looks_into_shipped_files(editor: Editor) -> None:
    uri = await editor.open(SPECS / "efficientnet_b3.arch")
    assert "model EfficientNet = MobileNet(stages, act=SiLU)" in await editor.hover(uri, "import Effi|cient")
    assert "scaled jointly" in await editor.hover(uri, "families.effi|cientnet")
    assert "dropout: float = 0.2" in await editor.hover(uri, "drop|out=0.3")
    assert "1,829,391,108" not in await editor.hover(uri, "par|ams 12M")
    assert "12,233,232" in await editor.hover(uri, "par|ams 12M")


async def test_a_block_of_many_shapes_shows_the_first_and_names_the_others(editor: Editor) -> None:
    uri = await editor.open(SPECS / "families/unet.arch")
    hint = next(h for h in await editor.hints(uri) if h.label == "[64, 570, 570]")
    assert isinstance(hint.tooltip, types.MarkupContent)
    assert "first of several shapes" in hint.tooltip.value
    assert "[64, 284, 284] → [128, 282, 282]" in hint.tooltip.value
    for needle in ("block Twi|ce", "bottom: Twi|ce"):
        said = await editor.hover(uri, needle)
        assert "Two 3x3 convolutions" in said
        assert said.count("multiply-adds") == 1


WRONG = {
    "a shape": (NET.replace("x + (y", "x + (image"), "cannot add"),
    "a name": (NET.replace("ReLU\n    y", "RELU\n    y"), "there is no `RELU`"),
    "an argument": (NET.replace("stride=2", "strides=2"), "no argument `strides`"),
    "a word": (NET.replace("return", "retrun"), "unexpected `x`"),
    "a bracket": (NET.replace("classes)\n", "classes\n"), "unclosed `(`"),
    "an import": ("from blocks.nowhere import Thing\n" + NET, "there is no spec"),
    "nothing of a file": ("", "empty"),
    "a claim": (NET + "\nclaims Net:\n    params 5K\n", "claimed params 5K, measured 1,634"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_problems_are_those_of_check(editor: Editor, case: str, tmp_path: Path) -> None:
    text, said = WRONG[case]
    path = tmp_path / "net.arch"
    path.write_text(text)
    uri = await editor.open(path)
    found = await editor.problems_come(uri)
    error = check_models(path, 1_000_000).error
    assert error is not None
    if case == "nothing of a file":
        assert found == []  # nobody has begun yet
        return
    assert [(d.code, d.message.split("\n")[0].split(" (")[0]) for d in found] == [
        (p.code, p.message) for p in error.problems
    ]
    assert said in found[0].message
    for diagnostic, problem in zip(found, error.problems, strict=True):
        if problem.span is not None:
            assert editor.under(uri, diagnostic.range) == problem.span.text


async def test_warnings_and_what_is_not_needed(editor: Editor) -> None:
    uri = await editor.open("untitled:warned", NET.replace("y = x ->", "z = x -> Conv(3)\n    y = x ->"))
    (found,) = await editor.problems_come(uri)
    assert found.severity == types.DiagnosticSeverity.Warning
    assert list(found.tags or ()) == [types.DiagnosticTag.Unnecessary]
    assert editor.under(uri, found.range) == "z"


async def test_a_mistake_in_an_import_stands_where_it_is_imported(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "part.arch").write_text(
        "block Part(n: int):\n    input x: [C, H, W]\n    return x -> Con(n)\n"
    )
    path = tmp_path / "whole.arch"
    path.write_text("from part import Part\n\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> Part(4)\n")
    uri = await editor.open(path)
    (found,) = await editor.problems_come(uri)
    assert editor.under(uri, found.range) == "from part import Part"
    assert found.related_information is not None
    assert found.related_information[0].location.uri == (tmp_path / "part.arch").as_uri()


async def test_a_mistake_within_a_block_leads_to_where_the_block_is_applied(
    editor: Editor, tmp_path: Path
) -> None:
    (tmp_path / "part.arch").write_text(
        "block Part(n: int):\n    input x: [C, H, W]\n    return x -> Conv(8, groups=n)\n"
    )
    text = "from part import Part\n\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> Part(5)\n"
    (tmp_path / "whole.arch").write_text(text)
    uri = await editor.open(tmp_path / "whole.arch")
    (found,) = await editor.problems_come(uri)
    assert editor.under(uri, found.range) == "Part(5)"
    assert found.related_information is not None
    assert found.related_information[0].location.uri == (tmp_path / "part.arch").as_uri()


async def test_what_is_right_above_and_below_a_mistake_is_known(editor: Editor) -> None:
    uri = await editor.open(
        "untitled:broken",
        NET.replace("    y = x -> Conv(2 * width, 3)\n          -> ReLU\n", "    y = x -> Conv(\n"),
    )
    found = await editor.problems_come(uri)
    assert len(found) == 1
    assert "x = image -> stem: Conv(width, 3, stride=2) ⟨[8, 16, 16]⟩" in await editor.hinted(uri)
    assert "width = 8" in await editor.hover(uri, "Conv(wi|dth")
    uri = await editor.open(
        "untitled:misfit", NET.replace("Conv(2 * width, 3)", "Conv(2 * width, 99, padding=0)")
    )
    assert [d.code for d in await editor.problems_come(uri)] == [codes.TOO_SMALL]
    assert "⟨[8, 16, 16]⟩ -> GroupNorm(2) -> ReLU ⟨[8, 16, 16]⟩" in await editor.hinted(uri)


# ------------------------------------------------------------------ completion


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("    y = x -> Co|", {"Conv": "Conv(out, kernel=1, *", "ConvTranspose": "ConvTranspose("}),
        ("    y = x -> Conv(8, |)", {"stride": "stride=1", "groups": "groups=1", "width": "8"}),
        ("    y = x -> Conv(8, padding=|)", {'"valid"': "padding"}),
        ("    y = x -> Conv(8, padding=\"|\")", {"valid": "padding"}),
        ("    y = x.|", {"shape": "[8, 16, 16]", "channels": "8"}),
        ("    |", {"input": "input", "return": "return", "shared": "shared"}),
        ("    y = x -> Conv(8, init=kai|)", {"kaiming_normal": "kaiming_normal("}),
        ("    weight t: |", {"f32": "dtype", "bf16": "dtype"}),
    ],
)  # fmt: skip
async def test_completion(editor: Editor, text: str, wanted: dict[str, str]) -> None:
    head = NET[: NET.index("    y = ")]
    uri = await editor.open("untitled:complete", head + text.replace("|", "") + "\n")
    found = await editor.completions(uri, text)
    for label, detail in wanted.items():
        assert (found[label].detail or "").startswith(detail), label


async def test_arguments_that_are_given_are_not_offered_again(editor: Editor) -> None:
    uri = await editor.open("untitled:given", NET.replace("stride=2)", "stride=2, )"))
    found = await editor.completions(uri, "stride=2, |)")
    assert "stride" not in found
    assert "groups" in found


async def test_completion_of_imports(editor: Editor) -> None:
    uri = await editor.open("untitled:imports", "from blocks.attention import \nfrom bl\nfrom blocks.\n")
    assert "SqueezeExcite" in await editor.completions(uri, "import |")
    assert {"blocks", "families"} <= (await editor.completions(uri, "from bl|\n")).keys()
    assert "mobile" in await editor.completions(uri, "blocks.|\n")


async def test_completion_of_steps_in_a_block(editor: Editor) -> None:
    text = """from blocks.mobile import MBConv

model Net:
    input x: [3, 8, 8]
    b = x -> MBConv(8)
    return b.|
"""
    uri = await editor.open("untitled:steps", text.replace("|", ""))
    found = await editor.completions(uri, "return b.|")
    assert found["conv_dw"].detail == "[18, 8, 8]"


async def test_nothing_is_offered_in_comments_and_strings(editor: Editor) -> None:
    uri = await editor.open("untitled:quiet", NET + '# a comm\n"a str')
    assert await editor.completions(uri, "# a comm|") == {}
    assert await editor.completions(uri, '"a str|') == {}


# ------------------------------------------------------------------ texts and places


async def test_columns_count_utf_16(editor: Editor) -> None:
    text = 'model Net:\n    "𝔸 𝔹 wide: 模型"\n    input x: [3, 8, 8]\n    y = x -> "𝔸": ReLU -> Bad\n    return y\n'
    uri = await editor.open("untitled:wide", text)
    found = await editor.problems_come(uri)
    under = [editor.under(uri, d.range) for d in found]
    assert "Bad" in under or any("𝔸" in u for u in under)
    uri = await editor.open("untitled:wide2", '# 模型 𝔸\nx = ["𝔸𝔸", Bad]\n')
    (found,) = await editor.problems_come(uri)
    assert editor.under(uri, found.range) == "Bad"


@pytest.mark.parametrize(
    "change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r")]
)
async def test_line_ends_and_the_mark_of_byte_order(editor: Editor, change) -> None:
    uri = await editor.open("untitled:ends", change(NET.replace("classes)\n", "classes) -> Bad\n")))
    (found,) = await editor.problems_come(uri)
    assert (found.range.start.line, found.range.start.character) == (
        6,
        NET.split("\n")[6].index("(classes)") + 13,
    )


async def test_the_mark_of_byte_order_is_a_column(editor: Editor) -> None:
    uri = await editor.open("untitled:marked", "\ufeffx = [1, Bad]\n")
    (found,) = await editor.problems_come(uri)
    assert editor.under(uri, found.range) == "Bad"
    assert "Linear" in await editor.completions(uri, "[1|")


async def test_paths_with_blanks_and_letters_of_all_kinds(editor: Editor, tmp_path: Path) -> None:
    folder = tmp_path / "my nets é 模"
    folder.mkdir()
    (folder / "part.arch").write_text("block Part:\n    input x: [C, H, W]\n    return x -> ReLU\n")
    (folder / "net one.arch").write_text(
        "from part import Part\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> Part\n"
    )
    uri = await editor.open(folder / "net one.arch")
    assert await editor.problems_come(uri) == []
    assert "⟨[3, 8, 8]⟩" in await editor.hinted(uri)


async def test_a_renamed_folder(editor: Editor, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "part.arch").write_text("block Part:\n    input x: [C, H, W]\n    return x -> Conv(5)\n")
    (old / "net.arch").write_text(
        "from part import Part\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> Part\n"
    )
    before = await editor.open(old / "net.arch")
    old.rename(new)
    editor.client.text_document_did_close(
        types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(before))
    )
    after = await editor.open(new / "net.arch")
    assert await editor.problems_come(after) == []
    assert "Part ⟨[5, 8, 8]⟩" in await editor.hinted(after)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///c%3A/my%20nets/net.arch",
        "file://server/share/net.arch",
        "untitled:Untitled-1",
        "git:/a/net.arch?ref",
        "x",
    ],
)
async def test_documents_that_are_no_files_here(editor: Editor, uri: str) -> None:
    assert await editor.problems_come(await editor.open(uri, NET)) == []
    assert "⟨[8, 16, 16]⟩" in await editor.hinted(uri)
    (found,) = await editor.write(uri, NET.replace("Linear", "Lin"))
    assert editor.under(uri, found.range) == "Lin"


async def test_an_import_is_read_from_the_editor_where_it_is_open(editor: Editor, tmp_path: Path) -> None:
    part, whole = tmp_path / "part.arch", tmp_path / "whole.arch"
    part.write_text("block Part(n: int):\n    input x: [C, H, W]\n    return x -> Conv(n)\n")
    whole.write_text("from part import Part\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> Part(4)\n")
    uri = await editor.open(whole)
    other = await editor.open(part)
    assert "Part(4) ⟨[4, 8, 8]⟩" in await editor.hinted(uri)
    await editor.write(other, editor.texts[other].replace("Conv(n)", "Conv(2 * n)"))
    editor.edit(uri, editor.texts[uri] + "\n")
    await editor.problems_come(uri)
    assert "Part(4) ⟨[8, 8, 8]⟩" in await editor.hinted(uri)
    part.write_text("block Part(n: int):\n    input x: [C, H, W]\n    return x -> Conv(3 * n)\n")
    editor.client.text_document_did_close(
        types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(other))
    )
    editor.client.workspace_did_change_watched_files(
        types.DidChangeWatchedFilesParams([types.FileEvent(other, types.FileChangeType.Changed)])
    )
    assert "Part(4) ⟨[12, 8, 8]⟩" in await editor.hinted(uri)
    assert types.WORKSPACE_INLAY_HINT_REFRESH in editor.client.refreshed


def _close(editor: Editor, uri: str) -> None:
    document = types.TextDocumentIdentifier(uri)
    editor.client.text_document_did_close(types.DidCloseTextDocumentParams(document))


async def test_what_was_not_saved_is_forgotten_when_a_file_is_closed(editor: Editor, tmp_path: Path) -> None:
    part, whole = tmp_path / "part.arch", tmp_path / "whole.arch"
    part.write_text("block Part(n: int):\n    input x: [C, H, W]\n    return x -> Conv(n)\n")
    whole.write_text("from part import Part\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> Part(4)\n")
    uri, other = await editor.open(whole), await editor.open(part)
    await editor.write(other, editor.texts[other].replace("Part(n", "Other(n"))
    (problem,) = await editor.problems_come_again(uri)
    assert "no `Part`" in problem.message
    editor.client.problems.clear()
    _close(editor, other)
    assert await editor.problems_come(uri) == []
    assert "Part(4) ⟨[4, 8, 8]⟩" in await editor.hinted(uri)


async def test_a_file_that_is_in_the_editor_alone_can_be_imported(editor: Editor, tmp_path: Path) -> None:
    text = "from part import Part\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> Part(4)\n"
    uri = await editor.open((tmp_path / "whole.arch").as_uri(), text)
    assert len(await editor.problems_come(uri)) == 1
    editor.client.problems.clear()
    part = "block Part(n: int):\n    input x: [C, H, W]\n    return x -> Conv(n)\n"
    other = await editor.open((tmp_path / "part.arch").as_uri(), part)
    assert await editor.problems_come(uri) == []
    assert "Part(4) ⟨[4, 8, 8]⟩" in await editor.hinted(uri)
    assert "block Part(n: int)" in await editor.hover(uri, "import Pa|rt")
    await editor.write(uri, "from pa import Part\n" + text)
    assert "part" in await editor.completions(uri, "from pa| import")
    assert {"Part"} <= (await editor.completions(uri, "from part import Pa|rt")).keys()
    (problem,) = await editor.write(uri, text.replace("from part", "from parts"))
    assert "did you mean `part`?" in problem.message
    await editor.write(uri, text)
    editor.client.problems.clear()
    _close(editor, other)
    (problem,) = await editor.problems_come(uri)
    assert "no spec `part`" in problem.message


# ------------------------------------------------------------------ typing


async def test_a_spec_that_takes_long_holds_nothing_up(editor: Editor) -> None:
    bomb = "n = [i * j * k for i in range(1000) for j in range(1000) for k in range(1000)]\n"
    uri = "untitled:bomb"
    editor.texts[uri], editor.versions[uri] = bomb, 0
    editor.client.text_document_did_open(
        types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, "archspec", 0, bomb))
    )
    assert await editor.write(uri, NET) == []  # the bomb is called off
    (found,) = await editor.write(uri, bomb)
    assert found.code == codes.BUDGET


async def test_typing_a_spec_letter_by_letter_never_fails(editor: Editor) -> None:
    text = (SPECS / "families/mobilenet.arch").read_text()
    uri = await editor.open("untitled:typed", "")
    for end in range(1, len(text), 97):
        await editor.write(uri, text[:end])
        place = {"text_document": types.TextDocumentIdentifier(uri), "position": _end(text[:end])}
        await editor.client.text_document_hover_async(types.HoverParams(**place))
        await editor.client.text_document_completion_async(types.CompletionParams(**place))
        await editor.hints(uri)
    assert await editor.write(uri, text) == []
    assert len(await editor.hints(uri)) > 10
    assert editor.faults() == []


def _end(text: str) -> types.Position:
    return types.Position(text.count("\n"), len(text) - text.rfind("\n") - 1)


async def test_torch_is_never_imported() -> None:
    probe = (
        "import sys\nfrom pathlib import Path\nfrom archspec.editing import serving\n"
        "from archspec.editing.analysis import analyse\nfrom archspec.editing.hints import hints\n"
        "a = analyse(Path(sys.argv[1]).read_text(), Path(sys.argv[1]))\nassert hints(a)\n"
        "from archspec.editing.completing import completions\nassert completions(a, len(a.text))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", probe, str(SPECS / "resnet50.arch")], check=True)


async def test_what_is_missing_is_told_with_the_command_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "pygls.py").write_text("raise ModuleNotFoundError('no pygls', name='pygls')\n")
    probe = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from archspec.cli import invoke; sys.exit(invoke(['lsp']))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'archspec-nn[lsp]'" in done.stderr
    assert "Traceback" not in done.stderr
