"""EfficientNet-B3 by hand, named as timm names it."""

from __future__ import annotations

import math

from torch import Tensor, nn

STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def scaled(channels: int, width: float) -> int:
    """Channels times a width, rounded to a multiple of 8."""
    taken = channels * width
    rounded = max(8, int(taken + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * taken else rounded


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that pads to `same`."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class SqueezeExcite(nn.Module):
    """Weigh channels by what all of them hold on average."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, hidden, 1)
        self.act = nn.SiLU(inplace=True)
        self.conv_expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        weights = x.mean((2, 3), keepdim=True)
        return x * self.conv_expand(self.act(self.conv_reduce(weights))).sigmoid()


class Separable(nn.Module):
    """Depthwise, then pointwise: the block of the first stage, which does not expand."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.skip = stride == 1 and inputs == outputs
        self.conv_dw = conv(inputs, inputs, kernel, stride, inputs)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.act = nn.SiLU(inplace=True)
        self.se = SqueezeExcite(inputs, inputs // 4)
        self.conv_pw = conv(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, outputs, H / stride, W / stride]."""
        y = self.bn2(self.conv_pw(self.se(self.act(self.bn1(self.conv_dw(x))))))
        return x + y if self.skip else y


class MBConv(nn.Module):
    """Expand, depthwise, squeeze and excite, project."""

    def __init__(self, inputs: int, outputs: int, expand: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.skip = stride == 1 and inputs == outputs
        self.conv_pw = conv(inputs, hidden, 1)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.act = nn.SiLU(inplace=True)
        self.conv_dw = conv(hidden, hidden, kernel, stride, hidden)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.se = SqueezeExcite(hidden, inputs // 4)
        self.conv_pwl = conv(hidden, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, outputs, H / stride, W / stride]."""
        y = self.act(self.bn1(self.conv_pw(x)))
        y = self.se(self.act(self.bn2(self.conv_dw(y))))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.skip else y


class EfficientNet(nn.Module):
    """[N, 3, H, W] -> [N, classes]."""

    def __init__(self, width: float, depth: float, dropout: float, classes: int = 1000) -> None:
        super().__init__()
        channels = scaled(32, width)
        self.conv_stem = conv(3, channels, 3, 2)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act = nn.SiLU(inplace=True)
        stages = []
        for expand, outputs, layers, stride, kernel in STAGES:
            blocks: list[nn.Module] = []
            for i in range(math.ceil(layers * depth)):
                step = stride if i == 0 else 1
                block = (
                    Separable(channels, scaled(outputs, width), kernel, step)
                    if expand == 1
                    else MBConv(channels, scaled(outputs, width), expand, kernel, step)
                )
                blocks.append(block)
                channels = scaled(outputs, width)
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = conv(channels, scaled(1280, width), 1)
        self.bn2 = nn.BatchNorm2d(scaled(1280, width))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(scaled(1280, width), classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is None:
                fan_out = module.out_channels // module.groups * module.kernel_size[0] ** 2
                nn.init.normal_(module.weight, 0.0, math.sqrt(2 / fan_out))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, classes]."""
        x = self.act(self.bn1(self.conv_stem(x)))
        x = self.act(self.bn2(self.conv_head(self.blocks(x))))
        return self.classifier(self.dropout(x.mean((2, 3))))


def EfficientNetB0() -> EfficientNet:  # noqa: N802
    """The base."""
    return EfficientNet(1.0, 1.0, 0.2)


def EfficientNetB3() -> EfficientNet:  # noqa: N802
    """1.2 times as wide, 1.4 times as deep."""
    return EfficientNet(1.2, 1.4, 0.3)
