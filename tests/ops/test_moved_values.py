"""Ops that move, order, place and measure values compute what NumPy and closed forms say."""

import numpy as np
import pytest
import torch

import archspec
from archspec import SpecError


def run(body: str, *tensors: torch.Tensor, **settings: object) -> torch.Tensor:
    """What an expression of `x: [4, 6]`, `y: [4, 6]` and `t: i64[4, 6]` gives."""
    head = "model Net:\n    input x: [4, 6]\n    input y: [4, 6]\n    input t: i64[4, 6]\n    return "
    net = archspec.load(archspec.read_text(head + body + "\n"), **settings)
    result: torch.Tensor = net(*tensors)
    return result


@pytest.fixture
def tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two batches of real numbers and one of indices below 6."""
    torch.manual_seed(0)
    return torch.randn(3, 4, 6), torch.randn(3, 4, 6), torch.randint(6, (3, 4, 6))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x -> ArgMax(axis=0)", lambda x, y, t: x.argmax(1)),
        ("x -> ArgMin(keep=true)", lambda x, y, t: x.argmin(2)[:, :, None]),
        ("(x -> TopK(3))[0]", lambda x, y, t: -np.sort(-x, axis=2)[:, :, :3]),
        ("(x -> TopK(2, largest=false))[1]", lambda x, y, t: np.argsort(x, axis=2)[:, :, :2]),
        ("(x -> Sort(axis=0, descending=true))[0]", lambda x, y, t: -np.sort(-x, axis=1)),
        ("(x, (x -> Sort)[1]) -> TakeAlong", lambda x, y, t: np.sort(x, axis=2)),
        ("x -> CumSum(axis=0)", lambda x, y, t: x.cumsum(1)),
        ("x > 0 -> CumSum", lambda x, y, t: (x > 0).cumsum(2)),
        ("x[:1] -> Expand([5, -1])", lambda x, y, t: np.repeat(x[:, :1], 5, axis=1)),
        ("x -> Expand([2, 4, 6])", lambda x, y, t: np.stack([x, x], 1)),
        ("x[:, :1] -> Expand(like=y)", lambda x, y, t: np.repeat(x[:, :, :1], 6, axis=2)),
        ("x[0] -> Expand(like=y)", lambda x, y, t: np.repeat(x[:, :1], 4, axis=1)),
        ("(x -> TopK(4, axis=0, largest=false))[1]", lambda x, y, t: np.argsort(x, axis=1)),
        ("x -> Ceil", lambda x, y, t: np.ceil(x)),
        ("x -> Flip([0, -1])", lambda x, y, t: x[:, ::-1, ::-1]),
        ("t -> OneHot(6)", lambda x, y, t: np.eye(6, dtype=int)[t]),
        ('x -> Cast("i64")', lambda x, y, t: np.trunc(x).astype(int)),
        ('t -> Cast("bool")', lambda x, y, t: t != 0),
        ("t // 4", lambda x, y, t: t // 4),
        ("(t - 3) % 4", lambda x, y, t: (t - 3) % 4),
        ("x // y", lambda x, y, t: np.floor(x / y)),
        ("x % 0.7", lambda x, y, t: x % 0.7),
        ("x -> Norm(0)", lambda x, y, t: np.linalg.norm(x, axis=1)),
        ("x -> Normalize", lambda x, y, t: x / np.linalg.norm(x, axis=2, keepdims=True)),
        ("x -> RMSNorm(eps=1e-5)", lambda x, y, t: x / np.sqrt((x**2).mean(2, keepdims=True) + 1e-5)),
        ("x -> RMSNorm(eps=0.1, axis=0)", lambda x, y, t: x / np.sqrt((x**2).mean(1, keepdims=True) + 0.1)),
        (
            "x -> RMSNorm(init=constant(3.0))",
            lambda x, y, t: 3 * torch.nn.RMSNorm(6)(torch.tensor(x)).detach(),
        ),
        ("x -> Erf", lambda x, y, t: torch.tensor(x).erf()),
        ("x -> Round", lambda x, y, t: np.round(x)),
        ("x -> Sign", lambda x, y, t: np.sign(x)),
        ("x -> Clamp(-0.5, 0.25)", lambda x, y, t: np.clip(x, -0.5, 0.25)),
        ("x -> Minimum(0.1)", lambda x, y, t: np.minimum(x, 0.1)),
        ("(x < y, x) -> Where(other=7)", lambda x, y, t: np.where(x < y, x, 7)),
    ],
)
def test_values(body: str, expected: object, tensors: tuple[torch.Tensor, ...]) -> None:
    found = run(body, *tensors)
    wanted = expected(*(x.numpy() for x in tensors))  # type: ignore[operator]
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("how", ["sum", "mean", "max", "min"])
def test_scatter_is_a_loop(how: str, tensors: tuple[torch.Tensor, ...]) -> None:
    x, _, t = tensors
    found = run(f'(x, t) -> Scatter(8, how="{how}")', *tensors)
    combine = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}[how]
    for sample, row, place in np.ndindex(3, 4, 8):
        met = x[sample, row][t[sample, row] == place].numpy()
        assert found[sample, row, place].item() == pytest.approx(combine(met) if met.size else 0.0, rel=1e-5)


def test_noise_is_repeatable_and_differs_from_sample_to_sample(tensors: tuple[torch.Tensor, ...]) -> None:
    big = [x.new_zeros(500, 4, 6) for x in tensors]
    torch.manual_seed(1)
    first = run("x -> Noise", *big)
    torch.manual_seed(1)
    assert torch.equal(first, run("x -> Noise", *big))
    assert abs(first.mean()) < 0.05 and abs(first.std() - 1) < 0.05
    assert not torch.equal(first[0], first[1])
    even = run('x -> Noise("uniform")', *big)
    assert even.min() >= 0 and even.max() < 1 and abs(even.mean() - 0.5) < 0.02


def test_nothing_flows_back_through_detach(tensors: tuple[torch.Tensor, ...]) -> None:
    x, y, t = tensors
    x.requires_grad_()
    run("(x -> Detach) * x", x, y, t).sum().backward()
    assert torch.equal(x.grad, x.detach())


def test_what_comes_before_detach_is_not_kept_and_trains_nothing() -> None:
    text = "model Net:\n    input x: [4, 5]\n    return x -> Linear(5) -> {} -> Sigmoid -> Tanh\n"
    for op in ("Detach", "Noise"):
        graph = archspec.read_text(text.format(op))
        assert archspec.cost(graph).figures()["saved_memory"] == 4 * 5 * 4  # the input of Linear alone
    graph = archspec.read_text(
        "model Net:\n    input x: [4, 5]\n    return (x -> Linear(5)) > 0 -> Scale(2.0) -> Exp\n"
    )
    assert archspec.cost(graph).figures()["saved_memory"] == 4 * 5 * 4


def test_a_straight_through_estimator(tensors: tuple[torch.Tensor, ...]) -> None:
    x, y, t = tensors
    x.requires_grad_()
    out = run("x + (((x -> Round) - x) -> Detach)", x, y, t)
    torch.testing.assert_close(out, x.round())
    assert torch.equal(torch.autograd.grad(out.sum(), x)[0], torch.ones_like(x))


def test_a_weight_is_expanded_over_the_samples(tensors: tuple[torch.Tensor, ...]) -> None:
    text = "model Net:\n    input x: [free N, 6]\n    weight token: [6] = normal\n    return token -> Expand(like=x)\n"
    net = archspec.load(archspec.read_text(text), seed=0)
    for x in (tensors[0], tensors[1][:2, :3]):
        assert torch.equal(net(x), net.token.expand_as(x))


def test_tokens_go_to_their_experts_and_back(tensors: tuple[torch.Tensor, ...]) -> None:
    """The shares of the best 2 of 6 experts, by Scatter and by one-hot rows, and the sum of each expert's tokens."""
    x, y, _ = tensors
    text = """
model Net:
    input x: [4, 6]
    input y: [4, 6]
    scores, chosen = x -> TopK(2)
    gates = scores -> Softmax
    shares = (gates, chosen) -> Scatter(6)
    same = (chosen -> OneHot(6)) * (gates -> Reshape([4, 2, 1])) -> Reduce("sum", 1)
    rows = (y, (x -> ArgMax -> Reshape([4, 1]) -> Expand([-1, 6]))) -> Scatter(6, axis=0)
    return shares, same, rows
"""
    shares, same, rows = archspec.load(archspec.read_text(text))(x, y)
    scores, chosen = x.topk(2)
    wanted = torch.zeros_like(x).scatter(-1, chosen, scores.softmax(-1))
    torch.testing.assert_close(shares, wanted)
    torch.testing.assert_close(same, wanted)
    for sample, found in enumerate(rows):
        by_hand = torch.zeros(6, 6).index_add(0, x[sample].argmax(-1), y[sample])
        torch.testing.assert_close(found, by_hand)


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64"])
def test_a_cast_makes_an_island(dtype: str) -> None:
    net = archspec.load(
        archspec.read_text(
            "model Net:\n    input x: [4, 8]\n    q = x -> q: Linear(8)\n"
            '    weights = q @ (q -> Permute([1, 0])) -> Cast("f32") -> Softmax\n'
            '    return weights @ q, weights, q -> Cast("i64"), q -> Cast("bf16")\n'
        ),
        dtype=dtype,
        seed=0,
    )
    own = net.q.weight.dtype
    wide = torch.promote_types(own, torch.float32)  # `q` is brought to it, where it meets the weights
    x = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0)).to(own)
    mixed, weights, whole, narrow = net(x)
    q = net.q(x)
    expected = (q @ q.mT).to(wide).softmax(-1)
    assert weights.dtype == wide and torch.equal(weights, expected)
    assert mixed.dtype == wide and torch.equal(mixed, expected @ q.to(wide))
    assert whole.dtype == torch.int64 and narrow.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("x -> TopK(7)", "there are no 7 values along an axis of 6"),
        ("(x, y) -> TakeAlong", "takes an index of i64"),
        ("x -> Expand([4, 12])", "only an axis of size 1 can be repeated"),
        ('x -> Cast("f31")', "dtype"),
        ("x % 0", "division by zero"),
        ("x -> Clamp", "needs `min`, `max` or both"),
        ("x -> Clamp(1, 0)", "above `max`"),
        ("(x, y) -> Where", "Where takes"),
        ("(x, y, t) -> Where", "truth values"),
        ("x -> Not", "truth values"),
        ("(x, y) -> Maximum(1)", "one tensor beside 1"),
        ("x -> Maximum", "two tensors"),
        ("t -> Norm", "real numbers"),
        ("t -> Noise", "real numbers"),
        ("x -> Expand", "either a shape or a tensor"),
        ("x -> Expand([4, 6], like=y)", "either a shape or a tensor"),
        ("x -> Expand(like=y[0])", "cannot expand"),
        ("x -> Expand(like=y[:, :5])", "only an axis of size 1 can be repeated"),
        ("5 % x", "not defined between"),
        ("x -> OneHot(3)", "indices"),
        ("x -> Flip([0, 0])", "no axis twice"),
    ],
)
def test_what_does_not_fit_is_refused(body: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        run(body)
