"""Blocks: the classes of the module, each with the parameters in which its instances differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.importing.arranging import PLAIN, made_by, taken
from archspec.importing.capture import assigned
from archspec.importing.constants import has_values_to_say, written_constant
from archspec.importing.parameters import WIDTHS, default, formula, kind, order, parameter_name, size_names
from archspec.importing.programs import Declared, Input, Program, Use, aligned, merged, starts_as, with_filled
from archspec.importing.rows import as_row, gathered, grouped, growing, looped
from archspec.importing.terms import (
    KEYWORDS,
    Applied,
    Holes,
    Term,
    Text,
    of_op,
    same,
    shown,
)
from archspec.importing.values import Gap, Own, Region, Step, Value
from archspec.op import Op
from archspec.op.bases import Movement


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


class Root(NamedTuple):
    """A module as it was captured at one size: its call, and the tensors that it takes and gives."""

    region: Region
    inputs: Sequence[Value]
    outputs: Sequence[Value]


class Blocks:
    """Makes the blocks of a module, those that others use first."""

    def __init__(
        self, roots: Sequence[Root], taken_names: Iterable[str] = (), named_outputs: Sequence[str] = ()
    ) -> None:
        """`roots` are one module, captured at one size or at several."""
        self.roots = {root.region: root for root in roots}
        self.named_outputs = tuple(named_outputs)
        self.blocks: list[Block] = []
        self.calls: dict[Region, Term] = {}
        self._names = set(taken_names)
        self._used_outside: dict[Region, list[Value]] = {}
        self._nested: set[str] = set()
        for root in roots:
            self._find_outputs(root)

    # -------------------------------------------------------------- what calls give

    def _find_outputs(self, root: Root) -> None:
        users: dict[Value, list[Step]] = {}
        for step in root.region.steps():
            for value in (*step.inputs, *step.options.values()):
                users.setdefault(value, []).append(step)
        returned = set(root.outputs)

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

        visit(root.region)

    def given_by(self, region: Region) -> list[Value]:
        """The tensors that a call gives."""
        root = self.roots.get(region)
        return list(root.outputs) if root is not None else self._used_outside[region]

    # -------------------------------------------------------------- the whole

    def make(self, open_: Mapping[int, str] = MappingProxyType({})) -> tuple[Program, tuple[str, ...]]:
        """Make all blocks; the program of the module itself is returned, and the names of the sizes of its first input.

        `open_` names the axes of the first input that are to be free; the roots then differ in their sizes. Mistake where what
        depends on these follows no rule that is known here.
        """
        calls = [region for root in self.roots for region in _inner(root) if region not in self.roots]
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
        program, names = self._whole(open_)
        named = self.named_outputs if len(self.named_outputs) == len(program.outputs) else ()
        return replace(program, names=named if all(name.isidentifier() for name in named) else ()), names

    def _whole(self, open_: Mapping[int, str]) -> tuple[Program, tuple[str, ...]]:
        """The program of the module itself, with formulas of free sizes where it depends on these."""
        roots = list(self.roots)
        programs = [self.program(root) for root in roots]
        if len(programs) == 1:
            return programs[0], ()
        if len({repr(program.skeleton()) for program in programs}) > 1:
            raise Mistake("the module takes other steps at other sizes", codes.NOT_IMPORTED)
        program, holes = merged(programs)
        names = tuple(open_.get(axis, "") for axis in range(len(program.inputs[0].shape)))
        sizes = [names, *[()] * (len(program.inputs) - 1)]
        fillings, parameters, _ = self._explained(roots, programs, program, holes, sizes)
        if parameters:
            seen = ", ".join(f"`{p.name}`: {' and '.join(map(shown, p.values))}" for p in parameters[:3])
            raise Mistake(
                f"what depends on its size follows no rule that is known here: {seen}", codes.NOT_IMPORTED
            )
        return with_filled(program, fillings), names

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
            places = {region: i for i, region in enumerate(calls)}
            members.sort(key=lambda region: places[region])
            self._make(members, [programs[region] for region in members])

    def _make(self, calls: list[Region], programs: list[Program]) -> None:
        program, holes = merged(programs)
        name = self._name("Block" if calls[0].kind in PLAIN else calls[0].kind.rpartition(".")[2])
        sizes = [
            size_names(given, program, i) if len({len(p.inputs[i].shape) for p in programs}) == 1 else ()
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

        given = self.roots[region].inputs if region in self.roots else taken(region)
        inputs = tuple(
            Input(number(value), name, _shape(value), value.type.dtype)
            for value, name in zip(given, self._names_of_inputs(region, given), strict=True)
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
                said = constant or (item.op.kind == "buffer" and has_values_to_say(item.op.tensor))
                start = written_constant(item.op.tensor) if said else starts_as(item.op.tensor)
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
            elif isinstance(item, Step) and isinstance(item.op, Gap):
                given_, made_ = (tuple(map(number, values)) for values in (item.inputs, item.outputs))
                uses.append(Use(Applied(item.op.name, block=True), given_, made_, named=assigned(item.place)))
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
        made = grouped(growing(gathered(Program(inputs, tuple(owned), tuple(uses), outputs))))
        is_row = region.kind in PLAIN and as_row(made) is not None
        return made if is_row else looped(made)

    def _names_of_inputs(self, region: Region, given: Sequence[Value]) -> list[str]:
        """What the tensors that a call takes are called; those of the module itself unlike its steps."""
        names = _input_names(given)
        if region not in self.roots:
            return names
        steps = {
            (item.key or item.path if isinstance(item, Step) else item.path).partition(".")[0]
            for item in region.items
        }
        return [f"{name}_input" if name in steps else name for name in names]

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
                if name and len(set(seen)) > 1:
                    known.append((name, seen, axis))
        fillings: dict[int, Term] = {}
        parameters: list[Parameter] = []
        used = False
        taken_names = {name for names in sizes for name in names} | {given.name for given in program.inputs}
        for index in sorted(range(len(holes.vectors)), key=lambda i: order(holes.vectors[i])):
            vector = holes.vectors[index]
            place = holes.places[index]
            ordered = sorted(known, key=lambda one: one[2] != place) if place is not None else known
            text = formula(vector, ordered) if all(type(v) is int for v in vector) else None
            if text is not None:
                fillings[index] = Text(text)
                used = used or any(re.search(rf"\b{name}\b", text) for names in sizes for name in names)
                continue
            name = parameter_name(holes.hints[index], vector, calls, taken_names)
            taken_names.add(name)
            sort = kind(vector)
            parameters.append(
                Parameter(name, sort, None if holes.hints[index] in WIDTHS else default(vector), vector)
            )
            fillings[index] = Text(name)
            if sort == "int":
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
    """Whether a step without weights is one that a list may label: it came from a module of its own, and computes something."""
    return bool(step.path) and step.path != step.region.path and not isinstance(step.op, Movement)


def require_own_weights(region: Region) -> None:
    """Mistake if a step of a call has the weights of a module elsewhere: two modules share them."""
    for item in region.items:
        key = item.key if isinstance(item, Step) else item.path
        if key and region.path and not (key == region.path or key.startswith(region.path + ".")):
            raise SpecError.of(
                codes.NOT_IMPORTED,
                f"`{region.path}` has the weights of `{key}`: modules in several places that are one have no form in a spec yet",
            )
