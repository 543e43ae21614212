"""Names that people know from PyTorch, timm and Keras, and what is written here instead: data, for help in errors."""

from __future__ import annotations

FOREIGN = {
    "Activation": "x -> ReLU",
    "AdaptiveAvgPool2d": "AdaptiveAvgPool(7)` or `GlobalAvgPool",
    "AveragePooling2D": "AvgPool",
    "AvgPool1d": "AvgPool",
    "AvgPool2d": "AvgPool",
    "AvgPool3d": "AvgPool",
    "BatchNorm1d": "BatchNorm",
    "BatchNorm2d": "BatchNorm",
    "BatchNorm3d": "BatchNorm",
    "BatchNormalization": "BatchNorm",
    "Concatenate": "concat(x, y)",
    "Conv1d": "Conv",
    "Conv2D": "Conv",
    "Conv2d": "Conv",
    "Conv3d": "Conv",
    "ConvBnAct": "from blocks.conv_bn import ConvBN",
    "ConvTranspose1d": "ConvTranspose",
    "ConvTranspose2d": "ConvTranspose",
    "ConvTranspose3d": "ConvTranspose",
    "Dense": "Linear",
    "DepthwiseConv2D": "Conv(x.channels, 3, groups=x.channels)",
    "Dropout2d": "ChannelDropout",
    "Elu": "ELU",
    "False": "false",
    "GLU": "from blocks.gated import GLU",
    "Gelu": "GELU",
    "GlobalAveragePooling2D": "GlobalAvgPool",
    "GlobalMaxPooling2D": "GlobalMaxPool",
    "HardSigmoid": "Hardsigmoid",
    "HardSwish": "Hardswish",
    "Hardtanh": "Clamp(-1, 1)",
    "InstanceNorm1d": "InstanceNorm",
    "InstanceNorm2d": "InstanceNorm",
    "InstanceNorm3d": "InstanceNorm",
    "Interpolate": "Upsample",
    "LayerNorm2d": "LayerNorm(axis=0)",
    "LayerNormalization": "LayerNorm",
    "LeakyRelu": "LeakyReLU",
    "LogSigmoid": "-(-x -> Softplus)",
    "MaxPool1d": "MaxPool",
    "MaxPool2d": "MaxPool",
    "MaxPool3d": "MaxPool",
    "MaxPooling2D": "MaxPool",
    "Mean": 'Reduce("mean", axis)',
    "Mlp": "from blocks.transformer import Mlp",
    "ModuleList": "[first, second]",
    "MultiHeadAttention": "MultiheadAttention",
    "PRelu": "PReLU",
    "QuickGELU": "x * (1.702 * x -> Sigmoid)",
    "Relu": "ReLU",
    "Relu6": "ReLU6",
    "SELU": "ELU(1.6733) -> Scale(1.0507)",
    "SeparableConv2D": "Conv(x.channels, 3, groups=x.channels) -> Conv(8)",
    "Sequential": "[first, second]",
    "Silu": "SiLU",
    "Softmax2d": "Softmax(axis=0)",
    "SpatialDropout2D": "ChannelDropout",
    "Squeeze": "Rearrange` or `x[0]",
    "SqueezeExcite": "from blocks.attention import SqueezeExcite",
    "StochasticDepth": "DropPath",
    "Swish": "SiLU",
    "Transpose": "Permute([0, 2, 1])",
    "True": "true",
    "Unsqueeze": 'Rearrange("c -> c 1 1")',
    "UpSampling2D": "Upsample",
    "Upsampling2D": "Upsample",
    "View": "Reshape",
    "ZeroPad2d": "Pad",
    "ZeroPadding2D": "Pad",
    "adaptive_avg_pool2d": "x -> AdaptiveAvgPool(7)` or `x -> GlobalAvgPool",
    "avg_pool2d": "x -> AvgPool(2)",
    "cat": "concat(x, y)",
    "chunk": "x -> Split(3)",
    "dropout": "x -> Dropout(0.1)",
    "einsum": '(x, x) -> Einsum("c h w, c h v -> c w v")',
    "flatten": "x -> Flatten",
    "gelu": "x -> GELU",
    "interpolate": "x -> Upsample(scale=2)",
    "layer_norm": "x -> LayerNorm",
    "leaky_relu": "x -> LeakyReLU",
    "log_softmax": "x -> LogSoftmax",
    "max_pool2d": "x -> MaxPool(2)",
    "mean": 'x -> Reduce("mean", [1, 2])',
    "normalize": "x -> Normalize",
    "pad": "x -> Pad(1)",
    "permute": "x -> Permute([1, 2, 0])",
    "rearrange": 'x -> Rearrange("c h w -> (h w) c")',
    "reduce": 'x -> Reduce("mean", [1, 2])',
    "relu": "x -> ReLU",
    "reshape": "x -> Reshape([-1])",
    "scaled_dot_product_attention": "(x, x, x) -> Attention",
    "sigmoid": "x -> Sigmoid",
    "silu": "x -> SiLU",
    "softmax": "x -> Softmax",
    "split": "x -> Split(3)",
    "squeeze": "x[0]",
    "stack": "(x, x) -> Stack",
    "tanh": "x -> Tanh",
    "transpose": "x -> Permute([0, 2, 1])",
    "unsqueeze": 'x -> Rearrange("c h w -> 1 c h w")',
    "view": "x -> Reshape([-1])",
    "where": "(x > 0, x, -x) -> Where",
}
"""What stands between backquotes in the help: a form of the language, or several with words in between."""


_BLOCK = "what is used again is a block (docs/language.md, Blocks and models)"
_RECURRENT = "it is a block that comes with archspec: import it from blocks.recurrent"
_NONE = "there is no such op: write it with others, or add one (docs/adding-an-op.md)"
_OWN = "a block declares a tensor of its own: `weight table: [8, 8] = normal(0.02)` (docs/language.md)"
NOTES = {
    "AlphaDropout": _NONE,
    "Bilinear": _NONE,
    "CELU": _NONE,
    "EmbeddingBag": _NONE,
    "FractionalMaxPool2d": _NONE,
    "Hardshrink": _NONE,
    "LPPool2d": _NONE,
    "MaxUnpool2d": _NONE,
    "RReLU": _NONE,
    "Softmin": _NONE,
    "Softshrink": _NONE,
    "Softsign": _NONE,
    "Tanhshrink": _NONE,
    "Threshold": _NONE,
    "Container": _BLOCK,
    "Module": _BLOCK,
    "ModuleDict": "write a list of named layers: `[a: ReLU, b: ReLU]`",
    "GRUCell": _RECURRENT,
    "LSTMCell": _RECURRENT,
    "ReflectionPad2d": 'write `Pad(1, mode="reflect")`',
    "ReplicationPad2d": 'write `Pad(1, mode="replicate")`',
    "Unflatten": "write `Reshape([3, 8, 8])`",
    "TransformerEncoderLayer": "write it out as a block, or import Encoder from families.vit, EncoderLayer from families.transformer",
    "UpsamplingNearest2d": "write `Upsample(scale=2)`",
    "UpsamplingBilinear2d": 'write `Upsample(scale=2, mode="bilinear", align_corners=true)`',
    "None": 'write `none`; an axis of size 1 is put in by `Rearrange("c h w -> c 1 h w")`',
    "Parameter": _OWN,
    "arange": "a block declares a table of numbers: `constant table: i64[8] = range(8)`",
    "empty": _OWN,
    "ones": _OWN,
    "rand": _OWN,
    "randn": _OWN,
    "register_buffer": "a block declares it: `buffer table: [8, 8] = zeros` (docs/language.md)",
    "tensor": _OWN,
    "zeros": _OWN,
    "F": "layers stand alone: `x -> ReLU`",
    "keras": "layers stand alone: `x -> ReLU`",
    "math": "functions stand alone: `sqrt(2)`, `pi`",
    "nn": "layers stand alone: `x -> Conv(8)`",
    "np": "functions stand alone: `sqrt(2)`, `pi`",
    "self": "names stand alone: a step's name is its key, `x -> conv1: Conv(64)`",
    "super": "a block inherits nothing: remove the line",
    "tf": "layers stand alone: `x -> ReLU`",
    "torch": "layers stand alone: `x -> Sin`",
}
"""Of names that are no layers, the help."""

MODULES = frozenset(
    {
        "F", "einops", "flax", "jax", "jnp", "keras", "layers", "math", "nn", "np", "self", "tf", "timm", "torch",
        "torchvision",
    }
)  # fmt: skip
"""Names behind whose dots other frameworks have theirs."""

OF_TENSORS = {
    "T": "x -> Permute([2, 1, 0])",
    "chunk": FOREIGN["chunk"],
    "contiguous": "x",
    "dim": "x.rank",
    "expand": "x -> Expand([3, 8, 8])",
    "flatten": FOREIGN["flatten"],
    "mean": FOREIGN["mean"],
    "ndim": "x.rank",
    "permute": FOREIGN["permute"],
    "relu": FOREIGN["relu"],
    "reshape": FOREIGN["reshape"],
    "sigmoid": FOREIGN["sigmoid"],
    "size": "x.shape",
    "softmax": FOREIGN["softmax"],
    "squeeze": FOREIGN["squeeze"],
    "sum": 'x -> Reduce("sum", [1, 2])',
    "transpose": FOREIGN["transpose"],
    "unsqueeze": FOREIGN["unsqueeze"],
    "view": FOREIGN["view"],
}
"""What is written for methods that tensors have elsewhere."""

# Names alone: `Conv2d(3, 64, 3)` is no `Conv(3, 64, 3)`, which would be another layer without a word.
_SURE = {
    "Dense", "Dropout2d", "Elu", "False", "Gelu", "HardSwish", "LeakyRelu", "PRelu", "Relu", "Relu6",
    "Silu", "SpatialDropout2D", "Swish", "True",
}  # fmt: skip


def meant_by(name: str) -> str:
    """The help for a name that is another framework's; an empty string for any other."""
    return f"write `{FOREIGN[name]}`" if name in FOREIGN else NOTES.get(name, "")


def surely(name: str) -> str | None:
    """The name that another framework's has here, where all that can follow it means the same."""
    return FOREIGN[name] if name in _SURE else None


def method(name: str) -> str:
    """The help for a method of a tensor; an empty string where it is none."""
    return f"write `{OF_TENSORS[name]}`" if name in OF_TENSORS else ""
