"""Operators with weights, and those that slide windows, as ops."""

from __future__ import annotations

from typing import Any

from torch.fx import Node

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.importing.drafting import Draft, converts, converts_calls
from archspec.importing.elementwise import without
from archspec.importing.images import Back, as_image, as_rows, as_tiles, same_or, windows_of
from archspec.importing.nodes import even
from archspec.importing.shapes import product
from archspec.importing.values import Value, whole
from archspec.ops.activation import PReLU
from archspec.ops.arithmetic import Add, Div, Mul
from archspec.ops.conv import Conv, ConvTranspose, WSConv
from archspec.ops.convolve import Convolve
from archspec.ops.functions import Scale
from archspec.ops.gather import Gather
from archspec.ops.length import Norm, RMSNorm
from archspec.ops.linear import Embedding, Linear
from archspec.ops.multihead import MultiheadAttention
from archspec.ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from archspec.ops.recurrent import GRU, LSTM, RNN
from archspec.ops.reshape import Permute, Reshape


def owner(draft: Draft, **weights: Any) -> str | None:
    """The path of the module that tensors are the weights of, by the names they have as those of one layer; None if they are not."""
    paths = set()
    for name, node in weights.items():
        if node is None:
            continue
        key = draft.key(node)
        if key is None or key.rpartition(".")[2] != name or key in draft.capture.tied:
            return None
        paths.add(key.rpartition(".")[0])
    return paths.pop() if len(paths) == 1 else None


def _not_own(draft: Draft, weight: Any) -> Mistake:
    """That a layer has no weights of its own."""
    key = draft.key(weight)
    if key is not None and key in draft.capture.tied:
        return Mistake(
            f"`{key}` is used by modules in several places, and this layer has no form with weights from elsewhere",
            codes.NOT_IMPORTED,
        )
    return Mistake("its weights are computed", codes.NOT_IMPORTED)


def _convolution(
    draft: Draft, given: Value, weight: Any, bias: Any, arguments: dict[str, Any], axes: int
) -> Any:
    key = owner(draft, weight=weight, bias=bias)
    standardised: dict[str, Any] = {}
    scale = 1.0
    if key is None and (found := _standardised(draft, weight)) is not None:
        weight, standardised, scale = found
        key = owner(draft, weight=weight, bias=bias)
    if key is None and arguments["groups"] % draft.capture.batch == 0:
        return _of_each_sample(draft, given, weight, bias, arguments, axes)
    sizes = draft.value(weight).type.shape[2:]
    if windows_of(given) > 1 and not isinstance(arguments["padding"], str):
        x, back = as_tiles(
            draft, given, sizes, arguments["stride"], arguments["padding"], arguments["dilation"]
        )
        arguments["padding"] = 0
    else:
        x, back = as_image(draft, given)
    x = x if scale == 1 else draft.emit(Scale(factor=scale), x)
    if key is None:
        return back(_convolved(draft, x, draft.value(weight), bias, arguments, axes))
    shape = draft.capture.tensors[weight.name][1].shape
    kernel, stride, dilation = shape[2:], arguments["stride"], arguments["dilation"]
    padding = arguments.pop("padding")
    if isinstance(padding, str):
        padding = "same" if padding == "same" else 0
    else:
        padding = same_or(padding, kernel, stride, dilation, axes)
    kind: type[Conv | WSConv] = WSConv if standardised else Conv
    op = kind(
        out=shape[0],
        kernel=even(kernel, axes),
        stride=even(stride, axes),
        padding=padding,
        dilation=even(dilation, axes),
        groups=arguments["groups"],
        bias=bias is not None,
        **standardised,
    )
    return back(draft.emit(op, x, key=key))


def _convolved(
    draft: Draft, x: Value, weight: Value, bias: Any, arguments: dict[str, Any], axes: int
) -> Value:
    """A convolution with a weight that is computed."""
    kernel, stride, dilation = weight.type.shape[2:], arguments["stride"], arguments["dilation"]
    padding = arguments["padding"]
    if isinstance(padding, str):
        padding = "same" if padding == "same" else 0
    else:
        padding = same_or(padding, kernel, stride, dilation, axes)
    op = Convolve(
        stride=even(stride, axes), padding=padding, dilation=even(dilation, axes), groups=arguments["groups"]
    )
    made: Value = draft.emit(op, x, weight)
    if bias is None:
        return made
    each = draft.emit(Reshape(shape=(*whole(draft.value(bias).type), *[1] * axes)), draft.value(bias))
    return draft.emit(Add(), made, each)  # type: ignore[no-any-return]


def _of_each_sample(
    draft: Draft, given: Value, weight: Any, bias: Any, arguments: dict[str, Any], axes: int
) -> Value:
    """A convolution whose groups are samples, each with a weight of its own: [1, B C, *S] with [B out, C, *kernel]."""
    windows = draft.value(weight)
    if given.layout.batch != 1 or given.type.shape[0] != 1 or windows.layout.batch != 0 or bias is not None:
        raise Mistake("its groups hold the batch", codes.NOT_IMPORTED)
    arguments = {**arguments, "groups": arguments["groups"] // draft.capture.batch}
    made = _convolved(draft, without(draft, given, 0), windows, None, arguments, axes)
    return draft.emit(Reshape(shape=(1, *whole(made.type))), made)  # type: ignore[no-any-return]


def _standardised(draft: Draft, weight: Any) -> tuple[Any, dict[str, Any], float] | None:
    """The weight that a convolution standardises before it uses it, how, and what it is scaled by; None if it does not."""
    norm = _behind_views(weight)
    if norm is None or norm.op != "call_function" or not str(norm.target).startswith("aten.batch_norm"):
        return None
    given, gain, bias, mean, _, training, _, eps = norm.args[:8]
    own = _behind_views(given)
    if mean is not None or bias is not None or not training or draft.key(own) is None:
        return None
    said: dict[str, Any] = {"eps": eps}
    scale = 1.0
    if gain is not None:
        product = _behind_views(gain)
        if (
            product is None
            or not str(product.target).startswith("aten.mul")
            or isinstance(product.args[1], type(product))
        ):
            return None
        shape = draft.capture.tensors[own.name][1].shape
        if (draft.key(product.args[0]) or "").rpartition(".")[2] != "gain":
            return None
        said["gain"] = True
        scale = product.args[1] * shape[1:].numel() ** 0.5
    return own, said, 1.0 if abs(scale - 1) < 1e-6 else scale


def _behind_views(node: Any) -> Any:
    while getattr(node, "op", "") == "call_function" and str(node.target).startswith(
        ("aten.view", "aten.reshape", "aten.alias")
    ):
        node = node.args[0]
    return node


@converts("aten.conv1d", "aten.conv2d", "aten.conv3d")
def _(
    draft: Draft, node: Any, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    axes = len(node.meta["val"].shape) - 2
    arguments = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _convolution(draft, draft.value(x), weight, bias, arguments, axes)


@converts("aten.conv_transpose1d", "aten.conv_transpose2d", "aten.conv_transpose3d")
def _(
    draft: Draft, node: Any, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    axes = len(node.meta["val"].shape) - 2
    value, back = as_image(draft, draft.value(x))
    key = owner(draft, weight=weight, bias=bias)
    if key is None:
        raise _not_own(draft, weight)
    shape = draft.capture.tensors[weight.name][1].shape
    op = ConvTranspose(
        out=shape[1] * groups,
        kernel=even(shape[2:], axes),
        stride=even(stride, axes),
        padding=even(padding, axes),
        output_padding=even(output_padding, axes),
        dilation=even(dilation, axes),
        groups=groups,
        bias=bias is not None,
    )
    return back(draft.emit(op, value, key=key))


@converts("aten._weight_norm", "aten._weight_norm_interface")
def _(draft: Draft, node: Any, direction: Any, length: Any, axis: int = 0) -> Any:
    value = draft.value(direction)
    axis = axis % value.type.rank if axis >= 0 else -1
    others = tuple(i for i in range(value.type.rank) if i != axis)
    size = draft.emit(Norm(axes=others[0] if len(others) == 1 else others, keep=True), value)
    made = draft.emit(Mul(), draft.emit(Div(), value, size), draft.value(length))
    return [made, None] if "interface" in str(node.target) else made


@converts("aten.linear")
def _(draft: Draft, node: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    value = draft.value(x)
    key = owner(draft, weight=weight, bias=bias)
    if key is not None:
        out = draft.capture.tensors[weight.name][1].shape[0]
        return draft.emit(Linear(out=out, bias=bias is not None), value, key=key)
    made = product(draft, node, value, draft.emit(Permute(axes=(1, 0)), draft.value(weight)))
    return made if bias is None else draft.emit(Add(), made, draft.value(bias))


@converts("aten.batch_norm")
def _(
    draft: Draft, node: Any, x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool,
    momentum: float, eps: float, cudnn: bool,
) -> Any:  # fmt: skip
    if mean is None and training and bias is None:
        return None  # of a weight, which a convolution uses
    value = draft.value(x)
    if (
        value.layout.batch == 0 and value.layout.held > 1 and value.type.rank == 2
    ):  # rows of all samples, as in LeViT
        value = draft.emit(Permute(axes=(1, 0)), value)
        back: Back = lambda made: draft.emit(Permute(axes=(1, 0)), made)  # noqa: E731
    else:
        value, back = as_rows(draft, value)
    key = owner(draft, weight=weight, bias=bias, running_mean=mean, running_var=var)
    if mean is not None and draft.key(mean) in draft.capture.tied:
        raise _not_own(draft, mean)
    if key is None or mean is None or (weight is None) != (bias is None):
        raise Mistake(
            "it is no BatchNorm as archspec has it, with a weight, a bias and running averages",
            codes.NOT_IMPORTED,
        )
    op = BatchNorm(eps=eps, momentum=momentum, affine=weight is not None)
    return back(draft.emit(op, value, key=key))


@converts("aten.layer_norm")
def _(
    draft: Draft, node: Any, x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn: bool = True,
) -> Any:  # fmt: skip
    value = draft.value(x)
    axes = tuple(value.axis(axis) for axis in range(-len(shape), 0))
    key = owner(draft, weight=weight, bias=bias) if weight is not None else None
    said: dict[str, Any] = {} if len(axes) == 1 else {"axes": tuple(axis - value.type.rank for axis in axes)}
    op = LayerNorm(eps=eps, affine=key is not None, bias=bias is not None or key is None, **said)
    made = draft.emit(op, value, key=key)
    return made if key is not None else _scaled(draft, made, weight, bias)


@converts("aten.rms_norm")
def _(draft: Draft, node: Any, x: Any, shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    value = draft.value(x)
    key = owner(draft, weight=weight) if weight is not None else None
    if len(shape) != 1:
        raise Mistake("it is no RMSNorm along one axis", codes.NOT_IMPORTED)
    said: dict[str, Any] = {} if eps is None else {"eps": eps}
    made = draft.emit(RMSNorm(affine=key is not None, **said), value, key=key)
    return made if key is not None else _scaled(draft, made, weight, None)


def _scaled(draft: Draft, value: Value, weight: Any, bias: Any) -> Value:
    """What is normalised, with a weight and a bias that are not the norm's own."""
    if weight is not None:
        value = draft.emit(Mul(), value, draft.value(weight))
    return value if bias is None else draft.emit(Add(), value, draft.value(bias))


@converts("aten.group_norm")
def _(
    draft: Draft, node: Any, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn: bool = True,
) -> Any:  # fmt: skip
    value, back = as_image(draft, draft.value(x))
    key = owner(draft, weight=weight, bias=bias) if weight is not None else None
    if (weight is not None and key is None) or (weight is None) != (bias is None):
        raise Mistake("its weights are not those of a GroupNorm", codes.NOT_IMPORTED)
    return back(draft.emit(GroupNorm(groups=groups, eps=eps, affine=weight is not None), value, key=key))


@converts("aten.instance_norm")
def _(
    draft: Draft, node: Any, x: Any, weight: Any, bias: Any, mean: Any, var: Any, use_input: bool,
    momentum: float, eps: float, cudnn: bool,
) -> Any:  # fmt: skip
    value, back = as_image(draft, draft.value(x))
    key = owner(draft, weight=weight, bias=bias) if weight is not None else None
    if mean is not None or (weight is not None and key is None):
        raise Mistake("it keeps running averages, which archspec's InstanceNorm has not", codes.NOT_IMPORTED)
    return back(draft.emit(InstanceNorm(eps=eps, affine=weight is not None), value, key=key))


@converts("aten.embedding")
def _(draft: Draft, node: Any, weight: Any, x: Any, padding: int = -1, *rest: Any) -> Any:
    key = owner(draft, weight=weight)
    if key is None:
        return draft.emit(Gather(), draft.value(weight), draft.value(x))
    count, width = draft.capture.tensors[weight.name][1].shape
    said: dict[str, Any] = {} if padding < 0 else {"padding": padding}
    return draft.emit(Embedding(count=count, width=width, **said), draft.value(x), key=key)


@converts("aten.prelu")
def _(draft: Draft, node: Any, x: Any, weight: Any) -> Any:
    key = owner(draft, weight=weight)
    if key is None:
        raise _not_own(draft, weight)
    per_channel = draft.capture.tensors[weight.name][1].numel() > 1
    return draft.emit(PReLU(per_channel=per_channel), draft.value(x), key=key)


# ------------------------------------------------------------------ layers that PyTorch runs in several steps


@converts_calls("torch.nn.modules.activation.MultiheadAttention")
def _(draft: Draft, module: Any, path: str, inside: list[Node]) -> None:
    if module.bias_k is not None or module.add_zero_attn:
        raise Mistake("it adds keys of its own", codes.NOT_IMPORTED)
    here = set(inside)
    given = [
        node
        for node in dict.fromkeys(n for item in inside for n in item.all_input_nodes)
        if node not in here and node.name not in draft.capture.tensors
    ]
    made = [node for node in inside if any(user not in here for user in node.users)]
    for weight in (node for item in inside for node in item.all_input_nodes):
        if draft.key(weight) in draft.capture.tied:
            raise _not_own(draft, weight)
    if not 1 <= len(given) <= 3 or len(made) != 1:
        raise Mistake("it takes a mask, or gives its weights", codes.NOT_IMPORTED)
    q = draft.value(given[0])
    k = draft.value(given[1]) if len(given) > 1 else q
    v = draft.value(given[2]) if len(given) > 2 else k
    op = MultiheadAttention(
        heads=module.num_heads, dropout=float(module.dropout), biases=module.in_proj_bias is not None
    )
    draft.settle(made[0], draft.emit(op, q, k, v, key=path))


@converts("aten.lstm.input", "aten.gru.input", "aten.rnn_tanh.input", "aten.rnn_relu.input")
def _(
    draft: Draft, node: Any, x: Any, states: Any, weights: Any, bias: bool, layers: int, dropout: float, training: bool,
    bidirectional: bool, batch_first: bool,
) -> Any:  # fmt: skip
    first = [states] if isinstance(states, Node) else list(states)
    if any(not str(state.target).startswith("aten.zeros") for state in first):
        raise Mistake("it starts from states that are computed", codes.NOT_IMPORTED)
    keys = [draft.key(weight) or "" for weight in weights]
    key = keys[0].rpartition(".")[0]
    if any(other in draft.capture.tied for other in keys):
        raise _not_own(draft, weights[0])
    if any(other.rpartition(".")[0] != key for other in keys) or "weight_hr_l0" in keys[-1]:
        raise Mistake("its weights are not those of one layer", codes.NOT_IMPORTED)
    hidden = draft.capture.tensors[weights[1].name][1].shape[1]
    state = any(user.args[1] != 0 and user.users for user in node.users)
    name = str(node.target)
    said: dict[str, Any] = {"act": "relu"} if "rnn_relu" in name else {}
    kind = LSTM if "lstm" in name else GRU if "gru" in name else RNN
    op = kind(
        hidden=hidden,
        layers=layers,
        bidirectional=bidirectional,
        dropout=float(dropout),
        bias=bias,
        state=state,
        **said,
    )
    made = draft.emit(op, draft.value(x), key=key)
    return made if isinstance(made, list) else [made, *[None] * len(first)]
