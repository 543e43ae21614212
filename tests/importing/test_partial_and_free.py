"""Imports with gaps, and of sizes that stay free."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from imported_modules import built
from torch import Tensor, nn
from torch.nn import functional

import archspec

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 1), nn.Linear(8, 4)

    def forward(self, x):
        q, r = torch.linalg.qr(torch.linalg.inv(self.conv(x)))
        return self.head(q) + r[:, :, :, :4]
"""


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "archspec", "import", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_what_has_no_form_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "my_nets.py").write_text(NETS)
    whole = _run(tmp_path, "my_nets:Net", "--input", "3,8,8", "-o", "net.arch")
    assert whole.returncode == 1 and "linalg_inv" in whole.stderr and not (tmp_path / "net.arch").exists()
    made = _run(tmp_path, "my_nets:Net", "--input", "3,8,8", "--partial", "-o", "net.arch")
    assert made.returncode == 1 and "gap: LinalgInv" in made.stderr and "my_nets.py:11" in made.stderr
    text = (tmp_path / "net.arch").read_text()
    assert "conv: Conv(3) -> LinalgInv -> LinalgQr" in text and text.count("# gap: ") == 2
    with pytest.raises(archspec.SpecError, match="there is no `LinalgInv`"):
        archspec.read_text(text)
    filled = (
        text
        + "\nblock LinalgInv:\n    input x\n    return x\n\nblock LinalgQr:\n    input x\n    return x, x\n"
    )
    assert len(archspec.read_text(filled).weights) == 4


def test_what_has_forms_has_no_gaps() -> None:
    module, inputs = built("Residuals")
    assert archspec.spec_of(module, *inputs, partial=True) == archspec.spec_of(module, *inputs)


class Pyramid(nn.Module):
    """Two scales, the coarse one resized to the fine one, and both to the image."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 3, 2, 1)
        self.coarse = nn.Conv2d(4, 4, 3, 2, 1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        up = functional.interpolate(self.coarse(fine), size=fine.shape[2:], mode="bilinear")
        return functional.interpolate(self.head(fine + up), size=x.shape[2:], mode="nearest")


class Patches(nn.Module):
    """Attention in windows: reshapes to formulas of the sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x)
        b, c, h, w = x.shape
        windows = x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, c)
        y = functional.layer_norm(windows, (c,))
        y = y.view(b, h // 2, w // 2, 2, 2, c).permute(0, 5, 1, 3, 2, 4).reshape(b, c, h, w)
        return (x + y).mean((2, 3))


@pytest.mark.parametrize(
    "module", [Pyramid(), Patches(), built("Residuals")[0]], ids=lambda m: type(m).__name__
)
def test_sizes_stay_free(module: nn.Module) -> None:
    text = archspec.spec_of(module.eval(), torch.zeros(1, 3, 32, 32), free="H,W")
    assert "[3, free H, free W]" in text
    network = archspec.load(archspec.read_text(text)).eval()
    network.load_state_dict(module.state_dict())
    for height, width in ((32, 32), (64, 40), (48, 96)):
        x = torch.randn(2, 3, height, width)
        assert torch.allclose(network(x), module(x), atol=1e-5)


def test_modules_of_one_size_are_told() -> None:
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    with pytest.raises(archspec.SpecError, match="takes no other size"):
        archspec.spec_of(fixed, torch.zeros(1, 3, 8, 8), free="H,W")
    with pytest.raises(archspec.SpecError, match="cannot be free"):
        archspec.spec_of(fixed, torch.zeros(1, 3, 8, 8), free="C,H,W")
