"""A network as one file of Python: plain PyTorch, which runs without archspec."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from keyword import iskeyword
from typing import NamedTuple

from archspec.backends.python import forward, members
from archspec.backends.python.classes import Classes
from archspec.backends.python.drafts import Drafting, handed_tensors
from archspec.backends.python.first_values import Starts
from archspec.backends.python.helpers import Helpers, docstring
from archspec.backends.python.layout import INDENT, WIDTH, literal, written
from archspec.backends.python.unifying import Class
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.collection import uncollected
from archspec.ground.errors import SpecError

_TAKEN = frozenset(
    (
        "torch",
        "nn",
        "functional",
        "Tensor",
        "OrderedDict",
        "super",
        "range",
        "self",
        "float",
        "getattr",
        "isinstance",
        "layer",
        "tuple",
        "dict",
        "str",
        "int",
        "bool",
        "object",
        "t",
    )
)
"""Names that the code of a file uses."""
_MOST = 100_000  # layers that are written one by one


class Described(NamedTuple):
    """What a spec says of a block: its docstring, and the names of its inputs, none where they are many."""

    doc: str
    inputs: tuple[str, ...]


@uncollected()
def python_source(graph: Graph, blocks: Mapping[str, Described] | None = None) -> str:
    """The text of a Python file with a class for each block of a network, named as they are; the last is the network.

    `blocks` are what the spec says of blocks, by their names. Raises SpecError where a step has no form in plain PyTorch.
    """
    return _File(graph.validated(), blocks or {}).text()


class _File:
    def __init__(self, graph: Graph, blocks: Mapping[str, Described]) -> None:
        self.graph = graph
        self.blocks = blocks
        self.helpers = Helpers()
        count = sum(len(step.names) for function in graph.functions for step in function.steps)
        if count > _MOST:
            raise SpecError.of(
                codes.TOO_LARGE,
                f"{graph.name} has {count:,} layers to write, more than the {_MOST:,} of one file",
                help="repeat a block of several layers",
            )
        drafts = Drafting(graph, self.helpers).all()
        taken = {*_TAKEN, *self.helpers.texts}
        self.classes = Classes(graph, drafts, taken)
        self.starts = Starts(self.classes)

    def text(self) -> str:
        classes = [self.of_class(made) for made in self.classes.order]
        parts = ["\n".join(lines) for lines in classes]
        whole = "\n\n\n".join([*self.helpers.texts.values(), *parts])
        return f"{self.heading()}\n\n{self.imports(whole)}\n\n\n{whole}\n"

    def heading(self) -> str:
        """The docstring of the file."""
        return "\n".join(_docstring(_paragraphs(self.graph.doc) or [f"{self.graph.name}."], 0))

    def imports(self, whole: str) -> str:
        """The imports that the file needs: Python's own, then PyTorch's."""
        found = {*self.helpers.imports, "from torch import Tensor", "from torch import nn"}
        if "OrderedDict(" in whole:
            found.add("from collections import OrderedDict")
        if "functional." in whole:
            found.add("from torch.nn import functional")
        if re.search(r"\btorch\.", whole):
            found.add("import torch")
        names: dict[str, set[str]] = {}
        for text in found:
            if text.startswith("from "):
                module, _, name = text.removeprefix("from ").partition(" import ")
                names.setdefault(module, set()).add(name)
        plain = sorted(text for text in found if text.startswith("import "))

        def block(*, torch: bool) -> list[str]:
            lines = [text for text in plain if text.startswith("import torch") == torch]
            for module in sorted(names):
                if module.startswith("torch") == torch:
                    listed = sorted(
                        names[module], key=lambda name: (not name.isupper(), name[0].islower(), name)
                    )
                    lines.append(f"from {module} import {', '.join(listed)}")
            return lines

        parts = [["from __future__ import annotations"], block(torch=False), block(torch=True)]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    # ---------------------------------------------------------------- classes

    def of_class(self, made: Class) -> list[str]:
        known = self.blocks.get(made.draft.function.block)
        doc = known.doc if known is not None else ""
        base = "nn.Sequential" if made.is_chain else "nn.Module"
        lines = [f"class {made.name}({base}):"]
        described = _paragraphs(doc)
        if described:
            lines += [*_docstring(described, 4), ""]
        init = self.init(made)
        lines += init
        if not made.is_chain:
            if init:
                lines.append("")
            lines += self.forward(made)
        return lines

    def init(self, made: Class) -> list[str]:
        """The lines of `__init__`."""
        statements = [f"        self.{attribute} = {name}" for name, attribute in made.kept.items()]
        if made.is_chain:
            chain = made.members[""]
            statements += written("", chain, "", 8)
        else:
            statements += members.making(made.members)
        statements += self.starts.lines(made, members.reach(made))
        if not statements and not made.parameters.found:
            return []
        parameters = ["self"]
        for parameter in made.ordered:
            default = "" if parameter.default is ... else f" = {literal(parameter.default)}"
            parameters.append(f"{parameter.name}: {parameter.annotation}{default}")
        head = _signature("__init__", parameters, "None")
        return [*head, *([] if made.is_chain else ["        super().__init__()"]), *statements]

    def forward(self, made: Class) -> list[str]:
        """The lines of `forward`."""
        takes = made.draft.takes
        names = self.input_names(made)
        parameters = ["self", *(f"{name}: Tensor" for name in names[: made.required])]
        parameters += [f"{name}: Tensor | None = None" for name in names[made.required : takes]]
        parameters += [f"{name}: nn.Module" for name in made.draft.handed]
        results = len(made.returns)
        gives = "Tensor" if results == 1 else f"tuple[{', '.join(['Tensor'] * results)}]"
        named = made.is_model and any(self.graph.returns)
        if named:
            gives = "dict[str, Tensor]"
        found = forward.lines(
            made,
            names,
            members.reach(made),
            self.graph.returns if named else (),
            {*_TAKEN, *self.helpers.texts},
        )
        return [*_signature("forward", parameters, gives), *found]

    def input_names(self, made: Class) -> list[str]:
        """The names of a class's inputs: the network's own, else `x`."""
        if made.is_model:
            return [
                f"{x.name}_" if iskeyword(x.name) or x.name in _TAKEN else x.name for x in self.graph.inputs
            ]
        function = made.draft.function
        known = self.blocks.get(function.block)
        names = list(known.inputs) if known is not None and len(known.inputs) == function.given else []
        if not names:
            names = ["x"] if function.given == 1 else [f"x{place}" for place in range(function.given)]
        names += handed_tensors(function)
        taken = {*_TAKEN, *made.draft.handed}
        return [
            f"{name}_" if iskeyword(name) or name in taken or not name.isidentifier() else name
            for name in names
        ]


def _signature(name: str, parameters: list[str], gives: str) -> list[str]:
    """The lines of a method's head."""
    margin = " " * INDENT
    whole = f"{margin}def {name}({', '.join(parameters)}) -> {gives}:"
    if len(whole) <= WIDTH:
        return [whole]
    inner = f"{margin}    {', '.join(parameters)}"
    if len(inner) <= WIDTH:
        return [f"{margin}def {name}(", inner, f"{margin}) -> {gives}:"]
    return [f"{margin}def {name}(", *(f"{margin}    {p}," for p in parameters), f"{margin}) -> {gives}:"]


def _paragraphs(doc: str) -> list[str]:
    parts = [" ".join(part.split()) for part in textwrap.dedent(doc).strip().split("\n\n")]
    return [docstring(part) for part in parts if part and not part.startswith("Example:")]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _docstring(paragraphs: list[str], indent: int) -> list[str]:
    margin = " " * indent
    wrapped = [_wrapped(part, WIDTH - indent - 6) for part in paragraphs]
    first, *more = [*wrapped[0], *(x for part in wrapped[1:] for x in ("", *part))]
    if not more and indent + len(first) + 6 <= WIDTH:
        return [f'{margin}"""{first}"""']
    return [f'{margin}"""{first}', *(f"{margin}{x}".rstrip() for x in more), f'{margin}"""']
