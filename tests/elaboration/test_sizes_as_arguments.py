"""Free sizes as arguments: where slices begin and end, how much is padded, how far is rolled; against PyTorch at many sizes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import archspec
from archspec.graph import Graph
from archspec.ground.errors import SpecError

Given = dict[str, Tensor]

BLOCK = """
block Shifted:
    input x: [N, D]
    weight table: [60, D] = normal
    return x + table[N - 1:2 * N - 1]
"""
MODEL = """
model Net:
    input x: [free T, 8]
    weight table: [20, 8] = normal
"""
CASES: dict[str, tuple[str, list[int], Callable[[Tensor, Given], Tensor]]] = {
    "a table that is longer": (
        "require T <= 20\n    return x + table[:T]",
        [1, 5, 20],
        lambda x, w: x + w["table"][: x.shape[1]],
    ),
    "the end of a table": (
        "require T <= 20\n    return x + table[-T:]",
        [1, 5, 20],
        lambda x, w: x + w["table"][-x.shape[1] :],
    ),
    "halves": (
        "require T >= 2\n    return x[:T // 2] + x[-(T // 2):]",
        [2, 5, 9],
        lambda x, w: x[:, : x.shape[1] // 2] + x[:, -(x.shape[1] // 2) :],
    ),
    "from the middle": (
        "require T >= 2\n    return x[T // 2:, 1:]",
        [2, 5, 8],
        lambda x, w: x[:, x.shape[1] // 2 :, 1:],
    ),
    "every second of a half": (
        "require T >= 4\n    return x[T // 4:T // 2:2]",
        [4, 9, 17],
        lambda x, w: x[:, x.shape[1] // 4 : x.shape[1] // 2 : 2],
    ),
    "in blocks, at sizes of their own": (
        "require T <= 15\n    return (concat(x, x) -> a: Shifted -> b: Shifted)[1:]",
        [1, 8, 15],
        lambda x, w: (
            torch.cat([x, x], 1)
            + sum(w[f"{name}.table"][2 * x.shape[1] - 1 : 4 * x.shape[1] - 1] for name in "ab")
        )[:, 1:],
    ),
    "padded to a multiple": (
        "return x -> Pad([[0, -T % 4], [0, 0]])",
        [1, 5, 8],
        lambda x, w: functional.pad(x, (0, 0, 0, -x.shape[1] % 4)),
    ),
    "windows, and back": (
        'y = x -> Pad([[0, -T % 4], [0, 0]]) -> Rearrange("(w n) d -> w n d", n=4)\n'
        '    return ((y -> Rearrange("w n d -> (w n) d")) -> Scale(2.0))[:T]',
        [1, 5, 8],
        lambda x, w: 2 * x,
    ),
    "a constant, padded to as many": (
        "constant start: [1, 8] = 3\n    return x + (start -> Pad([[0, T - 1], [0, 0]]))",
        [1, 5, 8],
        lambda x, w: x + functional.pad(torch.full((1, 8), 3.0), (0, 0, 0, x.shape[1] - 1)),
    ),
    "rolled by half": (
        "return x -> Roll([T // 2], [0])",
        [1, 5, 8],
        lambda x, w: torch.roll(x, x.shape[1] // 2, 1),
    ),
}


def read(lines: str) -> Graph:
    return archspec.read_text(BLOCK + MODEL + f"    {lines}\n")


@pytest.mark.filterwarnings("ignore::archspec.SpecWarning")
@pytest.mark.parametrize("case", CASES)
def test_the_size_of_the_moment_counts(case: str) -> None:
    lines, sizes, wanted = CASES[case]
    graph = read(lines)
    assert Graph.from_json(graph.to_json()) == graph
    for net in (
        archspec.load(graph, seed=0).eval(),
        archspec.load(graph, seed=0, optimize="inference").eval(),
    ):
        for size in sizes:
            x = torch.randn(2, size, 8, generator=torch.Generator().manual_seed(size))
            found = net(x)
            assert torch.allclose(found, wanted(x, dict(net.state_dict())), atol=1e-6)
            assert found.shape[1:] == tuple(
                n if isinstance(n, int) else n.substitute({next(iter(n.names)): inner(graph, size)})
                for n in graph.outputs[0].type.shape
            )
    archspec.cost(archspec.read_text(BLOCK + MODEL + f"    {lines}\n", settings={"T": sizes[-1]}))


def inner(graph: Graph, size: int) -> int:
    """What the name in shapes stands for."""
    (accepted,) = graph.accepts
    return size // accepted.multiple - accepted.before


@pytest.mark.filterwarnings("ignore::archspec.SpecWarning")
@pytest.mark.parametrize(
    "case", [case for case in CASES if case not in ("windows, and back", "every second of a half")]
)
def test_it_is_exported_at_any_size(case: str) -> None:
    lines, sizes, _ = CASES[case]
    graph = read(lines)
    net = archspec.load(graph, seed=0).eval()
    x = torch.randn(2, sizes[-1], 8)
    program = torch.export.export(net, (x,), dynamic_shapes=archspec.dynamic_shapes(graph)).module()
    for size in sizes[1:]:
        x = torch.randn(3, size, 8)
        assert torch.allclose(program(x), net(x))


@pytest.mark.parametrize(
    ("lines", "message", "help"),
    [
        ("return x + table[:T]", "beyond an axis of size 20 where T is", "require T <= 20"),
        ("return x[:T - 5]", "`T - 5 >= 0` depends", "require T >= 5"),
        ("return x[T:]", "the slice of an axis of size T is empty", ""),
        ("return x[:T + 1]", "the slice goes beyond an axis of size T", ""),
        ("return x -> Pad([[T - 5, 0], [0, 0]])", "cannot pad by T - 5, which is below 0", "require T >= 5"),
        ('return x -> Pad([[T, 0]], mode="reflect")', "pads by numbers, but T is free", ""),
        ('return x -> Pad([["T", 0]])', "takes sizes, not the string", "without quotes: T"),
    ],
)
def test_what_may_not_fit_is_refused(lines: str, message: str, help: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(lines)
    (problem,) = caught.value.problems
    assert message in problem.message and help in problem.help and problem.span is not None


def test_a_size_that_no_tensor_at_hand_shows_is_refused() -> None:
    text = """
block Inner:
    input z: [N, D]
    return z[:N // 2]

model Net:
    input x: [free T, 8]
    require T >= 4
    return x[::2] -> Inner
"""
    with pytest.raises(SpecError, match=r"no axis of .*8\] shows how much T_1_3 is"):
        archspec.read_text(text)
    graph = archspec.read_text(text.replace("x[::2] -> Inner", "x -> Inner"))
    assert archspec.load(graph)(torch.randn(1, 9, 8)).shape == (1, 4, 8)
