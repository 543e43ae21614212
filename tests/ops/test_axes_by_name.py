"""Axes by name against loops over single values: every value is sought where the names of its place say."""

import random
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import archspec
from archspec import SpecError
from archspec.analyses.formulas import at_sizes, formula
from archspec.testing import CHECKS

NAMES = "abcdefgh"
SEEDS = range(60)


def grouped(names: list[str], draw: random.Random) -> list[list[str]]:
    """Names in order, some in brackets, and axes of size 1 between them."""
    groups: list[list[str]] = []
    for name in names:
        if draw.random() < 0.1:
            groups.append([])
        if groups and groups[-1] and draw.random() < 0.4:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def written(groups: list[list[str]], draw: random.Random) -> str:
    """One side of a pattern."""
    return " ".join(
        group[0] if len(group) == 1 else draw.choice(["1", "()"]) if not group else f"({' '.join(group)})"
        for group in groups
    )


def shape_of(groups: list[list[str]], sizes: dict[str, int]) -> tuple[int, ...]:
    """The shape of a tensor with these axes."""
    return tuple(prod(sizes[name] for name in group) for group in groups)


def place(groups: list[list[str]], at: dict[str, int], sizes: dict[str, int]) -> tuple[int, ...]:
    """Where a value stands that has these positions along the named axes."""
    found = []
    for group in groups:
        position = 0
        for name in group:
            position = position * sizes[name] + at[name]
        found.append(position)
    return tuple(found)


def positions(names: list[str], sizes: dict[str, int]) -> list[dict[str, int]]:
    """All positions along named axes."""
    return [dict(zip(names, at, strict=True)) for at in product(*(range(sizes[name]) for name in names))]


def drawn(seed: int, least: int = 1) -> tuple[random.Random, list[str], dict[str, int], list[list[str]], str]:
    """Names, their sizes, the left side of a pattern, and the arguments that say the sizes not to be worked out."""
    draw = random.Random(seed)
    names = list(NAMES[: draw.randint(0, 5)])
    sizes = {name: draw.randint(least, 3) for name in NAMES}
    left = grouped(names, draw)
    given = []
    for group in left:
        unsaid = draw.choice(group) if group and draw.random() < 0.8 else ""
        given += [f"{name}={sizes[name]}" for name in group if len(group) > 1 and name != unsaid]
    draw.shuffle(given)
    return draw, names, sizes, left, "".join(f", {size}" for size in given)


def run(layer: str, *tensors: torch.Tensor, own: bool = False) -> torch.Tensor:
    """What a layer gives of tensors with a batch, or of constants that are the same for each sample."""
    taken = ", ".join(f"x{i}" for i in range(len(tensors)))
    lines = [f"input x{i}: {list(x.shape[1:])}" for i, x in enumerate(tensors)]
    if own:
        lines = [
            "input y: [1]",
            *(f"weight x{i}: {list(x.shape[1:])} = zeros" for i, x in enumerate(tensors)),
        ]
    body = [
        *lines,
        f"return ({taken}) -> {layer}" if not own else f"z = ({taken}) -> {layer}",
        *(["return y, z"] if own else []),
    ]
    net = archspec.load(
        archspec.read_text("model Net:\n" + "".join(f"    {line}\n" for line in body)), seed=0
    )
    if not own:
        return net(*tensors)  # type: ignore[no-any-return]
    net.load_state_dict({f"x{i}": x[0] for i, x in enumerate(tensors)})
    return net(torch.zeros(1, 1))[1][None].detach()  # type: ignore[no-any-return]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rearranged_value_stands_where_its_names_say(seed: int) -> None:
    draw, names, sizes, left, given = drawn(seed)
    added = list("xyz"[: draw.choice([0, 0, 1, 2])])
    for name in added:
        sizes[name] = draw.randint(1, 3)
        given += f", {name}={sizes[name]}"
    mixed = names + added
    draw.shuffle(mixed)
    right = grouped(mixed, draw)
    layer = f'Rearrange("{written(left, draw)} -> {written(right, draw)}"{given})'
    own = seed % 3 == 0
    x = torch.randn(1 if own else 2, *shape_of(left, sizes))
    found = run(layer, x, own=own)
    assert found.shape[1:] == shape_of(right, sizes), layer
    for sample, at in product(range(len(x)), positions(mixed, sizes)):
        assert found[sample][place(right, at, sizes)] == x[sample][place(left, at, sizes)], layer


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("how", ["sum", "mean", "max", "min"])
def test_a_reduced_value_is_of_all_places_that_have_its_names(seed: int, how: str) -> None:
    draw, names, sizes, left, given = drawn(seed + 1000)
    if not names:
        return
    kept = draw.sample(names, draw.randint(0, len(names) - 1))
    right = grouped(kept, draw)
    layer = f'Reduce("{how}", "{written(left, draw)} -> {written(right, draw)}"{given})'
    x = torch.randn(2, *shape_of(left, sizes), dtype=torch.float32)
    found = run(layer, x)
    assert found.shape[1:] == shape_of(right, sizes), layer
    gone = [name for name in names if name not in kept]
    combine = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}[how]
    for sample, at in product(range(2), positions(kept, sizes)):
        met = [x[sample][place(left, at | over, sizes)].item() for over in positions(gone, sizes)]
        assert found[sample][place(right, at, sizes)].item() == pytest.approx(combine(met), abs=1e-5), layer


def einsum(seed: int) -> tuple[str, list[str], list[str], list[str], dict[str, int]]:
    """A pattern of two tensors, its names, and their sizes."""
    draw = random.Random(seed)
    sizes = {name: draw.randint(1, 3) for name in NAMES}
    names = list(NAMES[: draw.randint(1, 6)])
    left, right = (draw.sample(names, draw.randint(0, min(4, len(names)))) for _ in range(2))
    both = sorted({*left, *right})
    made = draw.sample(both, draw.randint(0, len(both)))
    return f'Einsum("{" ".join(left)}, {" ".join(right)} -> {" ".join(made)}")', left, right, made, sizes


@pytest.mark.parametrize("seed", SEEDS)
def test_einsum_sums_products(seed: int) -> None:
    layer, left, right, made, sizes = einsum(seed)
    a, b = (torch.randn(2, *(sizes[name] for name in side)) for side in (left, right))
    found = run(layer, a, b)
    assert list(found.shape[1:]) == [sizes[name] for name in made]
    wanted = np.zeros(found.shape)
    for sample, at in product(range(2), positions(sorted({*left, *right}), sizes)):
        one, other = (x[sample][tuple(at[n] for n in side)].item() for x, side in ((a, left), (b, right)))
        wanted[(sample, *(at[name] for name in made))] += one * other
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-5)


def example_of(name: str, seed: int) -> str:
    """A generated example of an op, whose axes all have more than one place, so that views are told apart."""
    if name == "Einsum":
        layer, one, other, made, sizes = einsum(seed)
        shapes = [[sizes[name] + 1 for name in side] for side in (one, other, made)]
        return f"(f32{shapes[0]}, f32{shapes[1]}) -> {layer} -> f32{shapes[2]}"
    draw, names, sizes, left, given = drawn(seed + 2000, least=2)
    if name == "Reduce":
        kept = draw.sample(names, max(0, draw.randint(0, len(names)) - 1))
        layer = f'Reduce("{draw.choice(["sum", "mean", "max", "min"])}", '
        if not names:
            left, given = [["a"]], ""
    else:
        kept = names + ["x"] * (seed % 3 == 0)
        draw.shuffle(kept)
        given += f", x={sizes.setdefault('x', 2)}" if "x" in kept else ""
        layer = "Rearrange("
    right = grouped(kept, draw)
    layer += f'"{written(left, draw)} -> {written(right, draw)}"{given})'
    return f"f32{list(shape_of(left, sizes))} -> {layer} -> f32{list(shape_of(right, sizes))}"


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", ["Rearrange", "Reduce", "Einsum"])
def test_what_ops_say_of_generated_patterns_holds(name: str, check: str) -> None:
    for seed in range(30):
        CHECKS[check](example_of(name, seed))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ('Rearrange("c h w -> c h")', "the axis `w` is on the left only"),
        ('Rearrange("c h w -> c h w n")', "the axis `n` is on the right only"),
        ('Rearrange("c h w -> h c")', "the axis `w` is on the left only"),
        ('Rearrange("c h -> h c")', "the pattern has 2 axes where the tensor is [8, 4, 6]"),
        (
            'Rearrange("a b c d ... -> ... a b c d")',
            "the pattern has at least 4 axes where the tensor is [8, 4, 6]",
        ),
        ('Rearrange("(c p) h w -> c p h w")', "the sizes of `c` and `p` in `(c p)` are not known"),
        ('Rearrange("(c p) h w -> c p h w", p=3)', "3 does not divide the axis `(c p)` of 8"),
        ('Rearrange("(c p) h w -> c p h w", p=2, c=2)', "the axis `(c p)` is 4, but the tensor has 8 there"),
        ('Rearrange("c h w -> h w c", h=5)', "the axis `h` is 5, but the tensor has 4 there"),
        ('Rearrange("1 h w -> h w")', "the axis `()` is 1, but the tensor has 8 there"),
        (
            'Rearrange("c h w -> h w c", q=5)',
            "Rearrange has no argument `q`, and its pattern no axis of that name",
        ),
        ('Rearrange("c h w -> h w c", h=0)', "`h` of Rearrange must be at least 1, not 0"),
        ('Rearrange("c h w -> h w c", h=4.0)', "`h` of Rearrange must be a whole number"),
        ('Rearrange("c h w -> h w c", h=x)', "`h` of Rearrange must be a whole number"),
        ('Rearrange("c c w -> w c")', "has `c` twice in one tensor"),
        ('Rearrange("c h w")', "must have one `->`"),
        ('Rearrange("c (h (w)) -> c h w")', "has brackets that do not pair, or stand in each other"),
        ('Rearrange("c (h w -> c h w")', "has brackets that do not pair, or stand in each other"),
        ('Rearrange("c h w -> c h-w")', "has `-` in it"),
        ('Rearrange("c 0 w -> c w")', "has an axis of size 0"),
        ('Rearrange("c, h w -> c h w")', "has a `,`, and Rearrange takes one tensor"),
        ('Rearrange("(...) c -> c")', "has `...` within brackets on the left"),
        ('Rearrange("c h w -> ... c h w")', "has `...` on the right only"),
        (f'Rearrange("c h w -> {"1 " * 70}")', "has more than 64 axes"),
        ('Reduce("mean", "c h w -> w h c")', "reduces no axis"),
        ('Reduce("mean", "c h w -> n", n=3)', "the axis `n` is on the right only"),
        ('Reduce("mean", [0], kep=1)', "Reduce has no argument `kep`"),
        ('Reduce("mean", "c h w -> c", keep=true)', "`keep` goes with numbers of axes"),
        ('Einsum("c h w -> c")', "takes 1 tensor, and Einsum two"),
        ('Einsum("c h w, (c p) -> p")', "has an axis that is no name"),
    ],
)
def test_what_does_not_fit_is_refused(layer: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        archspec.read_text(f"model Net:\n    input x: [8, 4, 6]\n    return x -> {layer}\n")
    (problem,) = caught.value.problems
    assert said in problem.message and problem.span is not None


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ('Einsum("c h w, d h w -> c d")', "the axis `h` has 4 places in the one tensor and 5 in the other"),
        ('Einsum("c h w, c -> h")', "the pattern has 1 axis where the tensor is [8, 5, 6]"),
        ('Einsum("c ..., c h ... -> ...")', "`...` stands for 2 axes of the one tensor and 1 of the other"),
        ('Einsum("c h w, c n w -> z")', "the axis `z` is on the right only"),
    ],
)
def test_tensors_that_do_not_fit_each_other_are_refused(layer: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        archspec.read_text(
            f"model Net:\n    input x: [8, 4, 6]\n    input y: [8, 5, 6]\n    return (x, y) -> {layer}\n"
        )
    assert said in caught.value.problems[0].message


def test_a_free_size_that_may_not_divide_says_what_would_decide_it() -> None:
    text = 'model Net:\n    input x: [4, {}]\n    return x -> Rearrange("c (l p) -> l (p c)", p=4)\n'
    assert str(archspec.read_text(text.format("8 * free S")).outputs[0].type) == "f32[2*S, 16]"
    with pytest.raises(SpecError) as caught:
        archspec.read_text(text.format("free S"))
    (problem,) = caught.value.problems
    assert problem.kind == "free" and "S is a multiple of 4" in f"{problem.label} {problem.help}"


def test_a_network_runs_at_other_sizes_than_declared() -> None:
    net = archspec.load(
        archspec.read_text(
            "model Net:\n    input x: [3, 8, 12]\n"
            '    y = x -> Rearrange("c (h p) (w q) -> (h w) (p q c)", p=4, q=2)\n'
            '    return y, x -> Reduce("max", "c (h 2) (w 2) -> (h w) c"), (x, x) -> Einsum("c h w, d h w -> c d")\n'
        )
    )
    x = torch.randn(2, 3, 16, 6)
    windows, largest, gram = net(x)
    assert windows[1, 4, 13] == x[1, 1, 4 * 1 + 2, 2 * 1 + 0]
    torch.testing.assert_close(largest, torch.nn.functional.max_pool2d(x, 2).flatten(2).mT)
    torch.testing.assert_close(gram, x.flatten(2) @ x.flatten(2).mT)
    with pytest.raises((SpecError, RuntimeError, ValueError)):
        net(torch.randn(2, 3, 15, 6))


class Seen(TorchDispatchMode):
    """The names of the functions that run within."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("layer", "steps"),
    [
        ('Rearrange("c h w -> c h w")', []),
        ('Rearrange("c h w -> h w c")', ["permute"]),
        ('Rearrange("c h w -> (h w) c")', ["view", "permute"]),
        ('Rearrange("(c p) h w -> c (p h) w", p=2)', ["view"]),
        ('Rearrange("c h w -> h c w 1")', ["permute", "view"]),
        ('Rearrange("c h w -> c n h w", n=5)', ["unsqueeze", "expand"]),
        ('Rearrange("c (h p) w -> (h w) (p c)", p=2)', ["view", "permute", "clone", "_unsafe_view"]),
        ('Reduce("max", "c h w -> c")', ["amax"]),
        ('Reduce("max", "c h w -> w c")', ["amax", "permute"]),
    ],
)
def test_as_few_steps_as_there_can_be(layer: str, steps: list[str]) -> None:
    net = archspec.load(archspec.read_text(f"model Net:\n    input x: [8, 4, 6]\n    return x -> {layer}\n"))
    with torch.no_grad(), Seen() as seen:
        net(torch.randn(2, 8, 4, 6))
    assert [name for name in seen.names if name != "randn"] == steps


def test_what_lies_side_by_side_again_is_not_copied() -> None:
    """As attention leaves its heads: merged without a copy, though the op is no view."""
    layer = 'Rearrange("h n d -> n (h d)")'
    net = archspec.load(archspec.read_text(f"model Net:\n    input x: [2, 5, 4]\n    return x -> {layer}\n"))
    x = torch.randn(3, 5, 2, 4).transpose(1, 2)
    assert net(x).data_ptr() == x.data_ptr()
    assert net(x.contiguous()).data_ptr() != x.data_ptr()


@pytest.mark.parametrize("dynamic", [False, True])
def test_patterns_compile_as_one_graph(dynamic: bool) -> None:
    net = archspec.load(
        archspec.read_text(
            "model Net:\n    input x: [3, 8, 12]\n"
            '    y = x -> Rearrange("c (h p) (w q) -> (h w) (p q c)", p=4, q=2) -> Rearrange("n c -> (n k) c", k=2)\n'
            '    return (y, y) -> Einsum("n d, m d -> n m"), x -> Reduce("max", "c (h 2) (w 2) -> (h w) c")\n'
        )
    )
    x = torch.randn(2, 3, 8, 12)
    compiled = torch.compile(net, backend="eager", fullgraph=True, dynamic=dynamic)
    for found, wanted in zip(compiled(x), net(x), strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_pattern_survives_json_and_is_shown_as_written() -> None:
    layer = 'Rearrange("(h p) w c -> h w (p c)", p=4)'
    graph = archspec.read_text(f"model Net:\n    input x: [8, 4, 6]\n    return x -> {layer}\n")
    assert str(graph.nodes[0].op) == layer
    assert archspec.Graph.from_json(graph.to_json()) == graph


def test_products_summed_along_one_place_count_like_a_matrix_product() -> None:
    text = "model Net:\n    input x: [free S]\n    input m: [free S, 4]\n    return {product}\n"
    costs = []
    for form in ('(x, m) -> Einsum("s, s d -> d")', '(x -> Rearrange("s -> 1 s")) @ m'):
        graph = archspec.read_text(text.format(product=form))
        costs.append([archspec.cost(at_sizes(graph, {"S": size})).total.macs for size in (1, 2, 7)])
        assert formula(graph, lambda made: archspec.cost(made).total.macs) == "4 * S"
    assert costs[0] == costs[1] == [4, 8, 28]
