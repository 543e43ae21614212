"""Reading `names`: what other code calls the weights of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from archspec.graph import Call, Function, NameMap, Renaming
from archspec.graph.name_maps import FURTHER, one_sided, rearranged, require_further, require_rule
from archspec.graph.templates import Hole, Template, hole, made
from archspec.ground import codes
from archspec.ground.errors import Mistake, Problem, SpecError
from archspec.ground.source import Span
from archspec.syntax import tree as t

_MOST_PATHS = 100


def read_names(statement: t.Names) -> NameMap:
    """The map that the statement says. Raises SpecError with all that is wrong in its rules."""
    problems: list[Problem] = []
    rules: list[Renaming] = []
    targets: dict[str, Span] = {}
    for line in statement.rules:
        try:
            rules.append(_rule(line))
            if statement.title == FURTHER:
                _require_further(rules[-1], line, targets)
            elif line.target is not None:
                _require_new(rules[-1].target, line.target.span, targets)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return NameMap.unchecked(
        title=statement.title,
        model=statement.model,
        paths=("",),
        rules=tuple(rules),
        location=statement.span.location,
    )


def _require_further(rule: Renaming, line: t.Renaming, keys: dict[str, Span]) -> None:
    try:
        require_further(rule)
    except Mistake as mistake:
        raise mistake.at(line.span) from None
    _require_new(rule.sources[0], line.sources[0].span, keys)


def _rule(line: t.Renaming) -> Renaming:
    sources = [_template(source) for source in line.sources]
    target = None if line.target is None else _template(line.target)
    if target is not None:
        for text, source in zip(line.sources, sources, strict=True):
            _require_same_holes(text, source, line.target, target)
    pattern = ""
    if line.pattern is not None:
        if line.pattern.literal is None:
            message = "the pattern of a rule is a text without holes"
            raise SpecError.of(codes.NOT_A_MAP, message, line.pattern.span)
        pattern = line.pattern.literal
        try:
            rearranged(pattern)
        except Mistake as mistake:
            raise mistake.at(line.pattern.span) from None
    rule = Renaming.unchecked(
        sources=tuple(map(str, sources)),
        target="" if target is None else str(target),
        pattern=pattern,
        reason=line.reason,
        location=line.span.location,
    )
    try:
        require_rule(rule)
    except Mistake as mistake:
        raise mistake.at(line.span) from None
    return rule


def _template(text: t.Text) -> Template:
    parts: list[str | Hole] = []
    for part in text.parts:
        if isinstance(part, str):
            parts[-1:] = [parts[-1] + part] if parts and isinstance(parts[-1], str) else [*parts[-1:], part]
            continue
        try:
            parts.append(hole(part.span.text))
        except Mistake as mistake:
            raise mistake.at(part.span) from None
    try:
        return made(parts)
    except Mistake as mistake:
        raise mistake.at(text.span) from None


def _require_same_holes(left: t.Text, source: Template, right: t.Text | None, target: Template) -> None:
    assert right is not None
    for text, here, there, side in ((left, source, target, "left"), (right, target, source, "right")):
        for part in text.parts:
            if isinstance(part, t.Expression):
                found = hole(part.span.text)
                for name in found.counted or (found.name,):
                    if name in here.names - there.names:
                        raise one_sided(name, f"the {side}").at(part.span)


def _require_new(target: str, span: Span, targets: dict[str, Span]) -> None:
    first = targets.setdefault(target, span)
    if first != span:
        raise SpecError.of(
            codes.CLAIMED_TWICE,
            f'two rules are of "{target}"',
            span,
            help="each key has one rule: leave out one, or join the tensors of several keys, `(a, b) -> c`",
            places=(("the first is here", first),),
        )


def names_of(
    models: Iterable[t.Definition],
    functions: Sequence[Function],
    maps: Mapping[str, Mapping[str, list[NameMap]]],
) -> tuple[NameMap, ...]:
    """The maps of a network: those of the models that it is made from, the nearest first, and of the models in it.

    `maps` are those of each model, by the file that it is defined in.
    """
    found: dict[str, NameMap] = {}
    for model in models:
        for one in maps.get(model.span.source.name, {}).get(model.name, ()):
            found.setdefault(one.title, one)
    inner: dict[str, list[NameMap]] = {}
    for file in maps.values():
        for name, ones in file.items():
            # Functions do not know the file of their block: of two that have one name, neither is taken.
            inner[name] = [] if name in inner else ones
    wanted = {name for name, ones in inner.items() if ones}
    nested = [
        one.with_changes(paths=tuple(paths))
        for name, paths in _paths(functions, wanted).items()
        for one in inner[name]
    ]
    return (*found.values(), *nested)


def _paths(functions: Sequence[Function], blocks: set[str]) -> dict[str, list[str]]:
    """Where blocks of these names stand in the network, the network itself left out; of a block that stands at many places, none."""
    holders: set[int] = set()  # functions below which one stands
    for index, function in enumerate(functions[:-1]):
        if function.block in blocks or any(step.function in holders for step in _calls(function)):
            holders.add(index)
    found: dict[str, list[str]] = {}
    waiting = [(functions[-1], "")]
    met = 0
    while waiting and met < _MOST_PATHS:
        function, path = waiting.pop()
        for step in _calls(function):
            if step.function not in holders:
                continue
            callee = functions[step.function]
            for name in step.names[:_MOST_PATHS]:
                met += 1
                below = f"{path}{name}."
                if callee.block in blocks:
                    found.setdefault(callee.block, []).append(below)
                waiting.append((callee, below))
    return found if met < _MOST_PATHS else {}


def _calls(function: Function) -> Iterator[Call]:
    return (step for step in function.steps if isinstance(step, Call) and not step.is_use)
