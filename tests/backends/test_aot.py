"""Packages compiled ahead of time compute what the network does, and what cannot be compiled or loaded is said."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch._inductor.config
from nets import randomised
from safetensors.torch import save_file
from typer.testing import CliRunner

import archspec
from archspec.api import torch_dtype
from archspec.backends.torch_aot import save_package
from archspec.cli.app import load
from archspec.ground.errors import InputError, SpecError
from archspec.passes import optimize_for_inference

SPEC = """
model Net:
    input image: [3, 16, 16]
    input scale: [8]
    x = image -> conv: Conv(8, 3) -> norm: BatchNorm -> ReLU -> GlobalAvgPool
    return (x * scale -> fc: Linear(4), x)
"""


def package(path: Path, batch: int | None, dtype: str = "f32") -> torch.nn.Module:
    """Write the package of a network, and give the network."""
    network = randomised(archspec.load(archspec.read_text(SPEC), seed=0, dtype=dtype)).eval()
    flat = archspec.load(archspec.read_text(SPEC), flat=True, dtype=dtype)
    flat.load_state_dict(network.state_dict())
    save_package(optimize_for_inference(flat), path, batch=batch)  # type: ignore[arg-type]
    return network


class Packaged(NamedTuple):
    """A network, and what its package runs: for batches of some sizes, in a dtype."""

    network: torch.nn.Module
    run: Callable[..., tuple[torch.Tensor, ...]]
    sizes: list[int]
    dtype: torch.dtype

    def inputs(self, size: int) -> list[torch.Tensor]:
        """Tensors that the package takes."""
        return [x.to(self.dtype) for x in (torch.randn(size, 3, 16, 16), torch.rand(size, 8))]


@pytest.fixture(scope="module", params=[(2, [2], "f32"), (None, [1, 2, 5], "f64")], ids=["fixed", "free"])
def packaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    """A package for one size of batch, and one for any; each takes seconds to compile."""
    batch, sizes, dtype = request.param
    path = tmp_path_factory.mktemp("package") / "net.pt2"
    network = package(path, batch, dtype)
    return Packaged(network, archspec.load_aot(path), sizes, torch_dtype(dtype))


@pytest.mark.slow
def test_a_package_computes_the_same(packaged: Packaged) -> None:
    for size in packaged.sizes:
        inputs = packaged.inputs(size)
        with torch.no_grad():
            for expected, found in zip(packaged.network(*inputs), packaged.run(*inputs), strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_package_refuses_what_it_was_not_compiled_for(packaged: Packaged) -> None:
    run, (image, scale) = packaged.run, packaged.inputs(2)
    expected = run(image, scale)
    for moved in (image.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), image.repeat(2, 1, 1, 1)[::2]):
        for a, b in zip(run(moved, scale.t().contiguous().t()), run(moved.contiguous(), scale), strict=True):
            assert torch.equal(a, b)
    assert expected[0].shape == (2, 4)
    for tensors in (
        *((image[..., 1:], scale), (image, scale[:, 1:]), (image.half(), scale), (image, scale[:1])),
        *((image[0], scale), (image,), (image, 2), (image, scale, scale), (scale, image)),
    ):
        with pytest.raises(InputError, match="the package"):
            run(*tensors)


SMALL = [f"--set={setting}" for setting in ("layers=1", "dim=16", "hidden=16", "heads=2", "words=10")]


@pytest.mark.slow
def test_free_sizes_stay_free_in_a_package(tmp_path: Path) -> None:
    command = ["build", "transformer_base", "--aot", "--batch=0", "-o", str(tmp_path / "net.archmod"), *SMALL]
    assert CliRunner().invoke(load(), command, catch_exceptions=False).exit_code == 0
    net, run = archspec.load(tmp_path / "net.archmod").eval(), archspec.load_aot(tmp_path / "net.pt2")
    with torch.no_grad():
        for samples, source, target in ((1, 2, 3), (2, 9, 4), (3, 5, 5)):
            words = torch.randint(10, (samples, source)), torch.randint(10, (samples, target))
            torch.testing.assert_close(run(*words), net(*words), rtol=1e-4, atol=1e-5)
    for sizes, said in (
        (((2, 1), (2, 3)), r"`source` of int64\[batch, S\], .* not int64\[2, 1\], where S is at least 2"),
        (((2, 4), (3, 4)), r"`target` of int64\[batch, T\], .* not int64\[3, 4\], where batch is 2"),
    ):
        with pytest.raises(InputError, match=said):
            run(*(torch.zeros(size, dtype=torch.int64) for size in sizes))


def test_a_length_that_pytorch_fixes_cannot_be_compiled_for(tmp_path: Path) -> None:
    spec = tmp_path / "net.arch"
    spec.write_text("model Net:\n    input x: [free T, 8]\n    return x -> rnn: GRU(4)\n")
    with pytest.raises(SpecError, match="cannot leave `T` of Net free"):
        CliRunner().invoke(
            load(), ["build", str(spec), "--aot", "-o", str(tmp_path / "net.archmod")], catch_exceptions=False
        )
    assert list(tmp_path.iterdir()) == [spec]


@pytest.mark.slow
def test_a_network_is_built_and_compiled_with_weights_of_a_file(tmp_path: Path) -> None:
    spec, weights, built = tmp_path / "net.arch", tmp_path / "net.safetensors", tmp_path / "net.archmod"
    spec.write_text(SPEC)
    trained = randomised(archspec.load(spec, seed=5)).eval()
    save_file(trained.state_dict(), weights)
    command = ["build", str(spec), "--weights", str(weights), "-o", str(built)]
    assert CliRunner().invoke(load(), [*command, "--aot"], catch_exceptions=False).exit_code == 0
    inputs = torch.randn(1, 3, 16, 16), torch.rand(1, 8)
    with torch.no_grad():
        expected = trained(*inputs)
        for made in (
            archspec.load(built).eval()(*inputs),
            archspec.load_aot(built.with_suffix(".pt2"))(*inputs),
        ):
            for a, b in zip(expected, made, strict=True):
                torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)
    first = built.read_bytes()
    assert CliRunner().invoke(load(), command, catch_exceptions=False).exit_code == 0
    assert built.read_bytes() == first
    refused = CliRunner().invoke(load(), [*command, "--seed", "1"])
    assert refused.exit_code == 2 and "need no seed" in refused.output


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no file"):
        archspec.load_aot(tmp_path / "none.pt2")
    (tmp_path / "net.pt2").write_bytes(b"no package")
    with pytest.raises(SpecError, match="is no package that runs here"):
        archspec.load_aot(tmp_path / "net.pt2")


def test_a_missing_compiler_is_said(tmp_path: Path) -> None:
    with torch._inductor.config.patch("cpp.cxx", ("no-such-compiler",)):
        with pytest.raises(SpecError, match=r"there is no C\+\+ compiler, which TorchInductor needs"):
            archspec.load("lenet5", compile=True)
        with pytest.raises(SpecError, match=r"such as g\+\+"):
            package(tmp_path / "net.pt2", 1)
    assert not list(tmp_path.iterdir())
