"""Specs of modules that exist: what `archspec import` does, for Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archspec.api.arguments import checked
from archspec.api.arguments import text as a_text
from archspec.ground import codes
from archspec.ground.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archspec.importing.capture import Given
    from archspec.importing.comparing import Comparison


def a_module(name: str, value: Any) -> Any:
    """A module of PyTorch. InputError if it is none."""
    from torch import nn

    if not isinstance(value, nn.Module):
        raise InputError.of(codes.INPUTS, f"`{name}` is a PyTorch module, not {type(value).__name__}")
    return value


@checked(module=a_module, name=a_text)
def spec_of(module: nn.Module, *inputs: Tensor, name: str = "") -> str:
    """The text of a spec that computes what a PyTorch module does, with blocks named as its classes are, and its keys.

    `inputs` are tensors like those that it is called with, the batch in front; only their shapes and dtypes matter. `name` is that of the
    model, by default the module's class. The module is captured in evaluation mode and not changed.

    Raises SpecError where PyTorch cannot capture the module, or it does what a spec has no form for: the message names the operator, the
    module that it is in, and the line of its source. InputError where the inputs are no tensors with a batch.
    """
    from archspec.importing.spec import spec_of as written

    return written(module, given_of(inputs), name)


@checked(text=a_text, module=a_module)
def compare_module(text: str, module: nn.Module, *inputs: Tensor) -> Comparison:
    """How the network of a spec differs from the module that it was made of, in f64: `compare_module(...).equal`.

    Both get the same weights, with statistics of norms that are not trivial, and the same random input, at inference and in training with
    dropout off. Neither the module nor its weights are changed.
    """
    return comparison_of(text, module, given_of(inputs))


def comparison_of(
    text: str, module: nn.Module, inputs: Sequence[Given], *, trains: bool = True
) -> Comparison:
    """The same, for inputs by their shapes; in training, if the module `trains`."""
    from archspec.analyses.renaming import all_names
    from archspec.api.counting import cost
    from archspec.api.loading import load
    from archspec.api.reading import read_text
    from archspec.importing.comparing import compared

    graph = read_text(text)
    known = [names.ignored for names in all_names(graph)]
    return compared(
        load(graph),
        cost(graph).total.macs,
        module,
        inputs,
        trains=trains,
        leaves_out=lambda key: any(ignored(key) is not None for ignored in known),
    )


def given_of(inputs: Sequence[Any]) -> list[Given]:
    """Inputs by their shapes. InputError where they are no tensors with a batch."""
    import torch

    from archspec.importing.capture import Given

    if not inputs:
        raise InputError.of(
            codes.INPUTS, "spec_of needs the module's inputs: `spec_of(net, torch.zeros(1, 3, 224, 224))`"
        )
    for value in inputs:
        if not isinstance(value, torch.Tensor) or not value.dim():
            raise InputError.of(
                codes.INPUTS, f"inputs are tensors with the batch in front, not {type(value).__name__}"
            )
    return [Given(tuple(value.shape[1:]), value.dtype) for value in inputs]
