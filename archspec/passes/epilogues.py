"""What oneDNN can compute in the kernel of the convolution or linear layer before it, by op."""

from __future__ import annotations

from typing import NamedTuple

from archspec.op import Op
from archspec.ops.activation import GELU, Hardswish, ReLU, ReLU6, Sigmoid, SiLU, Tanh


class Epilogue(NamedTuple):
    """The arguments by which oneDNN's kernels are told an epilogue: its name, its numbers, its algorithm."""

    name: str
    numbers: tuple[float, ...] = ()
    algorithm: str = ""

    @property
    def arguments(self) -> tuple[str, list[float], str]:
        """As PyTorch's operators take them."""
        return self.name, list(self.numbers), self.algorithm


NOTHING = Epilogue("none")
RELU = Epilogue("relu")

EPILOGUES: dict[type[Op], Epilogue] = {
    ReLU: RELU,
    ReLU6: Epilogue("hardtanh", (0.0, 6.0)),
    SiLU: Epilogue("swish"),
    Sigmoid: Epilogue("sigmoid"),
    Tanh: Epilogue("tanh"),
    Hardswish: Epilogue("hardswish"),
}
"""By the exact class: a subclass may compute something else."""


def epilogue_of(op: Op) -> Epilogue | None:
    """The epilogue that computes an op; None if oneDNN has none."""
    if type(op) is GELU:
        return Epilogue("gelu", algorithm=op.approximate)
    return EPILOGUES.get(type(op))
