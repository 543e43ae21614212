"""Islands: what a Cast makes of values in a module of another dtype, against the same written by hand in PyTorch."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

import archspec

HALF = torch.bfloat16
DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32, "f64": torch.float64}


def net(*lines: str, given: str = "input x: [4, 8]", **settings: Any) -> Any:
    text = ["model Net:", f"    {given}", *(f"    {line}" for line in lines), ""]
    return archspec.load(archspec.read_text("\n".join(text)), seed=0, **settings)


def batch(dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0)).to(dtype)


ATTENTION = (
    "weight bias: [4, 4] = normal",
    "q, k, v = x -> qkv: Linear(24) -> Split(3, axis=-1)",
    'scores = q @ (k -> Permute([1, 0])) -> Cast("f32")',
    "shares = scores * 0.5 + bias -> Softmax -> Cast(like=v)",
    "return shares @ v -> out: Linear(8)",
)


def attention(module: nn.Module, x: torch.Tensor, wide: torch.dtype) -> torch.Tensor:
    """As a careful author of a module in half precision writes it."""
    q, k, v = module.qkv(x).chunk(3, -1)
    scores = (q @ k.mT).to(wide) * 0.5 + module.bias.to(wide)
    result: torch.Tensor = module.out(scores.softmax(-1).to(v.dtype) @ v)
    return result


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", DTYPES)
def test_a_softmax_is_computed_in_f32_with_its_bias(name: str, flat: bool) -> None:
    dtype = DTYPES[name]
    module, x = net(*ATTENTION, dtype=name, flat=flat), batch(dtype)
    wide = torch.promote_types(dtype, torch.float32)
    assert torch.equal(module(x), attention(module, x, wide))
    if dtype.itemsize == 2:
        assert not torch.equal(module(x), attention(module, x, dtype))


def test_an_island_stays_through_casts_of_the_module() -> None:
    plain, x = net(*ATTENTION), batch(torch.float32)
    assert torch.equal(plain(x), attention(plain, x, torch.float32))
    for dtype in (HALF, torch.float64, torch.float16, torch.float32):
        module = copy.deepcopy(plain).to(dtype)
        given = x.to(dtype)
        assert torch.equal(module(given), attention(module, given, torch.promote_types(dtype, torch.float32)))


def test_a_block_in_an_island_and_out_of_it_has_two_programs() -> None:
    text = """
block Doubled:
    input x: [*S], y: [*S]
    return x * y + x

model Net:
    input x: [4, 8]
    high = x -> Cast("f32")
    return a=(x, x) -> a: Doubled, b=(high, x) -> b: Doubled, c=(x, high) -> c: Doubled
"""
    text = text.replace("    input x: [*S], y: [*S]", "    input x\n    input y")
    module, x = archspec.load(archspec.read_text(text), dtype="bf16"), batch(HALF)
    wide = x.float()
    found = module(x)
    assert torch.equal(found["a"], x * x + x)
    for name in ("b", "c"):
        assert torch.equal(found[name], wide * wide + wide)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('return x -> Cast("f32")', lambda x: x.float()),
        ('return (x -> Cast("f32") -> Exp) - x', lambda x: x.float().exp() - x.float()),
        ('return concat(x -> Cast("f32") -> Exp, x)', lambda x: torch.cat((x.float().exp(), x.float()), 1)),
        ('return (x, x -> Cast("f32") -> Exp) -> Stack', lambda x: torch.stack((x.float(), x.float().exp()), 1)),
        ('return (x > 0, x, (x -> Cast("f32") -> Exp)) -> Where', lambda x: torch.where(x > 0, x.float(), x.float().exp())),
        ('return (x -> Cast("f32") -> Exp) @ (x -> Permute([1, 0]))', lambda x: x.float().exp() @ x.float().mT),
        ('return (x -> Cast("f32")) * (x -> Positions(axis=1))', lambda x: x.float() * torch.arange(8)),
        ('return (x -> Cast("f32") -> Exp -> Cast(like=x)) + x', lambda x: x.float().exp().to(HALF) + x),
        ('return (x -> Cast("f32") -> Exp) > x', lambda x: x.float().exp() > x.float()),
        # Whole numbers that a Cast makes real widen nothing that they meet; asked for alone, they are what is asked for.
        ('return (x > 0 -> Cast("f32")) * x', lambda x: (x > 0) * x),
        ('return x > 0 -> Cast("f32")', lambda x: (x > 0).float()),
        ("return x > 0 -> Cast(like=x)", lambda x: (x > 0).to(HALF)),
        ('return x -> Cast("i32")', lambda x: x.int()),
    ],
)  # fmt: skip
@pytest.mark.parametrize("flat", [False, True])
def test_what_an_island_meets_is_brought_to_its_dtype(line: str, wanted: Any, flat: bool) -> None:
    x = batch(HALF)
    found, expected = net(line, dtype="bf16", flat=flat)(x), wanted(x)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


def test_a_layer_with_weights_ends_an_island() -> None:
    module, x = net('return x -> Cast("f32") -> Exp -> fc: Linear(3)', dtype="bf16"), batch(HALF)
    assert torch.equal(module(x), module.fc(x.float().exp().to(HALF)))


def test_autocast_leaves_islands_alone() -> None:
    module = net('high = x -> Cast("f32")', "return high @ (high -> Permute([1, 0]))")
    x = batch(torch.float32)
    with torch.autocast("cpu", dtype=HALF):
        found = module(x)
    assert torch.equal(found, x @ x.mT)


@pytest.mark.slow
def test_islands_are_the_same_exported_and_compiled() -> None:
    module, x = net(*ATTENTION, dtype="bf16").eval(), batch(HALF)
    with torch.no_grad():
        wanted = attention(module, x, torch.float32)
        assert torch.equal(torch.export.export(module, (x,)).module()(x), wanted)
        assert torch.equal(torch.compile(module, backend="aot_eager")(x), wanted)
        optimised = net(*ATTENTION, dtype="bf16", optimize="inference")
        torch.testing.assert_close(optimised(x), wanted)


@pytest.mark.parametrize("line", ["x -> Cast", 'x -> Cast("f32", like=x)'])
def test_a_cast_needs_a_dtype_or_a_tensor(line: str) -> None:
    with pytest.raises(archspec.SpecError, match="either a dtype or a tensor"):
        net(f"return {line}")
