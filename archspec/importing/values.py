"""What a draft is made of: tensors without the batch, steps, and the calls of modules that they are in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor, nn

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType
from archspec.op import Op


@dataclass(frozen=True)
class Layout:
    """How PyTorch has a tensor: its shape, which axis is or holds the batch, and how many other things that axis holds."""

    shape: tuple[int, ...]
    batch: int | None
    held: int = 1

    @property
    def rank(self) -> int:
        """Number of axes, with the batch."""
        return len(self.shape)

    @property
    def ours(self) -> tuple[int, ...]:
        """The shape without the batch."""
        if self.batch is None:
            return self.shape
        held = (self.held,) if self.held > 1 else ()
        return (*self.shape[: self.batch], *held, *self.shape[self.batch + 1 :])

    def axis(self, axis: int) -> int:
        """What an axis of PyTorch's is called here. Mistake if it is the batch."""
        axis += self.rank if axis < 0 else 0
        if self.batch is None or axis < self.batch:
            return axis
        if axis == self.batch and self.held == 1:
            raise Mistake("it goes along the batch, where samples meet", codes.NOT_IMPORTED)
        if axis == self.batch:
            raise Mistake("it goes along an axis that holds the batch as well", codes.NOT_IMPORTED)
        return axis - (self.held == 1)


@dataclass(eq=False)
class Value:
    """A tensor of the draft: its type without the batch, and how PyTorch has it."""

    type: TensorType
    layout: Layout
    named: tuple[str, ...] = ()

    def axis(self, axis: int) -> int:
        """What an axis of PyTorch's is called here."""
        return self.layout.axis(axis)


@dataclass(frozen=True, eq=False)
class Own:
    """A tensor of the module's own that is used as one: a weight, a buffer, or a constant, which has no key."""

    kind: str
    key: str
    tensor: Tensor


@dataclass(frozen=True, eq=False)
class Gap:
    """What stands in the place of an operator that has no form in a spec: a block that there is none of, with what was wrong."""

    name: str
    reason: str


@dataclass(eq=False)
class Region:
    """A call of a module: what is computed in it, and in the calls of modules within, in order."""

    path: str
    parent: Region | None
    module: nn.Module
    kind: str
    items: list[Step | Region] = field(default_factory=list)

    def steps(self) -> Iterator[Step]:
        """All steps, those in calls within included."""
        for item in self.items:
            if isinstance(item, Region):
                yield from item.steps()
            else:
                yield item

    def around(self) -> Iterator[Region]:
        """This call, and those around it, innermost first."""
        region: Region | None = self
        while region is not None:
            yield region
            region = region.parent


@dataclass(eq=False)
class Step:
    """An op applied: `key` is the path of the module whose weights it has, `path` of the module that it stands for."""

    op: Op | Own | Gap
    inputs: list[Value]
    outputs: list[Value]
    region: Region
    options: dict[str, Value] = field(default_factory=dict)
    key: str | None = None
    path: str = ""
    place: tuple[str, int] | None = None


def kind_of(module: nn.Module) -> str:
    """What tells the classes of modules apart."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def whole(type_: TensorType) -> tuple[int, ...]:
    """The sizes of a tensor, none of which is free here."""
    return tuple(int(size) for size in type_.shape)  # type: ignore[arg-type]
