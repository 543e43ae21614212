"""Features: the values inside a network that detection, segmentation and transfer learning go on with, and where its stages end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import log2
from typing import Any

from archspec.graph import Graph, Node, Ref, Scope
from archspec.graph.selecting import selected
from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import SpecError, suggest
from archspec.ground.size import Size
from archspec.ground.tensor import Shape, TensorType

STAGES = "stages"
_OF_A_ROW = 3  # of a row of blocks of one resolution, as timm has it


@dataclass(frozen=True)
class Feature:
    """A value inside a network: the step or block that gives it (`module`), its channels, and how many pixels are one of it.

    `name` is the output's; `reduction` is None where the value is no image.
    """

    module: str
    name: str
    channels: Size
    reduction: int | None
    ref: Ref

    def __repr__(self) -> str:
        size = "" if self.reduction is None else f", 1/{self.reduction}"
        return brief(self, f"{self.module}: {self.channels} channels{size}")


class FeatureInfo(tuple[Feature, ...]):
    """What the outputs of a network of features are, asked as timm's `FeatureInfo` is."""

    __slots__ = ()

    def channels(self) -> list[Size]:
        """The channels of each output."""
        return [feature.channels for feature in self]

    def reduction(self) -> list[int | None]:
        """How many pixels along an axis of the image are one of each output."""
        return [feature.reduction for feature in self]

    def module_name(self) -> list[str]:
        """The step or block that gives each output."""
        return [feature.module for feature in self]

    def get_dicts(self) -> list[dict[str, Any]]:
        """A dictionary of each output, with timm's keys."""
        return [
            {"num_chs": feature.channels, "reduction": feature.reduction, "module": feature.module}
            for feature in self
        ]


def features(graph: Graph, names: str | Iterable[str] | None) -> FeatureInfo:
    """The values that steps or blocks give, by their names; or with "stages", those at which stages end (`stage_ends`).

    Raises SpecError where there is none of a name, it gives several values, or a network has no stages.
    """
    if names == STAGES:
        found = list(stage_ends(graph))
    else:
        wanted = [names] if isinstance(names, str) else list(names or ())
        found = [(name, _value(graph, name)) for name in wanted]
        twice = next((name for i, name in enumerate(wanted) if name in wanted[:i]), None)
        if not wanted or twice is not None:
            what = f"`{twice}` is named twice" if twice else "no features are named"
            raise SpecError.of(codes.OPTION, what, help='name steps or blocks, or write `features="stages"`')
    image, types = _image(graph), graph.types
    patch = _patch(graph, image)
    named: dict[str, None] = {}
    made = []
    for module, ref in found:
        name = _identifier(module)
        while name in named:
            name += "_"
        named[name] = None
        channels, reduction = _measured(types[ref], image)
        if types[ref].rank == 2:
            reduction = patch
        made.append(Feature(module, name, channels, reduction, ref))
    return FeatureInfo(made)


def graph_of_features(graph: Graph, info: FeatureInfo, *, named: bool = True) -> Graph:
    """The network that computes these values, and no more. Its steps and weights have the names that they have in the whole."""
    return selected(graph, {feature.name: feature.ref for feature in info}, named=named)


def stage_ends(graph: Graph) -> Iterator[tuple[str, Ref]]:
    """The last value of each resolution on the trunk, through which all goes: that of the last block there, or of the last step.

    What comes behind the last block, such as the convolution before a classifier, belongs to the head. Of a network that keeps one
    resolution, such as a ViT, they are the last three of its row of blocks. Raises SpecError for a network that has neither.
    """
    image, types = _image(graph), graph.types
    blocks: dict[Ref, list[Scope]] = {}
    for scope in graph.scopes[1:]:
        if len(scope.outputs) == 1:
            blocks.setdefault(scope.outputs[0], []).append(scope)
    levels: dict[int, Ref] = {}
    closed: set[int] = set()  # at which a block has ended
    for node in _trunk(graph):
        ref = Ref(node.name)
        _, reduction = _measured(types[ref], image)
        if reduction is None:
            continue
        if ref in blocks:
            closed.add(reduction)
            levels[reduction] = ref
        elif reduction not in closed:
            levels[reduction] = ref
    trunk = set(levels)
    for scope in graph.scopes[1:]:  # cells that also read the cell before the last are no trunk
        if scope.parent == 0 and len(scope.outputs) == 1:
            _, reduction = _measured(types[scope.outputs[0]], image)
            if reduction is not None and reduction not in trunk:
                levels[reduction] = scope.outputs[0]
    if len(levels) < 2 and (ends := _last_of_row(graph, blocks)):
        yield from ends
        return
    if len(levels) < 2:
        raise SpecError.of(
            codes.OPTION,
            f"{graph.name} has no stages: its images do not get smaller step by step",
            help="name steps or blocks, as `archspec show` lists them",
        )
    taken: set[str] = set()
    for _, ref in sorted(levels.items()):
        module = ref.producer
        for scope in blocks.get(ref, ()):  # from the outermost on
            if not any(name.startswith(f"{scope.name}.") for name in taken):
                module = scope.name
                break
        taken.add(ref.producer)
        yield module, ref


def _last_of_row(graph: Graph, blocks: Mapping[Ref, list[Scope]]) -> list[tuple[str, Ref]]:
    """The last three blocks of the longest row on the trunk whose blocks are of one kind and give values of one type."""
    rows: dict[tuple[int | None, str, TensorType], list[tuple[str, Ref]]] = {}
    for node in _trunk(graph):
        ref = Ref(node.name)
        for scope in blocks.get(ref, ())[-1:]:
            rows.setdefault((scope.parent, scope.block, node.types[0]), []).append((scope.name, ref))
    (_, block, _), longest = max(rows.items(), key=lambda row: len(row[1]), default=((None, "", None), []))
    if len({type_ for _, kind, type_ in rows if kind == block}) > 1:  # which get smaller: as PiT's
        return []
    return longest[-_OF_A_ROW:] if len(longest) >= _OF_A_ROW else []


def _trunk(graph: Graph) -> Iterator[Node]:
    """The nodes of one output that all paths from the inputs to the outputs go through, in order."""
    from_input = {given.name for given in graph.inputs}
    last: dict[str, int] = {}  # by value, the node that reads it last
    depending: list[Node] = []
    for node in graph.nodes:
        if any(ref.producer in from_input for ref in node.operands):
            from_input.add(node.name)
            for ref in node.read:
                if ref.producer in from_input:
                    last[ref.producer] = len(depending)
            depending.append(node)
    for output in graph.outputs:
        last[output.value.producer] = len(depending)
    open_until = max((last.get(given.name, 0) for given in graph.inputs), default=0)
    for place, node in enumerate(depending):
        if open_until <= place and len(node.types) == 1:
            yield node
        open_until = max(open_until, last.get(node.name, 0))


def _value(graph: Graph, name: str) -> Ref:
    """What a step or a block of that name gives. Raises SpecError where there is none, or it gives several values."""
    outputs = next((scope.outputs for scope in graph.scopes[1:] if scope.name == name), None)
    if outputs is None:
        count = next((len(node.types) for node in graph.nodes if node.name == name), 0)
        outputs = tuple(Ref(name, i) for i in range(count))
    if not outputs:
        known = [*(scope.name for scope in graph.scopes[1:]), *(node.name for node in graph.nodes)]
        raise SpecError.of(
            codes.UNKNOWN_PART,
            f"{graph.name} has no step or block `{name}`",
            help=suggest(name, known) or "`archspec show` lists its steps",
        )
    if len(outputs) > 1:
        raise SpecError.of(
            codes.UNKNOWN_PART,
            f"`{name}` of {graph.name} gives {len(outputs)} values",
            help="name the steps in it that give them",
        )
    return outputs[0]


def _identifier(module: str) -> str:
    name = re.sub(r"\W", "_", module)
    return name if name.isidentifier() else f"_{name}"


def _patch(graph: Graph, image: Shape | None) -> int | None:
    """How many pixels along an axis are a token: as of the last map on the trunk, before it becomes a sequence."""
    found = None
    for node in _trunk(graph):
        _, reduction = _measured(node.types[0], image)
        if reduction is not None and image is not None:
            found = reduction
            sizes = [*zip(image, node.types[0].shape[1:], strict=True)]
            exact = {n // m for n, m in sizes if isinstance(n, int) and isinstance(m, int) and n % m == 0}
            found = exact.pop() if len(exact) == 1 else found  # patches of 14 are no power of two
    return found


def _image(graph: Graph) -> Shape | None:
    """Height and width of the network's first input, where it is an image of known size."""
    shape = graph.inputs[0].type.shape if graph.inputs else ()
    return shape[1:] if len(shape) == 3 and all(isinstance(size, int) for size in shape) else None


def _measured(type_: TensorType, image: Shape | None) -> tuple[Size, int | None]:
    """The channels of a value, and how many pixels of the image are one of it: a power of two, as strides are."""
    shape = type_.shape
    if image is not None and len(shape) == 3 and type_.batched:
        for channels, places in ((shape[0], shape[1:]), (shape[2], shape[:2])):
            if (reduction := _reduction(image, places)) is not None:
                return channels, reduction
    if not shape:
        return 1, None
    return shape[0 if len(shape) == 3 else -1], None


def _reduction(image: Shape, places: Shape) -> int | None:
    """How many pixels become one along both axes; None where these differ."""
    found: set[int] = set()
    for size, place in zip(image, places, strict=True):
        if not isinstance(size, int) or not isinstance(place, int) or place < 2 or place > size:
            return None
        found.add(2 ** round(log2(size / place)))
    return found.pop() if len(found) == 1 else None
