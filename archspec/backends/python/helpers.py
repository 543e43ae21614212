"""What a file needs beside the classes of blocks: layers and functions that PyTorch has not, copied from archspec's own source."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from archspec.backends.python import expressions as py
from archspec.backends.python.layers import made_by
from archspec.backends.python.layout import written as laid_out
from archspec.op import torch_layers
from archspec.op.multihead_layer import MultiheadAttention

_OWN = ("archspec.op.", "archspec.ops.")
_MODULES = {
    "torch": "import torch",
    "torch.nn": "from torch import nn",
    "torch.nn.functional": "from torch.nn import functional",
}
_LAYER = "_Layer"


class Helpers:
    """Collects the helpers of one file: their text by name, and the imports that these need."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.imports: set[str] = set()
        self.objects: dict[str, Any] = {}
        self.modules: dict[object, str] = {}

    # ---------------------------------------------------------------- layers

    def plain(
        self, leaf: nn.Module, inputs: tuple[py.Expression, ...], options: Mapping[str, py.Expression]
    ) -> py.Expression | None:
        """What a layer of archspec's computes that needs no layer, as an expression."""
        write = _PLAIN.get(type(leaf))
        return write(leaf, inputs[0]) if write is not None and not options else None

    def constructed(self, leaf: nn.Module, op: type) -> py.Expression | None:
        """The call that makes a layer of archspec's own, whose class becomes part of the file."""
        cls = type(leaf)
        write = _PLAIN.get(cls)
        if write is not None:
            what = write(leaf, py.Value(0))
            return self.of_expression(op.__name__, inspect.getdoc(op) or "", 1, what)
        if not cls.__module__.startswith(_OWN):
            return None
        if cls in (torch_layers.Attention, MultiheadAttention):
            made = self.attending(leaf)
        else:
            made = made_by(cls, leaf, cls.__name__)
        return made if made is not None and self.needs(cls) else None

    def attending(self, leaf: nn.Module) -> py.Call | None:
        """The call that makes a layer which is given the function that attends."""
        attend = inspect.unwrap(leaf.attend)  # type: ignore[arg-type]
        if not self.needs(attend):
            return None
        given = py.Keyword("attend", py.Code(attend.__name__))
        settings: Mapping[str, Any] = leaf.settings  # type: ignore[assignment]
        if isinstance(leaf, torch_layers.Attention):
            more = tuple(py.Keyword(name, py.Code(repr(value))) for name, value in settings.items())
            return py.Call(
                py.Code("Attention"), (), (given, py.Keyword("dropout", py.Literal(leaf.dropout, "p")), *more)
            )
        theirs = made_by(nn.MultiheadAttention, leaf, "MultiheadAttention")
        if theirs is None:
            return None
        own = (
            py.Keyword(
                "settings",
                py.Listed(tuple(py.Code(repr(x)) for x in settings.values()), "{", tuple(settings)),
            ),
            py.Keyword("ranks", py.Code(repr(leaf.ranks))),
            py.Keyword("batched", py.Code(repr(leaf.batched))),
        )
        names = ("embed_dim", "num_heads")
        sizes = tuple(py.Keyword(name, size) for name, size in zip(names, theirs.arguments, strict=False))
        return py.Call(theirs.what, (), (given, *own, *sizes, *theirs.keywords))

    def called(
        self,
        function: Callable[..., Any],
        inputs: tuple[py.Expression, ...],
        options: Mapping[str, py.Expression],
        settings: Mapping[str, Any],
    ) -> py.Expression | None:
        """The call of a function of archspec's own, which becomes part of the file."""
        function = inspect.unwrap(function)
        if not (function.__module__ or "").startswith(_OWN) or not self.needs(function):
            return None
        keywords = [
            *(
                py.Keyword(name, py.Code(repr(value)) if not isinstance(value, str) else py.Literal(value))
                for name, value in settings.items()
            ),
            *(py.Keyword(name, value) for name, value in options.items()),
        ]
        return py.Call(py.Code(function.__name__), inputs, tuple(keywords))

    def of_expression(self, name: str, doc: str, takes: int, what: py.Expression) -> py.Expression:
        """The call that makes a layer which computes an expression of its inputs."""
        key = name, py.key_of(what)
        if key not in self.modules:
            chosen, count = name, 2
            while chosen in self.texts or chosen in self.objects:
                chosen, count = f"{name}{count}", count + 1
            names = ["x"] if takes == 1 else [f"x{place}" for place in range(takes)]
            value = py.renumbered(what, {place: py.Code(given) for place, given in enumerate(names)})
            summary = (doc.strip().splitlines() or [""])[0]
            self.modules[key] = chosen
            self.texts[chosen] = "\n".join(
                [
                    f"class {chosen}(nn.Module):",
                    *([f'    """{docstring(summary)}"""', ""] if summary else []),
                    f"    def forward(self, {', '.join(f'{given}: Tensor' for given in names)}) -> Tensor:",
                    *laid_out("return ", value, "", 8),
                ]
            )
        return py.Call(py.Code(self.modules[key]))

    # ---------------------------------------------------------------- copying

    def needs(self, found: Any) -> bool:
        """Copy a function or class of archspec's, with all that it uses. False where something of it cannot be."""
        name = found.__name__
        if name in self.objects:
            return bool(self.objects[name] is found)
        self.objects[name] = found
        try:
            source = textwrap.dedent(inspect.getsource(found))
        except (OSError, TypeError):
            return False
        text = self.copied(source, vars(sys.modules[found.__module__]))
        if text is None:
            return False
        self.texts[name] = text
        return True

    def copied(self, source: str, known: Mapping[str, Any]) -> str | None:
        """Source as it can stand alone: local imports, and what belongs to archspec only, are left out."""
        tree = ast.parse(source)
        lines = source.splitlines()
        local: dict[str, Any] = {}
        edits: list[tuple[int, int, int, str]] = []  # line, from, to, text
        gone: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                gone.update(range(node.lineno - 1, node.end_lineno or node.lineno))
                local.update(_imported(node))
        scope = {**known, **local}
        own = _bound(tree)
        for node in ast.walk(tree):
            for quoted in _annotations(node):
                for part in ast.walk(quoted):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        edits.append((part.lineno - 1, part.col_offset, part.end_col_offset or 0, part.value))
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Call)
                and _is_name(node.func.func, "one_step")
            ):
                inner = ast.get_source_segment(source, node.func.args[0]) or ""
                edits.append(
                    (node.func.lineno - 1, node.func.col_offset, node.func.end_col_offset or 0, inner)
                )
            if isinstance(node, ast.ClassDef):
                edits += _bases(node, source)
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for node in ast.walk(tree):
            for quoted in _annotations(node):
                for part in ast.walk(quoted):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        names |= set(re.findall(r"[A-Za-z_]\w*", part.value))
        for name in sorted(names - own - {_LAYER, "one_step"}):
            if name not in scope:
                if hasattr(builtins, name):
                    continue
                if name == "Tensor":
                    continue
                return None
            if not self.uses(name, scope[name], known):
                return None
        for at, start, end, text in sorted(edits, reverse=True):
            lines[at] = lines[at][:start] + text + lines[at][end:]
        kept = [line for place, line in enumerate(lines) if place not in gone]
        text = re.sub(r"  # (type: ignore|noqa)[^\n]*", "", "\n".join(kept))
        text = re.sub(r'("""\n|:\n)\n+(?=\s+\S)', r"\1", text) if gone else text
        return text.strip("\n")

    def uses(self, name: str, value: Any, known: Mapping[str, Any]) -> bool:
        """Make a name that copied source uses known to the file."""
        if isinstance(value, ModuleType):
            if value.__name__ in _MODULES:
                self.imports.add(_MODULES[value.__name__])
                return True
            if value.__name__ in ("math", "operator"):
                self.imports.add(f"import {value.__name__}")
                return True
            return False
        home = getattr(value, "__module__", None) or ""
        if isinstance(value, type | FunctionType) and home.startswith(_OWN):
            return value.__name__ == name and self.needs(value)
        if home.startswith("torch") and getattr(value, "__name__", "") == name:
            if getattr(torch, name, None) is value:
                if name != "Tensor":
                    self.imports.add(f"from torch import {name}")
            elif getattr(functional, name, None) is value:
                self.imports.add(f"from torch.nn.functional import {name}")
            else:
                return False
            return True
        if home in ("typing", "collections.abc", "math", "functools", "operator", "_operator", "itertools"):
            home = {"_operator": "operator"}.get(home, home)
            self.imports.add(f"from {home} import {name}")
            return True
        if name == "inf":
            self.imports.add("from math import inf")
            return True
        return self.assigned(name, known)

    def assigned(self, name: str, known: Mapping[str, Any]) -> bool:
        """Copy the line of a module that gives a name its value."""
        if name in self.texts:
            return True
        module = sys.modules[str(known["__name__"])]
        source = inspect.getsource(module)
        for node in ast.parse(source).body:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            if any(_is_name(target, name) for target in targets):
                text = self.copied(ast.get_source_segment(source, node) or "", known)
                if text is None:
                    return False
                self.texts[name] = text
                return True
        return False


def docstring(text: str) -> str:
    """Text as the inside of a docstring: no quotes or backslashes that would end it, nor characters that do not print."""
    text = "".join(
        c if c == "\n" or (c.isprintable() and not 0xD800 <= ord(c) < 0xE000) else " " for c in text
    )
    text = text.replace("\\", "\\\\")
    return re.sub(r'^"+|"{3,}|"+$', lambda run: '\\"' * len(run[0]), text)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Any]]:
    for name in node.names:
        if isinstance(node, ast.Import):
            yield name.asname or name.name, sys.modules[name.name]
        elif node.module != "__future__":
            __import__(node.module or "")
            yield name.asname or name.name, getattr(sys.modules[node.module or ""], name.name)


def _bound(tree: ast.AST) -> set[str]:
    """The names that a piece of source gives values itself."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef) and node.returns is not None:
        yield node.returns
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
        yield node.annotation


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _bases(node: ast.ClassDef, source: str) -> Iterator[tuple[int, int, int, str]]:
    """The edit that takes archspec's own base of layers out of a class's bases."""
    if not any(_is_name(base, _LAYER) for base in node.bases):
        return
    left = [ast.get_source_segment(source, base) or "" for base in node.bases if not _is_name(base, _LAYER)]
    first, last = node.bases[0], node.bases[-1]
    yield first.lineno - 1, first.col_offset, last.end_col_offset or 0, ", ".join(left) or "nn.Module"


# ------------------------------------------------------------------ layers that are expressions


def _global_average(leaf: nn.Module, x: py.Expression) -> py.Expression:
    axes = tuple(range(-leaf.axes, 0))  # type: ignore[operator]
    return py.method(x, "mean", py.number(axes if len(axes) > 1 else axes[0]))


def _global_maximum(leaf: nn.Module, x: py.Expression) -> py.Expression:
    axes = tuple(range(-leaf.axes, 0))  # type: ignore[operator]
    keep = {"keepdim": py.number(True)} if leaf.keep else {}
    return py.method(x, "amax", py.number(axes if len(axes) > 1 else axes[0]), **keep)


_PLAIN: dict[type[nn.Module], Callable[[nn.Module, py.Expression], py.Expression]] = {
    torch_layers.GlobalAvgPool: _global_average,
    torch_layers.GlobalMaxPool: _global_maximum,
}
