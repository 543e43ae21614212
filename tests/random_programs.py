"""Programs made at random: small pieces of text, each with its meaning, put together to larger ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from random import Random
from typing import Any

import torch
from hypothesis import strategies as st
from programs import (
    BINARY,
    LAYERS,
    SIZE,
    Block,
    Bound,
    Code,
    Frame,
    Level,
    Listed,
    Op,
    Parameter,
    Program,
    Run,
    Shared,
    Statement,
    apply,
    number,
    op,
    variable,
)
from torch import Tensor

COMBINED = {"sum": torch.add, "prod": torch.mul, "max": torch.maximum, "min": torch.minimum}
"""Functions that combine several tensors value by value, in steps of two."""

MOST_NODES = 60  # about how many a block or a model makes


class Writer:
    """Writes the body of one block or model: what there is to use so far, and the statements."""

    def __init__(self, random: Random, blocks: Sequence[Block], layers: Sequence[Code]) -> None:
        self.random = random
        self.blocks = blocks
        self.data: list[Code] = []  # tensors with a batch
        self.fixed: list[Code] = []  # tensors perhaps without one
        self.masks: list[Code] = []
        self.layers = list(layers)
        self.shared: list[Code] = []
        self.mixers: list[Code] = []  # layers that take three tensors
        self.numbers: list[Code] = []
        self.statements: list[Statement] = []
        self.count = 0
        self.nodes = 0
        self.repeating = False  # whether what is written is run more than once, so that it cannot name steps

    # -------------------------------------------------------------- small parts

    def one_of(self, options: Sequence[Any]) -> Any:
        return self.random.choice(list(options))

    def chance(self, of: int = 2) -> bool:
        return self.random.randint(1, of) == of

    def fresh(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def label(self, *, needed: bool) -> tuple[str, str | None]:
        if not needed and self.chance():
            return "", None
        name = self.fresh("s")
        return f"{name}: ", name

    def variable(self) -> Code:
        """A tensor with a batch: mostly one of the last."""
        return self.one_of(self.data[-3:] if self.chance() else self.data)

    def anything(self) -> Code:
        """A tensor that may have no batch."""
        return self.one_of([*self.fixed, self.variable()])

    def tensor(self, depth: int = 2) -> Code:
        """An expression whose value has a batch."""
        if depth == 0 or self.chance():
            return self.variable()
        match self.one_of(
            ["binary", "binary", "scaled", "part", "combined"] + ["chain"] * (not self.repeating)
        ):
            case "binary":
                sign, left = self.one_of(BINARY), self.tensor(depth - 1)
                right = self.anything() if self.chance() else self.tensor(depth - 1)
                self.nodes += 1
                return Code(
                    f"({left.text} {sign} {right.text})",
                    lambda f: BINARY[sign](left.value(f), right.value(f)),
                )
            case "scaled":
                inner, factor = self.tensor(depth - 1), self.one_of([*self.numbers, number(2), number(0.5)])
                self.nodes += 1
                return Code(f"({inner.text} * {factor.text})", lambda f: inner.value(f) * factor.value(f))
            case "combined":
                name, combine = self.one_of(list(COMBINED.items()))
                terms = [self.tensor(depth - 1), *(self.anything() for _ in range(self.random.randint(0, 2)))]
                self.nodes += 1
                return Code(
                    f"{name}([{', '.join(term.text for term in terms)}])",
                    lambda f: reduce(combine, [term.value(f) for term in terms]),
                )
            case "part":
                first, second = self.tensor(depth - 1), self.tensor(depth - 1)
                self.nodes += 2
                return Code(
                    f"concat({first.text}, {second.text})[2:6]",
                    lambda f: torch.cat([first.value(f), second.value(f)], 1)[:, 2:6],
                )
        chain = self.chain(depth - 1)
        return Code(f"({chain.text})", chain.value)

    # -------------------------------------------------------------- layers

    def layer(self, depth: int = 2) -> tuple[Code, str]:
        """A layer from one tensor to one, and how its step is named: "freely", "always" or "never"."""
        forms = ["op", "op"] + ["block"] * 4 * bool(self.fitting(1, 1))
        forms += ["variable"] * bool(self.layers) + ["shared"] * bool(self.shared)
        if depth > 0:
            forms += ["list", "list", "repeated"] + ["rule"] * 2 * bool(self.taking_tensors())
        match self.one_of(forms):
            case "op":
                self.nodes += 1
                return op(self.one_of(LAYERS)), "freely"
            case "block":
                return self.call(self.one_of(self.fitting(1, 1)), depth - 1), "freely"
            case "variable":
                self.nodes += 3
                return self.one_of(self.layers), "always"
            case "shared":
                self.nodes += 3
                return self.one_of(self.shared), "never"
            case "list":
                return self.list_of(depth), "always"
            case "repeated":
                outer, self.repeating = self.repeating, True
                before, inner = self.nodes, self.list_of(depth)
                self.repeating = outer
                times = self.one_of([*self.numbers, number(2)])
                self.nodes += self.nodes - before
                return Code(
                    f"{times.text} * {inner.text}", lambda f: Listed(inner.value(f).items * times.value(f))
                ), "always"
        block, name = self.one_of(self.taking_tensors()), self.fresh("u")
        items = [self.anything() for _ in range(self.random.randint(1, 3))]
        taken = next(p.name for p in block.all_parameters if p.kind == "any")
        before = self.nodes
        outer, self.repeating = self.repeating, True
        each = self.call(block, depth - 1, {taken: variable(name)})
        self.repeating = outer
        self.nodes += (self.nodes - before) * (len(items) - 1)

        def value(f: Frame) -> Listed:
            made = []
            for item in [item.value(f) for item in items]:
                made.append((None, each.value(Frame({**f.names, name: item}, f.level, f.run))))
            return Listed(tuple(made))

        return Code(f"[{each.text} for {name} in [{', '.join(i.text for i in items)}]]", value), "always"

    def list_of(self, depth: int) -> Code:
        items: list[tuple[str | None, Code]] = []
        for _ in range(self.random.randint(1, 3)):
            item, named = self.layer(depth - 1)
            items.append(
                (
                    self.fresh("s") if named != "never" and not self.repeating and self.chance(3) else None,
                    item,
                )
            )
        text = ", ".join(f"{name}: {code.text}" if name else code.text for name, code in items)
        return Code(f"[{text}]", lambda f: Listed(tuple((name, code.value(f)) for name, code in items)))

    def unshared(self, depth: int) -> Code:
        layer, named = self.layer(depth)
        return layer if named != "never" else op("Tanh")

    def mixer(self) -> Code:
        """A layer that takes three tensors, and may hold one or two."""
        self.nodes += 1
        if self.mixers and self.chance():
            return self.one_of(self.mixers)
        given = {"bias": self.anything()} if (self.data or self.fixed) and not self.chance(3) else {}
        if self.masks and self.chance():
            given["mask"] = self.one_of(self.masks)
        text = f"({', '.join(f'{name}={code.text}' for name, code in given.items())})" if given else ""
        return Code(
            f"Attention{text}",
            lambda f: Op("Attention", {name: code.value(f) for name, code in given.items()}),
        )

    def fitting(self, inputs: int, outputs: int) -> list[Block]:
        """Blocks that can be applied to so many tensors, and are not too large."""
        return [
            block
            for block in self.blocks
            if (len(block.inputs), len(block.returned)) == (inputs, outputs)
            and self.nodes + block.nodes <= MOST_NODES
            and self.can_give(block)
        ]

    def can_give(self, block: Block) -> bool:
        return bool(self.shared) or all(p.kind != "shared" for p in block.all_parameters)

    def taking_tensors(self) -> list[Block]:
        return [block for block in self.fitting(1, 1) if any(p.kind == "any" for p in block.all_parameters)]

    def call(self, block: Block, depth: int, given: Mapping[str, Code] | None = None) -> Code:
        """A block with its arguments."""
        arguments = dict(given or {})
        for parameter in block.all_parameters:
            if parameter.name in arguments or (parameter.default and self.chance()):
                continue
            match parameter.kind:
                case "data":
                    arguments[parameter.name] = self.tensor(max(0, depth))
                case "any":
                    arguments[parameter.name] = self.anything()
                case "mask":
                    arguments[parameter.name] = self.one_of([*self.masks, Code("none", lambda f: None)])
                case "layer":
                    holding = self.holding() if depth >= 0 else []
                    arguments[parameter.name] = (
                        self.call(self.one_of(holding), -1)
                        if holding and self.chance()
                        else self.unshared(depth)
                        if depth > 0
                        else op(self.one_of(LAYERS))
                    )
                case "mixer":
                    arguments[parameter.name] = self.mixer()
                case "shared":
                    arguments[parameter.name] = self.one_of(self.shared)
                case "number":
                    arguments[parameter.name] = self.one_of([*self.numbers, number(1), number(2)])
        self.nodes += block.nodes
        text = (
            f"({', '.join(f'{name}={code.text}' for name, code in arguments.items())})" if arguments else ""
        )
        return Code(
            block.name + text,
            lambda f: Bound(block, {name: code.value(f) for name, code in arguments.items()}),
        )

    def chain(self, depth: int, source: Code | None = None, suffix: Code | None = None) -> Code:
        """A tensor through one layer or more; `suffix` makes the labels of each turn of a loop others."""
        start = source or self.variable()
        steps: list[tuple[Code, str | None]] = []
        text = start.text
        outer, self.repeating = self.repeating, self.repeating or suffix is not None
        for _ in range(self.random.randint(1, 2)):
            layer, named = self.layer(depth)
            shown, label = ("", None) if named == "never" else self.label(needed=named == "always")
            if suffix and label:
                shown = f'"{label}_{{{suffix.text}}}": '
            steps.append((layer, label))
            text += f" -> {shown}{layer.text}"
        self.repeating = outer

        def value(f: Frame) -> Tensor:
            x = start.value(f)
            for layer, label in steps:
                made = layer.value(f)
                name = f"{label}_{suffix.value(f)}" if suffix and label else label
                (x,) = apply(made, [x], name, f.level, f.run)
            return x

        return Code(text, value)

    # -------------------------------------------------------------- statements

    def add(self, run: Callable[[Frame], None], *lines: str) -> None:
        self.statements.append(Statement(lines, run))

    def assign(self, code: Code, name: str | None = None) -> str:
        name = name or self.fresh("v")
        self.add(lambda f: f.names.update({name: code.value(f)}), f"{name} = {code.text}")
        return name

    def statement(self) -> None:
        forms = ["chain"] * 4 + [
            "sum",
            "mix",
            "layer",
            "mixer",
            "own",
            "shared",
            "loop",
            "loop",
            "states",
            "split",
            "augment",
        ]
        forms += ["again"] * 8 * bool(self.holding())
        forms += ["several"] * 3 * bool(self.several()) + ["if"] * bool(self.numbers)
        getattr(self, f"write_{self.one_of(forms)}")()

    def write_chain(self) -> None:
        known = [code.text for code in self.data if code.text.isidentifier()]
        again = self.one_of(known) if self.chance(4) else None
        name = self.assign(self.chain(2, self.tensor() if self.chance(3) else None), again)
        if again is None:
            self.data.append(variable(name))

    def write_augment(self) -> None:
        """`x += x -> s1: Linear(4)`: a name bound anew, to its value combined with what a chain gives."""
        name, sign = self.assign(self.variable()), self.one_of([sign for sign in BINARY if sign != "@"])
        code = self.chain(1)
        self.nodes += 1

        def run(f: Frame) -> None:
            f.names[name] = BINARY[sign](f.names[name], code.value(f))

        self.add(run, f"{name} {sign}= {code.text}")
        self.data.append(variable(name))

    def write_sum(self) -> None:
        self.data.append(variable(self.assign(self.tensor())))

    def write_mix(self) -> None:
        parts = [self.variable() for _ in range(3)]
        layer, (shown, label) = self.mixer(), self.label(needed=False)

        def value(f: Frame) -> Tensor:
            inputs = [part.value(f) for part in parts]
            (result,) = apply(layer.value(f), inputs, label, f.level, f.run)
            return result

        text = f"({', '.join(part.text for part in parts)}) -> {shown}{layer.text}"
        self.data.append(variable(self.assign(Code(text, value))))

    def write_use(self, parameter: Parameter) -> None:
        """Something that depends on a parameter of the block."""
        x, taken = self.variable(), variable(parameter.name)
        match parameter.kind:
            case "any" | "data":
                sign = self.one_of(BINARY)
                text = f"{x.text} {sign} {taken.text}"
                code = Code(text, lambda f: BINARY[sign](x.value(f), taken.value(f)))
            case "number":
                code = Code(f"{taken.text} * {x.text}", lambda f: x.value(f) * taken.value(f))
            case kind:
                mixes = kind in ("mixer", "mask")
                inputs = f"({x.text}, {x.text}, {x.text})" if mixes else x.text
                layer = f"Attention(mask={taken.text})" if kind == "mask" else taken.text
                shown, label = ("", None) if kind == "shared" else self.label(needed=True)

                def value(f: Frame) -> Tensor:
                    given = taken.value(f)
                    applied = Op("Attention", {"mask": given}) if kind == "mask" else given
                    return apply(applied, [x.value(f)] * (3 if mixes else 1), label, f.level, f.run)[0]

                code = Code(f"{inputs} -> {shown}{layer}", value)
        self.nodes += 1
        self.data.append(variable(self.assign(code)))

    def write_layer(self) -> None:
        self.layers.append(variable(self.assign(self.unshared(1), self.fresh("l"))))

    def write_mixer(self) -> None:
        self.mixers.append(variable(self.assign(self.mixer(), self.fresh("m"))))

    def write_own(self) -> None:
        name, kind = self.fresh("w"), self.one_of(["weight", "buffer", "constant", "mask"])
        self.nodes += 1
        if kind in ("weight", "buffer"):
            key = f"{self.fresh('g')}.{name}" if self.chance() else name
            written = name if key == name else f'"{key}" as {name}'

            def run(f: Frame) -> None:
                f.names[name] = f.run.weight(f.level.prefix + key)

            self.add(run, f"{kind} {written}: [4, 4] = normal(0.5)")
            self.fixed.append(variable(name))
            return
        rows = [[self.random.randint(0, 1) or int(i == j) for j in range(SIZE)] for i in range(SIZE)]
        dtype = torch.bool if kind == "mask" else torch.float64

        def declare(f: Frame) -> None:
            f.run.used.add(f.level.prefix + name)
            f.names[name] = torch.tensor(rows).to(dtype)

        self.add(declare, f"constant {name}: {'bool' if kind == 'mask' else ''}[4, 4] = {rows}")
        (self.masks if kind == "mask" else self.fixed).append(variable(name))

    def write_shared(self) -> None:
        name = self.fresh("h")
        layer = op(self.one_of(["Linear(4)", "Linear(4, bias=false)"])) if self.chance() else self.unshared(1)

        def run(f: Frame) -> None:
            f.names[name] = Shared(name, f.level.prefix, layer.value(f))

        self.add(run, f"shared {name} = {layer.text}")
        self.shared.append(variable(name))
        if layer.text.startswith("Linear"):
            source = self.variable()

            def use(f: Frame) -> Tensor:
                (result,) = apply(f.names[name], [source.value(f)], None, f.level, f.run)
                return result

            self.data.append(variable(self.assign(Code(f"{source.text} -> {name}", use))))
            self.fixed.append(
                Code(f"{name}.weight", lambda f: f.run.weight(f"{f.names[name].prefix}{name}.weight"))
            )

    def write_loop(self) -> None:
        name, start, turn = self.fresh("v"), self.variable(), self.fresh("i")
        over = [self.anything() for _ in range(self.random.randint(1, 3))]
        times = self.one_of([*self.numbers, number(2)])
        each, by_tensors = self.fresh("u"), self.chance()
        self.assign(start, name)
        before = len(self.fixed), self.nodes
        if by_tensors:
            self.fixed += [variable(each)] * 3
        code = self.chain(1, variable(name), variable(turn))
        del self.fixed[before[0] :]
        self.nodes += (self.nodes - before[1]) * 2

        def run(f: Frame) -> None:
            tensors = [item.value(f) for item in over] if by_tensors else [None] * times.value(f)
            for number_, tensor in enumerate(tensors):
                f.names.update({turn: number_, each: tensor})
                f.names[name] = code.value(f)

        listed = f"enumerate([{', '.join(item.text for item in over)}])"
        head = f"for {turn}, {each} in {listed}:" if by_tensors else f"for {turn} in range({times.text}):"
        self.add(run, head, f"    {name} = {code.text}")
        self.data.append(variable(name))

    def write_states(self) -> None:
        """A list of tensors that a loop makes longer, each from the last."""
        name, turn, start = self.fresh("v"), self.fresh("i"), self.variable()
        last = Code(f"{name}[-1]", lambda f: f.names[name][-1])
        first = Code(f"{name}[0]", lambda f: f.names[name][0])
        self.add(lambda f: f.names.update({name: [start.value(f)]}), f"{name} = [{start.text}]")
        before = len(self.data), self.nodes
        self.data += [first, first, last]
        code = self.chain(1, last, variable(turn))
        del self.data[before[0] :]
        self.nodes += self.nodes - before[1]

        def run(f: Frame) -> None:
            for number_ in range(2):
                f.names[turn] = number_
                f.names[name] = [*f.names[name], code.value(f)]

        self.add(run, f"for {turn} in range(2):", f"    {name} = {name} + [{code.text}]")
        self.data += [Code(f"{name}[1]", lambda f: f.names[name][1]), last]

    def holding(self) -> list[Block]:
        """Blocks from one tensor to one that can hold tensors besides."""
        kinds = ("any", "data", "mixer", "layer")
        return [block for block in self.fitting(1, 1) if any(p.kind in kinds for p in block.all_parameters)]

    def write_again(self) -> None:
        """A block that holds tensors, its input too perhaps, again and again, other ones each time."""
        block, start = self.one_of(self.holding()), self.variable()
        names = [self.fresh("v") for _ in range(self.random.randint(2, 3))]
        for name in names:
            tensors = [p.name for p in block.all_parameters if p.kind in ("any", "data")]
            layer = self.call(block, 0, {each: start for each in tensors if self.chance()})
            shown, label = self.label(needed=False)

            def value(
                f: Frame, start: Code = start, layer: Code = layer, label: str | None = label
            ) -> Tensor:
                taken = start.value(f)
                (result,) = apply(layer.value(f), [taken], label, f.level, f.run)
                return result

            self.assign(Code(f"{start.text} -> {shown}{layer.text}", value), name)
            self.data.append(variable(name))
            start = self.data[-1] if self.chance() else self.variable()

    def write_split(self) -> None:
        parts = [self.tensor(1), self.tensor(1)]
        names = [self.fresh("v"), self.fresh("v")]
        self.nodes += 2

        def run(f: Frame) -> None:
            joined = torch.cat([part.value(f) for part in parts], 1)
            f.names.update(zip(names, apply(Op("Split(2)"), [joined], None, f.level, f.run), strict=True))

        self.add(run, f"{', '.join(names)} = concat({', '.join(p.text for p in parts)}) -> Split(2)")
        self.data += map(variable, names)

    def write_if(self) -> None:
        name, test = self.fresh("v"), self.one_of(self.numbers)
        then, other = self.chain(1), self.tensor()
        self.add(
            lambda f: f.names.update({name: (then if test.value(f) > 1 else other).value(f)}),
            f"if {test.text} > 1:",
            f"    {name} = {then.text}",
            "else:",
            f"    {name} = {other.text}",
        )
        self.data.append(variable(name))

    def several(self) -> list[Block]:
        return [
            block
            for block in self.blocks
            if block.short is None
            and self.nodes + block.nodes <= MOST_NODES
            and (len(block.inputs), len(block.returned)) != (1, 1)
            and self.can_give(block)
        ]

    def write_several(self) -> None:
        """A block of several inputs or outputs, perhaps repeated where they are as many."""
        block = self.one_of(self.several())
        inputs = [self.variable() for _ in block.inputs]
        layer, (shown, label) = self.call(block, 1), self.label(needed=False)
        as_many = len(block.inputs) == len(block.returned)
        if as_many and self.chance(3):
            once = layer
            layer = Code(f"2 * [{once.text}]", lambda f: Listed(((None, once.value(f)),) * 2))
            shown, label = self.label(needed=True)
            self.nodes += block.nodes
        text = f"({', '.join(code.text for code in inputs)}) -> {shown}{layer.text}"
        repeated = layer.text.startswith("2 *")

        def value(f: Frame) -> list[Tensor]:
            taken = [code.value(f) for code in inputs]
            return apply(layer.value(f), taken, label, f.level, f.run)

        if any(block.outputs) and not repeated:
            name = self.fresh("v")
            self.add(lambda f: f.names.update({name: value(f)}), f"{name} = {text}")
            for i, output in enumerate(block.outputs):
                self.data.append(Code(f"{name}.{output}", lambda f, i=i: f.names[name][i]))
            return
        if len(block.returned) == 1:
            self.data.append(variable(self.assign(Code(text, lambda f: value(f)[0]))))
            return
        names = [self.fresh("v") for _ in block.returned]
        self.add(lambda f: f.names.update(zip(names, value(f), strict=True)), f"{', '.join(names)} = {text}")
        self.data += map(variable, names)

    def outputs(self, most: int) -> tuple[tuple[str, Code], ...]:
        """What is returned: mostly what was made last, but also inputs and arguments, and one of them twice."""
        count = self.random.randint(1, most)
        codes = [self.data[-1] if self.chance() else self.variable() for _ in range(count)]
        named = count > 1 and self.chance(3)
        return tuple((f"out{i}" if named else "", code) for i, code in enumerate(codes))


def program(random: Random, blocks: int, statements: int) -> Program:
    """A spec of so many blocks, and of up to so many statements in each."""
    layers: list[tuple[str, Code]] = []
    top: list[Code] = []
    for number_ in range(random.randint(0, 2)):
        layers.append((f"top{number_}", Writer(random, (), top).unshared(1)))
        made = layers[-1][1].value(Frame({}, Level(), Run({})))
        top.append(Code(layers[-1][0], lambda f, made=made: made))
    written: list[Block] = []
    for number_ in range(blocks):
        written.append(_block(random, f"Block{number_}", written, top, statements))
    writer = Writer(random, written, top)
    inputs = tuple(f"x{i}" for i in range(random.randint(1, 3)))
    writer.data = [variable(name) for name in inputs]
    for _ in range(statements):
        writer.statement()
    model = Block("Net", (), inputs, tuple(writer.statements), writer.outputs(4), writer.nodes)
    return Program(tuple(layers), tuple(written), model)


# A seed rather than a choice at a time: of those, hypothesis makes programs that are much the same.
programs = st.builds(program, st.integers(0, 2**32 - 1).map(Random), st.integers(1, 4), st.integers(1, 6))


KINDS = ("any", "any", "any", "data", "data", "mask", "layer", "layer", "mixer", "shared", "number")


def _block(
    random: Random, name: str, blocks: Sequence[Block], layers: Sequence[Code], statements: int
) -> Block:
    writer = Writer(random, blocks, layers)
    parameters: list[Parameter] = []
    for _ in range(random.randint(0, 3)):
        kind = writer.one_of(KINDS)
        parameters.append(Parameter(f"p{len(parameters)}_{name.lower()}", kind, _default(writer, kind)))
        made = variable(parameters[-1].name)
        match kind:
            case "data":
                writer.data.append(made)
            case "any":
                writer.fixed.append(made)
            case "mask":
                writer.masks.append(made)
            case "layer":
                writer.layers.append(made)
            case "mixer":
                writer.mixers.append(made)
            case "shared":
                writer.shared.append(made)
            case "number":
                writer.numbers.append(made)
    if writer.chance(4) and not writer.data:
        return _short_block(writer, name, tuple(parameters))
    inputs = tuple(f"x{i}" for i in range(writer.one_of([1, 1, 1, 2])))
    for i, parameter in enumerate(parameters):
        if parameter.kind == "number" and writer.chance():
            parameters[i] = replace(parameter, default=Code("x0.channels // 2", lambda f: SIZE // 2))
    writer.data += [variable(each) for each in inputs]
    for parameter in parameters:
        if not writer.chance(4):
            writer.write_use(parameter)
    for _ in range(random.randint(0, statements)):
        writer.statement()
    returned = writer.outputs(writer.one_of([1, 1, 2]))
    return Block(name, tuple(parameters), inputs, tuple(writer.statements), returned, writer.nodes)


def _default(writer: Writer, kind: str) -> Code | None:
    """A default, which may use the parameters before it."""
    if not writer.chance(3):
        return None
    match kind:
        case "data" if writer.data:
            start, layer = writer.variable(), writer.one_of(LAYERS)
            return Code(
                f"({start.text} -> {layer})",
                lambda f: apply(Op(layer), [start.value(f)], None, f.level, f.run)[0],
            )
        case "mask":
            return Code("none", lambda f: None)
        case "layer":
            return op(writer.one_of(LAYERS))
        case "mixer" if writer.fixed or writer.data:
            bias = writer.one_of([*writer.fixed, *writer.data])
            return Code(f"Attention(bias={bias.text})", lambda f: Op("Attention", {"bias": bias.value(f)}))
        case "number":
            return number(2)
    return None


def _short_block(writer: Writer, name: str, parameters: tuple[Parameter, ...]) -> Block:
    """A block that stands for a list or a block, given its arguments in part or in full."""
    writer.data = writer.fixed  # no tensors but its arguments
    one = [b for b in writer.fitting(1, 1) if not any(p.kind == "data" for p in b.all_parameters)]
    if not writer.fixed:
        one = [b for b in one if not any(p.kind == "any" for p in b.all_parameters)]
    writer.blocks = one
    whole = [b for b in writer.blocks if not b.short]
    passing = [b for b in whole if b.all_parameters]
    if passing and writer.chance():
        block = writer.one_of(passing)
        short = Code(block.name, lambda f: Bound(block, {}))
        return Block(name, parameters, ("x0",), (), (("", short),), block.nodes, short, block)
    short = writer.list_of(1) if writer.chance() or not one else writer.call(writer.one_of(one), 0)
    return Block(name, parameters, ("x0",), (), (("", short),), writer.nodes, short)
