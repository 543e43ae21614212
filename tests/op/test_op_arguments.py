"""Arguments of ops: whatever a spec gives them either is refused when it is read, or runs as inferred."""

import math
import random
import re

import pytest
import torch

import archspec
from archspec import SpecError
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import empty
from archspec.graph import Graph
from archspec.ground.tensor import torch_name
from archspec.op import Op

TYPE = r"(\w+)\[([^\]]*)\]"
HOSTILE = [
    "0", "-1", "1", "7", "2**31", "2**31 - 1", "2**62", "2**63 - 1", "2**63", "10**20", "-(10**20)", "0.0", "0.5",
    "-0.5", "1e-320", "1e20", "1e308", "-1e308", "none", "true", '"a"', "[]", "[[]]", "[1]", "[0]", "[-1]", "[1, 2]",
    "[2, 1, 3]", "[1, 1, 1, 1]", "[[1, 2], [3, 4]]", "[10**20, 10**20]", "[2**40, 2**40]", "[none]", "[0.5]",
    "[1e308, 1e308]", "[true, true]", "normal", "constant(1e300)", "constant", "ReLU", "()", "(1,)", "[[9, -9]]",
    "[[10**20, -(10**20)], [2**62, 2**62]]",
]  # fmt: skip
CASES = [
    (example, name)
    for op in sorted(Op.names())
    for example in Op.known[op].examples
    for name in Op.known[op].model_fields
]


def spec(example: str, name: str, value: str, real: str) -> str:
    """The op of an example on its inputs, with one argument changed, and real numbers kept as `real`."""
    given, call, *_ = example.split(" -> ")

    def shown(dtype: str, sizes: str) -> str:
        return f"{real if dtype == 'f32' else dtype}[{sizes}]"

    inputs = [f"x{i}: {shown(*found)}" for i, found in enumerate(re.findall(TYPE, given))]
    taken = f"({', '.join(f'x{i}' for i in range(len(inputs)))},)"

    def option(match: re.Match[str]) -> str:
        inputs.append(f"{match[1]}: {shown(match[2], match[3])}")
        return f"{match[1]}={match[1]}"

    call = re.sub(rf"(\w+)={TYPE}", option, call)
    lines = [*(f"input {line}" for line in inputs), f"op = {call}", f"return {taken} -> op({name}={value})"]
    return "model Example:\n" + "".join(f"    {line}\n" for line in lines)


def runs_as_inferred(graph: Graph, device: str) -> None:
    module = lower(graph, lambda g: empty(g, "meta")) if device == "meta" else archspec.load(graph)
    inputs = [
        (torch.ones if given.type.floating else torch.zeros)(
            (2, *given.type.shape), dtype=getattr(torch, torch_name(given.type.dtype)), device=device
        )
        for given in graph.inputs
    ]
    found = module.eval()(*inputs)
    for tensor, output in zip(found if isinstance(found, tuple) else (found,), graph.outputs, strict=True):
        assert tensor.shape == ((2,) if output.type.batched else ()) + output.type.shape
        assert tensor.dtype == getattr(torch, torch_name(output.type.dtype))


def try_argument(example: str, name: str, value: str, real: str) -> bool:
    """Whether the spec is right; if it is, it runs, is counted, drawn and kept."""
    try:
        graph = archspec.read_text(spec(example, name, value, real))
    except SpecError as error:
        assert all(problem.span is not None for problem in error.problems)
        return False
    runs_as_inferred(graph, "meta")
    weights = sum(math.prod(weight.shape) for weight in graph.weights.values())
    if weights + sum(type_.values for type_ in graph.types.values()) < 100_000 and not any(
        "size=" in str(node.op) for node in graph.nodes
    ):
        runs_as_inferred(graph, "cpu")
    archspec.cost(graph).figures()
    assert archspec.draw(graph, "full").dot
    assert Graph.from_json(graph.to_json()) == graph
    return True


@pytest.mark.slow
@pytest.mark.parametrize("op", sorted({case[0].split(" -> ")[1].partition("(")[0] for case in CASES}))
def test_any_argument_is_refused_or_runs(op: str) -> None:
    cases = [
        (example, name, value, real)
        for example, name in CASES
        if example.split(" -> ")[1].partition("(")[0] == op
        for value in HOSTILE
        for real in ("f32", "f16", "f64")
    ]
    draw = random.Random(op)
    for case in draw.sample(cases, min(len(cases), 60)):
        try_argument(*case)


@pytest.mark.parametrize(
    ("example", "name", "value"),
    [
        ("f32[3, 8, 8] -> Conv(4, 3) -> f32[4, 8, 8]", "stride", "10**20"),
        ("f32[3, 8, 8] -> Conv(4, 1) -> f32[4, 8, 8]", "dilation", "10**20"),
        ("f32[3, 8, 8] -> AvgPool(2) -> f32[3, 4, 4]", "stride", "2**31"),
        ("f32[5] -> Roll([1], [0]) -> f32[5]", "shift", "[10**20]"),
        ("f32[3, 8, 8] -> Upsample(scale=2) -> f32[3, 16, 16]", "scale", "()"),
        ("f32[3, 8, 8] -> Upsample(scale=2) -> f32[3, 16, 16]", "scale", "1e308"),
        ("f32[5] -> Scale(2) -> f32[5]", "factor", "10**20"),
        ("f32[5] -> Scale(2) -> f32[5]", "factor", "1e300"),
        ("i32[5] -> Scale(2) -> i32[5]", "offset", "3_000_000_000"),
        ("f32[3, 8] -> Pad(1) -> f32[3, 10]", "value", "1e308"),
        ("f32[3, 8] -> BatchNorm -> f32[3, 8]", "eps", "1e308"),
    ],
)
def test_what_pytorch_does_not_take_is_refused(example: str, name: str, value: str) -> None:
    assert not try_argument(example, name, value, "f32")


@pytest.mark.parametrize("name", ["f16", "bf16"])
def test_local_response_norm_runs_in_half_precision(name: str) -> None:
    graph = archspec.read_text(
        f"model Net:\n    input x: {name}[8, 5, 5]\n    return x -> LocalResponseNorm(5, alpha=2.0)\n"
    )
    x = torch.randn(2, 8, 5, 5) * 300  # whose squares are more than half precision holds
    found = archspec.load(graph)(x.to(getattr(torch, torch_name(graph.inputs[0].type.dtype))))
    wide = torch.nn.functional.local_response_norm(x.to(found.dtype).float(), 5, 2.0)
    assert torch.equal(found, wide.to(found.dtype))
    assert torch.nn.LocalResponseNorm in [type(m).__mro__[1] for m in archspec.load(graph).modules()]
