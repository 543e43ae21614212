"""Steps as rows of PyTorch's profiler, on request."""

import pytest
import torch

import archspec
from archspec import SpecError

NET = """
block Unit:
    input x: [C, H, W]
    return x + (x -> conv: Conv(C, 3) -> ReLU)

model Net:
    input x: [3, 8, 8]
    return x -> [Unit, Unit] -> Flatten -> head: Linear(4)
"""


def rows(network: torch.nn.Module, *inputs: torch.Tensor) -> list[str]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        network(*inputs)
    return [event.name for event in found.events()]


@pytest.mark.parametrize("flat", [False, True])
def test_each_module_that_is_a_step_is_a_row_with_its_line(flat: bool) -> None:
    network = archspec.load(archspec.read_text(NET), flat=flat)
    with archspec.profiled(network):
        found = rows(network, torch.rand(1, 3, 8, 8))
    steps = [row for row in found if "spec.arch" in row]
    assert {row for row in steps if row.startswith("head")} == {"head (spec.arch:8)"}
    assert [row for row in steps if ".conv" in row] == ["0.conv (spec.arch:4)", "1.conv (spec.arch:4)"]
    assert flat or "0 (spec.arch:8)" in steps


def test_the_rows_of_a_step_stand_around_what_it_runs() -> None:
    network = archspec.load(archspec.read_text(NET))
    with torch.profiler.profile() as found, archspec.profiled(network):
        network(torch.rand(1, 3, 8, 8))
    events = {event.name: event for event in found.events()}
    inner, outer = events["0.conv (spec.arch:4)"].time_range, events["0 (spec.arch:8)"].time_range
    assert outer.start <= inner.start <= inner.end <= outer.end
    conv = events["aten::conv2d"].time_range
    assert any(
        row.time_range.start <= conv.start <= conv.end <= row.time_range.end
        for name, row in events.items()
        if "conv (spec.arch:4)" in name
    )


def test_nothing_is_left_behind() -> None:
    network = archspec.load(archspec.read_text(NET))
    x = torch.rand(1, 3, 8, 8)
    with pytest.raises(SpecError), archspec.profiled(network):
        network(torch.rand(1, 3, 9, 9, 9))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert not [row for row in rows(network, x) if "spec.arch" in row]


def test_values_and_gradients_are_the_same() -> None:
    network, x = archspec.load(archspec.read_text(NET)), torch.rand(2, 3, 8, 8, requires_grad=True)
    expected = torch.autograd.grad(network(x).sum(), x)
    with archspec.profiled(network):
        found = torch.autograd.grad(network(x).sum(), x)
    assert torch.equal(found[0], expected[0])


def test_other_modules_are_refused() -> None:
    with pytest.raises(TypeError):
        archspec.profiled(torch.nn.Linear(2, 2))
