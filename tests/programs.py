"""Programs with their meanings: the text of a spec, and what it computes, worked out apart from archspec.

A `Code` is a piece of text and a function that does what the text means, on the tensors of a run. Names of steps are worked
out as the manual has them, since they say which weights a step uses. Every tensor is [4, 4], so that whatever is written fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv1d

SIZE = 4

# ------------------------------------------------------------------ what ops mean

Weights = Callable[[str], Tensor]


def _linear(weight: Weights, x: Tensor) -> Tensor:
    return x @ weight("weight").T + weight("bias")


def _layer_norm(weight: Weights, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred**2).mean(-1, keepdim=True).add(1e-5).sqrt() * weight("weight") + weight("bias")


def _batch_norm(weight: Weights, x: Tensor) -> Tensor:
    weight("num_batches_tracked")
    mean, variance, scale, shift = (
        weight(key)[:, None] for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def _attention(
    weight: Weights, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    scores = q @ k.transpose(-1, -2) / SIZE**0.5
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(-1) @ v


LAYERS: dict[str, Callable[..., Tensor]] = {
    "Tanh": lambda weight, x: x.tanh(),
    "Sigmoid": lambda weight, x: x.sigmoid(),
    "ReLU": lambda weight, x: x.clamp(min=0),
    "GELU": lambda weight, x: x * (1 + torch.erf(x / 2**0.5)) / 2,
    "Softmax": lambda weight, x: x.softmax(-1),
    "Identity": lambda weight, x: x,
    "Dropout": lambda weight, x: x,
    "Permute([1, 0])": lambda weight, x: x.transpose(-1, -2),
    "Scale(0.5)": lambda weight, x: x * 0.5,
    "Scale(-1, offset=2)": lambda weight, x: 2 - x,
    "Linear(4)": _linear,
    "Linear(4, bias=false)": lambda weight, x: x @ weight("weight").T,
    "LayerNorm": _layer_norm,
    "BatchNorm": _batch_norm,
    "Conv(4)": lambda weight, x: conv1d(x, weight("weight"), weight("bias")),
    "Conv(4, kernel=3, groups=2)": lambda weight, x: conv1d(
        x, weight("weight"), weight("bias"), padding=1, groups=2
    ),
}
MEANINGS: dict[str, Callable[..., Any]] = {
    **LAYERS,
    "Attention": _attention,
    "Split(2)": lambda weight, x: x.split(SIZE, 1),
}
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "+": torch.add,
    "-": torch.sub,
    "*": torch.mul,
    "@": torch.matmul,
}

# ------------------------------------------------------------------ what programs mean


@dataclass
class Level:
    """Where names are given: their prefix, and how often each name that nobody gave was."""

    prefix: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    def full(self, label: str | None, fallback: str) -> str:
        if label is None:
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", fallback).lower()
            count = self.counts[words] = self.counts.get(words, -1) + 1
            label = f"{words}_{count}" if count else words
        return self.prefix + label


@dataclass
class Run:
    """The weights of a network by name, and the names of those that the program used."""

    weights: Mapping[str, Tensor]
    used: set[str] = field(default_factory=set)

    def weight(self, name: str) -> Tensor:
        self.used.add(name)
        return self.weights[name]


@dataclass
class Frame:
    """What names mean while a block runs."""

    names: dict[str, Any]
    level: Level
    run: Run


@dataclass(frozen=True)
class Code:
    text: str
    value: Callable[[Frame], Any]


@dataclass(frozen=True)
class Statement:
    lines: tuple[str, ...]
    run: Callable[[Frame], None]


@dataclass(frozen=True)
class Op:
    text: str
    options: Mapping[str, Tensor | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    items: tuple[tuple[str | None, Any], ...]


@dataclass(frozen=True)
class Shared:
    name: str
    prefix: str
    layer: Any


@dataclass(frozen=True)
class Bound:
    block: Block
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: str  # "data", "any" (a tensor, perhaps without a batch), "mask", "layer", "mixer", "shared" or "number"
    default: Code | None = None


@dataclass(frozen=True)
class Block:
    """A block of a program. A short one stands for the layer `short`, and takes no tensors of its own."""

    name: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[str, ...]
    statements: tuple[Statement, ...]
    returned: tuple[tuple[str, Code], ...]
    nodes: int
    short: Code | None = None
    passes_on: Block | None = None  # the block whose arguments a short one takes besides its own

    @property
    def text(self) -> str:
        shown = ", ".join(
            p.name
            + (": layer" if p.kind in ("layer", "mixer") else "")
            + (f" = {p.default.text}" if p.default else "")
            for p in self.parameters
        )
        head = f"block {self.name}({shown})" if shown else f"block {self.name}"
        if self.short is not None:
            return f"{head} = {self.short.text}\n"
        return head + ":\n" + body(self.inputs, self.statements, self.returned)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.returned)

    @property
    def all_parameters(self) -> tuple[Parameter, ...]:
        return self.parameters + (self.passes_on.all_parameters if self.passes_on else ())


def body(inputs: Sequence[str], statements: Sequence[Statement], returned: Sequence[tuple[str, Code]]) -> str:
    shown = ", ".join(f"{name}={code.text}" if name else code.text for name, code in returned)
    lines = [line for statement in statements for line in statement.lines]
    return "".join(f"    {line}\n" for line in [*(f"input {i}" for i in inputs), *lines, f"return {shown}"])


def apply(layer: Any, inputs: Sequence[Tensor], label: str | None, level: Level, run: Run) -> list[Tensor]:
    """What applying a layer gives, its steps named in `level`."""
    match layer:
        case Op(text, options):
            name = level.full(label, text.partition("(")[0])
            result = MEANINGS[text](lambda key: run.weight(f"{name}.{key}"), *inputs, **options)
            return list(result) if isinstance(result, tuple) else [result]
        case Listed(items):
            inner = level if label is None else Level(level.full(label, "") + ".")
            stream = list(inputs)
            for number, (own, item) in enumerate(items):
                name = None if isinstance(item, Shared) else own or str(number)
                stream = apply(item, stream, name, inner, run)
            return stream
        case Shared():
            assert label is None
            return apply(layer.layer, inputs, layer.name, Level(layer.prefix), run)
        case Bound():
            return apply_block(layer, inputs, label, level, run, layer.block.name)
    raise TypeError(layer)


def apply_block(
    layer: Bound, inputs: Sequence[Tensor], label: str | None, level: Level, run: Run, shown: str
) -> list[Tensor]:
    block = layer.block
    frame = Frame({}, level, run)
    full = level.full(label, shown) if block.short is None else ""
    for parameter in block.parameters:
        if parameter.name in layer.arguments:
            frame.names[parameter.name] = layer.arguments[parameter.name]
        else:
            assert parameter.default is not None
            frame.names[parameter.name] = parameter.default.value(frame)
    if block.short is not None:
        meant = block.short.value(frame)
        passed_on = {n: v for n, v in layer.arguments.items() if n not in frame.names}
        if isinstance(meant, Bound):
            meant = Bound(meant.block, {**meant.arguments, **passed_on})
            return apply_block(meant, inputs, label, level, run, shown)
        if isinstance(meant, Listed):
            return apply(
                Listed(meant.items), inputs, level.full(label, shown).removeprefix(level.prefix), level, run
            )
        return apply(meant, inputs, label, level, run)
    frame.level = Level(full + ".")
    frame.names.update(zip(block.inputs, inputs, strict=True))
    for statement in block.statements:
        statement.run(frame)
    return [code.value(frame) for _, code in block.returned]


@dataclass(frozen=True)
class Program:
    """A spec with its meaning."""

    layers: tuple[tuple[str, Code], ...]  # given at the top of the file
    blocks: tuple[Block, ...]
    model: Block

    @property
    def text(self) -> str:
        top = "".join(f"{name} = {code.text}\n" for name, code in self.layers)
        model = body(
            [f"{name}: [4, 4]" for name in self.model.inputs], self.model.statements, self.model.returned
        )
        return top + "\n".join([*(block.text for block in self.blocks), "model Net:\n" + model])

    def __repr__(self) -> str:
        return self.text

    def run(self, inputs: Sequence[Tensor], weights: Mapping[str, Tensor]) -> tuple[list[Tensor], set[str]]:
        """What it gives for its inputs, and the names of the weights that it used."""
        run = Run(weights)
        frame = Frame(dict(zip(self.model.inputs, inputs, strict=True)), Level(), run)
        for statement in self.model.statements:
            statement.run(frame)
        return [code.value(frame) for _, code in self.model.returned], run.used


def number(value: float) -> Code:
    return Code(str(value), lambda f: value)


def variable(name: str) -> Code:
    return Code(name, lambda f: f.names[name])


def op(text: str) -> Code:
    return Code(text, lambda f: Op(text))
