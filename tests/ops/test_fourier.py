"""Fourier transforms by their sums, and there and back; gated units by PyTorch's; norms over several axes."""

from math import pi

import pytest
import torch
from torch.nn import functional

import archspec


def run(text: str, *inputs: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = archspec.load(archspec.read_text(text), seed=0)(*inputs)
    return out


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("half", ["true", "false"])
def test_a_spectrum_is_its_sum(norm: str, half: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 3, dtype=torch.float64)
    text = f'model Net:\n    input x: f64[4, 5, 3]\n    return x -> RFFT2(axes=[0, 1], half={half}, norm="{norm}")\n'
    real, imaginary = run(text, x)
    columns = 3 if half == "true" else 5
    scale = {"backward": 1.0, "ortho": 20**-0.5, "forward": 1 / 20}[norm]
    for u in range(4):
        for v in range(columns):
            angles = (
                2 * pi * (u * torch.arange(4.0).double()[:, None] / 4 + v * torch.arange(5.0).double() / 5)
            )
            for part, wave in ((real, angles.cos()), (imaginary, -angles.sin())):
                wanted = scale * (x * wave[..., None]).sum((1, 2))
                torch.testing.assert_close(part[:, u, v], wanted)


@pytest.mark.parametrize("width", [1, 6, 7])
def test_there_and_back(width: int) -> None:
    x = torch.randn(2, 5, width, 4)
    arguments = 'axes=[0, 1], norm="ortho"'
    text = f"model Net:\n    input x: [5, {width}, 4]\n    return x -> RFFT2({arguments}) -> IRFFT2(size={width}, {arguments})\n"
    torch.testing.assert_close(run(text, x), x)
    out = run(f"model Net:\n    input x: [5, {width}, 4]\n    return x -> RFFT2 -> IRFFT2\n", x)
    torch.testing.assert_close(out, x)


def test_a_global_filter_is_gfnets() -> None:
    """The filter of GFNet [Rao et al., 2021], with a weight of its shape."""
    text = """
model Net:
    input x: [6, 6, 4]
    weight complex_weight: [6, 4, 4, 2] = normal(1.0)
    a, b = x -> RFFT2(axes=[0, 1], norm="ortho")
    c, d = complex_weight[:, :, :, 0], complex_weight[:, :, :, 1]
    return (a * c - b * d, a * d + b * c) -> IRFFT2(axes=[0, 1], norm="ortho")
"""
    module = archspec.load(archspec.read_text(text), seed=0)
    x = torch.randn(2, 6, 6, 4)
    filtered = torch.fft.rfft2(x, dim=(1, 2), norm="ortho") * torch.view_as_complex(module.complex_weight)
    torch.testing.assert_close(module(x), torch.fft.irfft2(filtered, (6, 6), (1, 2), "ortho"))


def test_gated_units() -> None:
    x = torch.randn(2, 3, 8)
    text = "from blocks.gated import GLU, GatedMlp\n\nmodel Net:\n    input x: [3, 8]\n    return x -> {}\n"
    torch.testing.assert_close(run(text.format("GLU"), x), functional.glu(x))
    torch.testing.assert_close(
        run(text.format("GLU(axis=-1, act=GELU)"), x), x[..., :4] * functional.gelu(x[..., 4:])
    )
    torch.testing.assert_close(
        run(text.format("GLU(SiLU, first=true)"), x), functional.silu(x[..., :4]) * x[..., 4:]
    )
    module = archspec.load(archspec.read_text(text.format("mlp: GatedMlp(5)")), seed=0)
    w1, w2, w3 = (module.state_dict()[f"mlp.w{i}.weight"] for i in (1, 2, 3))
    torch.testing.assert_close(module(x), (functional.silu(x @ w1.T) * (x @ w3.T)) @ w2.T)


@pytest.mark.parametrize("axes", [(1, 2), (0, 1, 2), (0, 2)])
def test_a_norm_over_several_axes(axes: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, 4, 5)
    behind = tuple(axis + 1 for axis in axes)
    variance, mean = torch.var_mean(x, behind, correction=0, keepdim=True)
    text = f"model Net:\n    input x: [3, 4, 5]\n    return x -> LayerNorm(axes={list(axes)}, init=constant(3), eps=0.1)\n"
    torch.testing.assert_close(run(text, x), 3 * (x - mean) / (variance + 0.1).sqrt())
