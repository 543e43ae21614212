"""First values: what a spec says of them either is refused when it is read, or loads and holds."""

import math
import re

import pytest
import torch
from examples import EXAMPLES
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import archspec
from archspec import SpecError
from archspec.api import parse_value
from archspec.ground.tensor import dtype, limits, torch_name
from archspec.op import Op
from archspec.op.initialisation import constant
from archspec.testing import graph_of, layer

DTYPES = ("f16", "bf16", "f32", "f64", "i8", "u8", "i16", "i32", "i64", "bool")
NASTY = ["0", "1", "-1", "2", "0.5", "-0.0", "1e-30", "1e5", "1e10", "1e38", "1e200", "1e308", "5e-324"]
NASTY += ["-1e308", "10**20", "300", "2**31", "2**63", "2**64", "true", "none", '"a"', "[]", "[1]", "zeros"]
NUMBER = st.sampled_from(NASTY) | st.floats(-4, 4).map(str) | st.integers(-3, 3).map(str)
MODE = st.sampled_from(['"fan_in"', '"fan_out"', '"fan"'])


def called(name: str, *arguments: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A call with so many arguments or fewer."""
    return st.integers(0, len(arguments)).flatmap(
        lambda n: st.tuples(*arguments[:n]).map(
            lambda given: f"{name}({', '.join(given)})" if given else name
        )
    )


def lists(shape: tuple[int, ...]) -> st.SearchStrategy[str]:
    if not shape:
        return NUMBER
    return st.lists(lists(shape[1:]), min_size=shape[0], max_size=shape[0]).map(lambda x: f"[{', '.join(x)}]")


def initialisations(shape: tuple[int, ...]) -> st.SearchStrategy[str]:
    plain = st.one_of(
        st.sampled_from(["zeros", "ones"]),
        NUMBER,
        lists(shape),
        called("constant", NUMBER),
        called("uniform", NUMBER, NUMBER),
        called("normal", NUMBER, NUMBER),
        called("trunc_normal", NUMBER, NUMBER, NUMBER, NUMBER),
        called("kaiming_uniform", NUMBER, MODE),
        called("kaiming_normal", NUMBER, MODE),
        called("xavier_uniform", NUMBER),
        called("xavier_normal", NUMBER),
        called("identity", NUMBER, NUMBER),
        lists(shape).map(lambda x: f"values({x})"),
        st.tuples(*(lists((n,)) for n in shape)).map(lambda parts: f"outer_sum([{', '.join(parts)}])"),
    )
    return plain | st.tuples(plain, NUMBER).map(lambda x: f"zero_row({x[0]}, {x[1]})")


SHAPES = st.sampled_from([(), (1,), (3,), (2, 2), (4, 2), (2, 2, 3), (2, 4, 1, 3)])
CASES = SHAPES.flatmap(lambda shape: st.tuples(st.just(shape), initialisations(shape)))


def spec(kind: str, name: str, shape: tuple[int, ...], initialisation: str) -> str:
    given = f"{kind} w: {name}[{', '.join(map(str, shape))}] = {initialisation}"
    return f"model Net:\n    input x: [4]\n    {given}\n    return x, w\n"


@pytest.mark.slow
@settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(CASES, st.sampled_from(DTYPES), st.sampled_from(["weight", "buffer", "constant"]))
@example(((2, 2), "trunc_normal(0)"), "f32", "weight")
@example(((2, 2), "trunc_normal(1, mean=0, low=3, high=2)"), "f32", "weight")
@example(((2, 2), "uniform(1, 0)"), "f32", "weight")
@example(((2, 2), "uniform(0, 1e308)"), "f32", "weight")
@example(((2, 2), "uniform(-2e38, 2e38)"), "f32", "weight")
@example(((2, 2), "constant(1e308)"), "f32", "weight")
@example(((2, 2), "constant(10**20)"), "f32", "weight")
@example(((2, 2), "kaiming_normal(a=1e200)"), "f32", "weight")
@example(((2, 2), "xavier_normal(gain=-1)"), "f32", "weight")
@example(((2, 2), "xavier_uniform(-1)"), "f32", "weight")
@example(((2, 2), "normal"), "i64", "buffer")
@example(((2, 2), "1e10"), "f16", "weight")
@example(((2, 2), "outer_sum([[2**62, 2**62], [2**62, 2**62]])"), "f32", "weight")
def test_what_is_read_loads(case: tuple[tuple[int, ...], str], name: str, kind: str) -> None:
    shape, initialisation = case
    try:
        graph = archspec.read_text(spec(kind, name, shape, initialisation))
    except SpecError as error:
        assert all(problem.span is not None for problem in error.problems)
        return
    held = archspec.load(graph, seed=1).w
    tensor = held if isinstance(held, torch.Tensor) else held.value  # a real constant is a module
    assert tensor.shape == shape
    assert tensor.dtype == getattr(torch, torch_name(dtype(name)))
    least, most = limits(dtype(name))
    for value in tensor.flatten().tolist():
        assert math.isfinite(value)
        assert least <= value <= most


@pytest.mark.parametrize("name", DTYPES)
def test_the_limits_of_dtypes_are_those_of_torch(name: str) -> None:
    of = getattr(torch, torch_name(dtype(name)))
    if name == "bool":
        assert limits("bool") == (0, 1)
        return
    info = torch.finfo(of) if of.is_floating_point else torch.iinfo(of)
    assert limits(dtype(name)) == (info.min, info.max)


@pytest.mark.parametrize(
    ("initialisation", "said"),
    [
        ("trunc_normal(0)", "`std` of trunc_normal must be more than 0"),
        ("trunc_normal(1, mean=0, low=3, high=2)", "`low` is greater than `high` in trunc_normal("),
        ("trunc_normal(0.02, mean=5)", "more than two standard deviations outside"),
        ("uniform(1, 0)", "`low` is greater than `high` in uniform("),
        ("uniform(0, 1e308)", "`w` is f32, which cannot hold"),
        ("constant(1e308)", "`w` is f32, which cannot hold"),
        ("normal(-1)", "`std` of normal must be at least 0"),
        ("normal(1e38)", "can produce such a value"),
        ("xavier_normal(gain=-1)", "`gain` of xavier_normal must be at least 0"),
        ("identity(3)", "groups of channels"),
    ],
)
def test_the_message_says_what_is_wrong(initialisation: str, said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        archspec.read_text(spec("weight", "f32", (2, 2), initialisation))


def test_an_initialisation_of_an_op_is_held_to_its_weight() -> None:
    text = "model Net:\n    input x: f16[4]\n    return x -> Linear(2, init=constant(1e6))\n"
    with pytest.raises(SpecError, match="the `weight` of Linear is f16, which cannot hold"):
        archspec.read_text(text)


@pytest.mark.parametrize(
    ("std", "mean", "low", "high"),
    [(1, 0, 1, 1e6), (1, 0, 1, 3), (1, 0, -1e-3, 2e-3), (2, 1, -2, 2), (0.1, 0, -2, 2)],
)
@pytest.mark.parametrize("name", ["f32", "f64"])
def test_truncated_normal_values_are_distributed_so(
    std: float, mean: float, low: float, high: float, name: str
) -> None:
    init = parse_value(f"trunc_normal({std}, mean={mean}, low={low}, high={high})")
    tensor = torch.empty(20_000, dtype=getattr(torch, torch_name(dtype(name))))
    init.fill(tensor, torch.Generator().manual_seed(0))
    assert tensor.min() >= low
    assert tensor.max() <= high
    normal = torch.distributions.Normal(torch.tensor(mean, dtype=torch.float64), std)
    first, last = (normal.cdf(torch.tensor(end, dtype=torch.float64)) for end in (low, high))
    shares = (normal.cdf(tensor.double()) - first) / (last - first)  # uniform, if it is so distributed
    places = (torch.arange(20_000) + 0.5) / 20_000
    assert (shares.sort().values - places).abs().max() < 1.95 / 20_000**0.5  # Kolmogorov-Smirnov, 0.1 %


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_the_arguments_that_say_how_weights_start_do(name: str, example: str) -> None:
    graph, _ = graph_of(example)
    node = layer(graph)
    for key, weight in graph.weights_of(node).items():
        argument = node.op.starts.get(key, "")
        if weight.trainable and argument in type(node.op).model_fields:
            start = constant(value=0.625)
            changed = node.op.of({**node.op.arguments, argument: start.model_dump()})
            function = graph.functions[graph.scopes[node.scope].function]
            step = function.by_name[node.step].with_changes(op=changed)
            found = {other: str(w.init) for other, w in function.ask(step, Op.weights).items()}
            as_before = {other: str(w.init) for other, w in graph.weights_of(node).items() if other != key}
            assert str(start) in found.pop(key)
            assert found == as_before
