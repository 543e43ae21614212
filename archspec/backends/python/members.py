"""The members of a class: the statements of `__init__` that make them, and how `forward` reaches them."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword

from archspec.backends.python import expressions as py
from archspec.backends.python.layout import INDENT, line, written
from archspec.backends.python.own_weights import Buffer, Local
from archspec.backends.python.unifying import Class, repeated


def making(members: Mapping[str, py.Expression]) -> list[str]:
    """The statements that make members, given by their paths."""
    lines: list[str] = []
    for root, made in _tree(members).items():
        if not isinstance(made, dict):
            lines += _assigned("self", root, made)
        elif _holds_tensors(made):
            lines += _filled("self", root, made)
        else:
            lines += _assigned("self", root, _group(made))
    return lines


def reach(made: Class) -> dict[str, py.Expression]:
    """How each member of a class is reached."""
    if made.is_chain:
        return {path: py.Item(py.Code("self"), (py.number(int(path)),)) for path in made.draft.members}
    found: dict[str, py.Expression] = {}
    for root, tree in _tree(made.members).items():
        base = _part(py.Code("self"), root)
        if isinstance(tree, dict):
            _reached(base, tree, root, found)
        else:
            found[root] = base
    return found


def _is_attribute(name: str) -> bool:
    return name.isidentifier() and not iskeyword(name)


def _part(of: py.Expression, name: str) -> py.Expression:
    """A part of a module by its name."""
    return (
        py.Attribute(of, name) if _is_attribute(name) else py.Call(py.Code("getattr"), (of, py.Literal(name)))
    )


def _assigned(owner: str, name: str, made: py.Expression, indent: int = 2 * INDENT) -> list[str]:
    """The statements that make something a part of a module."""
    if isinstance(made, py.Chosen) and isinstance(made.then, Buffer):
        inner = _assigned(owner, name, made.then, indent + INDENT)
        return [f"{' ' * indent}if {line(made.condition)}:", *inner]
    if isinstance(made, Buffer) and not isinstance(made.value, Local):
        made = Buffer(
            py.replaced(made.value, lambda x: x.inlined if isinstance(x, Local) else None), made.saved
        )
    if isinstance(made, Buffer) and isinstance(made.value, Local):
        named = made.value
        return [
            *written(f"{named.name} = ", named.value, "", indent),
            *_assigned(owner, name, Buffer(named.then, made.saved), indent),
        ]
    if isinstance(made, Buffer):
        keywords = () if made.saved else (py.Keyword("persistent", py.number(False)),)
        return written(
            "",
            py.Call(py.Code(f"{owner}.register_buffer"), (py.Literal(name), made.value), keywords),
            "",
            indent,
        )
    if _is_attribute(name):
        return written(f"{owner}.{name} = ", made, "", indent)
    register = "register_parameter" if _is_parameter(made) else "register_module"
    return written("", py.Call(py.Code(f"{owner}.{register}"), (py.Literal(name), made)), "", indent)


def _is_parameter(made: object) -> bool:
    return isinstance(made, py.Call) and made.what == py.Code("nn.Parameter")


def _holds_tensors(tree: Mapping[str, object]) -> bool:
    """Whether a group of members holds tensors, which no list or dict of modules can."""
    return any(
        _holds_tensors(made) if isinstance(made, dict) else isinstance(made, Buffer) or _is_parameter(made)
        for made in tree.values()
    )


def _filled(owner: str, name: str, tree: Mapping[str, object]) -> list[str]:
    """The statements that make a group of members as a module without a program, and fill it."""
    lines = _assigned(owner, name, py.Call(py.Code("nn.Module")))
    inner = line(_part(py.Code(owner), name))
    for key, made in tree.items():
        lines += _filled(inner, key, made) if isinstance(made, dict) else _assigned(inner, key, made)  # type: ignore[arg-type]
    return lines


def _tree(members: Mapping[str, py.Expression]) -> dict[str, py.Expression | dict[str, object]]:
    found: dict[str, object] = {}
    for path, made in members.items():
        *parents, last = path.split(".")
        inner = found
        for part in parents:
            inner = inner.setdefault(part, {})  # type: ignore[assignment]
        inner[last] = made
    return found  # type: ignore[return-value]


def _group(tree: Mapping[str, object]) -> py.Expression:
    """Members that share the start of their names, as a list or a dict of modules."""
    items = [made if isinstance(made, py.Expression) else _group(made) for made in tree.values()]  # type: ignore[arg-type]
    if list(tree) == [str(place) for place in range(len(tree))]:
        return py.Call(py.Code("nn.ModuleList"), (py.Listed(tuple(repeated(items)), "["),))
    return py.Call(py.Code("nn.ModuleDict"), (py.Listed(tuple(items), "{", tuple(tree)),))


def _reached(
    base: py.Expression, tree: Mapping[str, object], path: str, found: dict[str, py.Expression]
) -> None:
    numbered = list(tree) == [str(place) for place in range(len(tree))]
    plain = _holds_tensors(tree)
    for key, made in tree.items():
        place: py.Expression = py.number(int(key)) if numbered else py.Literal(key)
        below: py.Expression = _part(base, key) if plain else py.Item(base, (place,))
        if isinstance(made, dict):
            _reached(below, made, f"{path}.{key}", found)
        else:
            found[f"{path}.{key}"] = below
