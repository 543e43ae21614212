"""Blocks and the model as the text of a spec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.literals import written as literal
from archspec.importing.blocks import Block, Parameter
from archspec.importing.programs import Declared, Use
from archspec.importing.terms import KEYWORDS, Applied, Term, Text, label_shown, same, shown, weighs
from archspec.op import Op

_INFIX = {
    "Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "MatMul": "@", "FloorDivide": "//", "Remainder": "%",
    "Equal": "==", "NotEqual": "!=", "Less": "<", "LessEqual": "<=", "Greater": ">", "GreaterEqual": ">=",
    "And": "and", "Or": "or",
}  # fmt: skip
_BINDING = {
    "or": 1,
    "and": 2,
    "==": 4,
    "!=": 4,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "//": 6,
    "%": 6,
    "@": 6,
}
CONDITION, CHAIN, ATOM = -1, 0, 9
LONG = 80


def written(blocks: Sequence[Block], model: Block, doc: str) -> str:
    """The text of a spec."""
    positional = {
        block.name: [parameter.name for parameter in block.parameters if parameter.default is None][:3]
        for block in blocks
    }
    parts = [literal(doc)] if doc else []
    parts += [_Writer(block, positional).text("block") for block in blocks]
    parts.append(_Writer(model, positional).text("model"))
    return "\n\n".join(parts) + "\n"


class _Writer:
    """Writes one block."""

    def __init__(self, block: Block, positional: Mapping[str, Sequence[str]]) -> None:
        self.block, self.positional = block, positional
        self.program = block.program
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.parts: dict[
            int, tuple[str, int]
        ] = {}  # values that are written where they are used: text, and how it binds
        self.last: dict[int, int] = {}
        self.wanted: dict[int, str] = {}  # what the source calls them
        self.at = 0
        self.uses = Counter[int]()
        self.shared: dict[str, str] = {}
        self._parameters = {parameter.name for parameter in block.parameters}

    def text(self, kind: str) -> str:
        program = self.program
        self._count()
        head = f"{kind} {self.block.name}{_parameters(self.block.parameters, self.positional)}"
        for i, given in enumerate(program.inputs):
            self.names[given.value] = given.name
            star = "*" if program.variadic else ""
            self.lines.append(f"input {star}{given.name}{self._pattern(i, kind)}")
        for own in program.owned:
            self._own(own)
        self._shared()
        for at, use in enumerate(program.uses):
            self.at = at
            self._use(at, use)
        self.at = len(program.uses)
        outputs = [self._expression(value, CHAIN) for value in program.outputs]
        if program.names:
            outputs = [f"{name}={text}" for name, text in zip(program.names, outputs, strict=True)]
        self.lines.append(f"return {', '.join(outputs)}")
        return f"{head}:\n" + "\n".join(f"    {line}" for line in self.lines)

    def _pattern(self, index: int, kind: str) -> str:
        given = self.program.inputs[index]
        names = self.block.sizes[index] if index < len(self.block.sizes) else ()
        dtype = "" if given.dtype == "f32" else f"{given.dtype}"
        if kind == "model":
            named = names or ("",) * len(given.shape)
            sizes = (
                f"free {name}" if name else str(size) for name, size in zip(named, given.shape, strict=True)
            )
            return f": {dtype}[{', '.join(sizes)}]"
        if names:
            return f": {dtype}[{', '.join(names)}]"
        return ""

    def _count(self) -> None:
        for at, use in enumerate(self.program.uses):
            for value in (*use.inputs, *(v for _, v in use.options)):
                self.uses[value] += 1
                self.last[value] = at
            if use.otherwise is not None:
                self.uses[use.otherwise] += 1
                self.last[use.otherwise] = at
        for value in self.program.outputs:
            self.uses[value] += 1
            self.last[value] = len(self.program.uses)
        # What is written where it is used needs what it is made of until then.
        for use in reversed(self.program.uses):
            until = max((self.last.get(output, 0) for output in use.outputs), default=0)
            if len(use.outputs) == 1 and self.uses[use.outputs[0]] <= 1 and not use.grows:
                kept = () if use.otherwise is None else (use.otherwise,)
                for value in (*use.inputs, *(v for _, v in use.options), *kept):
                    self.last[value] = max(self.last[value], until)

    # -------------------------------------------------------------- statements

    def _own(self, own: Declared) -> None:
        name = _identifier(own.key.rpartition(".")[2] or "table")
        if name.endswith("_") and "." in own.key:
            name = _identifier("_".join(own.key.split(".")[-2:]))
        name = self._free(name, -1)
        self.names[own.value] = name
        label = name if own.key in (name, "") else f'"{own.key}" as {name}'
        if own.kind == "constant":
            label = name
        dtype = "" if own.dtype == "f32" else own.dtype
        self.lines.append(f"{own.kind} {label}: {dtype}{shown(own.shape)} = {shown(own.start)}")

    def _shared(self) -> None:
        forms: dict[str, Term] = {}
        counts = Counter(use.key for use in self.program.uses if use.key and weighs(use.layer))
        for use in self.program.uses:
            if counts[use.key] < 2 or not weighs(use.layer):
                continue
            if not same(use.layer, forms.setdefault(use.key, use.layer)):
                raise Mistake(
                    f"`{use.key}` of {self.block.name} is called in two forms, so that it is no one layer",
                    codes.NOT_IMPORTED,
                )
            if use.key not in self.shared:
                name = self._free(_identifier(use.key.replace(".", "_")), -1)
                self.shared[use.key] = name
                label = name if name == use.key else f'"{use.key}" as {name}'
                self.lines.append(f"shared {label} = {shown(use.layer, self.positional)}")

    def _grow(self, at: int, use: Use) -> None:
        """A loop in which each layer takes what all before it gave."""
        if use.carried:
            self._loop(at, use)
            return
        prefix, first, count = use.grows
        name = self._name(use.outputs[0], "features", at)
        self.lines.append(f"{name} = [{self._expression(use.inputs[0], CHAIN)}]")
        place = "i" if first == 0 else f"i + {first}"
        layer = shown(use.layer, self.positional)
        self.lines.append(f"for i in range({shown(count)}):")
        self.lines.append(f'    {name} += [{name} -> "{prefix}{{{place}}}": {layer}]')

    def _loop(self, at: int, use: Use) -> None:
        """A loop in which each layer takes what the one before it gave."""
        prefix, start, count = use.grows
        names: dict[int, str] = {}
        for i, output in use.carried:
            given = use.inputs[i]
            text = self._expression(given, CHAIN)
            if given in self.names and self.last[given] <= at and list(use.inputs).count(given) == 1:
                names[output] = text
            else:
                names[output] = self._free(
                    text if text.isidentifier() and given not in self.names else "x", at - 1
                )
                self.names[-1000 - at - output] = names[output]
                self.last[-1000 - at - output] = at
                self.lines.append(f"{names[output]} = {text}")
        place = "i" if start == 0 else f"i + {start}"
        taken = dict(use.carried)
        inputs = [
            names[taken[i]] if i in taken else self._expression(value, CHAIN)
            for i, value in enumerate(use.inputs)
        ]
        together = inputs[0] if len(inputs) == 1 else f"({', '.join(inputs)})"
        outputs = [names[i] for i in range(len(use.outputs))]
        options = {name: self._expression(value, CHAIN) for name, value in use.options}
        self.lines.append(f"for i in range({shown(count)}):")
        self.lines.append(
            f'    {", ".join(outputs)} = {together} -> "{prefix}{{{place}}}": {self._layer(use.layer, options)}'
        )
        for output, name in zip(use.outputs, outputs, strict=True):
            self.names[output] = name

    def _use(self, at: int, use: Use) -> None:
        if use.grows:
            self._grow(at, use)
            return
        text, binds = self._applied(use)
        conditional = use.only_if is not True
        if conditional:
            self._conditional(at, use, text, binds)
            return
        if len(use.outputs) == 1 and self.uses[use.outputs[0]] <= 1:
            self.parts[use.outputs[0]] = (text, binds)
            self.wanted[use.outputs[0]] = use.named[0] if len(use.named) == 1 else ""
            return
        names = []
        for i, output in enumerate(use.outputs):
            named = use.named[i] if len(use.named) == len(use.outputs) else ""
            names.append(self._name(output, named, at))
        if len(names) == 1 and binds == 5 and text.startswith(f"{names[0]} + "):
            added = text[len(names[0]) + 3 :]
            self.lines.append(f"{names[0]} += {added[1:-1] if _bracketed(added) else added}")
        else:
            self.lines.append(f"{', '.join(names)} = {text}")

    def _conditional(self, at: int, use: Use, text: str, binds: int) -> None:
        """A layer that is there in some calls of the block only."""
        output, condition = use.outputs[0], shown(use.only_if)
        if use.otherwise is None:  # only what is as conditional uses it
            self.parts[output] = (text, binds)
            return
        there = text if binds > CHAIN else f"({text})"
        text = f"{there} if {condition} else {self._expression(use.otherwise, CHAIN + 1)}"
        if self.uses[output] <= 1:
            self.parts[output] = (text, CONDITION)
            return
        name = self._name(output, use.named[0] if len(use.named) == 1 else "", at)
        self.lines.append(f"{name} = {text}")

    # -------------------------------------------------------------- expressions

    def _expression(self, value: int, binds: int) -> str:
        """A value as text that can stand where something that binds so is wanted."""
        if value in self.names:
            return self.names[value]
        text, own = self.parts[value]
        if own >= binds:
            return text
        if len(text) > LONG:  # rather a line of its own than brackets around much
            name = self._name(value, self.wanted.get(value, ""), self.at - 1)
            self.lines.append(f"{name} = {text}")
            return name
        return f"({text})"

    def _applied(self, use: Use) -> tuple[str, int]:
        layer = use.layer
        if (
            isinstance(layer, Applied)
            and not layer.block
            and not use.options
            and not (use.key and weighs(layer))
        ):
            found = self._operator(layer, use)
            if found is not None:
                return found
        options = {name: self._expression(value, CHAIN) for name, value in use.options}
        text = self._layer(layer, options)
        if use.key in self.shared:
            text = self.shared[use.key]
            if options:
                text += f"({', '.join(f'{name}={given}' for name, given in options.items())})"
        elif use.key and self._is_named(use):
            text = f"{label_shown(use.key)}: {text}"
        if len(use.inputs) == 1:
            given = self._expression(use.inputs[0], CHAIN)
        else:
            given = f"({', '.join(self._item(value) for value in use.inputs)})"
        return f"{given} -> {text}", CHAIN

    def _item(self, value: int) -> str:
        """One of several tensors that a layer takes: rather by a name than by a long expression."""
        if value not in self.names and len(self.parts[value][0]) > LONG:
            text = self.parts[value][0]
            name = self._name(value, self.wanted.get(value, ""), self.at - 1)
            self.lines.append(f"{name} = {text}")
        return self._expression(value, CHAIN)

    def _layer(self, layer: Term, options: Mapping[str, str]) -> str:
        if options and isinstance(layer, Applied):
            extra = tuple((name, Text(text)) for name, text in options.items())
            text = shown(Applied(layer.name, layer.arguments, layer.block), self.positional)
            listed = ", ".join(f"{name}={shown(given)}" for name, given in extra)
            return f"{text[:-1]}, {listed})" if text.endswith(")") else f"{text}({listed})"
        return shown(layer, self.positional)

    def _operator(self, layer: Applied, use: Use) -> tuple[str, int] | None:
        """The infix form of an op, and how it binds; None if it has none."""
        given = layer.given()
        name = layer.name
        if name in _INFIX and len(use.inputs) == 2:
            sign = _INFIX[name]
            binds = _BINDING[sign]
            left = self._expression(use.inputs[0], binds)
            right = self._expression(use.inputs[1], binds + 1)
            return f"{left} {sign} {right}", binds
        if name in _INFIX and len(use.inputs) == 1 and given.get("number") is not None:
            sign = _INFIX[name]
            return (
                f"{self._expression(use.inputs[0], _BINDING[sign])} {sign} {shown(given['number'])}",
                _BINDING[sign],
            )
        if name in ("Maximum", "Minimum") and len(use.inputs) == 2:
            listed = ", ".join(self._expression(value, CHAIN) for value in use.inputs)
            return f"{'max' if name == 'Maximum' else 'min'}({listed})", ATOM
        if (
            name == "Scale"
            and isinstance(given["factor"], int | float | Text)
            and isinstance(given["offset"], int | float | Text)
        ):
            return self._scale(use.inputs[0], given["factor"], given["offset"])
        if name == "Index":
            text = _places(given["at"])
            return (f"{self._expression(use.inputs[0], ATOM)}[{text}]", ATOM) if text is not None else None
        if name == "Concat":
            listed = ", ".join(self._expression(value, CHAIN) for value in use.inputs)
            axis = given["axis"]
            return f"concat({listed})" if axis == 0 else f"concat({listed}, axis={shown(axis)})", ATOM
        if name == "Power" and isinstance(given["exponent"], int | float):
            exponent = shown(given["exponent"])
            return f"{self._expression(use.inputs[0], 8)} ** {exponent}", 7
        if name == "Negate":
            return f"-{self._expression(use.inputs[0], 7)}", 6
        return None

    def _scale(self, value: int, factor: Any, offset: Any) -> tuple[str, int]:
        if factor == 1 and type(factor) is not float:
            text = shown(offset)
            sign, text = ("-", text[1:]) if text.startswith("-") else ("+", text)
            return f"{self._expression(value, 5)} {sign} {text}", 5
        if offset == 0:
            return f"{self._expression(value, 6)} * {shown(factor)}", 6
        if factor == -1:
            return f"{shown(offset)} - {self._expression(value, 6)}", 5
        return f"{self._expression(value, 6)} * {shown(factor)} + {shown(offset)}", 5

    # -------------------------------------------------------------- names

    def _is_named(self, use: Use) -> bool:
        """Whether a step is named: it has weights, in some call of the block at least."""
        if isinstance(use.layer, Text):
            values = [p.values for p in self.block.parameters if p.name == use.layer.text]
            return any(weighs(value) for value in (values[0] if values else ()))
        return weighs(use.layer)

    def _name(self, value: int, wanted: str, at: int) -> str:
        wanted = _identifier(wanted) if wanted else ""
        name = self._free(wanted or "x", at)
        self.names[value] = name
        return name

    def _free(self, wanted: str, at: int) -> str:
        """A name that no value has which is still needed behind a statement."""
        taken = {
            name for value, name in self.names.items() if self.last.get(value, -1) > at
        } | self._parameters
        taken |= {name for names in self.block.sizes for name in names} | set(self.shared.values())
        for name in (wanted, *("yzuv" if len(wanted) == 1 else "")):
            if name not in taken and name not in KEYWORDS:
                return str(name)
        count = 2
        while f"{wanted}{count}" in taken:
            count += 1
        return f"{wanted}{count}"


def _identifier(text: str) -> str:
    made = "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in text).strip("_") or "x"
    made = f"x{made}" if made[0].isdigit() else made
    return made if made not in KEYWORDS and not Op.is_known(made) else f"{made}_"


def _bracketed(text: str) -> bool:
    """Whether brackets around a whole text can go: its first one is closed by its last."""
    if not text.startswith("("):
        return False
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if depth == 0:
            return at == len(text) - 1
    return False


def _places(at: Term) -> str | None:
    """The places of an Index in brackets."""
    if not isinstance(at, tuple):
        return None
    parts = []
    for place in at:
        if isinstance(place, tuple):
            if len(place) != 3 or any(isinstance(p, tuple) for p in place):
                return None
            start, stop, step = ("" if p is None else shown(p) for p in place)
            parts.append(f"{start}:{stop}:{step}" if step else f"{start}:{stop}")
        else:
            parts.append(shown(place))
    return ", ".join(parts)


def _parameters(parameters: Sequence[Parameter], positional: Mapping[str, Sequence[str]]) -> str:
    listed = []
    for parameter in parameters:
        kind = f": {parameter.kind}" if parameter.kind else ""
        default = f" = {shown(parameter.default, positional)}" if parameter.default is not None else ""
        listed.append(f"{parameter.name}{kind}{default}")
    return f"({', '.join(listed)})" if listed else ""
