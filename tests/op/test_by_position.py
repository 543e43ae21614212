"""Arguments by position: which they are, and what is said of those in the order of PyTorch's."""

import inspect
from functools import partial
from typing import Any, get_overloads

import pytest
from torch import nn

import archspec
from archspec import SpecError
from archspec.op import Op
from archspec.op.calling import Called
from archspec.op.initialisation import Initialiser

CALLED: list[type[Called]] = [Op.find(name) for name in sorted(Op.names())] + list(Initialiser.known.values())
MODULES: dict[str, Any] = {
    "ChannelDropout": nn.Dropout2d, "Pad": nn.functional.pad, "Conv": nn.Conv2d, "WSConv": nn.Conv2d,
    "ConvTranspose": nn.ConvTranspose2d, "BatchNorm": nn.BatchNorm2d, "InstanceNorm": nn.InstanceNorm2d,
    "MaxPool": nn.MaxPool2d, "AvgPool": nn.AvgPool2d, "AdaptiveAvgPool": nn.AdaptiveAvgPool2d,
    "AdaptiveMaxPool": nn.AdaptiveMaxPool2d,
    "LSTM": partial(nn.RNNBase, "LSTM"), "GRU": partial(nn.RNNBase, "GRU"), "RNN": get_overloads(nn.RNN.__init__)[0],
}  # fmt: skip


def pytorchs(called: type[Called]) -> Any:
    """The class or function of PyTorch that it is; none where its arguments cannot be seen."""
    name = called.__name__
    if issubclass(called, Initialiser):
        return getattr(nn.init, f"{name}_")
    return MODULES[name] if name in MODULES else getattr(nn, name, None)


@pytest.mark.parametrize("called", [c for c in CALLED if c.pytorch], ids=lambda called: called.__name__)
def test_the_arguments_of_pytorch_stand_in_its_order(called: type[Called]) -> None:
    function = pytorchs(called)
    if function is None:
        pytest.skip("no signature to compare with: torchvision's, or of a function in C")
    theirs = [p for p in inspect.signature(function).parameters if p not in ("self", "input", "tensor")]
    assert theirs[: len(called.pytorch)] == list(called.pytorch)


# Of the same meaning: the last axis, the first behind the batch, the number that the op has for none.
ALIKE = {("Flatten", "start"), ("LogSoftmax", "axis"), ("Softmax", "axis"), ("LSTM", "projection"), ("PReLU", "init"),
         ("Pad", "value"), ("RMSNorm", "eps"), ("Upsample", "align_corners")}  # fmt: skip


@pytest.mark.parametrize("called", [c for c in CALLED if c.pytorch], ids=lambda called: called.__name__)
def test_other_defaults_than_pytorchs_are_known(called: type[Called]) -> None:
    """Or else a message would say how a call of PyTorch's is written, and make another network of it."""
    function = pytorchs(called)
    if function is None:
        assert set(called.pytorch_defaults) <= set(called.model_fields)
        return
    theirs = inspect.signature(function).parameters
    different = {
        here: theirs[name].default
        for name, here in called.pytorch.items()
        if name in theirs and theirs[name].default is not inspect.Parameter.empty
        if here in called.model_fields and (called.__name__, here) not in ALIKE
        if theirs[name].default != called.model_fields[here].default
    }
    assert different == dict(called.pytorch_defaults)


@pytest.mark.parametrize("called", CALLED, ids=lambda called: called.__name__)
def test_what_goes_by_position_is_a_field_and_what_must_be_given_comes_first(called: type[Called]) -> None:
    fields = called.model_fields
    assert set(called.by_position()) <= set(fields)
    required = [name for name, field in fields.items() if field.is_required()]
    assert list(called.by_position()[: len(required)]) == required


def test_an_op_of_ones_own_takes_by_position_what_has_no_default_unless_it_says_so() -> None:
    class Bent(Op):
        power: int
        offset: int = 0

        def infer(self, x: Any) -> Any:
            return x

        def flops(self, x: Any) -> int:
            return 0

    class Straight(Bent):
        positional = ("power", "offset")

    try:
        text = "model Net:\n    input x: [5]\n    return x -> {}\n"
        assert str(archspec.read_text(text.format("Straight(2, 1)")).nodes[-1].op) == "Straight(2, offset=1)"
        with pytest.raises(SpecError, match=r"Bent takes only `power` by position") as caught:
            archspec.read_text(text.format("Bent(2, 1)"))
        assert "write `Bent(2, offset=1)`" in str(caught.value)
        with pytest.raises(TypeError, match="`positional` of the op Wrong names `strength`"):

            class Wrong(Bent):
                positional = ("strength",)
    finally:
        for name in ("Bent", "Straight", "Wrong"):
            Op.known.pop(name, None)
