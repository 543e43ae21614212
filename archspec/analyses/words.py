"""Ops in the words of papers: `3 × 3 Conv, 64, /2` in figures, `Conv 3 × 3, depthwise` in tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.ground.literals import written
from archspec.ground.tensor import TensorType, show
from archspec.op import Op

FOLLOWERS = frozenset({"norm", "activation", "regularisation", "identity"})
"""Families of ops that papers name together with the layer that they follow."""

_MOST_OPS = 4  # that a title names
_LONGEST = 32  # arguments that a figure has room for, in characters


def words(op: Op) -> str:
    """An op as the figures of papers name it: `3 × 3 Conv, 64, /2`; what does not shape the result is left out."""
    fields = dict(op)
    said = named(type(op).__name__, fields)
    if "," not in said and fields.get("kernel") is None:
        required = [key for key, field in type(op).model_fields.items() if field.is_required()]
        arguments = ", ".join(_rounded(fields[key]) for key in required)
        if arguments:
            said += f"({arguments if len(arguments) <= _LONGEST else '…'})"
    return said


def named(name: str, fields: Mapping[str, object]) -> str:
    """The name of an op or block with those of its arguments that figures show: `5 × 5 MBConv, 40, /2`."""
    kernel, stride = fields.get("kernel"), fields.get("stride")
    said = [f"{window(kernel)} {name}" if _is_size(kernel) else name]
    if isinstance(fields.get("out"), int):
        said.append(str(fields["out"]))
    if _is_size(stride) and stride != 1:
        said.append(f"/{window(stride) if isinstance(stride, tuple | list) else stride}")
    if _is_size(fields.get("dilation")) and fields["dilation"] != 1:
        said.append(f"dilation {fields['dilation']}")
    return ", ".join([*said, *_groups(fields)])


def title(ops: Sequence[Op], kind: str = "", arguments: Mapping[str, object] | None = None) -> str:
    """What a box of a figure is: its block, or its ops, of which the first in full; empty for a list of layers."""
    if not ops:
        return named(kind, arguments or {}) if kind else ""
    names = [words(op) if i == 0 else type(op).__name__ for i, op in enumerate(ops[:_MOST_OPS])]
    return " · ".join([*names, "…"] if len(ops) > _MOST_OPS else names)


def operator(op: Op) -> str:
    """An op as the tables of papers name it, without its width and stride, for which they have columns."""
    kernel = dict(op).get("kernel")
    name = type(op).__name__
    return ", ".join([name if kernel is None else f"{name} {window(kernel)}", *_groups(dict(op))])


def window(size: object) -> str:
    """`3 × 3` for a window of 3, `1 × 7` for one that differs by axis."""
    return " × ".join(map(str, size)) if isinstance(size, tuple | list) else f"{size} × {size}"


def sizes(type_: TensorType) -> str:
    """A shape as figures print it: `64 × 56 × 56`; the dtype where it is not f32."""
    text = " × ".join(map(str, type_.shape)) if type_.shape else "1"
    return text if type_.dtype == "f32" else f"{type_.dtype} {show(type_.shape)}"


def _rounded(value: object) -> str:
    """A value as a spec writes it, with as many digits as a figure has room for."""
    return f"{value:.4g}" if isinstance(value, float) else written(value)


def _groups(fields: Mapping[str, object]) -> list[str]:
    groups = fields.get("groups")
    if not isinstance(groups, int) or groups == 1:
        return []
    return ["depthwise" if groups == fields.get("out") else f"groups {groups}"]


def _is_size(value: object) -> bool:
    return isinstance(value, int | tuple | list)
