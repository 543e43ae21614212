"""Weights of one resolution for a network of another, against Pillow's bicubic interpolation."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import archspec
from archspec.ground.errors import SpecError

Grid = tuple[int, int]


def resized(
    name: str, weights: dict[str, Tensor], before: Any = None, **settings: object
) -> dict[str, Tensor]:
    graph = archspec.read(name, settings=settings)
    found = archspec.resize_positions(weights, graph, before)
    archspec.load(graph, seed=1).load_state_dict(found)
    return found


def by_pillow(table: Tensor, before: Grid, after: Grid) -> Tensor:
    """[H W, D] -> [H' W', D]: each channel as an image of real numbers, resized by Pillow."""
    images = table.float().T.reshape(-1, *before).numpy()
    moved = [np.asarray(Image.fromarray(i).resize(after[::-1], Image.Resampling.BICUBIC)) for i in images]
    return torch.from_numpy(np.stack(moved)).flatten(1).T


def refused(weights: dict[str, Tensor], graph: archspec.Graph, *grids: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        archspec.resize_positions(weights, graph, *grids)
    return caught.value


# ---------------------------------------------------------------- sequences


def net(height: int, width: int, tokens: int = 1, *, last: bool = False) -> archspec.Graph:
    """Patches of 2 x 2 with learned positions, in the manner of ViT; `last` lays images out as [H, W, C]."""
    patches = (
        "Conv(5, 2, stride=2) -> Permute([1, 2, 0]) -> LayerNorm -> Flatten(start=0, end=1)"
        if last
        else "Conv(5, 2, stride=2) -> Flatten(start=1) -> Permute([1, 0])"
    )
    own = f"    weight cls: [{tokens}, 5] = normal(1)\n" if tokens else ""
    z = "concat(cls, x)" if tokens else "x"
    return archspec.read_text(
        f"model Net:\n    input image: [3, {2 * height}, {2 * width}]\n    x = image -> {patches}\n{own}"
        f"    weight pos: [1, {tokens + height * width}, 5] = normal(1)\n"
        f"    return {z} + pos[0] -> Linear(2)\n"
    )


GRIDS = st.tuples(st.integers(1, 9), st.integers(1, 9))


@settings(max_examples=60, deadline=None)
@given(before=GRIDS, after=GRIDS, tokens=st.integers(0, 3), last=st.booleans(), said=st.booleans())
def test_a_sequence_is_resized_as_pillow_does(
    before: Grid, after: Grid, tokens: int, last: bool, said: bool
) -> None:
    weights = archspec.load(net(*before, tokens, last=last), seed=0).state_dict()
    graph = net(*after, tokens, last=last)
    found = archspec.resize_positions(weights, graph, before, after if said else None)
    table = weights["pos"][0]
    expected = torch.cat([table[:tokens], by_pillow(table[tokens:], before, after)])
    torch.testing.assert_close(found["pos"][0], expected, rtol=1e-4, atol=1e-4)
    if before == after:
        assert found["pos"] is weights["pos"]
    archspec.load(graph).load_state_dict(found)


@settings(max_examples=40, deadline=None)
@given(before=GRIDS, after=GRIDS)
def test_a_sequence_of_an_unknown_grid_is_refused(before: Grid, after: Grid) -> None:
    """Also where it has as many places as the network: 2 x 8 are not 4 x 4."""
    weights = archspec.load(net(*before), seed=0).state_dict()
    error = refused(weights, net(*after))
    assert "weights do not say of which grid a table is: `pos`" in str(error)
    assert "`before" in error.problems[0].help


def test_the_cases_of_old() -> None:
    for before, after in (((2, 8), (4, 4)), ((2, 8), (4, 16)), ((4, 4), (4, 8)), ((4, 4), (8, 8))):
        weights = archspec.load(net(*before), seed=0).state_dict()
        refused(weights, net(*after))
        found = archspec.resize_positions(weights, net(*after), before)["pos"][0, 1:]
        torch.testing.assert_close(
            found, by_pillow(weights["pos"][0, 1:], before, after), rtol=1e-4, atol=1e-4
        )


def test_grids_that_do_not_fit_are_refused() -> None:
    weights = archspec.load(net(2, 8), seed=0).state_dict()
    assert "has 17 places, not 3 x 5" in str(refused(weights, net(4, 4), (3, 5)))
    assert "is of 4 x 4 places, not 2 x 8" in str(refused(weights, net(4, 4), (2, 8), (2, 8)))
    assert "has 17 places, not 2 x 8 beside 2 tokens" in str(
        refused(weights | {"cls": torch.zeros(2, 5)}, net(4, 4, tokens=2), (2, 8))
    )
    for wrong in ((2,), (2, 8, 1), (2.0, 8), (0, 4), "28", 4):
        assert "is the height and width of a grid" in str(refused(weights, net(4, 4), wrong))
    assert "names `posn`" in str(refused(weights, net(4, 4), {"posn": (2, 8)}))
    assert "did you mean `pos`?" in str(refused(weights, net(4, 4), {"poz": (2, 8)}))


def test_what_no_table_takes_is_refused() -> None:
    weights = archspec.load("lenet5", seed=0).state_dict()
    for grids in (((3, 3),), (None, (3, 3))):
        assert "there is no table of positions" in str(refused(weights, archspec.read("lenet5"), *grids))
    assert archspec.resize_positions(weights, archspec.read("lenet5")) == weights


SEQUENCE = """
model Net(length: int):
    input words: i64[length]
    weight wpe: [length, 6] = normal(1)
    weight queries: [length, 6] = normal(1)
    x = (words -> Embedding(9, 6)) + wpe
    return x * queries -> Linear(2)
"""


def test_a_network_of_sequences_takes_both_grids() -> None:
    """Its graph shows no grid, and so only what is told is done."""
    weights = archspec.load(archspec.read_text(SEQUENCE, length=18), seed=0).state_dict()
    del weights["queries"]
    longer = archspec.read_text(SEQUENCE, length=20)
    assert "also give `after" in str(refused(weights, longer, (3, 6)))
    found = archspec.resize_positions(weights, longer, (3, 6), (4, 5))
    torch.testing.assert_close(found["wpe"], by_pillow(weights["wpe"], (3, 6), (4, 5)), rtol=1e-4, atol=1e-4)
    assert "not 4 x 6" in str(refused(weights, longer, (3, 6), (4, 6)))
    same = archspec.read_text(SEQUENCE, length=18)
    assert "of which grid a table is: `wpe`" in str(refused(weights, same))
    assert archspec.resize_positions(weights, same, {})["wpe"] is weights["wpe"]
    assert "name it" in str(refused(weights, same, (3, 6), (2, 9)))
    found = archspec.resize_positions(weights, same, {"wpe": (3, 6)}, {"wpe": (2, 9)})
    torch.testing.assert_close(found["wpe"], by_pillow(weights["wpe"], (3, 6), (2, 9)), rtol=1e-4, atol=1e-4)
    line = archspec.resize_positions(weights, longer, (1, 18), (1, 20))["wpe"]
    torch.testing.assert_close(line, by_pillow(weights["wpe"], (1, 18), (1, 20)), rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- tokens anywhere, and tables that no graph shows


def own(body: str, grid: Grid, before: str = "") -> archspec.Graph:
    """Patches `t` of 2 x 2, and a table `pos` with a row for a token `cls` beside those of the grid."""
    height, width = grid
    return archspec.read_text(
        f"model Net:\n    input image: [3, {2 * height}, {2 * width}]\n"
        "    t = image -> Conv(6, 2, stride=2) -> Flatten(start=1) -> Permute([1, 0])\n    weight cls: [1, 1, 6] = normal(1)\n"
        f"    weight pos: [1, {1 + height * width}, 6] = normal(1)\n{before}    return {body} -> Linear(2)\n"
    )


LEADING = (
    "concat(cls[0], t) + pos[0]",
    "concat(cls[0] + pos[0, :1], t + pos[0, 1:])",
    "concat(cls[0], t + pos[0, 1:])",
    "concat(cls[0] + pos[0, 0:1], pos[0][1:] + t)",
)
TRAILING = ("concat(t, cls[0]) + pos[0]", "concat(t + pos[0, :-1], cls[0] + pos[0, -1:])")
HIDDEN = (
    "concat(cls[0], t) + pos[0] * 1.0",
    "concat(cls[0], t) * pos[0]",
    "concat(t, pos[0])",
    "concat(cls[0], t) + (pos[0] -> ReLU)",
    "concat(cls[0], t) - pos[0]",
)
INDEX = "    constant index: i64[17] = [i for i in range(17)]\n"


@pytest.mark.parametrize("body", [*LEADING, *TRAILING])
def test_tokens_stay_where_the_graph_shows_them(body: str) -> None:
    for before, after in (((2, 8), (4, 4)), ((4, 4), (5, 6))):
        weights = archspec.load(own(body, before), seed=0).state_dict()
        graph = own(body, after)
        assert "of which grid a table is: `pos`" in str(refused(weights, graph))
        table = weights["pos"][0]
        places, token = (table[:-1], table[-1:]) if body in TRAILING else (table[1:], table[:1])
        moved = by_pillow(places, before, after)
        expected = torch.cat([moved, token] if body in TRAILING else [token, moved])
        for grid in (before, {"pos": before}):
            found = archspec.resize_positions(weights, graph, grid)["pos"][0]
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "body", [*HIDDEN, "(pos[0], index) -> Gather -> Linear(6)", "(pos, index[:1]) -> Gather"]
)
def test_a_table_that_the_graph_does_not_show_is_never_handed_on_unasked(body: str) -> None:
    weights = archspec.load(own(body, (2, 8), INDEX), seed=0).state_dict()
    graph = own(body, (4, 4), INDEX)
    error = refused(weights, graph)
    assert "`pos` [1, 17, 6]" in str(error)
    assert "`before=" in error.problems[0].help
    refused(weights, graph, (2, 8))
    refused(weights, graph, None, (4, 4))
    assert "does not show where the 1 beside" in str(
        refused(weights, graph, {"pos": (2, 8)}, {"pos": (4, 4)})
    )
    assert archspec.resize_positions(weights, graph, {})["pos"] is weights["pos"]


@pytest.mark.parametrize(
    "body",
    [
        "weight scale: [6] = ones\n    return x * scale",
        "weight shift: [6] = ones\n    weight gain: [] = ones\n    return x + shift + gain",
        "weight kernel: [6, 16] = normal\n    return x @ kernel -> GELU -> Linear(3)",
        "constant fixed: [16, 6] = 1.5\n    return x + fixed",
        "return x -> LayerNorm -> Linear(16)",
        "weight gate: [6, 4, 4] = ones\n    return (image -> Conv(6, 1)) * gate, x",
        "weight words: [9, 2, 6] = normal\n    return x, (words, index) -> Gather",
    ],
)
def test_weights_that_can_be_no_tables_need_no_word(body: str) -> None:
    used = "".join(
        f"    input {i}\n" for i in ("image: [3, 4, 4]", "index: i64[5]") if i.split(":")[0] in body
    )
    graph = archspec.read_text(f"model Net:\n    input x: [16, 6]\n{used}    {body}\n")
    weights = archspec.load(graph, seed=0).state_dict()
    assert archspec.resize_positions(weights, graph) == weights


def test_a_table_that_is_laid_out_as_a_map_is_not_handed_on_unasked() -> None:
    """16 rows are reshaped to 4 x 4 as well as to 2 x 8."""
    graph = archspec.read_text(
        "model Net:\n    input x: [3, 4, 4]\n    weight pos: [16, 6] = normal\n"
        "    return (x -> Conv(6, 1)) * (pos -> Permute([1, 0]) -> Reshape([6, 4, 4]))\n"
    )
    assert "`pos`" in str(refused(archspec.load(graph, seed=0).state_dict(), graph))


def test_keys_of_places_that_queries_are_scored_by_are_not_handed_on_unasked() -> None:
    graph = archspec.read_text(
        "model Net:\n    input x: [16, 6]\n    weight keys: [16, 6] = normal\n"
        "    return (x @ (keys -> Permute([1, 0]))) -> Softmax\n"
    )
    assert "`keys`" in str(refused(archspec.load(graph, seed=0).state_dict(), graph))


# ---------------------------------------------------------------- relative positions, maps


WINDOWS = """
model Net(h: int, w: int):
    input x: [h * w, 4]
    span = 2 * w - 1
    places = [y * span + x for y in range(h) for x in range(w)]
    constant index: i64[h * w, h * w] = [[a - b + places[-1] for b in places] for a in places]
    weight table: [(2 * h - 1) * (2 * w - 1), 2] = normal(1)
    bias = (table, index) -> Gather -> Permute([2, 0, 1])
    q = x -> Reshape([h * w, 2, 2]) -> Permute([1, 0, 2])
    return (q, q, q) -> Attention(bias=bias)
"""


@settings(max_examples=40, deadline=None)
@given(
    before=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    after=st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_relative_positions_are_resized_as_pillow_does(before: Grid, after: Grid) -> None:
    weights = archspec.load(archspec.read_text(WINDOWS, h=before[0], w=before[1]), seed=0).state_dict()
    graph = archspec.read_text(WINDOWS, h=after[0], w=after[1])
    refused(weights, graph)
    if after[0] != after[1]:  # which side is which, the graph does not show
        assert "after" in str(refused(weights, graph, before))
    found = archspec.resize_positions(weights, graph, before, None if after[0] == after[1] else after)[
        "table"
    ]
    spans = [(2 * h - 1, 2 * w - 1) for h, w in (before, after)]
    torch.testing.assert_close(found, by_pillow(weights["table"], *spans), rtol=1e-4, atol=1e-4)


def test_windows_that_do_not_fit_are_refused() -> None:
    weights = archspec.load(archspec.read_text(WINDOWS, h=3, w=3), seed=0).state_dict()
    graph = archspec.read_text(WINDOWS, h=4, w=4)
    assert "`before=(3, 3)`" in str(refused(weights, graph))
    assert "has 25 rows, not those of a window of 2 x 4" in str(refused(weights, graph, (2, 4)))


@settings(max_examples=30, deadline=None)
@given(before=GRIDS, after=GRIDS)
def test_a_map_shows_its_grid(before: Grid, after: Grid) -> None:
    def graph(height: int, width: int) -> archspec.Graph:
        return archspec.read_text(
            f"model Net:\n    input image: [3, {height}, {width}]\n    weight pos: [1, 4, {height}, {width}] = normal(1)\n"
            f"    return (image -> Conv(4, 3)) + pos[0] -> GlobalAvgPool\n"
        )

    weights = archspec.load(graph(*before), seed=0).state_dict()
    found = archspec.resize_positions(weights, graph(*after))["pos"]
    expected = by_pillow(weights["pos"][0].flatten(1).T, before, after).T.reshape(found.shape)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(archspec.resize_positions(weights, graph(*after), before, after)["pos"], found)
    if before != after:
        assert "`pos` is of" in str(refused(weights, graph(*after), after))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tables_keep_their_dtype(dtype: torch.dtype) -> None:
    weights = {
        name: tensor.to(dtype) for name, tensor in archspec.load(net(4, 4), seed=0).state_dict().items()
    }
    found = archspec.resize_positions(weights, net(5, 6), (4, 4))["pos"]
    assert found.dtype == dtype
    single = archspec.resize_positions({n: t.float() for n, t in weights.items()}, net(5, 6), (4, 4))["pos"]
    torch.testing.assert_close(found, single.to(dtype), rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------- what is no table


@pytest.mark.parametrize(
    ("body", "sizes"),
    [
        ("x -> Conv(1, n) -> GlobalAvgPool", (7, 3)),  # a kernel is no map
        ("x -> GlobalAvgPool -> Linear(n ** 2)", (31, 33)),  # as many classes as a table has rows
        ("x -> Flatten(start=1) -> scores: Linear(n ** 2)", (5, 7)),
    ],
)
def test_weights_of_layers_are_no_tables(body: str, sizes: tuple[int, int]) -> None:
    spec = f"model Net(n: int):\n    input x: [2, 8, 8]\n    return {body}\n"
    weights = archspec.load(archspec.read_text(spec, n=sizes[0]), seed=0).state_dict()
    assert "no tables of positions" in str(refused(weights, archspec.read_text(spec, n=sizes[1])))
    assert "no tables of positions" in str(
        refused(weights, archspec.read_text(spec, n=sizes[1]), (7, 7), (3, 3))
    )


def test_a_bias_for_each_two_places_is_no_map() -> None:
    spec = """
model Net(n: int):
    input x: [n, 4]
    weight bias: [2, n, n] = zeros
    q = x -> Reshape([n, 2, 2]) -> Permute([1, 0, 2])
    return (q @ (q -> Permute([0, 2, 1]))) + bias -> Softmax
"""
    weights = archspec.load(archspec.read_text(spec, n=16), seed=0).state_dict()
    assert "no tables of positions" in str(refused(weights, archspec.read_text(spec, n=25)))


def test_what_is_no_table_of_positions_is_refused() -> None:
    weights = archspec.load("mixer_s16", seed=0).state_dict()
    with pytest.raises(
        SpecError, match=r"no tables of positions.*blocks.0.mlp_tokens.fc1.weight.*and 19 more"
    ):
        archspec.resize_positions(weights, archspec.read("mixer_s16", resolution=256))


# ---------------------------------------------------------------- shipped specs


@pytest.mark.parametrize(
    ("name", "before", "settings"),
    [
        ("vit_ti16", (14, 14), {"resolution": 384}),
        ("vit_ti16", (14, 14), {"resolution": 160}),
        ("pit_ti", None, {"resolution": 288}),
        ("swin_t", (7, 7), {"resolution": 384, "window": 12}),
    ],
)
def test_other_resolutions_take_the_weights(name: str, before: Grid | None, settings: dict[str, int]) -> None:
    weights = archspec.load(name, seed=0).state_dict()
    found = resized(name, weights, before, **settings)
    changed = {key for key in weights if found[key].shape != weights[key].shape}
    assert changed
    assert all("pos" in key for key in changed)
    assert all(found[key] is weights[key] for key in weights if key not in changed)


def test_a_slope_stays_a_slope() -> None:
    """Between places values are interpolated, and the class token's are handed on."""
    weights = archspec.load("vit_ti16", seed=0).state_dict()
    places = torch.linspace(0, 1, 14)
    table = weights["pos_embed"]
    table[0, 1:, 0] = places.repeat_interleave(14)
    table[0, 0] = 7.0
    found = resized("vit_ti16", weights, (14, 14), resolution=448)["pos_embed"]
    grid = found[0, 1:, 0].view(28, 28)
    assert torch.equal(found[0, 0], table[0, 0])
    torch.testing.assert_close(grid[:, 0], grid[:, 27])
    steps = grid[3:-3, 0].diff()
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / 13 / 2), rtol=0.05, atol=0)


def test_the_same_resolution_changes_nothing() -> None:
    weights = archspec.load("swin_t", seed=0).state_dict()
    found = resized("swin_t", weights, (7, 7))
    assert all(found[key] is weights[key] for key in weights)


def test_windows_that_differ_between_stages_are_named() -> None:
    """With windows of 12 at 224, the last stage has windows of 7, since it is no larger."""
    weights = archspec.load("swin_t", window=12, seed=0).state_dict()
    graph = archspec.read("swin_t")
    assert "not those of a window of 12 x 12" in str(refused(weights, graph, (12, 12)))
    names = [name for name in weights if name.endswith("relative_position_bias_table")]
    grids = {name: (7, 7) if name.startswith("layers.3") else (12, 12) for name in names}
    found = archspec.resize_positions(weights, graph, grids)
    assert all((found[name] is weights[name]) == name.startswith("layers.3") for name in names)
    archspec.load(graph, seed=1).load_state_dict(found)
