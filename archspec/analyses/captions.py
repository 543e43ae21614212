"""Captions of ops as papers write them: `3 × 3 Conv, 64, /2` in figures, `Conv 3 × 3, depthwise` in tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.ground.literals import written
from archspec.ground.tensor import TensorType, show
from archspec.op import Op

FOLLOWERS = frozenset({"norm", "activation", "regularisation", "identity"})
"""Families of ops that a caption joins to the layer before them."""

_MOST_OPS = 4  # in a title
_LONGEST = 32  # characters of arguments in a caption


def caption(op: Op) -> str:
    """An op as in the figures of papers: `3 × 3 Conv, 64, /2`; arguments that do not shape the result are left out."""
    fields = dict(op)
    text = named(type(op).__name__, fields)
    if "," not in text and fields.get("kernel") is None:
        required = [key for key, field in type(op).model_fields.items() if field.is_required()]
        arguments = ", ".join(_rounded(fields[key]) for key in required)
        if arguments:
            text += f"({arguments if len(arguments) <= _LONGEST else '…'})"
    return text


def named(name: str, fields: Mapping[str, object]) -> str:
    """The name of an op or block with the arguments that figures show: `5 × 5 MBConv, 40, /2`."""
    kernel, stride = fields.get("kernel"), fields.get("stride")
    parts = [f"{window(kernel)} {name}" if _is_size(kernel) else name]
    if isinstance(fields.get("out"), int):
        parts.append(str(fields["out"]))
    if _is_size(stride) and stride != 1:
        parts.append(f"/{window(stride) if isinstance(stride, tuple | list) else stride}")
    if _is_size(fields.get("dilation")) and fields["dilation"] != 1:
        parts.append(f"dilation {fields['dilation']}")
    return ", ".join([*parts, *_groups(fields)])


def title(ops: Sequence[Op], kind: str = "", arguments: Mapping[str, object] | None = None) -> str:
    """The title of a box: its block, or its ops, the first in full; empty for a list of layers."""
    if not ops:
        return named(kind, arguments or {}) if kind else ""
    names = [caption(op) if i == 0 else type(op).__name__ for i, op in enumerate(ops[:_MOST_OPS])]
    return " · ".join([*names, "…"] if len(ops) > _MOST_OPS else names)


def operator(op: Op) -> str:
    """An op as in the tables of papers, without width and stride, which have columns of their own."""
    kernel = dict(op).get("kernel")
    name = type(op).__name__
    return ", ".join([name if kernel is None else f"{name} {window(kernel)}", *_groups(dict(op))])


def window(size: object) -> str:
    """`3 × 3` for a window of 3, `1 × 7` for one that differs by axis."""
    return " × ".join(map(str, size)) if isinstance(size, tuple | list) else f"{size} × {size}"


def sizes(type_: TensorType) -> str:
    """A shape as in figures: `64 × 56 × 56`; with its dtype unless that is f32."""
    text = " × ".join(map(str, type_.shape)) if type_.shape else "1"
    return text if type_.dtype == "f32" else f"{type_.dtype} {show(type_.shape)}"


def _rounded(value: object) -> str:
    """A value as a spec writes it, rounded to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else written(value)


def _groups(fields: Mapping[str, object]) -> list[str]:
    groups = fields.get("groups")
    if not isinstance(groups, int) or groups == 1:
        return []
    return ["depthwise" if groups == fields.get("out") else f"groups {groups}"]


def _is_size(value: object) -> bool:
    return isinstance(value, int | tuple | list)
