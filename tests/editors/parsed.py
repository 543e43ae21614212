"""What the two parsers of a spec make of it, in one form: archspec's own, and tree-sitter's, compiled from `editors/`."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from archspec.ground.source import Source
from archspec.syntax import tree as t

GRAMMAR = Path(__file__).parents[2] / "editors" / "tree-sitter-arch"


class Part(NamedTuple):
    """A node of a tree: its kind, the text it stands for as offsets, what it says itself, and the nodes below."""

    kind: str
    start: int
    end: int
    said: tuple[object, ...]
    below: tuple[Part, ...]

    def __str__(self) -> str:
        lines = [f"{self.kind} {self.start}-{self.end} {' '.join(map(repr, self.said))}".rstrip()]
        return "\n".join([*lines, *("  " + line for part in self.below for line in str(part).splitlines())])


# ---------------------------------------------------------------- archspec's own tree

_UNSAID = {"span", "source", "comments", "text", "parts", "reason", "title"}


def ours(node: t.Tree) -> Part:
    """A tree of archspec's. Strings count by their place alone: what they say is compared as text."""
    values = [getattr(node, name) for name in node.field_names if name not in _UNSAID]
    if isinstance(node, t.Literal_):
        values = [type(node.value).__name__]
    said = [tuple(map(_operator, value)) if _is_ladder(value) else value for value in values]
    plain = tuple(value for value in said if _is_plain(value))
    return Part(
        type(node).__name__,
        node.span.start,
        node.span.end,
        plain,
        tuple(ours(child) for child in node.children()),
    )


def _is_ladder(value: object) -> bool:
    """Whether it is the rest of a comparison: operators and what they compare with."""
    return type(value) is tuple and bool(value) and all(type(pair) is tuple for pair in value)


def _operator(pair: tuple[str, t.Expression]) -> str:
    return pair[0]


def _is_plain(value: object) -> bool:
    if type(value) is tuple:
        return bool(value) and all(map(_is_plain, value))
    return isinstance(value, str | int | float)


# ---------------------------------------------------------------- tree-sitter's


def language(folder: Path) -> Any:
    """The grammar in `editors/`, compiled into that folder."""
    tree_sitter = (
        pytest.importorskip("tree_sitter") if not os.environ.get("CI") else __import__("tree_sitter")
    )
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None and not os.environ.get("CI"):
        pytest.skip("no C compiler")
    library = folder / "arch.so"
    sources = [str(GRAMMAR / "src" / name) for name in ("parser.c", "scanner.c")]
    flags = ["-shared", "-fPIC", "-O1", "-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused"]
    subprocess.run(
        [str(compiler), *flags, "-I", str(GRAMMAR / "src"), *sources, "-o", str(library)], check=True
    )
    function = ctypes.CDLL(str(library)).tree_sitter_arch
    function.restype = ctypes.c_void_p
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return tree_sitter.Language(capsule(function(), b"tree_sitter.Language", None))


class Theirs:
    """The tree that tree-sitter makes of a text, told as archspec tells its own."""

    def __init__(self, root: Any, text: str) -> None:
        self.root, self.text = root, text
        self.bytes = text.encode()
        self.ascii = len(self.bytes) == len(text)

    @property
    def accepted(self) -> bool:
        return not self.root.has_error

    def tree(self) -> Part:
        comments = [self.comment(node) for node in self.comments(self.root)]
        return Part("File", 0, len(self.text), (), (*self.parts(self.below(self.root)), *comments))

    def comments(self, node: Any) -> Iterator[Any]:
        """The comments below a node, those between the braces of a string left out, as archspec does."""
        for child in node.children:
            if child.type == "comment":
                yield child
            elif child.type != "string":
                yield from self.comments(child)

    def comment(self, node: Any) -> Part:
        return Part("Comment", self.offset(node.start_byte), self.offset(node.end_byte), (), ())

    # The node's own methods, one for each kind, are found by name.

    def part(self, node: Any) -> Part:
        method: Callable[[Any], Part] = getattr(self, f"of_{node.type}")
        return method(node)

    def parts(self, nodes: list[Any]) -> tuple[Part, ...]:
        return tuple(self.part(node) for node in nodes)

    def offset(self, place: int) -> int:
        return place if self.ascii else len(self.bytes[:place].decode())

    def word(self, node: Any) -> str:
        return node.text.decode()

    def below(self, node: Any) -> list[Any]:
        return [child for child in node.named_children if child.type != "comment"]

    def field(self, node: Any, name: str) -> list[Part]:
        return [self.part(child) for child in node.children_by_field_name(name)]

    def named(self, node: Any, name: str) -> tuple[str, ...]:
        found = node.child_by_field_name(name)
        return () if found is None else (self.word(found),)

    def made(self, kind: str, node: Any, said: tuple[object, ...], below: Any, end: Any = None) -> Part:
        start, last = self.offset(node.start_byte), self.offset((end or node).end_byte)
        # tree-sitter counts a backslash before the line break that ends a statement to it.
        last = start + len(self.text[start:last].rstrip(" \t\f\r\n\\"))
        return Part(kind, start, last, said, tuple(below))

    def plain(self, kind: str, node: Any, *said: object) -> Part:
        return self.made(kind, node, said, self.parts(self.below(node)))

    # ------------------------------------------------------------ top level

    def of_docstring(self, node: Any) -> Part:
        return self.made("Docstring", node, (), ())

    def of_import(self, node: Any) -> Part:
        path, *names = self.below(node)
        said = tuple(self.word(part) for part in path.named_children)
        return self.made("Import", node, (said,), self.parts(names))

    def of_imported(self, node: Any) -> Part:
        name = self.named(node, "name")
        return self.made("Imported", node, name + (self.named(node, "alias") or name), ())

    def of_definition(self, node: Any) -> Part:
        kind, name = (node.child_by_field_name(part) for part in ("kind", "name"))
        below = [*self.parameters(node), *self.suite(node), *self.field(node, "layer")]
        return self.made("Definition", kind, (self.word(kind), self.word(name)), below, end=name)

    def of_function_definition(self, node: Any) -> Part:
        name = node.child_by_field_name("name")
        below = [*self.parameters(node), *self.suite(node)]
        return self.made("FunctionDefinition", node, (self.word(name),), below, end=name)

    def parameters(self, node: Any) -> tuple[Part, ...]:
        found = node.child_by_field_name("parameters")
        return self.parts(self.below(found)) if found else ()

    def suite(self, node: Any) -> tuple[Part, ...]:
        found = node.child_by_field_name("body")
        return self.parts(self.below(found)) if found else ()

    def of_parameter(self, node: Any) -> Part:
        below = [part for name in ("type", "domain", "default") for part in self.field(node, name)]
        return self.made("Parameter", node, self.named(node, "name"), below)

    def of_type(self, node: Any) -> Part:
        return self.made("TypeName", node, self.named(node, "name"), self.field(node, "item"))

    def of_choices(self, node: Any) -> Part:
        return self.plain("Choices", node)

    def of_range(self, node: Any) -> Part:
        return self.plain("Range", node)

    def of_budget(self, node: Any) -> Part:
        return self.made("Budget", node, (int(self.word(node.named_children[0]).replace("_", "")),), ())

    def of_claims(self, node: Any) -> Part:
        model = node.child_by_field_name("model")
        below = [child for child in self.below(node) if child.type in ("setting", "claim")]
        return self.made("Claims", model, (self.word(model),), self.parts(below))

    def of_setting(self, node: Any) -> Part:
        return self.made("Argument", node, self.named(node, "name"), self.field(node, "value"))

    def of_claim(self, node: Any) -> Part:
        value = node.child_by_field_name("value")
        figure = (self.word(value),) if value.type == "figure" else ()
        shape = () if figure else self.parts(self.below(value))
        said = (*self.named(node, "quantity"), *self.named(node, "subject"), *figure)
        return self.made("Claim", node, said + self.named(node, "known"), shape)

    def of_names(self, node: Any) -> Part:
        model = node.child_by_field_name("model")
        below = [child for child in self.below(node) if child.type == "renaming"]
        return self.made("Names", model, (self.word(model),), self.parts(below))

    def of_renaming(self, node: Any) -> Part:
        below = [part for name in ("source", "target", "pattern") for part in self.field(node, name)]
        return self.made("Renaming", node, (), below)

    # ------------------------------------------------------------ statements

    def of_input(self, node: Any) -> Part:
        remaining = any(child.type == "*" for child in node.children[:2])
        said = (*self.named(node, "name"), *self.named(node, "dtype"), remaining)
        return self.made("Input", node, said, [*self.pattern(node, "pattern"), *self.field(node, "count")])

    def pattern(self, node: Any, field: str) -> tuple[Part, ...]:
        found = node.child_by_field_name(field)
        return self.parts(self.below(found)) if found else ()

    def of_rest_sizes(self, node: Any) -> Part:
        return self.made("RestSizes", node, (self.word(node.named_children[0]),), ())

    def of_free_size(self, node: Any) -> Part:
        return self.made("FreeSize", node, (self.word(node.named_children[0]),), ())

    def of_own(self, node: Any) -> Part:
        said = (*self.named(node, "kind"), *self.named(node, "name"), *self.named(node, "dtype"))
        below = [*self.field(node, "label"), *self.pattern(node, "shape"), *self.field(node, "value")]
        return self.made("Own", node, said, below)

    def of_shared(self, node: Any) -> Part:
        below = [*self.field(node, "label"), *self.field(node, "value")]
        return self.made("Shared", node, self.named(node, "name"), below)

    def of_defaults(self, node: Any) -> Part:
        return self.made("Defaults", node, (), self.parts(self.below(node)), end=node.children[0])

    def of_rule(self, node: Any) -> Part:
        return self.plain("Rule", node)

    def of_substitution(self, node: Any) -> Part:
        return self.plain("Rule", node)

    def of_replacement(self, node: Any) -> Part:
        return self.plain("Replacement", node)

    def of_insertion(self, node: Any) -> Part:
        return self.made("Insertion", node, (), [self.path(step) for step in self.below(node)])

    def path(self, step: Any) -> Part:
        """A step of an insertion, or the path that stands among them."""
        part = self.part(step)
        is_path = step.named_child_count == 1 and step.named_children[0].type == "string"
        return self.part(step.named_children[0]) if is_path else part

    def of_assignment(self, node: Any) -> Part:
        return self.plain("Assign", node)

    def of_augmented_assignment(self, node: Any) -> Part:
        target, value = self.below(node)
        (operator,) = self.named(node, "operator")
        name = self.part(target)
        meant = self.made("Binary", target, (operator[:-1],), (name, self.part(value)), end=value)
        return self.made("Augment", node, (), (name._replace(kind="Target"), meant))

    def of_targets(self, node: Any) -> Part:
        found = [self.target(child) for child in self.below(node)]
        unpacks = len(found) > 1 or node.children[-1].type == ","
        return self.made("Target", node, (), found) if unpacks else found[0]

    def target(self, node: Any) -> Part:
        return self.part(node)._replace(kind="Target") if node.type == "identifier" else self.part(node)

    def of_require(self, node: Any) -> Part:
        return self.plain("Require", node)

    def of_if(self, node: Any) -> Part:
        test = node.child_by_field_name("test")
        below = [self.branch(node)]
        for child in self.below(node):
            if child.type == "elif":
                below.append(self.branch(child))
            elif child.type == "else":
                below.extend(self.suite(child))
        return self.made("If", test, (), below)

    def branch(self, node: Any) -> Part:
        test = node.child_by_field_name("test")
        return self.made("Branch", test, (), [self.part(test), *self.suite(node)])

    def of_for(self, node: Any) -> Part:
        target, iterable = (self.field(node, name)[0] for name in ("target", "iterable"))
        return Part("For", target.start, iterable.end, (), (target, iterable, *self.suite(node)))

    def of_return(self, node: Any) -> Part:
        below = self.below(node)
        if below[0].type == "named_output":
            return self.made("Return", node, (), self.parts(below))
        value = self.part(below[0])
        values = value.below if value.kind == "TupleOf" else (value,)
        outputs = [Part("Output", part.start, part.end, (), (part,)) for part in values]
        return self.made("Return", node, (), outputs)

    def of_named_output(self, node: Any) -> Part:
        return self.made("Output", node, self.named(node, "name"), self.field(node, "value"))

    # ------------------------------------------------------------ expressions

    def of_bare_tuple(self, node: Any) -> Part:
        return self.plain("TupleOf", node)

    def of_tuple(self, node: Any) -> Part:
        return self.plain("TupleOf", node)

    def of_chain(self, node: Any) -> Part:
        return self.plain("Chain", node)

    def of_step(self, node: Any) -> Part:
        return self.made("Step", node, (), [*self.label(node), *self.field(node, "layer")])

    def label(self, node: Any) -> list[Part]:
        return [part._replace(kind="Text", said=()) for part in self.field(node, "label")]

    def of_conditional(self, node: Any) -> Part:
        return self.plain("Conditional", node)

    def of_logic(self, node: Any) -> Part:
        return self.plain("Logic", node, node.children[1].type)

    def of_unary(self, node: Any) -> Part:
        return self.plain("Unary", node, node.children[0].type)

    def of_comparison(self, node: Any) -> Part:
        below = self.below(node)
        operators = tuple(" ".join(child.type for child in part.children) for part in below[1::2])
        return self.made("Comparison", node, (operators,), self.parts(below[::2]))

    def of_binary(self, node: Any) -> Part:
        return self.plain("Binary", node, *self.named(node, "operator"))

    def of_attribute(self, node: Any) -> Part:
        return self.made("Attribute", node, self.named(node, "name"), self.field(node, "value"))

    def of_call(self, node: Any) -> Part:
        return self.plain("Call", node)

    def of_subscript(self, node: Any) -> Part:
        return self.plain("Subscript", node)

    def of_argument(self, node: Any) -> Part:
        value = node.child_by_field_name("value")
        below = self.field(node, "value")
        clauses = [child for child in self.below(node) if child.type == "clause"]
        if clauses:
            item = self.made("Item", value, (), below)
            below = [self.made("Comprehension", node, (), (item, *self.parts(clauses)))]
        return self.made("Argument", node, self.named(node, "name"), below)

    def of_spread(self, node: Any) -> Part:
        return self.plain("Spread", node)

    def of_slice(self, node: Any) -> Part:
        return self.plain("Slice", node)

    def of_identifier(self, node: Any) -> Part:
        return self.made("Name", node, (self.word(node),), ())

    def of_integer(self, node: Any) -> Part:
        return self.made("Literal_", node, ("int",), ())

    def of_float(self, node: Any) -> Part:
        return self.made("Literal_", node, ("float",), ())

    def of_true(self, node: Any) -> Part:
        return self.made("Literal_", node, ("bool",), ())

    of_false = of_true

    def of_none(self, node: Any) -> Part:
        return self.made("Literal_", node, ("NoneType",), ())

    def of_string(self, node: Any) -> Part:
        holes = [child.named_children[0] for child in node.named_children if child.type == "interpolation"]
        return self.made("Text", node, (), self.parts(holes))

    def of_parenthesised(self, node: Any) -> Part:
        (value,) = self.below(node)
        start, end = self.offset(node.start_byte), self.offset(node.end_byte)
        return self.part(value)._replace(start=start, end=end)

    def of_list(self, node: Any) -> Part:
        return self.plain("ListOf", node)

    def of_comprehension(self, node: Any) -> Part:
        return self.plain("Comprehension", node)

    def of_item(self, node: Any) -> Part:
        return self.made("Item", node, (), [*self.label(node), *self.field(node, "value")])

    def of_clause(self, node: Any) -> Part:
        return self.plain("Clause", node)


def source(text: str) -> Source:
    return Source("spec.arch", text)
