"""Values inside a block that was applied: `features.layer2` is what the step `layer2` in it gives.

The function of the block is made once more, with that value among its outputs, and called instead; nothing is run anew, and
no step has another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archspec.elaboration.made import Made
from archspec.elaboration.values import InnerPart, Outputs, Tensor
from archspec.graph import Call, Function, Ref, Step
from archspec.ground import codes
from archspec.ground.errors import Mistake, suggest

if TYPE_CHECKING:
    from archspec.elaboration.builder import Builder


def inner_value(builder: Builder, tensor: Tensor, path: str) -> Tensor | Outputs | InnerPart:
    """What the step at a path inside the call that made a tensor gives, as one more output of that call.

    Gives a part where the path leads to steps but is not one itself. Raises Mistake where it leads nowhere.
    """
    frame, name = builder.frame, tensor.ref.producer
    made = frame.made.get(name)
    place = next((i for i in reversed(range(len(frame.steps))) if frame.steps[i].name == name), None)
    step = None if place is None else frame.steps[place]
    if made is None or place is None or not isinstance(step, Call):
        raise Mistake(
            "only a block that was applied in the same block has steps to look into",
            codes.CLOSED,
            help="give the value that you need a name where it is made, and return it",
        )
    if step.times > 1:
        raise Mistake(
            f"the steps of a row of {step.times} layers can be reached if the list has a name", codes.CLOSED
        )
    if step.is_use or step.layers:
        raise Mistake("the steps of a shared layer cannot be looked into", codes.CLOSED)
    found = _at(builder, step.function, made.inside, path)
    if found is None:
        return _part(builder, step, path, tensor)
    function, numbers = _giving(builder, step.function, path, len(found.types))
    frame.steps[place] = step.with_changes(function=function, types=builder.functions[function].output_types)
    tensors = [
        Tensor(Ref(name, number), type_, trace, path)
        for number, (type_, trace) in zip(numbers, found.types, strict=True)
    ]
    return tensors[0] if len(tensors) == 1 else Outputs(tensors, [""] * len(tensors))


def _at(builder: Builder, function: int, inside: Mapping[str, Made], path: str) -> Made | None:
    """What the step at a path below a function gives; None where there is none."""
    found = _found(builder.functions[function], path)
    if found is None:
        return None
    place, _, rest = found
    step = builder.functions[function].steps[place]
    name = step.name
    while name not in inside:  # a piece of a row that was cut: it gives what the row gives
        name = str(int(name) - 1)
    made = inside[name]
    return _at(builder, step.function, made.inside, rest) if rest and isinstance(step, Call) else made


def _part(builder: Builder, step: Call, path: str, tensor: Tensor) -> InnerPart:
    """The group of steps that a path leads to. Mistake where it leads nowhere, with what there is instead."""
    function, within, rest = builder.functions[step.function], "", path
    while found := _found(function, rest, whole=False):
        place, name, rest = found
        inner = function.steps[place]
        if not isinstance(inner, Call):
            break
        function, within = builder.functions[inner.function], f"{within}{name}."
    names = [name for known in function.steps for name in known.names if not name.startswith("@")]
    if any(name.startswith(f"{rest}.") for name in names):
        return InnerPart(tensor, path)
    near = suggest(rest, names)
    where = f"{step.name}.{within}".rstrip(".")
    raise Mistake(
        f"`{where}` has no step `{rest}`",
        codes.UNKNOWN_PART,
        help=near or "its steps are " + ", ".join(f"`{name}`" for name in names[:20]),
    )


def _giving(builder: Builder, index: int, path: str, count: int) -> tuple[int, list[int]]:
    """A function with the `count` values that the step at a path gives among its outputs: its index, and which outputs these are."""
    function = builder.functions[index]
    steps = list(function.steps)
    found = _found(function, path)
    assert found is not None  # as among what was made
    place, name, rest = found
    step = steps[place]
    renamed: dict[Ref, Ref] = {}
    if isinstance(step, Call):
        callee, inner = step.function, list(range(count))
        if rest:
            callee, inner = _giving(builder, step.function, rest, count)
        types = builder.functions[callee].output_types if rest else step.types
        pieces = _cut(step, int(name) - int(step.name) if step.times > 1 else 0)
        at = next(i for i, piece in enumerate(pieces) if piece.name == name)
        pieces[at] = pieces[at].with_changes(function=callee, types=types)
        steps[place : place + 1] = pieces
        if pieces[-1].name != step.name:
            renamed = {Ref(step.name, i): Ref(pieces[-1].name, i) for i in range(len(step.types))}
            passed = place + len(pieces)
            steps[passed:] = [_reading(later, renamed) for later in steps[passed:]]
        refs = [Ref(name, i) for i in inner]
    else:
        refs = [Ref(name, i) for i in range(count)]
    outputs = [renamed.get(ref, ref) for ref in function.outputs]
    outputs += [ref for ref in refs if ref not in outputs]
    made = function.with_changes(steps=tuple(steps), outputs=tuple(outputs))
    made.__dict__["held"] = function.held
    return builder.intern(made, builder.depths[index], builder.longest[index]), [
        outputs.index(ref) for ref in refs
    ]


def _found(function: Function, path: str, *, whole: bool = True) -> tuple[int, str, str] | None:
    """The place of the step that a path begins with, the name of the one call of a row that it is, and the rest of the path.

    None where there is none, or where the rest is not of a call. Unless it is to be the `whole` path, some of it is left.
    """
    parts = path.split(".")
    for end in range(len(parts) - (not whole), 0, -1):
        name, rest = ".".join(parts[:end]), ".".join(parts[end:])
        for place, step in enumerate(function.steps):
            if name in step.names and (not rest or isinstance(step, Call)):
                return place, name, rest
    return None


def _cut(row: Call, number: int) -> list[Call]:
    """A row of calls as the part before one of them, that one and the part behind, those that there are."""
    if row.times == 1:
        return [row]
    first, pieces, inputs = int(row.name), [], row.inputs
    for begin, times in ((0, number), (number, 1), (number + 1, row.times - number - 1)):
        if times:
            name = str(first + begin)
            pieces.append(row.with_changes(name=name, inputs=inputs, times=times))
            inputs = tuple(Ref(name, i) for i in range(len(row.types)))
    return pieces


def _reading(step: Step, renamed: Mapping[Ref, Ref]) -> Step:
    """A step that reads other values in the place of some."""
    inputs = tuple(renamed.get(ref, ref) for ref in step.inputs)
    if isinstance(step, Call):
        return step.with_changes(inputs=inputs)
    options = {name: renamed.get(ref, ref) for name, ref in step.options.items()}
    return step.with_changes(inputs=inputs, options=options)
