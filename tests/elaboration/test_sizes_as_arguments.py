"""Free sizes as arguments: where slices begin and end, how much is padded, how far is rolled; against PyTorch at many sizes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import archspec
from archspec.elaboration import elaborate, module_from_text
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


ATTENTION = """
block Attend(heads: int):
    input x: [C, H, W]
    t = x -> Rearrange("c h w -> (h w) c")
    q, k, v = t -> qkv: Linear(3 * C) -> Rearrange("n (three h d) -> three h n d", three=3, h=heads) -> Split(3)
    y = (q[0], k[0], v[0]) -> Attention -> Rearrange("h n d -> n (h d)") -> proj: Linear(C)
    image = y -> Rearrange("(h w) c -> c h w", h=H, w=W)
    return x + image + (y -> Permute([1, 0]) -> Reshape([C, H, W]))

model Net:
    input image: [3, {H}, {W}]
    x = image -> stem: Conv(8, 3, stride=2)
    return x -> a: Attend(2) -> b: Attend(2) -> GlobalAvgPool
"""


def test_tokens_become_an_image_again_at_any_size() -> None:
    graph = archspec.read_text(ATTENTION.format(H="free H", W="free W"))
    assert Graph.from_json(graph.to_json()) == graph
    net = archspec.load(graph, seed=0).eval()
    torch._dynamo.reset()  # which compiles a code only so many times
    compiled = torch.compile(net, dynamic=True, fullgraph=True, backend="aot_eager")
    for height, width in ((8, 8), (9, 13), (16, 10)):
        fixed = archspec.load(archspec.read_text(ATTENTION.format(H=height, W=width)), seed=0).eval()
        x = torch.randn(2, 3, height, width)
        assert torch.equal(net(x), fixed(x))
        assert torch.allclose(compiled(x), fixed(x), atol=1e-5)
    assert net(torch.randn(0, 3, 8, 6)).shape == (0, 8)


@pytest.mark.parametrize("case", CASES)
def test_it_runs_compiled_at_any_size(case: str) -> None:
    lines, sizes, _ = CASES[case]
    net = archspec.load(read(lines), seed=0).eval()
    torch._dynamo.reset()
    compiled = torch.compile(net, dynamic=True, fullgraph=True, backend="eager")
    for size in sizes:
        x = torch.randn(2, size, 8)
        assert torch.equal(compiled(x), net(x))


OWN_SIZES = (
    (32, "if x.shape[1] == 32:"),
    (32, "if x.shape[1] in [16, 32]:"),
    (32, "if x.shape[1] != 16:"),
    (31, "if x.shape[1] % 2 == 1:"),
    (32, "if x.shape[1] >= 64:"),
    (32, 'if "{x.shape[1]}" == "32":'),
    (32, "if str(x.shape[1]) == '32':"),
    (32, "if x.shape[1] >= 16:"),
    (32, "if x.shape[1] % 4 == 0:"),
)


@pytest.mark.parametrize(("size", "question"), OWN_SIZES)
def test_a_network_read_free_is_at_its_own_size_the_one_that_its_spec_says(size: int, question: str) -> None:
    text = f"""
model Net(resolution: pair = {size}):
    input x: [3, *resolution]
    {question}
        x = x -> extra: Conv(3, 3)
    return x -> head: Conv(2)
"""
    module = module_from_text(text)
    fixed = elaborate(module)
    try:
        free = elaborate(module, free=())
    except SpecError as error:
        assert question not in ("if x.shape[1] >= 16:", "if x.shape[1] % 4 == 0:")
        assert all(problem.kind == "free" for problem in error.problems)
    else:
        assert free.weights == fixed.weights
        assert all(assumed.meets(size) for assumed in free.accepts)
