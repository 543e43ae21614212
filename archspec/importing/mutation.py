"""Operators that write into a tensor: what stands for the tensor, and for all that are views of it, afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import Node

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.importing.nodes import short_name
from archspec.importing.values import Value, whole
from archspec.ops.joining import Concat
from archspec.ops.reshape import Permute, Reshape
from archspec.ops.slicing import Index

if TYPE_CHECKING:
    from archspec.importing.drafting import Draft

_RESHAPES = (
    "view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "flatten", "unflatten", "view_as", "reshape_as",
)  # fmt: skip
_TURNS = ("permute", "transpose", "t", "swapaxes", "numpy_T", "movedim")
_TAKES_APART = ("split", "split_with_sizes", "chunk", "tensor_split", "unbind")
_SAME = ("alias", "detach", "contiguous", "to", "type_as")
_MAY_COPY = ("reshape", "flatten", "_unsafe_view", "reshape_as", "contiguous", "to", "type_as")
_WHOLE = (None, None, None)


def writes(node: Node) -> bool:
    """Whether an operator writes into its first argument."""
    alias = _alias(node)
    return alias is not None and bool(alias.is_write)


def written_into(draft: Draft, node: Node, value: Value) -> None:
    """Let the tensor that a node writes into have a value from here on.

    So has what it is a view of in that part, and all other views of that. Mistake where the tensor is the module's own, which a
    spec's network does not change.
    """
    target = node.args[0]
    assert isinstance(target, Node)
    root = base(draft, node)
    if not _read_later(root, node):
        return
    changed = {target}
    _set(draft, target, value)
    while (parent := viewed(target)) is not None:
        value = _put(draft, parent, target, value)
        target = parent
        if short_name(target) not in _TAKES_APART:
            changed.add(target)
            _set(draft, target, value)
    for other in _views(root, node):
        if other not in changed and (other in draft.values or other in draft.constants):
            draft.constants.pop(other, None)
            draft.convert_again(other)


def base(draft: Draft, node: Node) -> Node:
    """The tensor that is changed where a node writes into it or a view of it. Mistake if it is the module's own."""
    found = node.args[0]
    assert isinstance(found, Node)
    while (parent := viewed(found)) is not None:
        found = parent
    if found.name in draft.capture.tensors:
        raise Mistake(
            f"it changes `{draft.capture.tensors[found.name][0]}` of the module while it runs",
            codes.NOT_IMPORTED,
        )
    return found


def viewed(node: Node) -> Node | None:
    """The tensor that a node is a view of, or has written into; None if it has values of its own."""
    if node.op != "call_function" or not node.args or not isinstance(node.args[0], Node):
        return None
    given, name = node.args[0], short_name(node)
    if name == "getitem":
        return given if short_name(given) in _TAKES_APART else None
    if _alias(node) is None or (name in _MAY_COPY and not _stays(given.meta["val"], node.meta["val"])):
        return None
    return given


def _alias(node: Node) -> Any:
    """What the schema of an operator says of its first argument: that the result is a view of it, or that it is written into."""
    schema = getattr(node.target, "_schema", None)
    return schema.arguments[0].alias_info if schema is not None and schema.arguments else None


def _stays(given: Any, made: Any) -> bool:
    """Whether what may be a copy is a view."""
    if given.dtype != made.dtype:
        return False
    if given.shape == made.shape:
        return bool(given.stride() == made.stride())
    try:
        torch.empty_strided(given.shape, given.stride(), device="meta").view(made.shape)
    except RuntimeError:
        return False
    return True


def _read_later(root: Node, node: Node) -> bool:
    """Whether anything behind a node reads a tensor, or a view of it, by another name."""
    family = {root, *_views(root, node)}
    users = {user for member in family for user in member.users if user not in family}
    behind = False
    for other in root.graph.nodes:
        if behind and other in users:
            return True
        behind = behind or other is node
    return False


def _views(root: Node, until: Node) -> Iterator[Node]:
    """The nodes before one that are views of another, in order."""
    if len(root.users) < 2 and until in root.users:
        return
    found = {root}
    for node in root.graph.nodes:
        if node is until:
            return
        if node is not root and viewed(node) in found:
            found.add(node)
            yield node


def _set(draft: Draft, node: Node, value: Value) -> None:
    draft.constants.pop(node, None)
    draft.written.add(node)
    draft.settle(node, value)


def _put(draft: Draft, parent: Node, view: Node, value: Value) -> Value:
    """A tensor in which the part that is a view has another value."""
    name, args = short_name(view), view.args
    if name in _TAKES_APART:  # the value is that of the whole already, which its part gave
        return value
    if name == "getitem":
        return _part(draft, parent, int(args[1]), value)  # type: ignore[arg-type]
    if writes(view) or name in _SAME:
        return value
    given = draft.value(parent)
    if name == "select":
        axis, at = given.axis(int(args[1])), int(args[2])  # type: ignore[arg-type]
        return _chosen(draft, given, axis, at % whole(given.type)[axis], value)
    if name in ("slice", "narrow"):
        return _sliced(draft, given, view, value)
    if name in _RESHAPES:
        same = given.type.shape == value.type.shape
        return value if same else draft.emit(Reshape(shape=whole(given.type)), value)
    if name in _TURNS:
        return _turned_back(draft, given, view, value)
    raise Mistake(f"it changes a part of a tensor by `{name}`", codes.NOT_IMPORTED)


def _part(draft: Draft, parts: Node, number: int, value: Value) -> Value:
    """The whole that was taken apart, in which one part has another value."""
    source = parts.args[0]
    given = draft.value(source)
    places = parts.args[1:] if short_name(parts) == "unbind" else parts.args[2:]
    axis = int(places[0]) if places else 0  # type: ignore[arg-type]
    if short_name(parts) == "unbind":
        return _chosen(draft, given, given.axis(axis), number, value)
    sizes = [val.shape[axis] for val in parts.meta["val"]]
    first = sum(sizes[:number])
    return _joined(draft, given, given.axis(axis), first, first + sizes[number], value)


def _chosen(draft: Draft, given: Value, axis: int, at: int, value: Value) -> Value:
    """A tensor with a value at one place of an axis."""
    shape = list(whole(value.type))
    shape.insert(axis, 1)
    return _joined(draft, given, axis, at, at + 1, draft.emit(Reshape(shape=tuple(shape)), value))


def _sliced(draft: Draft, given: Value, view: Node, value: Value) -> Value:
    """A tensor with a value in a slice of an axis."""
    if whole(value.type) == whole(given.type):
        return value
    along, start, end, step = _sliced_at(*view.args[1:])
    axis = given.axis(along)
    shape, made = whole(given.type), whole(value.type)
    end = start + end if short_name(view) == "narrow" else end
    first, last, by = slice(start, end, step).indices(shape[axis])
    if by == 1:
        return _joined(draft, given, axis, first, last, value)
    if shape[axis] % by or made[axis] != shape[axis] // by:
        raise Mistake(
            "it changes places by a step that does not go through all of an axis", codes.NOT_IMPORTED
        )
    apart = draft.emit(Reshape(shape=(*shape[:axis], made[axis], by, *shape[axis + 1 :])), given)
    joined = _chosen(draft, apart, axis + 1, first, value)
    return draft.emit(Reshape(shape=shape), joined)  # type: ignore[no-any-return]


def _sliced_at(axis: Any = 0, start: Any = None, end: Any = None, step: Any = 1) -> tuple[Any, Any, Any, Any]:
    """The arguments of a slice."""
    return axis, start, end, step


def _turned_back(draft: Draft, given: Value, view: Node, value: Value) -> Value:
    """The axes of a permuted tensor as they were."""
    numbered = torch.empty(torch.Size(range(given.layout.rank)), device="meta")
    turned = view.target(numbered, *view.args[1:])  # type: ignore[operator]
    held = given.layout.held > 1
    places = [int(place) for place in turned.shape if int(place) != given.layout.batch or held]
    back = tuple(places.index(place) for place in sorted(places))
    return value if back == tuple(range(len(back))) else draft.emit(Permute(axes=back), value)


def _joined(draft: Draft, given: Value, axis: int, first: int, last: int, value: Value) -> Value:
    """A tensor with a value in the places from one to another along an axis."""
    size = whole(given.type)[axis]
    parts = []
    if first > 0:
        parts.append(draft.emit(Index(at=(*(_WHOLE,) * axis, (None, first, None))), given))
    parts.append(value)
    if last < size:
        parts.append(draft.emit(Index(at=(*(_WHOLE,) * axis, (last, None, None))), given))
    return draft.emit(Concat(axis=axis), *parts) if len(parts) > 1 else value
