"""What is said of a word: of a layer what it is, of a name in a loop when, of an argument what it does."""

from __future__ import annotations

import pytest
from editor import Editor
from lsprotocol import types

import archspec

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOP = """model Net:
    input x: [3, 4, 4]
    for i in range(2, 5):
        x = x -> Conv(i)
        x = x -> Conv(2 * i)
    return x -> Conv(i)
"""


async def test_a_name_of_a_loop_is_what_the_step_beside_it_shows(editor: Editor) -> None:
    uri = await editor.open("untitled:loop", LOOP)
    for needle in ("for |i", "Conv(|i)\n        x", "2 * |i"):
        said = await editor.hover(uri, needle)
        assert "i = 2" in said
        assert "first turn" in said
    assert "[3, 4, 4] → [2, 4, 4]" in await editor.hover(uri, "-> Con|v(i)")
    assert "x: [3, 4, 4]" in await editor.hover(uri, "= |x -> Conv(i)\n        x")
    said = await editor.hover(uri, "return x -> Conv(|i)")
    assert "i = 4" in said
    assert "turn" not in said


async def test_several_steps_are_called_by_what_their_names_have_in_common(editor: Editor) -> None:
    text = "model N:\n    input x: [3, 4, 4]\n    x = x -> body: 2 * [Conv(4), ReLU]\n    return x -> 2 * [Conv(4), ReLU]\n"
    uri = await editor.open("untitled:several", text)
    said = await editor.hover(uri, "return x -> |2")
    assert said.startswith("```arch\n[Conv(4), ReLU")
    assert (await editor.hover(uri, "body: |2")).startswith("```arch\nbody: [Conv(4)")
    assert "In the `state_dict`: `body.…`" in await editor.hover(uri, "body: |2")
    assert all(f"`{key}`" in said for key in ("0.weight", "0.bias", "2.weight", "2.bias"))


async def test_a_shared_layer_is_its_layer(editor: Editor) -> None:
    text = "model N:\n    input x: [3, 4, 4]\n    shared s = Conv(3)\n    return x -> s -> s\n"
    uri = await editor.open("untitled:shared", text)
    for needle in ("shared |s", "-> |s -> s"):
        assert "shared s = Conv(3)" in await editor.hover(uri, needle)
        assert "Slide `out` learned windows" in await editor.hover(uri, needle)


BLOCK = """block Part(out: int, ratio: float = 0.5):
    "A part of `out` channels. It is squeezed by `ratio`."
    input x: [C, H, W]
    return x -> Conv(out, stride=2, groups=1, padding="same") -> Dropout(p=ratio)

model Net:
    input x: [3, 4, 4]
    return x -> Part(4, ratio=0.25)
"""


async def test_an_argument_is_what_its_op_says_of_it(editor: Editor) -> None:
    uri = await editor.open("untitled:arguments", BLOCK)
    said = await editor.hover(uri, "str|ide=2")
    assert "Conv(stride=1)" in said
    assert "a whole number or a list" in said
    assert "Refused when `groups` does not divide both" in await editor.hover(uri, "gro|ups=1")
    said = await editor.hover(uri, "pad|ding=")
    assert '`"valid"`' in said
    said = await editor.hover(uri, "|p=ratio")
    assert "Zero each value with probability `p`" in said
    assert "at least 0 and at most 1" in said
    said = await editor.hover(uri, "rat|io=0.25")
    assert "Part(ratio: float = 0.5)" in said
    assert "squeezed" in said
    assert "`out` channels" not in said


CLAIMED = "model Net:\n    input x: [3, 4, 4]\n    return x -> Conv(3)\n\nclaims Net:\n    params 12\n"


async def test_a_figure_is_said_once(editor: Editor) -> None:
    uri = await editor.open("untitled:once", CLAIMED)
    assert archspec.read_text(CLAIMED).parameters == 12
    said = await editor.hover(uri, "par|ams 12")
    assert said.count("12") == 2  # as claimed, as measured
    (problem,) = await editor.write(uri, CLAIMED.replace("params 12", "params 9"))
    assert problem.message.split("\n")[0] == "Net: claimed params 9, measured 12"
    await editor.write(uri, CLAIMED)
    found = await editor.client.text_document_code_lens_async(
        types.CodeLensParams(types.TextDocumentIdentifier(uri))
    )
    assert [lens.command.title for lens in found or [] if lens.command] == [
        "12 parameters · 144 multiply-adds · 1 step",
        "params 12 ok",
    ]


TWO = """model First:
    input x: [3, 4, 4]
    y = x -> Conv(4)
    {}
    return y -> ReLU

model Second:
    input x: [3, 4, 4]
    return x -> Conv(4)

claims First "a":
    params 16

claims Second "a":
    params 16
"""


@pytest.mark.parametrize(
    "mistake", ["y = y -> ", "y = y -> Cnov(3)", "y = y -> Conv(", "y = y -> Conv(4, groups=3)", "y += )"]
)
async def test_a_mistake_in_one_model_leaves_the_others(editor: Editor, mistake: str) -> None:
    uri = await editor.open("untitled:two", TWO.format(mistake))
    assert len(await editor.problems_come(uri)) == 1
    assert "model Second: ⟨[3, 4, 4] → [4, 4, 4] · 16 parameters⟩" in await editor.hinted(uri)
    assert "y = x -> Conv(4) ⟨[4, 4, 4]⟩" in await editor.hinted(uri)
    found = await editor.client.text_document_code_lens_async(
        types.CodeLensParams(types.TextDocumentIdentifier(uri))
    )
    assert [lens.command.title for lens in found or [] if lens.command] == [
        "16 parameters · 192 multiply-adds · 1 step",
        "params 16 ok",
    ]


@pytest.mark.parametrize(
    "mistake",
    ["n = Missing\n", "block Part:\n    input x: [C, H, W]\n    return x -> Missing\n", "from nowhere import n\n",
     "n = \n", "require 1 == 2, \"never\"\nn = 4\n", "defaults:\n    Conv(\nn = 4\n", "n = 4\nbudget 0\n"],
)  # fmt: skip
async def test_a_model_that_depends_on_a_mistake_is_not_known(editor: Editor, mistake: str) -> None:
    body = "x -> Part" if "Part" in mistake else "x -> Conv(n)"
    text = f"{mistake}\nmodel Net:\n    input x: [3, 4, 4]\n    return {body}\n\nmodel Other = Net\n"
    uri = await editor.open("untitled:depends", text)
    assert await editor.problems_come(uri)
    found = await editor.client.text_document_code_lens_async(
        types.CodeLensParams(types.TextDocumentIdentifier(uri))
    )
    assert not found
