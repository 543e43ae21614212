"""Values as specs write them, and as Python programs give them."""

from __future__ import annotations

from typing import Any

_ESCAPED = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "{": "{{", "}": "}}"}
)


def written(value: object) -> str:
    """A number, boolean, string or list as specs write it, read back as the same; anything else as it prints."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case str():
            return f'"{value.translate(_ESCAPED)}"'
        case tuple() | list():
            return f"[{', '.join(written(item) for item in value)}]"
        case _:
            return str(value)


def of_python(value: Any) -> Any:
    """Numbers, booleans and arrays of NumPy as Python has them; anything else as it is."""
    return value.tolist() if type(value).__module__ == "numpy" and hasattr(value, "tolist") else value
