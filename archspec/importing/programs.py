"""Programs of blocks: what each call of a module does, and what the calls of one class have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from archspec.ground.tensor import DType
from archspec.importing.terms import NOTHING, Applied, Holes, Term, Text, common, filled


@dataclass(frozen=True)
class Input:
    """A tensor that a block takes."""

    value: int
    name: str
    shape: tuple[int, ...]
    dtype: DType


@dataclass(frozen=True)
class Declared:
    """A tensor of a block's own."""

    value: int
    kind: str
    key: str
    dtype: DType
    shape: Term
    start: Term


@dataclass(frozen=True)
class Use:
    """A layer applied: `key` is the name of the step, `only_if` the condition under which it is there."""

    layer: Term
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    key: str = ""
    options: tuple[tuple[str, int], ...] = ()
    named: tuple[str, ...] = ()
    only_if: Term = True
    otherwise: int | None = None
    """The value that the output is where the layer is not there."""
    grows: tuple[Term, ...] = ()
    """The name, the first number and how many, of layers each of which takes what all before it gave; gives the list of all."""
    carried: tuple[tuple[int, int], ...] = ()
    """Of layers one after the other, which inputs are which outputs of the one before: `grows` then tells their names."""


@dataclass
class Program:
    """What a block does, with values by number."""

    inputs: tuple[Input, ...]
    owned: tuple[Declared, ...]
    uses: tuple[Use, ...]
    outputs: tuple[int, ...]
    variadic: bool = False
    names: tuple[str, ...] = ()
    """What the outputs are called, if they have names."""

    def skeleton(self) -> Any:
        """What must be alike in calls of one block: the steps and how they are connected, whatever the sizes."""
        return (
            len(self.inputs),
            tuple((own.value, own.kind, own.key, own.dtype, len(own.shape)) for own in self.owned),  # type: ignore[arg-type]
            tuple(
                (
                    shape_of(use.layer),
                    use.inputs,
                    use.outputs,
                    use.key,
                    tuple(name for name, _ in use.options),
                    tuple(v for _, v in use.options),
                    use.grows[:2],
                    use.carried,
                )
                for use in self.uses
            ),
            self.outputs,
        )


def shape_of(layer: Term) -> Any:
    """What of a layer must be alike in calls of one block: the name of the op or block; the rest may be parameters."""
    if isinstance(layer, Applied):
        patterns = tuple(value for name, value in layer.arguments if name == "pattern")
        return (layer.name, *patterns) if patterns else layer.name
    return "list"


def merged(programs: Sequence[Program]) -> tuple[Program, Holes]:
    """What programs with one skeleton have in common."""
    holes = Holes()
    first = programs[0]
    owned = tuple(
        replace(
            own,
            shape=tuple(
                common([p.owned[i].shape[axis] for p in programs], holes, "size")  # type: ignore[index]
                for axis in range(len(own.shape))  # type: ignore[arg-type]
            )
            if len({len(p.owned[i].shape) for p in programs}) == 1  # type: ignore[arg-type]
            else holes.hole([p.owned[i].shape for p in programs], "shape"),
            start=common([p.owned[i].start for p in programs], holes, "start"),
        )
        for i, own in enumerate(first.owned)
    )
    uses = tuple(
        replace(
            use,
            layer=common([p.uses[i].layer for p in programs], holes, use.key.rpartition(".")[2]),
            otherwise=next((p.uses[i].otherwise for p in programs if p.uses[i].otherwise is not None), None),
            only_if=common([p.uses[i].only_if for p in programs], holes, "present"),
            grows=(*use.grows[:2], common([p.uses[i].grows[2] for p in programs], holes, "layers"))
            if use.grows
            else (),
        )
        for i, use in enumerate(first.uses)
    )
    return replace(first, owned=owned, uses=uses), holes


def with_filled(program: Program, fillings: Mapping[int, Term]) -> Program:
    """A program with terms in its holes."""
    return replace(
        program,
        owned=tuple(
            replace(own, shape=filled(own.shape, fillings), start=filled(own.start, fillings))
            for own in program.owned
        ),
        uses=tuple(
            replace(
                use,
                layer=filled(use.layer, fillings),
                only_if=filled(use.only_if, fillings),
                grows=tuple(filled(term, fillings) for term in use.grows),
            )
            for use in program.uses
        ),
    )


# ------------------------------------------------------------------ variants of one class


@dataclass
class _Match:
    """How a shorter program is a longer one without some of its steps."""

    values: dict[int, int]  # of the longer program, to those of the shorter
    missing: dict[int, int] = field(
        default_factory=dict
    )  # steps of the longer that are not there, and what stands for their output
    uses: dict[int, int] = field(
        default_factory=dict
    )  # steps of the longer, and which step of the shorter each is


def aligned(longer: Program, shorter: Program) -> Program | None:
    """The shorter program written as the longer one, in which some steps are not there. None if it is no such program."""
    if longer.variadic and not shorter.variadic and len(shorter.inputs) == 1:
        shorter = _of_one(longer, shorter)
    if len(longer.inputs) != len(shorter.inputs) or len(longer.owned) < len(shorter.owned):
        return None
    values = {a.value: b.value for a, b in zip(longer.inputs, shorter.inputs, strict=True)}
    keys = {(own.key, own.kind): own for own in shorter.owned}
    for own in longer.owned:
        found = keys.get((own.key, own.kind))
        if found is None or found.dtype != own.dtype or len(found.shape) != len(own.shape):  # type: ignore[arg-type]
            return None
        values[own.value] = found.value
    if len(longer.owned) != len(shorter.owned):
        return None
    for match in _matches(longer, shorter, 0, 0, _Match(values), [2000]):
        made = _as_longer(longer, shorter, match)
        if made is not None:
            return made
    return None


def _of_one(longer: Program, shorter: Program) -> Program:
    """A program of one tensor as one that takes a list and joins it first."""
    joined = longer.uses[0]
    given = shorter.inputs[0]
    first = replace(joined, inputs=(-1,), outputs=(given.value,))
    inputs = (replace(longer.inputs[0], dtype=given.dtype),)
    return replace(shorter, inputs=inputs, uses=(first, *shorter.uses), variadic=True)


def _matches(
    longer: Program, shorter: Program, i: int, j: int, match: _Match, budget: list[int]
) -> Iterator[_Match]:
    budget[0] -= 1
    if budget[0] < 0 or len(longer.uses) - i < len(shorter.uses) - j:
        return
    if i == len(longer.uses):
        if j == len(shorter.uses) and tuple(match.values.get(v) for v in longer.outputs) == shorter.outputs:
            yield match
        return
    use = longer.uses[i]
    if j < len(shorter.uses):
        other = shorter.uses[j]
        if (
            shape_of(use.layer) == shape_of(other.layer)
            and use.key == other.key
            and tuple(match.values.get(v) for v in use.inputs) == other.inputs
            and tuple((n, match.values.get(v)) for n, v in use.options) == other.options
            and len(use.outputs) == len(other.outputs)
            and use.grows[:2] == other.grows[:2]
            and use.carried == other.carried
        ):
            made = dict(match.values)
            made.update(zip(use.outputs, other.outputs, strict=True))
            yield from _matches(
                longer, shorter, i + 1, j + 1, _Match(made, match.missing, {**match.uses, i: j}), budget
            )
    if len(use.outputs) != 1:
        return
    for given in dict.fromkeys(use.inputs):
        if given in match.values:
            made = {**match.values, use.outputs[0]: match.values[given]}
            yield from _matches(
                longer, shorter, i + 1, j, _Match(made, {**match.missing, i: given}, match.uses), budget
            )
    yield from _matches(
        longer, shorter, i + 1, j, _Match(match.values, {**match.missing, i: -1}, match.uses), budget
    )


def _as_longer(longer: Program, shorter: Program, match: _Match) -> Program | None:
    uses = []
    for i, use in enumerate(longer.uses):
        if i in match.uses:
            other = shorter.uses[match.uses[i]]
            uses.append(replace(use, layer=other.layer, grows=other.grows))
        elif len(use.inputs) == 1 and use.key and match.missing[i] == use.inputs[0]:
            uses.append(replace(use, layer=NOTHING))
        else:
            given = match.missing[i]
            uses.append(replace(use, only_if=False, otherwise=given if given >= 0 else None))
    owned = tuple(
        replace(own, shape=other.shape, start=other.start)
        for own in longer.owned
        for other in shorter.owned
        if other.key == own.key
    )
    inputs = tuple(replace(a, shape=b.shape) for a, b in zip(longer.inputs, shorter.inputs, strict=True))
    return Program(inputs, owned, tuple(uses), longer.outputs, longer.variadic)


def starts_as(tensor: Tensor) -> Term:
    """How a tensor starts, as far as its values show it."""
    if tensor.numel() == 0 or tensor.is_meta or not tensor.is_floating_point():
        return Text("zeros")
    values = tensor.detach().float()
    if not bool(values.isfinite().all()):
        return Text("zeros")  # no spec writes infinities; a file of weights has them
    first = values.flatten()[0].item()
    if bool((values == first).all()):
        return Text("zeros" if first == 0 else "ones" if first == 1 else f"{first:.6g}")
    spread = values.std().item()
    return Text("trunc_normal(0.02)" if abs(spread - 0.02) < 0.003 else f"normal({spread:.2g})")
