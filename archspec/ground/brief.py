"""How objects show themselves in one line."""

from __future__ import annotations

LONGEST = 240  # letters


def brief(what: object, text: str) -> str:
    """A short `repr` in one line, `<Graph ResNet50: ...>`: the class of `what`, and a text of which the end is cut off where it is long."""
    line = " ".join(text[: 4 * LONGEST].split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST - 3].rstrip()}..."
    return f"<{type(what).__name__} {line}>"
