"""Layers of PyTorch as the calls that make them: arguments are read off a module that was made, defaults left out."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from archspec.backends.python import expressions as py
from archspec.op import torch_layers
from archspec.op.multihead_layer import MultiheadAttention

_SIZES = frozenset(
    (
        "in_channels",
        "out_channels",
        "in_features",
        "out_features",
        "num_features",
        "normalized_shape",
        "num_embeddings",
        "embedding_dim",
        "embed_dim",
    )
)
"""Arguments that are given by position: nobody takes them for anything else."""
_LEADING = frozenset(("p", "output_size"))  # the only argument of a layer that is mostly given
_LEFT_OUT = frozenset(("device", "dtype", "inplace", "_weight", "_freeze", "kwargs"))
_HAS = frozenset(("bias", "bias_k", "bias_v"))  # arguments that say whether there is a weight of that name


def constructed(module: nn.Module) -> py.Call | None:
    """The call that makes a layer of PyTorch; None for a module that is not PyTorch's, or says too little of itself."""
    cls = _SAME.get(type(module), type(module))
    if not cls.__module__.startswith("torch.nn.modules.") or getattr(nn, cls.__name__, None) is not cls:
        return None
    return made_by(cls, module, f"nn.{cls.__name__}")


def conventional(module: nn.Module) -> tuple[py.Call, tuple[py.Keyword, ...]] | None:
    """The call that makes PyTorch's own layer where archspec has one that gives its first result alone; and how it is called then."""
    if isinstance(module, nn.RNNBase) and not module.state and not module.stacked:
        cls: type[nn.Module] = next(kind for kind in (nn.LSTM, nn.GRU, nn.RNN) if isinstance(module, kind))
        made = made_by(cls, module, f"nn.{cls.__name__}")
        return None if made is None else (made, ())
    if isinstance(module, MultiheadAttention) and not module.settings and module.ranks == (2, 2, 2):
        made = made_by(nn.MultiheadAttention, module, "nn.MultiheadAttention")
        return None if made is None else (made, (py.Keyword("need_weights", py.Literal(False)),))
    return None


def made_by(cls: type[nn.Module], module: nn.Module, name: str) -> py.Call | None:
    """The call of a class by which a module could have been made, as its attributes tell."""
    positional: list[py.Expression] = []
    keywords: list[py.Keyword] = []
    own = not cls.__module__.startswith("torch.")
    known = _asked(cls) if own else ()
    by_name = own and any(
        x.kind is Parameter.VAR_KEYWORD for x in signature(cls.__init__).parameters.values()
    )
    for parameter in _parameters(cls):
        found = _argument(module, parameter.name)
        if parameter.name in known and isinstance(getattr(module, parameter.name, None), tuple):
            found = getattr(module, parameter.name)
        if found is ...:
            return None
        literal = py.Literal(found, parameter.name)
        leading = parameter.name in _SIZES or parameter.name in _LEADING
        if (
            leading
            and not by_name
            and not keywords
            and (parameter.default is Parameter.empty or parameter.name == "p")
        ):
            positional.append(literal)
        else:
            default = ... if parameter.default is Parameter.empty else _plain(parameter.default)
            keywords.append(py.Keyword(parameter.name, literal, default))
    return py.Call(py.Code(name), tuple(positional), tuple(keywords))


def _asked(cls: type[nn.Module]) -> set[str]:
    """The parameters of a class of archspec's whose code may ask how many numbers there are: convolutions make tuples of one."""
    theirs = {*signature(nn.Conv2d.__init__).parameters} if issubclass(cls, _ConvNd) else set()
    return {parameter.name for parameter in _parameters(cls)} - theirs


def _parameters(cls: type[nn.Module]) -> tuple[Parameter, ...]:
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    found: dict[str, Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(signature(vars(base)["__init__"]).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind in named and parameter.name not in _LEFT_OUT:
                found.setdefault(parameter.name, parameter)
        if base.__module__.startswith("torch."):  # whose come first
            theirs = {parameter.name for parameter in parameters}
            found = dict(sorted(found.items(), key=lambda item: item[0] not in theirs))
        if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
            break
    if issubclass(cls, nn.RNNBase):  # of which PyTorch's classes choose the mode
        found.pop("mode", None)
        if issubclass(cls, nn.RNN):
            found["nonlinearity"] = Parameter("nonlinearity", Parameter.KEYWORD_ONLY, default="tanh")
    return tuple(found.values())


def _argument(module: nn.Module, name: str) -> Any:
    """What an argument must have been; `...` where that does not show."""
    special = _SPECIAL.get((re.sub(r"\dd$", "", type(module).__name__), name))
    if special is not None:
        return special(module)
    if name in _HAS:
        held = module.__dict__.get(name, module._parameters.get(name, ...))
        return held if isinstance(held, bool) else held is not ... and held is not None
    found = getattr(module, name, ...)
    return found if found is ... else _plain(found)


def _plain(value: Any) -> Any:
    """A value as it is written: one number where a tuple has the same for each axis."""
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(value, tuple):
        first = value[0] if value else None
        if value and all(type(item) is type(first) and item == first for item in value):
            return first if isinstance(first, int | float | str) else tuple(map(_plain, value))
        return tuple(map(_plain, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return ...


def _whole_tuple(name: str) -> Callable[[nn.Module], Any]:
    """A tuple that is written as it is, though all in it may be the same, unless there is but one."""

    def read(module: nn.Module) -> Any:
        found = tuple(getattr(module, name))
        return found[0] if len(found) == 1 else found

    return read


def _stride(module: nn.Module) -> Any:
    """A pool's stride, which is its window unless it is given."""
    stride, kernel = _plain(module.stride), _plain(module.kernel_size)
    return None if stride == kernel else stride


_SAME: dict[type[nn.Module], type[nn.Module]] = {
    torch_layers.LocalResponseNorm: nn.LocalResponseNorm,
    torch_layers.AvgPool3d: nn.AvgPool3d,
    torch_layers.GroupNormOfAny: nn.GroupNorm,
    torch_layers.InstanceNorm1d: nn.InstanceNorm1d,
    torch_layers.InstanceNorm2d: nn.InstanceNorm2d,
    torch_layers.InstanceNorm3d: nn.InstanceNorm3d,
    torch_layers.PixelUnshuffle: nn.PixelUnshuffle,
}
"""Layers of archspec's that do more than PyTorch's only where that has no kernel, or refuses."""


def _margins(module: nn.Module) -> Any:
    return module.around["margins"]  # type: ignore[index]


_SPECIAL: dict[tuple[str, str], Callable[[nn.Module], Any]] = {
    ("LayerNorm", "normalized_shape"): _whole_tuple("normalized_shape"),
    ("RMSNorm", "normalized_shape"): _whole_tuple("normalized_shape"),
    ("LayerNorm", "bias"): lambda module: module.bias is not None or not module.elementwise_affine,
    ("MaxPool", "stride"): _stride,
    ("AvgPool", "stride"): _stride,
    ("Upsample", "size"): lambda module: None if module.size is None else _plain(module.size),
    ("WSConv", "gained"): lambda module: module.gain is not None,
    ("PaddedWSConv", "gained"): lambda module: module.gain is not None,
    ("MultiheadAttention", "bias"): lambda module: module.in_proj_bias is not None,
    ("MultiheadAttention", "add_bias_kv"): lambda module: module.bias_k is not None,
    ("MultiheadAttention", "batch_first"): lambda module: True,
    ("MultiheadAttention", "kdim"): lambda module: None if module.kdim == module.embed_dim else module.kdim,
    ("MultiheadAttention", "vdim"): lambda module: None if module.vdim == module.embed_dim else module.vdim,
    ("Unflatten", "unflattened_size"): _whole_tuple("unflattened_size"),
    **{(f"Padded{name}", "margins"): _margins for name in ("Conv", "WSConv", "MaxPool", "AvgPool")},
    **{(f"Padded{name}", "stride"): _stride for name in ("MaxPool", "AvgPool")},
}
