"""A module as the text of a spec."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from torch import nn

from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.importing import elementwise, layers, pools, shapes
from archspec.importing.arranging import arranged
from archspec.importing.blocks import Block, Blocks, Root
from archspec.importing.capture import Capture, Given, capture
from archspec.importing.drafting import Draft
from archspec.importing.keys import statements
from archspec.importing.simplifying import simplify
from archspec.importing.tables import table
from archspec.importing.values import kind_of
from archspec.importing.writing import written
from archspec.op import Op
from archspec.syntax.formatting import format_text

CONVERSIONS = (elementwise, layers, pools, shapes)
MORE = ((64, 128), (32, 64), (96, 32), (7, 14), (2, 6))
"""By how much the free sizes are enlarged, for a second capture that shows what depends on them."""


@dataclass(frozen=True)
class Asked:
    """What is asked for besides: names and texts, gaps where something has no form, sizes of the first input that stay free."""

    name: str = ""
    doc: str = ""
    title: str = ""
    """That of names of other code: whose keys these are."""
    kinds: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The classes of modules by path, where the modules themselves do not say."""
    partial: bool = False
    free: tuple[str, ...] = ()
    """Names for the last axes of the first input."""


@dataclass(frozen=True)
class Imported:
    """A spec; the operators that are gaps in it, with what was wrong; and the inputs that it was made of, of a second size too."""

    text: str
    gaps: Mapping[str, str]
    inputs: tuple[tuple[Given, ...], ...]


def imported(module: nn.Module, inputs: Sequence[Given], asked: Asked = Asked()) -> Imported:
    """The text of a spec with one model, which computes what the module does and has its keys. SpecError if there is none."""
    name = asked.name or type(module).__name__
    captured = [capture(module, inputs, asked.kinds)]
    every = [tuple(inputs)]
    if asked.free:
        second, other = _at_another_size(module, inputs, asked)
        captured.append(second)
        every.append(other)
    drafts = [Draft(each, table, partial_=asked.partial, free=bool(asked.free)) for each in captured]
    try:
        text = _text(drafts, name, asked)
    except Mistake as mistake:
        raise SpecError.of(
            codes.NOT_IMPORTED, f"{name} cannot be written as a spec: {mistake.message}"
        ) from mistake
    gaps = drafts[0].gaps or {}
    return Imported(text, gaps, tuple(every))


def _at_another_size(
    module: nn.Module, inputs: Sequence[Given], asked: Asked
) -> tuple[Capture, tuple[Given, ...]]:
    """The module captured once more, with the free sizes enlarged: by the first of several ways that it takes."""
    first, *rest = inputs
    if len(asked.free) > min(len(first.shape), 2):
        message = f"{len(asked.free)} sizes cannot be free: the first input is {list(first.shape)}"
        raise SpecError.of(codes.NO_SOURCE, message, help="`--free H,W` names its last sizes, two at most")
    kept = first.shape[: len(first.shape) - len(asked.free)]
    refused: SpecError | None = None
    for more in MORE:
        sizes = tuple(a + b for a, b in zip(first.shape[len(kept) :], more, strict=False))
        other = (replace(first, shape=(*kept, *sizes)), *rest)
        try:
            return capture(module, other, asked.kinds), other
        except SpecError as error:
            refused = error
    message = f"the module takes no other size: {refused.problems[0].message if refused else ''}"
    raise SpecError.of(codes.NOT_IMPORTED, message, help="import it without `--free`")


def _text(drafts: Sequence[Draft], name: str, asked: Asked) -> str:
    roots = []
    for draft in drafts:
        draft.convert()
        outputs = arranged(draft, simplify)
        roots.append(Root(draft.root, draft.inputs, outputs))
    first = drafts[0]
    called = re.sub(r"\W", "", name) or "Net"
    if not called[0].isupper():
        called = called[0].upper() + called[1:] if called[0].isalpha() else f"Net{called}"
    called = f"{called}Net" if Op.is_known(called) else called
    blocks = Blocks(roots, {called}, first.capture.names_of_outputs)
    rank = len(first.inputs[0].type.shape) if first.inputs else 0
    open_ = {rank - len(asked.free) + i: name for i, name in enumerate(asked.free)}
    program, names = blocks.make(open_)
    text = written(blocks.blocks, Block(called, program, [], [names]), asked.doc)
    if first.gaps:
        marks = [f"# gap: there is no `{gap}` yet: {reason}" for gap, reason in first.gaps.items()]
        text = "\n".join([*marks, "", text])
    title = asked.title or kind_of(first.capture.module)
    if said := statements(first.capture, called, title):
        text += f"\n{said}\n"
    return format_text(text, f"{name}.arch")
