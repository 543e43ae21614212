"""Tables of positions: what a spec says of them, and weights resized, against Pillow's interpolation and a closed form."""

import json
from math import floor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import every_network, shipped
from PIL import Image
from torch import Tensor

import archspec
from archspec.analyses.positions import tables
from archspec.backends.torch_positions import resized
from archspec.ground.errors import Mistake, SpecError
from archspec.op.table import Table

Sizes = tuple[int, ...]
GRIDS = st.tuples(st.integers(1, 9), st.integers(1, 9))
CASES = [
    ((2, 8), (4, 4)),
    ((2, 8), (4, 16)),
    ((4, 4), (4, 8)),
    ((4, 4), (8, 8)),
    ((14, 14), (14, 18)),
    ((24, 24), (14, 14)),
    ((1, 18), (3, 6)),
    ((1, 1), (3, 1)),
]


def by_pillow(table: Tensor, before: Sizes, after: Sizes) -> Tensor:
    """[H W, D] -> [H' W', D]: each channel as an image of real numbers, resized by Pillow."""
    images = table.float().T.reshape(-1, *before).numpy()
    moved = [np.asarray(Image.fromarray(i).resize(after[::-1], Image.Resampling.BICUBIC)) for i in images]
    return torch.from_numpy(np.stack(moved)).flatten(1).T


def cubic(before: int, after: int) -> np.ndarray[Any, Any]:
    """[after, before]: how much of each value there is in each of those between [Keys, 1981], with a = -3/4 and edges repeated."""
    a, found = -0.75, np.zeros((after, before))
    for i in range(after):
        place = (i + 0.5) * before / after - 0.5
        for j in range(floor(place) - 1, floor(place) + 3):
            d = abs(place - j)
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            far = a * (d**3 - 5 * d**2 + 8 * d - 4)
            found[i, min(max(j, 0), before - 1)] += near if d <= 1 else far
    return found


def by_cubics(table: Tensor, before: Sizes, after: Sizes) -> Tensor:
    """[H W, D] -> [H' W', D]: a linear map along each axis."""
    moved = table.double().numpy().reshape(*before, -1)
    for axis, (old, new) in enumerate(zip(before, after, strict=True)):
        moved = np.moveaxis(np.tensordot(cubic(old, new), moved, ([1], [axis])), 0, axis)
    return torch.from_numpy(moved.reshape(-1, table.shape[-1])).to(table.dtype)


def refused(weights: dict[str, Tensor], graph: archspec.Graph, *grids: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        archspec.resize_positions(weights, graph, *grids)
    return caught.value


def table_of(shape: str, kind: str = "weight") -> tuple[Table | None, Sizes]:
    """What a spec says of a weight of that shape, and the shape."""
    graph = archspec.read_text(
        f"model Net:\n    input x: [4, 5]\n    h = x.shape[0]\n    {kind} pos: {shape} = zeros\n    return x * h, pos\n"
    )
    return tables(graph).get("pos"), graph.weights["pos"].shape


# ---------------------------------------------------------------- what a spec says


@pytest.mark.parametrize(
    ("shape", "table", "whole"),
    [
        ("[1, 1 + grid(h, 3), 6]", Table(kind="grid", sizes=(4, 3), axis=1, before=1), (1, 13, 6)),
        ("[grid(h, 3), 6]", Table(kind="grid", sizes=(4, 3), axis=0), (12, 6)),
        ("[6, h + 1 + grid(2, 3) + 2]", Table(kind="grid", sizes=(2, 3), axis=1, before=5, after=2), (6, 13)),
        ("[(0 + grid(2, 3))]", Table(kind="grid", sizes=(2, 3), axis=0), (6,)),
        ("[1, 6, *grid(2, 3)]", Table(kind="grid", sizes=(2, 3), axis=2, spread=True), (1, 6, 2, 3)),
        ("[*grid(2, 3), 6]", Table(kind="grid", sizes=(2, 3), axis=0, spread=True), (2, 3, 6)),
        ("[*x.shape, *grid(*x.shape)]", Table(kind="grid", sizes=(4, 5), axis=2, spread=True), (4, 5, 4, 5)),
        ("[relative(2, 3), 6]", Table(kind="relative", sizes=(2, 3), axis=0), (15, 6)),
        ("[relative(2, 3) + 3, 6]", Table(kind="relative", sizes=(2, 3), axis=0, after=3), (18, 6)),
        ("[6, *relative(2, 3)]", Table(kind="relative", sizes=(2, 3), axis=1, spread=True), (6, 3, 5)),
        ("[relative(7), 6]", Table(kind="relative", sizes=(7,), axis=0), (13, 6)),
        ("[16, 6]", None, (16, 6)),
    ],
)
def test_a_shape_says_what_a_weight_is_a_table_of(shape: str, table: Table | None, whole: Sizes) -> None:
    assert table_of(shape) == (table, whole)
    assert table_of(shape, "buffer") == (table, whole)


def test_a_name_of_the_author_is_his_own() -> None:
    graph = archspec.read_text(
        "def grid(h, w):\n    return h * w\n\n"
        "model Net:\n    input x: [6, 5]\n    weight pos: [grid(2, 3), 5] = zeros\n    return x + pos\n"
    )
    assert graph.weights["pos"].shape == (6, 5)
    assert tables(graph) == {}


def test_a_graph_keeps_what_its_spec_said() -> None:
    for name in ("vit_ti16", "pit_ti", "swin_t"):
        graph = archspec.read(name)
        assert tables(archspec.Graph.from_json(graph.to_json())) == tables(graph) != {}


def test_a_graph_of_before_tables_says_nothing() -> None:
    whole = json.loads(archspec.read("vit_ti16").to_json())
    steps = [step for function in whole["functions"] for step in function["steps"]]
    (own,) = [step for step in steps if step["name"] == "pos_embed"]
    del own["op"]["arguments"]["table"]
    old = archspec.Graph.from_json(json.dumps(whole))
    assert tables(old) == {}
    weights = archspec.load(old, seed=0).state_dict()
    assert "does not say of which grid" in str(
        refused(weights, archspec.read("vit_ti16", resolution=384), old)
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sizes": [7, 7]}, "a grid of 7 x 7 behind 1 token does not fit a weight of [1, 197, 192]"),
        ({"sizes": [14, 14, 1]}, "has a size or two"),
        ({"sizes": []}, "has a size or two"),
        ({"sizes": [-14, -14]}, "has a size or two"),
        ({"axis": 7}, "does not fit a weight"),
        ({"before": -1, "after": 2}, "before"),
        ({"spread": True}, "no place for tokens"),
        ({"kind": "line"}, "kind"),
    ],
)
def test_a_graph_from_elsewhere_says_nothing_impossible(changed: dict[str, Any], said: str) -> None:
    whole = json.loads(archspec.read("vit_ti16").to_json())
    steps = [step for function in whole["functions"] for step in function["steps"]]
    (own,) = [step for step in steps if step["name"] == "pos_embed"]
    own["op"]["arguments"]["table"] |= changed
    with pytest.raises(SpecError) as caught:
        archspec.Graph.from_json(json.dumps(whole))
    assert said in str(caught.value)


# ---------------------------------------------------------------- sequences


def net(height: int, width: int, tokens: int = 1, *, last: bool = False) -> archspec.Graph:
    """Patches of 2 x 2 with learned positions, in the manner of ViT; `last` has the tokens behind them."""
    own = f"    weight cls: [{tokens}, 5] = normal(1)\n" if tokens else ""
    z = "x" if not tokens else "concat(x, cls)" if last else "concat(cls, x)"
    places = f"grid({height}, {width})"
    size = f"{places} + {tokens}" if last else f"{tokens} + {places}"
    return archspec.read_text(
        f"model Net:\n    input image: [3, {2 * height}, {2 * width}]\n"
        f"    x = image -> Conv(5, 2, stride=2) -> Flatten(start=1) -> Permute([1, 0])\n{own}"
        f"    weight pos: [1, {size}, 5] = normal(1)\n    return {z} + pos[0] -> Linear(2)\n"
    )


@settings(max_examples=60, deadline=None)
@given(before=GRIDS, after=GRIDS, tokens=st.integers(0, 3), last=st.booleans(), said=st.booleans())
def test_a_sequence_is_resized_as_pillow_does(
    before: Sizes, after: Sizes, tokens: int, last: bool, said: bool
) -> None:
    source, graph = net(*before, tokens, last=last), net(*after, tokens, last=last)
    weights = archspec.load(source, seed=0).state_dict()
    found = archspec.resize_positions(weights, graph, before, after if said else None)
    table, places = weights["pos"][0], before[0] * before[1]
    if last:
        expected = torch.cat([by_pillow(table[:places], before, after), table[places:]])
    else:
        expected = torch.cat([table[:tokens], by_pillow(table[tokens:], before, after)])
    torch.testing.assert_close(found["pos"][0], expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(archspec.resize_positions(weights, graph, source)["pos"], found["pos"])
    assert torch.equal(archspec.resize_positions(weights, graph, {"pos": before})["pos"], found["pos"])
    if before == after:
        assert found["pos"] is weights["pos"]
    archspec.load(graph).load_state_dict(found)


@settings(max_examples=40, deadline=None)
@given(before=GRIDS, after=GRIDS)
def test_a_sequence_of_an_unknown_grid_is_refused(before: Sizes, after: Sizes) -> None:
    """Also where it has as many places as the network: 2 x 8 are not 4 x 4."""
    weights = archspec.load(net(*before), seed=0).state_dict()
    error = refused(weights, net(*after))
    assert "weights do not say of which grid a table is: `pos`" in str(error)
    assert "`before=archspec.read(...)`" in error.problems[0].help


@pytest.mark.parametrize(("before", "after"), CASES)
def test_any_grid_becomes_any_other(before: Sizes, after: Sizes) -> None:
    weights = archspec.load(net(*before), seed=0).state_dict()
    expected = by_pillow(weights["pos"][0, 1:], before, after)
    for said in (before, net(*before)):
        found = archspec.resize_positions(weights, net(*after), said)["pos"][0]
        assert torch.equal(found[0], weights["pos"][0, 0])
        torch.testing.assert_close(found[1:], expected, rtol=1e-4, atol=1e-4)


def test_grids_that_do_not_fit_are_refused() -> None:
    weights = archspec.load(net(2, 8), seed=0).state_dict()
    assert "[1, 17, 5] is not a grid of 3 x 5 behind 1 token" in str(refused(weights, net(4, 4), (3, 5)))
    assert "`pos` is a grid of 4 x 4 behind 1 token, not 2 x 8" in str(
        refused(weights, net(4, 4), (2, 8), (2, 8))
    )
    assert "is not a grid of 2 x 8 behind 2 tokens" in str(
        refused(weights | {"cls": torch.zeros(2, 5)}, net(4, 4, tokens=2), (2, 8))
    )
    for wrong in ((2, 8, 1), (), (2.0, 8), (0, 4), "28", 4):
        assert "is the height and width of a grid" in str(refused(weights, net(4, 4), wrong))
    assert "names `posn`" in str(refused(weights, net(4, 4), {"posn": (2, 8)}))
    assert "did you mean `pos`?" in str(refused(weights, net(4, 4), {"poz": (2, 8)}))


def test_a_graph_that_the_weights_are_not_of_is_refused() -> None:
    weights = archspec.load(net(2, 8), seed=0).state_dict()
    assert "[1, 17, 5] is not of Net, which has [1, 16, 5]" in str(refused(weights, net(4, 4), net(3, 5)))
    behind = net(2, 8, last=True)
    assert "is laid out otherwise" in str(refused(weights, net(4, 4), behind))
    assert "has no such weight" in str(refused(weights, net(4, 4), archspec.read("lenet5")))


def test_what_only_the_old_spec_says_is_not_lost() -> None:
    """The network says nothing of the grid, which is another one: 2 x 8 are not 4 x 4."""
    silent = archspec.read_text(
        "model Silent:\n    input image: [3, 8, 8]\n"
        "    x = image -> Conv(5, 2, stride=2) -> Flatten(start=1) -> Permute([1, 0])\n    weight cls: [1, 5] = normal(1)\n"
        "    weight pos: [1, 17, 5] = normal(1)\n    return concat(cls, x) + pos[0] -> Linear(2)\n"
    )
    weights = archspec.load(net(2, 8), seed=0).state_dict()
    assert "`pos` is a grid of 2 x 8 behind 1 token in Net, and Silent does not say so" in str(
        refused(weights, silent, net(2, 8))
    )


def test_what_no_table_takes_is_refused() -> None:
    weights = archspec.load("lenet5", seed=0).state_dict()
    for grids in (((3, 3),), (None, (3, 3))):
        assert "there is no table of positions" in str(refused(weights, archspec.read("lenet5"), *grids))
    assert archspec.resize_positions(weights, archspec.read("lenet5")) == weights


def test_a_table_of_another_grid_does_not_carry_over() -> None:
    weights = archspec.diff(net(2, 8), net(4, 4)).weights
    assert weights.reshaped == (
        ("pos", "pos", "a grid of 2 x 8 behind 1 token -> a grid of 4 x 4 behind 1 token"),
    )
    assert "pos" in archspec.diff(net(4, 4), net(4, 4)).weights.kept


def test_tables_that_are_not_named_are_handed_on() -> None:
    weights = archspec.load(net(4, 4), seed=0).state_dict()
    assert archspec.resize_positions(weights, net(2, 8), {})["pos"] is weights["pos"]
    assert "do not say of which grid" in str(refused(weights, net(2, 9), {}))


# ---------------------------------------------------------------- relative positions, maps


@settings(max_examples=40, deadline=None)
@given(before=GRIDS, after=GRIDS, extra=st.integers(0, 3))
def test_relative_positions_are_resized_by_cubics(before: Sizes, after: Sizes, extra: int) -> None:
    def graph(h: int, w: int) -> archspec.Graph:
        return archspec.read_text(
            f"model Net:\n    input x: [3]\n    weight table: [relative({h}, {w}) + {extra}, 3] = normal(1)\n    return table + x\n"
        )

    weights = archspec.load(graph(*before), seed=0).state_dict()
    spans = [(2 * h - 1, 2 * w - 1) for h, w in (before, after)]
    rows = spans[0][0] * spans[0][1]
    expected = torch.cat([by_cubics(weights["table"][:rows], *spans), weights["table"][rows:]])
    for said in (before, graph(*before)):
        found = archspec.resize_positions(weights, graph(*after), said)["table"]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    refused(weights, graph(*after))


@settings(max_examples=20, deadline=None)
@given(before=st.integers(1, 9), after=st.integers(1, 9))
def test_relative_positions_along_one_axis_show_their_window(before: int, after: int) -> None:
    def graph(size: int) -> archspec.Graph:
        return archspec.read_text(
            f"model Net:\n    input x: [3]\n    weight table: [relative({size}), 3] = normal(1)\n    return table + x\n"
        )

    weights = archspec.load(graph(before), seed=0).state_dict()
    expected = by_cubics(weights["table"], (2 * before - 1,), (2 * after - 1,))
    for said in (None, (before,), graph(before)):
        found = archspec.resize_positions(weights, graph(after), said)["table"]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_windows_that_do_not_fit_are_refused() -> None:
    weights = archspec.load("swin_t", seed=0).state_dict()
    graph = archspec.read("swin_t", resolution=384, window=12)
    assert "`before=(7, 7)` if they are square" in str(refused(weights, graph))
    assert "[169, 3] is not relative positions in a window of 2 x 4" in str(refused(weights, graph, (2, 4)))


@settings(max_examples=30, deadline=None)
@given(before=GRIDS, after=GRIDS)
def test_a_map_shows_its_grid(before: Sizes, after: Sizes) -> None:
    def graph(height: int, width: int) -> archspec.Graph:
        return archspec.read_text(
            f"model Net:\n    input image: [3, {height}, {width}]\n"
            f"    weight pos: [1, 4, *grid({height}, {width})] = normal(1)\n"
            "    return (image -> Conv(4, 3)) + pos[0] -> GlobalAvgPool\n"
        )

    weights = archspec.load(graph(*before), seed=0).state_dict()
    found = archspec.resize_positions(weights, graph(*after))["pos"]
    expected = by_pillow(weights["pos"][0].flatten(1).T, before, after).T.reshape(found.shape)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(archspec.resize_positions(weights, graph(*after), before, after)["pos"], found)
    if before != after:
        assert "is of" in str(refused(weights, graph(*after), after))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tables_keep_their_dtype(dtype: torch.dtype) -> None:
    weights = {
        name: tensor.to(dtype) for name, tensor in archspec.load(net(4, 4), seed=0).state_dict().items()
    }
    found = archspec.resize_positions(weights, net(5, 6), (4, 4))["pos"]
    assert found.dtype == dtype
    single = archspec.resize_positions({n: t.float() for n, t in weights.items()}, net(5, 6), (4, 4))["pos"]
    torch.testing.assert_close(found, single.to(dtype), rtol=1e-5, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(before=GRIDS, after=GRIDS, axis=st.integers(0, 2), spread=st.booleans())
def test_a_table_may_lie_along_any_axis(before: Sizes, after: Sizes, axis: int, spread: bool) -> None:
    def table(sizes: Sizes) -> Table:
        return Table(kind="grid", sizes=sizes, axis=axis, spread=spread, after=0 if spread else 1)

    old, new = table(before), table(after)
    others = (2, 3)
    shape = (*others[:axis], *old.shape, *others[axis:])
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    rows = weight.flatten(axis, axis + 1) if spread else weight
    rows = rows.movedim(axis, 0)
    places, token = rows[: before[0] * before[1]], rows[before[0] * before[1] :]
    moved = torch.cat([by_pillow(places.flatten(1), before, after).reshape(-1, *others), token])
    found = resized(weight, old, new)
    found = found.flatten(axis, axis + 1) if spread else found
    torch.testing.assert_close(found.movedim(axis, 0), moved, rtol=1e-4, atol=1e-4)


def test_whole_numbers_are_not_interpolated() -> None:
    old = Table(kind="grid", sizes=(2, 3), axis=0)
    with pytest.raises(Mistake, match="cannot be interpolated"):
        resized(torch.zeros(6, 2, dtype=torch.int64), old, old.of((3, 3)))


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
    assert "there is no table" in str(refused(weights, archspec.read_text(spec, n=sizes[1]), (7, 7), (3, 3)))


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
        ("vit_ti16", (14, 14), {"resolution": [160, 320]}),
        ("pit_ti", None, {"resolution": 288}),
        ("swin_t", (7, 7), {"resolution": 384, "window": 12}),
        ("igpt_s", (32, 32), {"resolution": 16}),
        ("halonet_h1", None, {"halo": 1}),
    ],
)
def test_other_resolutions_take_the_weights(
    name: str, before: Sizes | None, settings: dict[str, Any]
) -> None:
    source, graph = archspec.read(name), archspec.read(name, settings=settings)
    weights = archspec.load(source, seed=0).state_dict()
    found = archspec.resize_positions(weights, graph, before)
    changed = {key for key in weights if found[key] is not weights[key]}
    assert changed == tables(graph).keys() == tables(source).keys()
    again = archspec.resize_positions(weights, graph, source)
    assert all(torch.equal(found[key], again[key]) for key in weights)
    archspec.load(graph, seed=1).load_state_dict(found)


@every_network
def test_every_weight_that_is_named_like_a_table_is_said_to_be_one(name: str) -> None:
    graph = shipped(name)
    named = {
        key
        for key, weight in graph.weights.items()
        if weight.saved and any(word in key for word in ("pos_embed", "position_bias", "wpe", "_rel"))
    }
    assert named == tables(graph).keys()


def test_a_slope_stays_a_slope() -> None:
    """Between places values are interpolated, and the class token's are handed on."""
    weights = archspec.load("vit_ti16", seed=0).state_dict()
    places = torch.linspace(0, 1, 14)
    table = weights["pos_embed"]
    table[0, 1:, 0] = places.repeat_interleave(14)
    table[0, 0] = 7.0
    found = archspec.resize_positions(weights, archspec.read("vit_ti16", resolution=448), (14, 14))[
        "pos_embed"
    ]
    grid = found[0, 1:, 0].view(28, 28)
    assert torch.equal(found[0, 0], table[0, 0])
    torch.testing.assert_close(grid[:, 0], grid[:, 27])
    steps = grid[3:-3, 0].diff()
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / 13 / 2), rtol=0.05, atol=0)


def test_the_same_resolution_changes_nothing() -> None:
    weights = archspec.load("swin_t", seed=0).state_dict()
    for before in ((7, 7), archspec.read("swin_t")):
        found = archspec.resize_positions(weights, archspec.read("swin_t"), before)
        assert all(found[key] is weights[key] for key in weights)


def test_windows_that_differ_between_stages_are_named_or_known() -> None:
    """With windows of 12 at 224, the last stage has windows of 7 in timm, since it is no larger."""
    source = archspec.read("swin_t", window=12, borders="timm")
    weights = archspec.load(source, seed=0).state_dict()
    graph = archspec.read("swin_t")
    assert "is not relative positions in a window of 12 x 12" in str(refused(weights, graph, (12, 12)))
    names = [name for name in weights if name.endswith("relative_position_bias_table")]
    grids = {name: (7, 7) if name.startswith("layers.3") else (12, 12) for name in names}
    for before in (grids, source):
        found = archspec.resize_positions(weights, graph, before)
        assert all((found[name] is weights[name]) == name.startswith("layers.3") for name in names)
        archspec.load(graph, seed=1).load_state_dict(found)
