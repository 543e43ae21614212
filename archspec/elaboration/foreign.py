"""Names that people know from PyTorch, timm and Keras, and what is written here instead: data, for help in errors."""

from __future__ import annotations

FOREIGN = {
    "AdaptiveAvgPool2d": "AdaptiveAvgPool(7)` or `GlobalAvgPool",
    "BatchNorm1d": "BatchNorm",
    "BatchNorm2d": "BatchNorm",
    "Conv1d": "Conv",
    "Conv2d": "Conv",
    "Conv3d": "Conv",
    "Dense": "Linear",
    "Dropout2d": "ChannelDropout",
    "GLU": "from blocks.gated import GLU",
    "Hardtanh": "Clamp(-1, 1)",
    "Interpolate": "Upsample",
    "LayerNorm2d": "LayerNorm(axis=0)",
    "LogSigmoid": "-(-x -> Softplus)",
    "Mean": 'Reduce("mean", axis)',
    "ModuleList": "[first, second]",
    "QuickGELU": "x * (1.702 * x -> Sigmoid)",
    "SELU": "ELU(1.6733) -> Scale(1.0507)",
    "Sequential": "[first, second]",
    "SqueezeExcite": "from blocks.attention import SqueezeExcite",
    "Softmax2d": "Softmax(axis=0)",
    "Squeeze": "Rearrange` or `x[0]",
    "Swish": "SiLU",
    "Transpose": "Permute",
    "Unsqueeze": 'Rearrange("c -> c 1 1")',
    "View": "Reshape",
    "ZeroPad2d": "Pad",
    "cat": "concat(x, y)",
    "nn": "Conv(8)` without `nn.",
    "torch": "x -> Sin` without `torch.",
}
"""What stands between backquotes in the help: a form of the language, or several with words in between."""


def meant_by(name: str) -> str:
    """The help for a name that is another framework's; an empty string for any other."""
    return f"write `{FOREIGN[name]}`" if name in FOREIGN else ""
