"""Specs of modules that exist: what `archspec import` does, for Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archspec.api.arguments import checked, flag
from archspec.api.arguments import text as a_text
from archspec.ground import codes
from archspec.ground.errors import InputError, SpecError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archspec.importing.capture import Given
    from archspec.importing.comparing import Comparison
    from archspec.importing.spec import Asked, Imported


def a_module(name: str, value: Any) -> Any:
    """A module of PyTorch. InputError if it is none."""
    from torch import nn

    if not isinstance(value, nn.Module):
        raise InputError.of(codes.INPUTS, f"`{name}` is a PyTorch module, not {type(value).__name__}")
    return value


@checked(module=a_module, name=a_text, partial=flag)
def spec_of(
    module: nn.Module,
    *inputs: Tensor,
    name: str = "",
    partial: bool = False,
    free: str | Sequence[str] | None = None,
) -> str:
    """The text of a spec that computes what a PyTorch module does, with blocks named as its classes are, and its keys.

    `inputs` are tensors like those that it is called with, the batch in front; only their shapes and dtypes matter. `name` is that of the
    model, by default the module's class. The module is captured in evaluation mode and not changed. With `partial`, what has no form
    is applied under a name that there is no block of, and a comment says why. `free` names the last sizes of the first input, which stay
    open: `free="H,W"`.

    Raises SpecError where PyTorch cannot capture the module, or it does what a spec has no form for: the message names the operator, the
    module that it is in, and the line of its source. InputError where the inputs are no tensors with a batch.
    """
    from archspec.api.reading import free_names
    from archspec.importing.spec import Asked

    names = None if free is None else free_names(free)
    asked = Asked(name=name, partial=partial, free=names or ())
    return import_of(module, given_of(inputs), asked).text


def import_of(module: nn.Module, inputs: Sequence[Given], asked: Asked) -> Imported:
    """The same, for inputs by their shapes; what must be assumed of free sizes is among the model's requirements."""
    from dataclasses import replace

    from archspec.api.formatting import format_text
    from archspec.api.reading import read_text
    from archspec.importing.assuming import assumption, with_requirement, without_weaker
    from archspec.importing.spec import imported

    made = imported(module, inputs, asked)
    text = made.text
    for _ in range(_MOST_ASSUMED if asked.free and not made.gaps else 0):
        try:
            read_text(text)
        except SpecError as error:
            problem = error.problems[0]
            wanted = assumption(problem.help) if problem.code == codes.FREE_QUESTION else None
            if wanted is None:
                raise
            text = with_requirement(text, wanted)
        else:
            break
    return made if text == made.text else replace(made, text=format_text(without_weaker(text)))


_MOST_ASSUMED = 12


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
    from archspec.analyses.formulas import free_names as free_sizes
    from archspec.analyses.renaming import all_names
    from archspec.api.counting import cost
    from archspec.api.loading import load
    from archspec.api.reading import read_text
    from archspec.importing.comparing import compared

    graph = read_text(text)
    known = [names.ignored for names in all_names(graph)]
    return compared(
        load(graph),
        cost(read_text(_fixed(text, inputs[0].shape)) if free_sizes(graph) else graph).total.macs,
        module,
        inputs,
        trains=trains,
        leaves_out=lambda key: any(ignored(key) is not None for ignored in known),
    )


def _fixed(text: str, shape: Sequence[int]) -> str:
    """A spec with the sizes of its first input in the places of those that are free."""
    sizes = list(shape)
    return re.sub(
        r"(?m)^(    input \w+: \w*\[)([^\]]*\bfree\b[^\]]*)(\])",
        lambda found: found[1] + ", ".join(map(str, sizes)) + found[3],
        re.sub(r"(?m)^    require .*\n", "", text),
        count=1,
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
