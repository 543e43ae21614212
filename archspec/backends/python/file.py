"""A network as one file of Python: plain PyTorch, which runs without archspec."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from keyword import iskeyword

from archspec.backends.python import first_values, forward
from archspec.backends.python.classes import Class, Classes, repeated
from archspec.backends.python.drafts import Drafting
from archspec.backends.python.expressions import (
    Attribute,
    Call,
    Code,
    Expression,
    Item,
    Listed,
    Literal,
    number,
)
from archspec.backends.python.helpers import Helpers, docstring
from archspec.backends.python.layout import INDENT, WIDTH, literal, quoted, written
from archspec.backends.python.own_weights import Buffer
from archspec.graph import Graph
from archspec.ground.collection import uncollected

_TAKEN = frozenset(("torch", "nn", "functional", "Tensor", "OrderedDict", "super", "range", "self"))


@uncollected()
def python_source(graph: Graph, docs: Mapping[str, str] | None = None) -> str:
    """The text of a Python file with a class for each block of a network, named as they are; the last is the network.

    `docs` are what the spec says of blocks, by their names. Raises SpecError where a step has no form in plain PyTorch.
    """
    return _File(graph.validated(), docs or {}).text()


class _File:
    def __init__(self, graph: Graph, docs: Mapping[str, str]) -> None:
        self.graph = graph
        self.docs = docs
        self.helpers = Helpers()
        drafts = Drafting(graph, self.helpers).all()
        taken = {*_TAKEN, *self.helpers.texts}
        self.classes = Classes(graph, drafts, taken)
        self.starts = first_values.Starts(self.classes.order)

    def text(self) -> str:
        classes = [self.of_class(made) for made in self.classes.order]
        parts = ["\n".join(lines) for lines in classes]
        whole = "\n\n\n".join([*self.helpers.texts.values(), *parts])
        return f"{self.heading()}\n\n{self.imports(whole)}\n\n\n{whole}\n"

    def heading(self) -> str:
        """The docstring of the file."""
        summary, *rest = _paragraphs(self.graph.doc) or [f"{self.graph.name}."]
        lines = [*_wrapped(summary, WIDTH - 6), *(["", *rest] if rest else [])]
        more = [*([""] if rest else []), *rest]
        body = [*_wrapped(summary, WIDTH - 6), *more]
        del lines
        return "\n".join(_docstring(body, 0))

    def imports(self, whole: str) -> str:
        """The imports that the file needs."""
        plain = ["from __future__ import annotations", ""]
        standard = [x for x in sorted(self.helpers.imports) if "torch" not in x]
        if "OrderedDict(" in whole:
            standard.insert(0, "from collections import OrderedDict")
        names = ["nn"]
        others = [
            x
            for x in sorted(self.helpers.imports)
            if x.startswith("from torch import ") and "nn" not in x and "functional" not in x
        ]
        names += [x.removeprefix("from torch import ") for x in others]
        torch_names = sorted({"Tensor", *names}, key=lambda name: (name[0].islower(), name))
        torch = (
            ["import torch"]
            if "torch." in whole.replace("torch.nn", "") or "import torch" in self.helpers.imports
            else []
        )
        torch.append(f"from torch import {', '.join(torch_names)}")
        if "functional." in whole:
            torch.append("from torch.nn import functional")
        return "\n".join([*plain, *standard, *([""] if standard else []), *torch])

    # ---------------------------------------------------------------- classes

    def of_class(self, made: Class) -> list[str]:
        doc = self.docs.get(made.draft.function.block, "") if not made.is_model else self.graph.doc
        base = "nn.Sequential" if made.is_chain else "nn.Module"
        lines = [f"class {made.name}({base}):"]
        described = _paragraphs(doc)
        if described:
            lines += _docstring(
                [
                    x
                    for place, part in enumerate(described)
                    for x in ([""] if place else []) + _wrapped(part, WIDTH - 10)
                ],
                4,
            )
            lines.append("")
        init = self.init(made)
        lines += init
        if not made.is_chain:
            if init:
                lines.append("")
            lines += self.forward(made)
        return lines

    def init(self, made: Class) -> list[str]:
        """The lines of `__init__`."""
        statements = [line for name in made.kept for line in [f"        self.{name} = {name}"]]
        if made.is_chain:
            chain = made.members[""]
            statements += written("", chain, "", 8)
        else:
            statements += self.members(made)
        statements += self.starts.lines(made, self.reach(made))
        if not statements and not made.parameters.found:
            return []
        parameters = ["self"]
        for parameter in made.ordered:
            default = "" if parameter.default is ... else f" = {literal(parameter.default)}"
            parameters.append(f"{parameter.name}: {parameter.annotation}{default}")
        head = _signature("__init__", parameters, "None")
        return [*head, *([] if made.is_chain else ["        super().__init__()"]), *statements]

    def members(self, made: Class) -> list[str]:
        lines: list[str] = []
        for root, tree in _tree(made.members).items():
            lines += self.member(root, tree)
        return lines

    def member(self, root: str, made: Expression | dict[str, object]) -> list[str]:
        """The statements that make a member, or a group of them."""
        if isinstance(made, dict):
            return _assigned(root, _group(made))
        return _assigned(root, made)

    def reach(self, made: Class) -> dict[str, Expression]:
        """How each member is reached."""
        if made.is_chain:
            return {path: Item(Code("self"), (number(int(path)),)) for path in made.draft.members}
        found: dict[str, Expression] = {}
        for root, tree in _tree(made.members).items():
            base: Expression = (
                Attribute(Code("self"), root)
                if _is_attribute(root)
                else Call(Code("getattr"), (Code("self"), Literal(root)))
            )
            if isinstance(tree, dict):
                _reached(base, tree, root, found)
            else:
                found[root] = base
        return found

    def forward(self, made: Class) -> list[str]:
        """The lines of `forward`."""
        takes = made.draft.takes
        names = self.input_names(made)
        parameters = ["self", *(f"{name}: Tensor" for name in names[:takes])]
        parameters += [f"{name}: nn.Module" for name in made.draft.handed]
        results = len(made.returns)
        gives = "Tensor" if results == 1 else f"tuple[{', '.join(['Tensor'] * results)}]"
        named = made.is_model and any(self.graph.returns)
        if named:
            gives = "dict[str, Tensor]"
        found = forward.lines(made, names, self.reach(made), self.graph.returns if named else ())
        return [*_signature("forward", parameters, gives), *found]

    def input_names(self, made: Class) -> list[str]:
        """The names of a class's inputs: the network's own, else `x`."""
        if made.is_model:
            return [
                f"{x.name}_" if iskeyword(x.name) or x.name in _TAKEN else x.name for x in self.graph.inputs
            ]
        takes = made.draft.takes
        return ["x", "y", "z"][:takes] if takes <= 3 else [f"x{place}" for place in range(takes)]


def _is_attribute(name: str) -> bool:
    return name.isidentifier() and not iskeyword(name)


def _assigned(name: str, made: Expression) -> list[str]:
    if isinstance(made, Buffer):
        after = ")" if made.saved else ", persistent=False)"
        return written(f"self.register_buffer({quoted(name)}, ", made.value, after, 8)
    if _is_attribute(name):
        return written(f"self.{name} = ", made, "", 8)
    is_weight = isinstance(made, Call) and made.what == Code("nn.Parameter")
    return written(f"self.register_{'parameter' if is_weight else 'module'}({quoted(name)}, ", made, ")", 8)


def _tree(members: Mapping[str, Expression]) -> dict[str, Expression | dict[str, object]]:
    found: dict[str, object] = {}
    for path, made in members.items():
        *parents, last = path.split(".")
        inner = found
        for part in parents:
            inner = inner.setdefault(part, {})  # type: ignore[assignment]
        inner[last] = made
    return found  # type: ignore[return-value]


def _group(tree: Mapping[str, object]) -> Expression:
    """Members that share the start of their names, as a list or a dict of modules."""
    items = [made if isinstance(made, Expression) else _group(made) for made in tree.values()]  # type: ignore[arg-type]
    if list(tree) == [str(place) for place in range(len(tree))]:
        return Call(Code("nn.ModuleList"), (Listed(tuple(repeated(items)), "["),))
    return Call(Code("nn.ModuleDict"), (Listed(tuple(items), "{", tuple(tree)),))


def _reached(base: Expression, tree: Mapping[str, object], path: str, found: dict[str, Expression]) -> None:
    numbered = list(tree) == [str(place) for place in range(len(tree))]
    for key, made in tree.items():
        place: Expression = number(int(key)) if numbered else Literal(key)
        below = Item(base, (place,))
        if isinstance(made, dict):
            _reached(below, made, f"{path}.{key}", found)
        else:
            found[f"{path}.{key}"] = below


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
    return [docstring(part) for part in parts if part]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _docstring(lines: list[str], indent: int) -> list[str]:
    margin = " " * indent
    if len(lines) == 1 and len(lines[0]) + indent + 6 <= WIDTH:
        return [f'{margin}"""{lines[0]}"""']
    return [f'{margin}"""{lines[0]}', *(f"{margin}{x}".rstrip() for x in lines[1:]), f'{margin}"""']
