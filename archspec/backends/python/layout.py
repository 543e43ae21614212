"""Expressions as text, laid out as ruff and black do: on a line if they fit, else by their brackets."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any

from archspec.backends.python import expressions as py

WIDTH = 100
INDENT = 4

_ATOM = 20
_PRECEDENCE = {
    "or": 1,
    "and": 2,
    "not ": 3,
    "==": 4,
    "!=": 4,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "is not": 4,
    "|": 5,
    "^": 6,
}
_PRECEDENCE |= {"&": 7, "+": 9, "-": 9, "*": 10, "/": 10, "//": 10, "%": 10, "@": 10, "~": 11, "**": 12}
_NEGATIVE = 11


def literal(value: Any) -> str:
    """A number, string, truth value, None or tuple of such, as Python reads it."""
    if isinstance(value, tuple):
        items = ", ".join(map(literal, value))
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, float) and not isfinite(value):
        return 'float("nan")' if value != value else f'{"-" if value == -inf else ""}float("inf")'
    if isinstance(value, str):
        return quoted(value)
    return repr(value)


def quoted(text: str) -> str:
    """A string in double quotes, as formatters have it: whatever is in it, only characters of ASCII that print."""
    escaped = ascii(text)
    inner = escaped[1:-1]
    if escaped[0] == "'":
        inner = inner.replace("\\'", "'")
        return f'"{inner}"' if '"' not in inner else escaped
    return f'"{inner}"'


def line(expression: py.Expression) -> str:
    """An expression on one line."""
    return _line(expression)[0]


def _line(expression: py.Expression) -> tuple[str, int]:
    """The text and how tightly it binds."""
    if isinstance(expression, py.Code):
        text = expression.text
        return text, _ATOM if _is_atom(text) else 8
    if isinstance(expression, py.Value):
        return "x", _ATOM  # whatever its name will be
    if isinstance(expression, py.Literal):
        value = expression.value
        negative = isinstance(value, int | float) and not isinstance(value, bool) and value < 0
        return literal(value), _NEGATIVE if negative else _ATOM
    if isinstance(expression, py.Call):
        return f"{_tight(expression.what, _ATOM)}({', '.join(map(_argument, _arguments(expression)))})", _ATOM
    if isinstance(expression, py.Attribute):
        of = _tight(expression.of, _ATOM)
        return f"{f'({of})' if of.isdigit() else of}.{expression.name}", _ATOM
    if isinstance(expression, py.Item):
        return f"{_tight(expression.of, _ATOM)}[{', '.join(map(line, expression.places))}]", _ATOM
    if isinstance(expression, py.Slice):
        return _slice(expression), 0
    if isinstance(expression, py.Operation):
        return _operation(expression)
    if isinstance(expression, py.Listed):
        if _is_comprehension(expression):
            return line(expression.items[0])[1:], _ATOM
        items = [line(item) for item in expression.items]
        if expression.keys:
            items = [f"{quoted(key)}: {item}" for key, item in zip(expression.keys, items, strict=True)]
        inside = ", ".join(items)
        if expression.bracket == "(" and len(items) == 1:
            inside += ","
        return f"{expression.bracket}{inside}{_CLOSING[expression.bracket]}", _ATOM
    if isinstance(expression, py.Repeated):
        return f"*[{' '.join(_comprehension(expression))}]", 0
    if isinstance(expression, py.Chosen):
        then, condition, other = (_tight(part, 1) for part in expression.parts)
        return f"{then} if {condition} else {other}", 0
    if isinstance(expression, py.Each):
        return f"({line(expression.item)} for t in {line(expression.over)})", _ATOM
    return ", ".join(map(line, expression.parts)), 0  # of a loop, which is no expression


def _is_atom(text: str) -> bool:
    return text.replace(".", "").replace("_", "").replace("()", "").isalnum() or text[-1:] in ")]"


_CLOSING = {"(": ")", "[": "]", "{": "}"}


def _tight(expression: py.Expression, least: int) -> str:
    text, binding = _line(expression)
    return text if binding >= least else f"({text})"


def _slice(expression: py.Slice) -> str:
    start, stop, step = ("" if end is None else line(end) for end in expression.ends)
    simple = all(text.replace("-", "").isalnum() or not text for text in (start, stop, step))
    if not simple:  # formatters give the colon room as the operator that binds loosest
        text = f"{start} : {stop}".strip(" ") if start or stop else ":"
        return f"{text} : {step}".rstrip() if step else text
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


def _operation(expression: py.Operation) -> tuple[str, int]:
    operator, operands = expression.operator, expression.operands
    if len(operands) == 1:
        binding = _PRECEDENCE.get(operator, _NEGATIVE) if operator != "-" else _NEGATIVE
        return f"{operator}{_tight(operands[0], binding)}", binding
    binding = _PRECEDENCE[operator]
    if operator == "**":
        base, exponent = _tight(operands[0], binding + 1), _tight(operands[1], binding)
        simple = all(
            text.replace("-", "").replace(".", "").replace("_", "").isalnum() for text in (base, exponent)
        )
        return f"{base}**{exponent}" if simple else f"{base} ** {exponent}", binding
    chained = binding == _PRECEDENCE["=="]  # a < b < c means something else
    texts = [_tight(operands[0], binding + chained), *(_tight(x, binding + 1) for x in operands[1:])]
    return f" {operator} ".join(texts), binding


def _arguments(expression: py.Call) -> list[py.Expression | py.Keyword]:
    return [*expression.arguments, *filter(_written, expression.keywords)]


def _written(keyword: py.Keyword) -> bool:
    if keyword.default is ... or not isinstance(keyword.value, py.Literal):
        return True
    return type(keyword.value.value) is not type(keyword.default) or keyword.value.value != keyword.default


def _argument(given: py.Expression | py.Keyword) -> str:
    return f"{given.name}={line(given.value)}" if isinstance(given, py.Keyword) else line(given)


def _is_comprehension(listed: py.Listed) -> bool:
    """Whether a list is one comprehension, and nothing else."""
    return listed.bracket == "[" and len(listed.items) == 1 and isinstance(listed.items[0], py.Repeated)


def _comprehension(expression: py.Repeated) -> list[str]:
    if len(expression.items) == 1:
        return [line(expression.items[0]), f"for _ in range({line(expression.count)})"]
    items = ", ".join(map(line, expression.items))
    return ["layer", f"for _ in range({line(expression.count)})", f"for layer in ({items})"]


# ------------------------------------------------------------------ on several lines


def written(before: str, expression: py.Expression, after: str = "", indent: int = 0) -> list[str]:
    """The lines of `before`, an expression and `after`, at an indent: on one line if they fit, else broken at brackets."""
    margin = " " * indent
    whole = f"{margin}{before}{line(expression)}{after}"
    if len(whole) <= WIDTH:
        return [whole]
    if isinstance(expression, py.Listed) and _is_comprehension(expression):
        head, *rest = written(before, expression.items[0], after, indent)
        return [head.replace("*[", "[", 1), *rest]
    if isinstance(expression, py.Operation | py.Chosen) and not before.endswith("("):
        lead = f"{margin}{before}("
        return [lead, *_broken(expression, indent + INDENT), f"{margin}){after}"]
    if isinstance(expression, py.Repeated):
        clauses = _comprehension(expression)
        if len(expression.items) == 1:
            first = written("", expression.items[0], "", indent + INDENT)
            others = [f"{margin}    {clause}" for clause in clauses[1:]]
        else:
            first = [f"{margin}    {clause}" for clause in clauses[:2]]
            others = written("for layer in ", py.Listed(expression.items), "", indent + INDENT)
        return [f"{margin}{before}*[", *first, *others, f"{margin}]{after}"]
    if isinstance(expression, py.Each):
        clauses = [line(expression.item), f"for t in {line(expression.over)}"]
        joined = " ".join(clauses)
        fits = indent + INDENT + len(joined) <= WIDTH
        inner = " " * (indent + INDENT)
        return [
            f"{margin}{before}(",
            *(f"{inner}{x}" for x in ([joined] if fits else clauses)),
            f"{margin}){after}",
        ]
    links = _links(expression)
    inside = line(expression)
    if (
        len(links) > 1
        and inside[0] == "("
        and indent + INDENT + len(inside) <= WIDTH
        and before[-2:] in ("= ", "n ")
    ):
        return [f"{margin}{before}(", f"{margin}    {inside}", f"{margin}){after}"]
    if len(links) > 2:  # calls of methods one after the other: each on a line of its own
        inner = " " * (indent + INDENT)
        return [f"{margin}{before}(", *(f"{inner}{link}" for link in links), f"{margin}){after}"]
    opened = _opened(expression)
    if opened is None:
        return [whole]
    head, items, closing = opened
    first_line = f"{margin}{before}{head}"
    inner = " " * (indent + INDENT)
    if (
        len(first_line) > WIDTH
        and isinstance(expression, py.Call)
        and isinstance(expression.what, py.Attribute)
    ):
        of = expression.what.of
        if isinstance(of, py.Call) and _arguments(
            of
        ):  # what stands before the last bracket is too long: an earlier one
            last = ", ".join(map(_argument, items))
            return written(before, of, f".{expression.what.name}({last}){after}", indent)
    several = ", ".join(_argument(item) for item in items)
    keyed = isinstance(expression, py.Listed)
    if not keyed and len(inner) + len(several) <= WIDTH:
        return [first_line, f"{inner}{several}", f"{margin}{closing}{after}"]
    keys = expression.keys if isinstance(expression, py.Listed) else ()
    lines = [first_line]
    for place, item in enumerate(items):
        lead, value = (f"{item.name}=", item.value) if isinstance(item, py.Keyword) else ("", item)
        if keys:
            lead = f"{quoted(keys[place])}: "
        lines += written(lead, value, ",", indent + INDENT)
    return [*lines, f"{margin}{closing}{after}"]


def _links(expression: py.Expression) -> list[str]:
    """The calls of methods on each other's results, with what the first is called of; none where a line is too long."""
    found: list[str] = []
    while isinstance(expression, py.Call) and isinstance(expression.what, py.Attribute):
        of = expression.what.of
        arguments = ", ".join(map(_argument, _arguments(expression)))
        if not isinstance(of, py.Call):
            if _tight(of, _ATOM)[0] == "(":
                found += [f".{expression.what.name}({arguments})", _tight(of, _ATOM)]
            else:
                found.append(line(expression))
            return found[::-1]
        found.append(f".{expression.what.name}({arguments})")
        expression = of
    found.append(_tight(expression, _ATOM))
    return found[::-1]


def _opened(expression: py.Expression) -> tuple[str, list[py.Expression | py.Keyword], str] | None:
    """What stands before an expression's last bracket, what is in it, and what closes it."""
    if isinstance(expression, py.Call):
        arguments = _arguments(expression)
        if not arguments and isinstance(expression.what, py.Attribute):
            inner = _opened(expression.what.of)
            return inner and (inner[0], inner[1], f"{inner[2]}.{expression.what.name}()")
        return (f"{_tight(expression.what, _ATOM)}(", arguments, ")") if arguments else None
    if isinstance(expression, py.Listed):
        if not expression.items:
            return None
        return expression.bracket, list(expression.items), _CLOSING[expression.bracket]
    if isinstance(expression, py.Item):
        return f"{_tight(expression.of, _ATOM)}[", list(expression.places), "]"
    return None


def _broken(expression: py.Expression, indent: int) -> list[str]:
    """The lines of an operation within brackets: on one if it fits, else an operator at the start of each."""
    margin = " " * indent
    whole = f"{margin}{line(expression)}"
    if len(whole) <= WIDTH:
        return [whole]
    if isinstance(expression, py.Chosen):
        return [
            *written("", expression.then, "", indent),
            *written("if ", expression.condition, "", indent),
            *written("else ", expression.other, "", indent),
        ]
    assert isinstance(expression, py.Operation)
    binding = _PRECEDENCE.get(expression.operator, _NEGATIVE)
    texts = [_tight(part, binding + (place > 0)) for place, part in enumerate(expression.operands)]
    lines = []
    for place, (text, part) in enumerate(zip(texts, expression.operands, strict=True)):
        lead = f"{expression.operator} " if place else ""
        bare = text == line(part)
        lines += written(lead, part if bare else py.Code(text), "", indent)
    return lines
