"""Programs made shorter: steps that are the items of a list, blocks of any number of inputs, layers that take all before them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from archspec.importing.programs import Input, Program, Use
from archspec.importing.terms import Applied, Row, Term, compressed, same, weighs


def as_row(program: Program) -> Row | None:
    """The list of layers that a program is; None if it is none."""
    if program.owned or len(program.inputs) != 1 or len(program.outputs) != 1:
        return None
    at, items = program.inputs[0].value, []
    for use in program.uses:
        if use.inputs != (at,) or len(use.outputs) != 1 or use.options or use.grows:
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


def looped(program: Program) -> Program:
    """Layers of one form one after the other, numbered in their names, as one use that runs all."""
    uses = list(program.uses)
    users = Counter(value for use in uses for value in (*use.inputs, *(v for _, v in use.options)))
    users.update(program.outputs)
    made: list[Use] = []
    at = 0
    while at < len(uses):
        end, carried = _run(uses, at, users)
        first = re.fullmatch(r"(.*?)(\d+)", uses[at].key)
        if first is not None and end - at >= (3 if len(uses[at].inputs) == 1 else 2):
            grows = first[1], int(first[2]), end - at
            made.append(replace(uses[at], outputs=uses[end - 1].outputs, grows=grows, carried=carried))
            at = end
        else:
            made.append(uses[at])
            at += 1
    return replace(program, uses=tuple(made))


def _run(uses: list[Use], at: int, users: Counter[int]) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Where a run of layers ends that begins at a use, and which inputs of each are which outputs of the one before."""
    first = uses[at]
    found = re.fullmatch(r"(.*?)(\d+)", first.key)
    carried: tuple[tuple[int, int], ...] = ()
    if found is None or first.grows or not isinstance(first.layer, Applied):
        return at + 1, carried
    end = at + 1
    while end < len(uses):
        use, before = uses[end], uses[end - 1]
        if (
            use.key != f"{found[1]}{int(found[2]) + end - at}"
            or not same(use.layer, first.layer)
            or use.grows
            or (use.options, len(use.inputs), len(use.outputs))
            != (first.options, len(first.inputs), len(first.outputs))
        ):
            break
        taken = tuple((i, before.outputs.index(v)) for i, v in enumerate(use.inputs) if v in before.outputs)
        fixed = all(v == first.inputs[i] for i, v in enumerate(use.inputs) if v not in before.outputs)
        if (
            not taken
            or not fixed
            or (carried and taken != carried)
            or len({q for _, q in taken}) < len(first.outputs)
            or any(users[v] != 1 for v in before.outputs)
        ):
            break
        carried = taken
        end += 1
    return end, carried
