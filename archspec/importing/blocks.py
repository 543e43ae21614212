"""Blocks: the classes of the module, each with the parameters in which its instances differ."""

from __future__ import annotations

import inspect
import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from torch import nn

from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.importing.arranging import PLAIN, made_by, taken
from archspec.importing.capture import assigned
from archspec.importing.constants import written_constant
from archspec.importing.drafting import Own, Region, Step, Value
from archspec.importing.programs import Declared, Input, Program, Use, aligned, merged, starts_as, with_filled
from archspec.importing.terms import (
    KEYWORDS,
    Applied,
    Hole,
    Holes,
    Row,
    Term,
    Text,
    compressed,
    of_op,
    same,
    weighs,
)
from archspec.op import Op


@dataclass
class Parameter:
    """A parameter of a block; `default` is none where it must be given."""

    name: str
    kind: str
    default: Term | None
    values: tuple[Term, ...] = ()


@dataclass
class Block:
    """A block: what its calls have in common, its parameters, and the names of the sizes of its inputs."""

    name: str
    program: Program
    parameters: list[Parameter] = field(default_factory=list)
    sizes: list[tuple[str, ...]] = field(default_factory=list)
    text: str = ""


class Blocks:
    """Makes the blocks of a module, those that others use first."""

    def __init__(
        self,
        root: Region,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        taken_names: Iterable[str] = (),
        named_outputs: Sequence[str] = (),
    ) -> None:
        self.root, self.inputs, self.outputs = root, inputs, outputs
        self.named_outputs = tuple(named_outputs)
        self.blocks: list[Block] = []
        self.calls: dict[Region, Term] = {}
        self._names = set(taken_names)
        self._used_outside: dict[Region, list[Value]] = {}
        self._nested: set[str] = set()
        self._find_outputs()

    # -------------------------------------------------------------- what calls give

    def _find_outputs(self) -> None:
        users: dict[Value, list[Step]] = {}
        for step in self.root.steps():
            for value in (*step.inputs, *step.options.values()):
                users.setdefault(value, []).append(step)
        returned = set(self.outputs)

        def visit(region: Region) -> None:
            inside = set(region.steps())
            self._used_outside[region] = [
                value
                for value in made_by(region)
                if value in returned or any(user not in inside for user in users.get(value, ()))
            ]
            for item in region.items:
                if isinstance(item, Region):
                    visit(item)

        visit(self.root)

    def given_by(self, region: Region) -> list[Value]:
        """The tensors that a call gives."""
        return list(self.outputs) if region is self.root else self._used_outside[region]

    # -------------------------------------------------------------- the whole

    def make(self) -> Program:
        """Make all blocks; the program of the module itself is returned."""
        calls = [region for region in _inner(self.root) if region is not self.root]
        done: set[Any] = set()

        def visit(key: Any) -> None:
            if key in done:
                return
            done.add(key)
            for region in clusters[key]:
                for inner in _inner(region):
                    if inner is not region and self._cluster(inner) != key:
                        visit(self._cluster(inner))
            self._define(clusters[key])

        self._nested = {
            region.kind
            for region in calls
            if any(outer.kind == region.kind for outer in list(region.around())[1:])
        }
        clusters = self._clusters(calls)
        if _cyclic(clusters, self._cluster):
            self._nested = {region.kind for region in calls}
            clusters = self._clusters(calls)
        for key in list(clusters):
            visit(key)
        program = self.program(self.root)
        named = self.named_outputs if len(self.named_outputs) == len(program.outputs) else ()
        return replace(program, names=named if all(name.isidentifier() for name in named) else ())

    def _clusters(self, calls: list[Region]) -> dict[Any, list[Region]]:
        found: dict[Any, list[Region]] = {}
        for region in calls:
            found.setdefault(self._cluster(region), []).append(region)
        return found

    def _cluster(self, region: Region) -> Any:
        nested = region.kind in self._nested or region.kind in PLAIN
        return (region.kind, _height(region)) if nested else (region.kind, 0)

    def _define(self, calls: list[Region]) -> None:
        """Make the blocks that calls of one class are of."""
        programs = {region: self.program(region) for region in calls}
        if calls[0].kind in PLAIN:
            rest = []
            for region in calls:
                row = as_row(programs[region])
                if row is None:
                    rest.append(region)
                else:
                    self.calls[region] = row
            calls = rest
        groups: dict[str, list[Region]] = {}
        for region in calls:
            groups.setdefault(repr(programs[region].skeleton()), []).append(region)
        variants = sorted(groups.values(), key=lambda group: -len(programs[group[0]].uses))
        while variants:
            chosen = variants.pop(0)
            longest = programs[chosen[0]]
            members, kept = list(chosen), []
            for group in variants:
                written = [aligned(longest, programs[region]) for region in group]
                if all(made is not None for made in written):
                    for region, made in zip(group, written, strict=True):
                        assert made is not None
                        programs[region] = made
                    members += group
                else:
                    kept.append(group)
            variants = kept
            order = {region: i for i, region in enumerate(calls)}
            members.sort(key=lambda region: order[region])
            self._make(members, [programs[region] for region in members])

    def _make(self, calls: list[Region], programs: list[Program]) -> None:
        program, holes = merged(programs)
        name = self._name("Block" if calls[0].kind in PLAIN else calls[0].kind.rpartition(".")[2])
        sizes = [
            _size_names(given, program, i) if len({len(p.inputs[i].shape) for p in programs}) == 1 else ()
            for i, given in enumerate(program.inputs)
        ]
        fillings, parameters, used = self._explained(calls, programs, program, holes, sizes)
        program = with_filled(program, fillings)
        block = Block(name, program, parameters, sizes if used else [() for _ in sizes])
        self.blocks.append(block)
        for i, region in enumerate(calls):
            given = tuple(
                (parameter.name, parameter.values[i])
                for parameter in parameters
                if parameter.default is None or not same(parameter.values[i], parameter.default)
            )
            self.calls[region] = Applied(name, given, block=True)

    def _name(self, wanted: str) -> str:
        name = re.sub(r"\W", "", wanted).lstrip("_") or "Block"
        name = name[0].upper() + name[1:]
        if name in Op.names():
            name += "Block"
        made, count = name, 2
        while made in self._names:
            made, count = f"{name}{count}", count + 1
        self._names.add(made)
        return made

    # -------------------------------------------------------------- programs

    def program(self, region: Region) -> Program:
        """What a call does; calls within must have been made."""
        numbers: dict[Value, int] = {}

        def number(value: Value) -> int:
            return numbers.setdefault(value, len(numbers))

        given = self.inputs if region is self.root else taken(region)
        inputs = tuple(
            Input(number(value), name, _shape(value), value.type.dtype)
            for value, name in zip(given, _input_names(given), strict=True)
        )
        owned, uses = [], []
        require_own_weights(region)
        for item in region.items:
            if isinstance(item, Step) and isinstance(item.op, Own):
                value = item.outputs[0]
                key = item.op.key
                inner = (
                    key[len(region.path) + 1 :] if region.path and key.startswith(region.path + ".") else key
                )
                constant = item.op.kind == "constant"
                inner = inner.rpartition(".")[2] if constant else inner
                start = written_constant(item.op.tensor) if constant else starts_as(item.op.tensor)
                owned.append(
                    Declared(
                        number(value),
                        item.op.kind,
                        "" if key.startswith("=") else inner,
                        value.type.dtype,
                        _shape(value),
                        start,
                    )
                )
            elif isinstance(item, Step):
                assert isinstance(item.op, Op)
                if item.key == "":
                    raise Mistake("it is a layer itself; import an `nn.Sequential` of it", codes.NOT_IMPORTED)
                label = _inside(item.key if item.key is not None else item.path, region)
                if item.key is None and not _is_layer(item):
                    label = ""
                uses.append(
                    Use(
                        of_op(item.op),
                        tuple(number(value) for value in item.inputs),
                        tuple(number(value) for value in item.outputs),
                        label,
                        tuple((name, number(value)) for name, value in item.options.items()),
                        assigned(item.place),
                    )
                )
            else:
                uses.append(
                    Use(
                        self.calls[item],
                        tuple(number(value) for value in taken(item)),
                        tuple(number(value) for value in self.given_by(item)),
                        _inside(item.path, region),
                    )
                )
        outputs = tuple(numbers[value] for value in self.given_by(region))
        shapes = {index: _shape(value) for value, index in numbers.items()}
        return grouped(growing(gathered(Program(inputs, tuple(owned), tuple(uses), outputs, shapes))))

    # -------------------------------------------------------------- parameters

    def _explained(
        self,
        calls: list[Region],
        programs: list[Program],
        program: Program,
        holes: Holes,
        sizes: list[tuple[str, ...]],
    ) -> tuple[dict[int, Term], list[Parameter], bool]:
        """What stands in each hole: a size of an input, a formula of one, or a parameter."""
        known: list[tuple[str, tuple[Term, ...], int | None]] = []
        for i, names in enumerate(sizes):
            for axis, name in enumerate(names):
                seen = tuple(p.inputs[i].shape[axis] for p in programs)
                if len(set(seen)) > 1:
                    known.append((name, seen, axis))
        fillings: dict[int, Term] = {}
        parameters: list[Parameter] = []
        used = False
        taken_names = {name for names in sizes for name in names} | {given.name for given in program.inputs}
        for index in sorted(range(len(holes.vectors)), key=lambda i: _order(holes.vectors[i])):
            vector = holes.vectors[index]
            place = holes.places[index]
            ordered = sorted(known, key=lambda one: one[2] != place) if place is not None else known
            text = _formula(vector, ordered) if all(type(v) is int for v in vector) else None
            if text is not None:
                fillings[index] = Text(text)
                used = used or any(re.search(rf"\b{name}\b", text) for names in sizes for name in names)
                continue
            name = _parameter_name(holes.hints[index], vector, calls, taken_names)
            taken_names.add(name)
            kind = _kind(vector)
            parameters.append(
                Parameter(name, kind, None if holes.hints[index] in WIDTHS else _default(vector), vector)
            )
            fillings[index] = Text(name)
            if kind == "int":
                known.append((name, vector, None))
        parameters.sort(key=lambda p: p.default is not None)
        return fillings, parameters, used


def _cyclic(clusters: dict[Any, list[Region]], cluster: Callable[[Region], Any]) -> bool:
    """Whether calls of one kind are within calls of another that are within some of the first."""
    within = {
        key: {cluster(inner) for region in calls for inner in _inner(region)} - {key}
        for key, calls in clusters.items()
    }
    return any(key in within[inner] for key, found in within.items() for inner in found)


def _inner(region: Region) -> Iterable[Region]:
    for item in region.items:
        if isinstance(item, Region):
            yield from _inner(item)
    yield region


@cache
def _height(region: Region) -> int:
    return 1 + max((_height(item) for item in region.items if isinstance(item, Region)), default=0)


def _inside(path: str, region: Region) -> str:
    """A path of a module as it is called in another."""
    return (
        path[len(region.path) + 1 :]
        if region.path and path.startswith(region.path + ".")
        else ""
        if path == region.path
        else path
    )


def _shape(value: Value) -> tuple[int, ...]:
    return tuple(int(size) for size in value.type.shape)  # type: ignore[arg-type]


def _input_names(given: Sequence[Value]) -> list[str]:
    """What the tensors that a call takes are called: as the module calls them, if a spec can, and no two alike."""
    found: list[str] = []
    for value in given:
        named = value.named[0] if value.named else ""
        usable = named and named not in KEYWORDS and not Op.is_known(named)
        name, count = named if usable else "x", 2
        while name in found:
            name, count = f"{named if usable else 'x'}{count}", count + 1
        found.append(name)
    return found


def _is_layer(step: Step) -> bool:
    """Whether a step without weights is one that a list may label: it came from a module of its own."""
    return bool(step.path) and step.path != step.region.path


def require_own_weights(region: Region) -> None:
    """Mistake if a step of a call has the weights of a module elsewhere: two modules share them."""
    for item in region.items:
        key = item.key if isinstance(item, Step) else item.path
        if key and region.path and not (key == region.path or key.startswith(region.path + ".")):
            raise SpecError.of(
                codes.NOT_IMPORTED,
                f"`{region.path}` has the weights of `{key}`: modules in several places that are one have no form in a spec yet",
            )


def as_row(program: Program) -> Row | None:
    """The list of layers that a program is; None if it is none."""
    if program.owned or len(program.inputs) != 1 or len(program.outputs) != 1:
        return None
    at, items = program.inputs[0].value, []
    for use in program.uses:
        if use.inputs != (at,) or len(use.outputs) != 1 or use.options:
            return None
        at = use.outputs[0]
        items.append((use.key, use.layer))
    if at != program.outputs[0]:
        return None
    return Row(tuple(relabelled(items)))


def relabelled(items: list[tuple[str, Term]]) -> list[tuple[str, Term]]:
    """Items without the labels that they would have anyway, and without those of layers that have no weights."""
    if all(label in ("", str(i)) for i, (label, _) in enumerate(items)):
        return [("", item) for _, item in items]
    taken_labels = {label for label, item in items if weighs(item)}
    made: list[tuple[str, Term]] = []
    for i, (label, item) in enumerate(items):
        if not weighs(item):
            label = label.rpartition(".")[2]
            if not label or label in taken_labels or label.isdigit():
                label = f"step{i}" if str(i) in taken_labels else ""
            taken_labels.add(label)
        made.append((label, item))
    return made


def grouped(program: Program) -> Program:
    """A program in which steps that follow each other as the items of one list are one."""
    uses = list(program.uses)
    users = Counter(value for use in uses for value in (*use.inputs, *(v for _, v in use.options)))
    users.update(program.outputs)
    made: list[Use] = []
    at = 0
    while at < len(uses):
        prefix, _, last = uses[at].key.rpartition(".")
        end = at + 1
        if prefix and last == "0" and len(uses[at].inputs) == 1 and len(uses[at].outputs) == 1:
            while (
                end < len(uses)
                and uses[end].key == f"{prefix}.{end - at}"
                and uses[end].inputs == uses[end - 1].outputs
                and users[uses[end].inputs[0]] == 1
                and len(uses[end].outputs) == 1
                and not uses[end].options
            ):
                end += 1
        others = [use.key for i, use in enumerate(uses) if not at <= i < end]
        if end > at + 1 and not any(key == prefix or key.startswith(prefix + ".") for key in others):
            row = compressed(Row(tuple(("", use.layer) for use in uses[at:end])))
            made.append(Use(row, uses[at].inputs, uses[end - 1].outputs, prefix, named=uses[end - 1].named))
            at = end
        else:
            layer = uses[at].layer
            made.append(
                replace(
                    uses[at], layer=compressed(layer) if isinstance(layer, Row) and layer.items else layer
                )
            )
            at += 1
    return replace(program, uses=tuple(made))


def gathered(program: Program) -> Program:
    """A program that only joins its inputs, however many, takes them as a list."""
    first = next(iter(program.uses), None)
    given = tuple(one.value for one in program.inputs)
    if (
        first is None
        or len(given) < 2
        or not isinstance(first.layer, Applied)
        or first.layer.name != "Concat"
    ):
        return program
    rest = [value for use in program.uses[1:] for value in (*use.inputs, *(v for _, v in use.options))]
    if first.inputs != given or set(given) & {*rest, *program.outputs}:
        return program
    whole = -1
    inputs = (Input(whole, "xs", (), program.inputs[0].dtype),)
    return replace(
        program, inputs=inputs, uses=(replace(first, inputs=(whole,)), *program.uses[1:]), variadic=True
    )


def growing(program: Program) -> Program:
    """Layers each of which takes what all before it gave, as one use that gives the list of all."""
    uses = list(program.uses)
    for at, use in enumerate(uses):
        found = re.fullmatch(r"(.*?)(\d+)", use.key)
        if found is None or len(use.inputs) != 1 or len(use.outputs) != 1:
            continue
        states, count, first = [use.inputs[0]], 0, int(found[2])
        while at + count < len(uses):
            other = uses[at + count]
            if (
                other.key != f"{found[1]}{first + count}"
                or other.inputs != tuple(states)
                or not same(other.layer, use.layer)
            ):
                break
            states.append(other.outputs[0])
            count += 1
        if count < 3:
            continue
        end = at + count
        inside = set(states[1:])
        later = [other for other in uses[end:] if inside & set(other.inputs)]
        if any(
            not set(states) <= set(other.inputs) or list(other.inputs[: len(states)]) != states
            for other in later
        ):
            continue
        if inside & set(program.outputs):
            continue
        whole = -2 - at
        grown = replace(use, outputs=(whole,), grows=(found[1], first, count))
        rest = [
            replace(other, inputs=(whole, *other.inputs[len(states) :])) if other in later else other
            for other in uses[end:]
        ]
        return replace(program, uses=(*uses[:at], grown, *rest))
    return program


# ------------------------------------------------------------------ names and formulas


def _size_names(given: Input, program: Program, index: int) -> tuple[str, ...]:
    """What the sizes of an input are called."""
    rank = len(given.shape)
    image = any(
        isinstance(use.layer, Applied)
        and given.value in use.inputs
        and use.layer.name in ("Conv", "BatchNorm", "MaxPool", "AvgPool", "GlobalAvgPool", "GroupNorm")
        for use in program.uses
    )
    names = {
        1: ("C",),
        2: ("C", "L") if image else ("N", "C"),
        3: ("C", "H", "W") if image or given.shape[1:2] == given.shape[2:3] else ("H", "W", "C"),
        4: ("C", "D", "H", "W") if image else ("A", "H", "N", "D"),
    }.get(rank, tuple(f"S{i}" for i in range(rank)))
    return names if index == 0 else tuple(f"{name}{index + 1}" for name in names)


def _order(vector: tuple[Term, ...]) -> tuple[bool, float]:
    """Smaller numbers first, so that others are multiples of them."""
    whole = all(type(v) is int for v in vector)
    return not whole, sum(v for v in vector if type(v) is int) if whole else 0.0


def _formula(
    vector: tuple[Term, ...], known: Sequence[tuple[str, tuple[Term, ...], int | None]]
) -> str | None:
    """A short formula of known numbers that gives these."""
    values = [int(v) for v in vector]  # type: ignore[arg-type]
    for name, others, _ in known:
        if list(others) == values:
            return name
    for name, others, _ in known:
        numbers = [int(v) for v in others]  # type: ignore[arg-type]
        if all(numbers) and values[0] % numbers[0] == 0:
            factor = values[0] // numbers[0]
            if 1 < factor <= 64 and [factor * n for n in numbers] == values:
                return f"{factor} * {name}"
        if values[0] and numbers[0] % values[0] == 0:
            divisor = numbers[0] // values[0]
            if (
                1 < divisor <= 64
                and all(n % divisor == 0 for n in numbers)
                and [n // divisor for n in numbers] == values
            ):
                return f"{name} // {divisor}"
    for name, others, _ in known:
        offset = values[0] - int(others[0])  # type: ignore[arg-type]
        if 0 < abs(offset) <= 8 and [int(n) + offset for n in others] == values:  # type: ignore[arg-type]
            return f"{name} {'+' if offset > 0 else '-'} {abs(offset)}"
    sizes = [(name, others) for name, others, axis in known if axis is not None]
    for i, (a, first) in enumerate(sizes):
        for b, second in sizes[i:]:
            if [int(x) * int(y) for x, y in zip(first, second, strict=True)] == values:  # type: ignore[arg-type]
                return f"{a} * {b}"
    return None


def _kind(vector: tuple[Term, ...]) -> str:
    kinds = {type(v) for v in vector}
    if kinds == {int}:
        return "int"
    if kinds <= {int, float}:
        return "float"
    if kinds == {bool}:
        return "bool"
    if kinds == {str}:
        return "str"
    if kinds & {Applied, Row} or any(type(v).__name__ in ("Repeated", "Joined") for v in vector):
        return "layer"
    return ""


def _default(vector: tuple[Term, ...]) -> Term | None:
    """What most calls have, if it is short."""
    counts = Counter(repr(v) for v in vector)
    most, times = counts.most_common(1)[0]
    value = next(v for v in vector if repr(v) == most)
    if isinstance(value, Row) and not value.items:
        return value
    if any(isinstance(v, Row) and not v.items for v in vector):
        return next(v for v in vector if isinstance(v, Row) and not v.items)
    if type(value) is bool or (
        times * 2 > len(vector) and len(vector) > 2 and not isinstance(value, Applied | Row)
    ):
        return value
    if value == 1 and type(value) is int:
        return value
    return None


WIDTHS = ("out", "width")
"""What a call says always: a width that most calls have is not what a reader expects."""
_HINTS = {"out": "width", "sizes": "sizes", "present": "with_it"}


def _parameter_name(
    hint: str, vector: tuple[Term, ...], calls: Sequence[Region], taken_names: set[str]
) -> str:
    """The name that the class has for it, or else that of the op's argument."""
    candidates = []
    for attribute in _arguments_of(type(calls[0].module)):
        values = [getattr(region.module, attribute, None) for region in calls]
        if all(type(v) in (int, bool, float) and same(v, w) for v, w in zip(values, vector, strict=True)):
            candidates.append(attribute)
    hint = _HINTS.get(hint, hint)
    hint = re.sub(r"\W", "_", hint)
    if hint[:1].isdigit() or not hint:
        hint = "layer" if _kind(vector) == "layer" else f"value{hint}"
    candidates.append(hint)
    for name in candidates:
        if (
            name not in taken_names
            and not keyword.iskeyword(name)
            and name not in KEYWORDS
            and name not in ("depth",)
        ) or (name == "depth" and name not in taken_names):
            return name
    count = 2
    while f"{hint}{count}" in taken_names:
        count += 1
    return f"{hint}{count}"


def _arguments_of(kind: type[nn.Module]) -> list[str]:
    try:
        return list(inspect.signature(kind.__init__).parameters)[1:]
    except (TypeError, ValueError):
        return []


__all__ = ["Block", "Blocks", "Hole", "Mapping", "Parameter"]
