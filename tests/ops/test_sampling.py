"""Samples of an image at computed places, and windows of signals: by plain loops."""

from typing import Any

import torch

import archspec


def run(inputs: str, returned: str, *tensors: torch.Tensor) -> torch.Tensor:
    lines = "".join(f"    input {line.strip()}\n" for line in inputs.split(";"))
    module: Any = archspec.load(archspec.read_text(f"model Net:\n{lines}    return {returned}\n"), seed=0)
    out: torch.Tensor = module(*tensors)
    return out


def test_samples_lie_between_four_pixels() -> None:
    torch.manual_seed(0)
    x, grid = torch.randn(2, 3, 5, 6), 2.4 * torch.rand(2, 4, 7, 2) - 1.2
    out = run("x: [3, 5, 6]; grid: [4, 7, 2]", "(x, grid) -> GridSample", x, grid)
    around = torch.nn.functional.pad(x, (2, 2, 2, 2))
    for n in range(2):
        for i in range(4):
            for j in range(7):
                across = (float(grid[n, i, j, 0]) + 1) * 3 - 0.5 + 2  # of 6 pixels, 2 before them
                down = (float(grid[n, i, j, 1]) + 1) * 2.5 - 0.5 + 2
                column, row = int(across), int(down)
                a, b = across - column, down - row
                corners = around[n, :, row : row + 2, column : column + 2]
                upper = (1 - a) * corners[:, 0, 0] + a * corners[:, 0, 1]
                lower = (1 - a) * corners[:, 1, 0] + a * corners[:, 1, 1]
                torch.testing.assert_close(out[n, :, i, j], (1 - b) * upper + b * lower, rtol=1e-4, atol=1e-4)


def test_windows_of_signals_are_columns_and_add_up_again() -> None:
    x = torch.randn(2, 3, 9)
    columns = run("x: [3, 9]", "x -> Unfold(3, stride=2, padding=1)", x)
    around = torch.nn.functional.pad(x, (1, 1))
    for place in range(5):
        assert torch.equal(columns[:, :, place], around[:, :, 2 * place : 2 * place + 3].flatten(1))
    back = run("x: [9, 5]", "x -> Fold([9], 3, stride=2, padding=1)", columns)
    times = torch.tensor([1.0, 2, 1, 2, 1, 2, 1, 2, 1])  # windows that each position lies in
    torch.testing.assert_close(back, x * times)
