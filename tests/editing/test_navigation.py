"""Where names come from, where they are used, and what they can be called: in a document and across files."""

from __future__ import annotations

from pathlib import Path

import pytest
from editor import Editor
from lsprotocol import types
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams

import archspec
from archspec.elaboration import shipped_specs

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPECS = shipped_specs()
PART = """def half(n):
    return n // 2

block Part(out: int, stride: int = 1):
    input x: [C, H, W]
    hidden = half(C)
    y = x -> first: Conv(hidden) -> ReLU
    return y -> second: Conv(out, 3, stride=stride)

block Twice(out: int) = Part(out, stride=2)
"""
WHOLE = """from part import Part as P, Twice

model Net(width: int = 8):
    input x: [4, 8, 8]
    rows = [width * i for i in range(1, 3)]
    for row in rows:
        x = x -> P(row, stride=1)
    return x -> Twice(width) -> P(out=width)
"""


async def _two(editor: Editor, tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "part.arch").write_text(PART)
    (tmp_path / "whole.arch").write_text(WHOLE)
    return await editor.open(tmp_path / "part.arch"), await editor.open(tmp_path / "whole.arch")


async def _definition(editor: Editor, uri: str, needle: str) -> tuple[str, str] | None:
    found = await editor.client.text_document_definition_async(
        types.DefinitionParams(**editor.place(uri, needle))
    )
    if found is None:
        return None
    assert isinstance(found, types.Location)
    path = Path(uris.to_fs_path(found.uri) or "")
    lines = path.read_text().split("\n") if path.is_file() else editor.texts[found.uri].split("\n")
    start, end = found.range.start, found.range.end
    return path.name, lines[start.line][start.character : end.character]


@pytest.mark.parametrize(
    ("needle", "wanted"),
    [
        ("[4, 8, 8]\n    rows = [wi|dth", ("whole.arch", "width")),
        ("-> P|(row", ("part.arch", "Part")),
        ("-> Twi|ce(width", ("part.arch", "Twice")),
        ("import Pa|rt as", ("part.arch", "Part")),
        ("from pa|rt", ("part.arch", "")),
        ("P(row, str|ide=1", ("part.arch", "stride")),
        ("P(ou|t=width", ("part.arch", "out")),
        ("width * |i", ("whole.arch", "i")),
        ("P(ro|w,", ("whole.arch", "row")),
        ("return |x", ("whole.arch", "x")),
    ],
)
async def test_definition(editor: Editor, tmp_path: Path, needle: str, wanted: tuple[str, str]) -> None:
    _, whole = await _two(editor, tmp_path)
    assert await _definition(editor, whole, needle) == wanted


async def test_definition_of_an_op_and_in_shipped_specs(editor: Editor) -> None:
    uri = await editor.open(SPECS / "efficientnet_b3.arch")
    assert await _definition(editor, uri, "= Efficient|Net(") == ("efficientnet.arch", "EfficientNet")
    assert await _definition(editor, uri, "drop|out=0.3") == ("mobilenet.arch", "dropout")
    uri = await editor.open(SPECS / "families/mobilenet.arch")
    assert await _definition(editor, uri, "GlobalAvg|Pool") == ("pooling.py", "GlobalAvgPool")


async def _references(editor: Editor, uri: str, needle: str) -> list[tuple[str, int, int]]:
    found = await editor.client.text_document_references_async(
        types.ReferenceParams(**editor.place(uri, needle), context=types.ReferenceContext(True))
    )
    places = [(Path(f.uri).name, f.range.start.line + 1, f.range.start.character) for f in found or []]
    return sorted(places)


async def test_references_within_a_block_and_across_files(editor: Editor, tmp_path: Path) -> None:
    part, whole = await _two(editor, tmp_path)
    assert await _references(editor, part, "hid|den = half") == [("part.arch", 6, 4), ("part.arch", 7, 25)]
    assert await _references(editor, part, "block Pa|rt") == [
        ("part.arch", 4, 6),
        ("part.arch", 10, 24),
        ("whole.arch", 1, 17),
        ("whole.arch", 1, 25),
        ("whole.arch", 7, 17),
        ("whole.arch", 8, 32),
    ]
    places = await _references(editor, whole, "P(row, stri|de=1")
    assert places == [
        ("part.arch", 4, 21),
        ("part.arch", 8, 44),
        ("part.arch", 10, 34),
        ("whole.arch", 7, 24),
    ]


async def _rename(editor: Editor, uri: str, needle: str, new: str) -> dict[str, str]:
    """The texts after a rename, by the name of the file."""
    edit = await editor.client.text_document_rename_async(
        types.RenameParams(**editor.place(uri, needle), new_name=new)
    )
    texts = {}
    for changed, edits in (edit.changes or {}).items():
        lines = editor.texts[changed].split("\n")
        for one in sorted(edits, key=lambda e: (e.range.start.line, e.range.start.character), reverse=True):
            line, start, end = one.range.start.line, one.range.start.character, one.range.end.character
            lines[line] = lines[line][:start] + one.new_text + lines[line][end:]
        texts[Path(changed).name] = "\n".join(lines)
    return texts


@pytest.mark.parametrize(
    ("file", "needle", "new"),
    [
        ("part", "hid|den = half", "inner"),
        ("part", "block Pa|rt", "Piece"),
        ("part", "str|ide: int", "step"),
        ("part", "def ha|lf", "halved"),
        ("part", "block Part(ou|t:", "channels"),
        ("part", "input x: [|C", "K"),
        ("whole", "wi|dth: int", "base"),
        ("whole", "width * |i", "k"),
        ("whole", "Twi|ce(width", "Double"),
    ],
)
async def test_a_renamed_spec_means_the_same(
    editor: Editor, tmp_path: Path, file: str, needle: str, new: str
) -> None:
    part, whole = await _two(editor, tmp_path)
    before = archspec.read(tmp_path / "whole.arch")
    changed = await _rename(editor, {"part": part, "whole": whole}[file], needle, new)
    assert changed
    for name, text in changed.items():
        assert new in text
        (tmp_path / name).write_text(text)
    after = archspec.read(tmp_path / "whole.arch")
    assert [(n.step, n.op, n.types) for n in after.nodes] == [(n.step, n.op, n.types) for n in before.nodes]
    if needle not in ("block Pa|rt", "Twi|ce(width"):  # after which steps without a name are called
        assert list(after.weights) == list(before.weights)


STEPS = """from part import Part

block Unit:
    input x: [C, H, W]
    y = x -> conv: Conv(4) -> tail: [Conv(5), ReLU]
    return y -> Conv(6)

model Net:
    input x: [4, 8, 8]
    u = x -> Unit
    p = u -> Part(7)
    return u.conv, u.tail, u["tail.0"], p.first, p.second
"""


async def test_a_step_is_found_and_where_it_is_spoken_of(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "part.arch").write_text(PART)
    (tmp_path / "net.arch").write_text(STEPS)
    uri = await editor.open(tmp_path / "net.arch")
    assert await editor.problems_come(uri) == []
    assert await _definition(editor, uri, "u.co|nv") == ("net.arch", "conv")
    assert await _definition(editor, uri, "u.ta|il,") == ("net.arch", "tail")
    assert await _definition(editor, uri, '"tail.|0') == ("net.arch", "Conv")
    assert await _definition(editor, uri, "p.fi|rst") == ("part.arch", "first")
    assert await _definition(editor, uri, "p.sec|ond") == ("part.arch", "second")
    places = [("net.arch", 5, 13), ("net.arch", 12, 13)]
    assert await _references(editor, uri, "co|nv: Conv") == places
    assert await _references(editor, uri, "u.co|nv") == places
    (tmp_path / "more.arch").write_text("from part import Twice\n\nblock A = Twice(3)\n")
    found = await _references(editor, uri, "from pa|rt")
    assert [place for place in found if place[0] == "net.arch"] == [("net.arch", 1, 5)]
    await editor.open(tmp_path / "more.arch")
    found = await _references(editor, uri, "from pa|rt")
    assert found == [("more.arch", 1, 5), ("net.arch", 1, 5)]


CHAIN = {
    "parts": "def twice(n: int):\n    return 2 * n\n",
    "net": "from parts import twice as double\n\nmodel Net:\n    input x: [3, 4, 4]\n    return x -> Conv(double(4))\n",
    "more": "from net import double\n\nmodel More:\n    input x: [3, 4, 4]\n    return x -> Conv(double(8))\n",
}


@pytest.mark.parametrize(
    ("file", "needle", "changed"),
    [
        ("net", "as dou|ble", {"net", "more"}),
        ("net", "Conv(dou|ble", {"net", "more"}),
        ("more", "import dou|ble", {"net", "more"}),
        ("net", "import tw|ice", {"parts", "net"}),
        ("parts", "def tw|ice", {"parts", "net"}),
    ],
)
async def test_an_alias_is_renamed_where_it_is_given(
    editor: Editor, tmp_path: Path, file: str, needle: str, changed: set[str]
) -> None:
    uris_ = {}
    for name, text in CHAIN.items():
        (tmp_path / f"{name}.arch").write_text(text)
        uris_[name] = await editor.open(tmp_path / f"{name}.arch")
    assert await _definition(editor, uris_["more"], "import dou|ble") == ("parts.arch", "twice")
    assert len(await _references(editor, uris_["more"], "import dou|ble")) == 6
    old = "twice" if "tw" in needle else "double"
    found = await _rename(editor, uris_[file], needle, "new")
    assert found.keys() == {f"{name}.arch" for name in changed}
    for name in changed:
        assert found[f"{name}.arch"] == CHAIN[name].replace(old, "new")
        (tmp_path / f"{name}.arch").write_text(found[f"{name}.arch"])
    assert archspec.read(tmp_path / "net.arch").parameters == 8 * 3 + 8
    assert archspec.read(tmp_path / "more.arch").parameters == 16 * 3 + 16


@pytest.mark.parametrize(
    ("needle", "new", "why"),
    [
        ("hid|den = half", "C", "means something else already"),
        ("hid|den = half", "half", "means something else already"),
        ("hid|den = half", "Conv", "every spec knows"),
        ("hid|den = half", "return", "not a name"),
        ("hid|den = half", "two words", "not a name"),
        ("block Pa|rt", "Twice", "already"),
        ("str|ide: int", "out", "already"),
        ("Co|nv(hidden", "Convolution", "only names that specs define"),
    ],
)
async def test_a_rename_is_refused_where_it_would_change_the_meaning(
    editor: Editor, tmp_path: Path, needle: str, new: str, why: str
) -> None:
    part, _ = await _two(editor, tmp_path)
    with pytest.raises(JsonRpcInvalidParams, match=why):
        await _rename(editor, part, needle, new)


async def test_what_can_be_renamed(editor: Editor, tmp_path: Path) -> None:
    part, _ = await _two(editor, tmp_path)

    async def prepared(needle: str) -> str:
        found = await editor.client.text_document_prepare_rename_async(
            types.PrepareRenameParams(**editor.place(part, needle))
        )
        return editor.under(part, found) if isinstance(found, types.Range) else ""

    assert await prepared("hid|den = half") == "hidden"
    assert await prepared("Co|nv(hidden") == ""


async def test_highlights(editor: Editor, tmp_path: Path) -> None:
    part, _ = await _two(editor, tmp_path)
    found = await editor.client.text_document_document_highlight_async(
        types.DocumentHighlightParams(**editor.place(part, "hid|den = half"))
    )
    assert [editor.under(part, h.range) for h in found or []] == ["hidden", "hidden"]
    assert [h.kind for h in found or []] == [
        types.DocumentHighlightKind.Write,
        types.DocumentHighlightKind.Read,
    ]


async def test_symbols_of_the_workspace(editor: Editor) -> None:
    found = await editor.client.workspace_symbol_async(types.WorkspaceSymbolParams("Bottleneck"))
    assert {"Bottleneck"} <= {symbol.name for symbol in found or []}
    assert (found or [])[0].name.startswith("Bottleneck")
