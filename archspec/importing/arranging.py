"""The draft put in order: which calls of modules become blocks, where tensors of their own are declared, and what goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn

from archspec.importing.drafting import Draft
from archspec.importing.values import Own, Region, Step, Value, kind_of

SEQUENTIAL = kind_of(nn.Sequential())
PLAIN = (SEQUENTIAL, kind_of(nn.Module()))
"""Kinds of modules that say nothing of what they are: lists, and what tracing leaves of a class."""


def arranged(draft: Draft, simplify: Callable[[Region, set[Value]], None]) -> list[Value]:
    """What the module returns. The draft's calls are those that become blocks, each simplified, without what nothing uses."""
    outputs = [draft.actual(value) for value in draft.outputs()]
    _drop_unused(draft.root, outputs)
    dissolve(draft.root)
    _own_tensors(draft, outputs)
    kept = set(outputs)
    for region in regions(draft.root):
        simplify(region, kept | crossing(region))
    return outputs


def regions(region: Region) -> Iterable[Region]:
    """A call and all within it, those within first."""
    for item in region.items:
        if isinstance(item, Region):
            yield from regions(item)
    yield region


def reads(step: Step) -> list[Value]:
    """The tensors that a step takes."""
    return [*step.inputs, *step.options.values()]


def taken(item: Step | Region) -> list[Value]:
    """The tensors that a step or a call takes from outside, each once, in the order in which they are used."""
    if isinstance(item, Step):
        return list(dict.fromkeys(reads(item)))
    made = {output for step in item.steps() for output in step.outputs}
    return [
        value for value in dict.fromkeys(v for step in item.steps() for v in reads(step)) if value not in made
    ]


def made_by(item: Step | Region) -> list[Value]:
    """The tensors that a step or a call makes."""
    if isinstance(item, Step):
        return item.outputs
    return [output for step in item.steps() for output in step.outputs]


def crossing(region: Region) -> set[Value]:
    """The tensors that calls within a call take or give."""
    found: set[Value] = set()
    for item in region.items:
        if isinstance(item, Region):
            found.update(taken(item))
            found.update(made_by(item))
    made = {value for item in region.items if isinstance(item, Step) for value in item.outputs}
    root = list(region.around())[-1]
    inside = set(region.steps())
    for step in root.steps():
        if step not in inside:
            found.update(value for value in reads(step) if value in made)
    return found


def _drop_unused(root: Region, outputs: list[Value]) -> None:
    wanted, used = set(outputs), set()
    for step in reversed(list(root.steps())):
        if any(output in wanted for output in step.outputs):
            used.add(step)
            wanted.update(reads(step))
    _prune(root, used)


def _prune(region: Region, used: set[Step]) -> None:
    kept: list[Step | Region] = []
    for item in region.items:
        if isinstance(item, Region):
            _prune(item, used)
            if item.items:
                kept.append(item)
        elif item in used:
            kept.append(item)
    region.items = kept


def dissolve(region: Region) -> None:
    """Let the steps of small calls stand in those around them: a layer of PyTorch is a step, not a block."""
    items: list[Step | Region] = []
    for item in region.items:
        if isinstance(item, Region):
            dissolve(item)
            if _is_small(item):
                for inner in item.items:
                    if isinstance(inner, Region):
                        inner.parent = region
                    else:
                        inner.region = region
                items += item.items
                continue
        items.append(item)
    region.items = items


def _is_small(region: Region) -> bool:
    """Whether a call is a layer rather than a block: it has the weights of an op itself, or it has none, and does little."""
    steps = [item for item in region.items if isinstance(item, Step)]
    if (
        len(steps) == len(region.items)
        and region.kind.startswith("torch.nn.modules.")
        and region.kind not in PLAIN
    ):
        return True
    if any(step.key == region.path for step in steps):
        return True
    if len(steps) < len(region.items) or region.kind in PLAIN:
        return False
    return len(steps) <= 2 and not any(True for _ in region.module.state_dict())


def _own_tensors(draft: Draft, outputs: list[Value]) -> None:
    """Declare each tensor of a module's own in the innermost block that holds all uses, and whose path its key begins with."""
    users: dict[Value, list[Region]] = {}
    for step in draft.root.steps():
        for value in reads(step):
            users.setdefault(value, []).append(step.region)
    for own in reversed(draft.owned.values()):
        value = own.outputs[0]
        using = users.get(value, []) + ([draft.root] if value in outputs else [])
        if not using:
            continue
        assert isinstance(own.op, Own)
        around = [list(region.around()) for region in using]
        shared = [region for region in around[0] if all(region in others for others in around)]
        key = own.op.key
        home = next(
            region
            for region in shared
            if own.op.kind == "constant" or not region.path or key.startswith(region.path + ".")
        )
        if any(
            key.startswith(f"{inner.path}.") for inner in regions(home) if inner is not home and inner.path
        ):
            # A step here has that name: the first call to use it declares it, and hands it on.
            home = next(region for region in around[0] if key.startswith(f"{region.path}."))
        own.region = home
        home.items.insert(0, own)
