"""Comparisons with tensors are steps that give truth values, or are refused: none is silently false."""

from itertools import product

import pytest
import torch

import archspec
from archspec import SpecError


def run(expression: str, *tensors: torch.Tensor) -> torch.Tensor:
    """What an expression of `x: [2, 3]` and `t: i64[2, 3]` gives."""
    net = archspec.load(
        archspec.read_text(
            f"model Net:\n    input x: [2, 3]\n    input t: i64[2, 3]\n    return {expression}\n"
        )
    )
    result: torch.Tensor = net(*tensors)
    return result


@pytest.mark.parametrize(
    ("sign", "other"), product(("==", "!=", "<", "<=", ">", ">="), ("x", "t", "1", "0.5", "-1", "x.shape[1]"))
)
def test_each_is_torchs(sign: str, other: str) -> None:
    x, t = torch.randint(-2, 3, (5, 2, 3)).float(), torch.randint(-2, 3, (5, 2, 3))
    names = {"x": x, "t": t, "1": 1, "0.5": 0.5, "-1": -1, "x.shape[1]": 3}
    functions = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
    expected = getattr(torch, functions[sign])
    assert torch.equal(run(f"x {sign} {other}", x, t), expected(x, names[other]))
    if not isinstance(names[other], torch.Tensor):
        mirrored = getattr(torch, functions[sign])(torch.as_tensor(names[other]), x)
        assert torch.equal(run(f"{other} {sign} x", x, t), mirrored)


def test_chains_and_logic_are_torchs() -> None:
    x, t = torch.randn(5, 2, 3), torch.randint(-2, 3, (5, 2, 3))
    assert torch.equal(run("-1 < x <= t < 2", x, t), (x > -1) & (x <= t) & (t < 2))
    assert torch.equal(run("not x > 0 and t != 1 or x > t", x, t), ((x <= 0) & (t != 1)) | (x > t))
    assert torch.equal(run("(x > 0, x, -x) -> Where", x, t), x.abs())
    assert torch.equal(run("(t == 1, x) -> Where(then=0.5)", x, t), torch.where(t == 1, 0.5, x))
    assert torch.equal(run("t > 0 -> Where(then=2, other=-1)", x, t), torch.where(t > 0, 2, -1))


@pytest.mark.parametrize(
    "wrong",
    [
        "x if x > 0 else t",
        "x in [x]",
        "x if x not in [1, 2] else t",
        "x == true",
        "x > false",
        'x == "one"',
        "x == [1, 2]",
        "x < ReLU",
        "true and x > 0",
        "x > 0 and true",
        "1 < 2 < x",
        "x > 0 > none",
        "[y for y in [x] if y > 0][0]",
        "x if [x] == [x] else t",
        "x if (x, 1) != (t, 1) else t",
        "not x",
        "x and t",
    ],
)
def test_what_cannot_be_decided_is_refused(wrong: str) -> None:
    with pytest.raises(SpecError) as caught:
        run(wrong)
    assert caught.value.problems[0].kind in ("type", "dtype")


def test_none_is_no_value() -> None:
    net = archspec.read_text(
        "block B(mask = none):\n    input x: [3]\n    if mask != none and not (none == mask):\n"
        "        return x * (mask -> Where(then=1.0, other=0.0))\n    return x if mask == none else -x\n"
        "model Net:\n    input x: [3]\n    return x -> B(mask=x > 0) -> B\n"
    )
    assert [type(node.op).__name__ for node in net.nodes] == ["Greater", "Where", "Mul"]


@pytest.mark.parametrize("body", ["a + b", "sum([a, b])", "sum([a, b, t])", "(t, a, b) -> Add"])
def test_truth_values_are_counted_only_as_numbers(body: str) -> None:
    """PyTorch's sum of two that are true is true."""
    head = "model Net:\n    input x: [3]\n    input t: i64[3]\n    a, b = x > 0, x > 1\n    return "
    with pytest.raises(SpecError, match="a sum of truth values would be a truth value"):
        archspec.read_text(f"{head}{body}\n")
    counted = archspec.read_text(head + '(a -> Cast("i64")) + b + t\n')
    x, t = torch.tensor([[-1.0, 0.5, 2.0]]), torch.tensor([[5, 5, 5]])
    assert archspec.load(counted)(x, t).tolist() == [[5, 6, 7]]


@pytest.mark.parametrize(
    "body",
    [
        "n == -1", "n > -1", "n < 256", "n - 1", "-n", "n -> Clamp(-1, 7)", "n -> Maximum(-1)", "n // 256",
        "(n > 3, n) -> Where(other=-1)", "n ** 2 % 300",
    ],
)  # fmt: skip
def test_a_number_that_a_dtype_cannot_hold_is_refused(body: str) -> None:
    """PyTorch wraps it around: u8 values of 255 would be equal to -1."""
    with pytest.raises(SpecError, match=r"u8 cannot hold -?\d+: its range is 0 to 255"):
        archspec.read_text(f"model Net:\n    input n: u8[3]\n    return {body}\n")


@pytest.mark.parametrize("name", ["f16", "bf16", "f32", "f64"])
def test_numbers_are_selected_in_the_dtype_of_the_module(name: str) -> None:
    text = "model Net:\n    input x: [3]\n    return (x > 0 -> Where(then=1.5, other=-2)) * x\n"
    net = archspec.load(archspec.read_text(text), dtype=name)
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64}[name]
    x = torch.tensor([[-1.0, 0.5, 2.0]], dtype=dtype)
    assert torch.equal(net(x), torch.tensor([[2.0, 0.75, 3.0]], dtype=dtype))


@pytest.mark.parametrize(
    "body", ["x if [x] == [x] else t", "x if 3 in [x, 3] else t", "x if (x, 1) != (2, 1) else t"]
)
def test_lists_of_tensors_are_not_compared(body: str) -> None:
    with pytest.raises(SpecError, match="the values of a tensor are not known when a spec is read"):
        run(body)


@pytest.mark.parametrize("name", ["abs", "round", "floor", "ceil", "sqrt", "log", "exp", "sin", "cos"])
def test_a_function_of_numbers_names_the_op_of_tensors(name: str) -> None:
    x, t = torch.rand(5, 2, 3), torch.zeros(5, 2, 3, dtype=torch.int64)
    with pytest.raises(SpecError) as caught:
        run(f"{name}(x)", x, t)
    (problem,) = caught.value.problems
    assert problem.help == f"`x -> {name.capitalize()}` computes it of each value of a tensor"
    assert torch.equal(run(f"x -> {name.capitalize()}", x, t), getattr(torch, name)(x))
