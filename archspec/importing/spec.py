"""A module as the text of a spec."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from torch import nn

from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.importing import elementwise, layers, pools, shapes
from archspec.importing.arranging import arranged
from archspec.importing.blocks import Block, Blocks
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


def spec_of(
    module: nn.Module,
    inputs: Sequence[Given],
    name: str = "",
    doc: str = "",
    kinds: Mapping[str, str] = MappingProxyType({}),
    title: str = "",
) -> str:
    """The text of a spec with one model, which computes what the module does and has its keys. SpecError if there is none."""
    return spec_of_capture(capture(module, inputs, kinds), name or type(module).__name__, doc, title)


def spec_of_capture(captured: Capture, name: str, doc: str = "", title: str = "") -> str:
    """The same for a module that is captured already. `title` is that of names of other code: whose keys these are."""
    draft = Draft(captured, table)
    try:
        return _text(draft, name, doc, title)
    except Mistake as mistake:
        raise SpecError.of(
            codes.NOT_IMPORTED, f"{name} cannot be written as a spec: {mistake.message}"
        ) from mistake


def _text(draft: Draft, name: str, doc: str, title: str) -> str:
    draft.convert()
    outputs = arranged(draft, simplify)
    called = re.sub(r"\W", "", name) or "Net"
    called = (
        called
        if called[0].isupper()
        else called[0].upper() + called[1:]
        if called[0].isalpha()
        else f"Net{called}"
    )
    called = f"{called}Net" if Op.is_known(called) else called
    blocks = Blocks(draft.root, draft.inputs, outputs, {called}, draft.capture.names_of_outputs)
    program = blocks.make()
    model = Block(called, program, [], [()])
    text = written(blocks.blocks, model, doc)
    if said := statements(draft.capture, called, title or kind_of(draft.capture.module)):
        text += f"\n{said}\n"
    return format_text(text, f"{name}.arch")
