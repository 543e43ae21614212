"""First values of weights as code, where the spec's are not PyTorch's own: from the same distributions, drawn otherwise."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from archspec.backends.python import expressions as py
from archspec.backends.python.aligning import NONE
from archspec.backends.python.classes import Classes
from archspec.backends.python.drafts import Draft
from archspec.backends.python.layout import INDENT, written
from archspec.backends.python.own_weights import is_written, table
from archspec.backends.python.unifying import Class
from archspec.op import Weight
from archspec.op import initialisation as first
from archspec.op.initialisation import Initialiser


@dataclass(frozen=True)
class Start:
    """How a weight starts: of a layer of one of PyTorch's classes, whose `key` it is, or a block's own."""

    path: str
    kind: type[nn.Module] | None
    key: str
    weight: Weight
    is_default: bool

    @property
    def how(self) -> tuple[object, ...]:
        """What tells its start from others."""
        return (
            ("default",)
            if self.is_default
            else py.key_of(self.call(py.Code("w")) or py.Code(str(self.weight.init)))
        )

    def call(self, target: py.Expression) -> py.Expression | None:
        """The call that gives a weight such values; None where `nn.init` has none."""
        return _call(self.weight.init, self.weight.shape, target)


class Starts:
    """Which first values are written, and where: what all layers of a kind have in common once, in the network."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self.common: dict[tuple[type[nn.Module], str], Start] = {}
        found: dict[tuple[type[nn.Module], str], list[Start]] = {}
        for made in classes.order:
            for draft in made.drafts:
                for start in self.of(draft):
                    if start.kind is not None:
                        found.setdefault((start.kind, start.key), []).append(start)
        for place, starts in found.items():
            same = len({start.how for start in starts}) == 1
            if same and not starts[0].is_default and starts[0].call(py.Code("w")) is not None:
                self.common[place] = starts[0]

    def of(self, draft: Draft, base: str = "") -> Iterator[Start]:
        """The starts of a draft's weights that are not those of other classes."""
        for path, weights in draft.starts.items():
            layer = draft.layers.get(path)
            for key, weight in weights.items():
                if layer is None:
                    if not is_written(weight):
                        yield Start(f"{base}{path}", None, "", weight, False)
                elif weight.trainable:
                    kind, is_default = _kind(layer), _is_default(layer, key, weight)
                    if kind is nn.MultiheadAttention and key.startswith("out_proj."):
                        name = key.removeprefix("out_proj.")  # of a layer that is an nn.Linear too
                        yield Start(f"{base}{path}.out_proj", nn.Linear, name, weight, is_default)
                    else:
                        yield Start(f"{base}{path}", kind, key, weight, is_default)
        for path, made in draft.members.items():
            if isinstance(made, py.Instance):
                inner = self.classes.drafts[made.function]
                if inner.is_chain and not inner.function.block:
                    yield from self.of(inner, f"{base}{path}.")

    def lines(self, made: Class, reach: Mapping[str, py.Expression]) -> list[str]:
        """The statements of a class's `__init__`."""
        lines: list[str] = []
        rows = [{(start.path, start.key): start for start in self.of(draft)} for draft in made.drafts]
        open_ = ""  # the member for which there is an `if`, as not every instance has it
        for place in dict.fromkeys(place for row in rows for place in row):
            starts = [row[place] for row in rows if place in row]
            start = starts[0]
            if start.kind is not None and (start.kind, start.key) in self.common:
                continue
            if all(x.is_default for x in starts):
                continue
            name = f"{start.path}.{start.key}".strip(".")
            target = _target(start, made, reach)
            call = None if target is None else start.call(target)
            root = start.path.partition(".")[0]
            having = [draft for draft in made.drafts if made.is_chain or draft.members.get(root) != NONE]
            alike = len(starts) == len(having) and len({x.how for x in starts}) == 1
            if target is not None and len(starts) == len(having) and not alike:
                varied = _varied(
                    made, [x.call(target) for x in starts], [made.drafts.index(x) for x in having]
                )
                call, alike = (varied, True) if varied is not None else (call, alike)
            if call is None or not alike:
                why = (
                    f"starts as {_brief(start.weight.init)}"
                    if alike
                    else "starts otherwise in some instances"
                )
                lines.append(f"        # {name} {why} in the spec, which is not reproduced here.")
                continue
            indent = 2 * INDENT
            if len(having) < len(rows):
                if open_ != root:
                    lines += written("if ", py.Operation("is not", (reach[root], NONE)), ":", indent)
                indent += INDENT
            open_ = root if len(having) < len(rows) else ""
            lines += written("", _rooted(call), "", indent)
            if isinstance(start.weight.init, first.zero_row) and target is not None:
                row = py.Item(target, (py.number(start.weight.init.row),))
                lines += written("", py.Call(py.Code("nn.init.zeros_"), (row,)), "", indent)
        return [*lines, *(self.loop() if made.is_model and self.common else [])]

    def loop(self) -> list[str]:
        """The loop over all layers that share a start with all others of their kind."""
        kinds: dict[tuple[str, ...], list[type[nn.Module]]] = {}
        bodies: dict[type[nn.Module], list[str]] = {}
        for (kind, key), start in self.common.items():
            call = start.call(py.Attribute(py.Code("module"), key))
            assert call is not None
            margin = 16
            if key == "bias":
                bodies.setdefault(kind, []).append(" " * margin + "if module.bias is not None:")
                margin += 4
            bodies.setdefault(kind, []).extend(written("", _rooted(call), "", margin))
        for kind, body in bodies.items():
            kinds.setdefault(tuple(body), []).append(kind)
        lines = ["        for module in self.modules():"]
        for place, (body_lines, listed) in enumerate(kinds.items()):
            names = " | ".join(f"nn.{kind.__name__}" for kind in listed)
            lines.append(f"            {'elif' if place else 'if'} isinstance(module, {names}):")
            lines += body_lines
        return lines


def _target(start: Start, made: Class, reach: Mapping[str, py.Expression]) -> py.Expression | None:
    """How a weight is reached in `__init__`; None below a member that not every instance has."""
    path = start.path
    while path not in reach:
        if "." not in path:
            return None
        path = path.rpartition(".")[0]
    made_by = made.members[path] if not made.is_chain else NONE
    if isinstance(made_by, py.Chosen) and made_by.other == NONE:
        made_by = made_by.then
    if any(isinstance(x, py.Chosen) for x in py.within(made_by)):
        return None
    target = reach[path]
    for part in [*start.path[len(path) :].strip(".").split("."), *start.key.split(".")]:
        if part.isdecimal():
            target = py.Item(target, (py.number(int(part)),))
        elif part:
            target = py.Attribute(target, part)
    return target


def _varied(made: Class, calls: Sequence[py.Expression | None], rows: Sequence[int]) -> py.Expression | None:
    """One call for those of several rows where a number is a part of a parameter: `std=2**0.5 / kernel`."""
    known = [call for call in calls if call is not None]
    if len(known) < len(calls) or len({py.key_of(call, literals=False) for call in known}) > 1:
        return None
    numbers = [[x for x in py.within(call) if isinstance(x, py.Literal)] for call in known]
    differing = [place for place, x in enumerate(zip(*numbers, strict=True)) if len({y.value for y in x}) > 1]
    if len(differing) != 1:
        return None
    varied = [of_row[differing[0]] for of_row in numbers]
    for parameter in made.parameters.found:
        parts = [parameter.values[row] for row in rows]
        if not all(type(x) is int for x in parts) or not all(type(x.value) is float for x in varied):
            continue
        products = [x.value * part for x, part in zip(varied, parts, strict=True)]
        if max(products) - min(products) <= 1e-12 * abs(products[0]):
            part = py.Operation("/", (py.Literal(products[0]), py.Code(parameter.name)))
            return py.replaced(known[0], functools.partial(_in_place, varied[0], part))
    return None


def _in_place(of: py.Expression, put: py.Expression, x: py.Expression) -> py.Expression | None:
    return put if x is of else None


def _rooted(call: py.Expression) -> py.Expression:
    """A call whose long numbers are written as the roots that they are: `(2 / 9) ** 0.5`."""
    return py.replaced(call, lambda x: _root(x.value) if isinstance(x, py.Literal) else None)


def _root(value: object) -> py.Expression | None:
    if not isinstance(value, float) or len(repr(value)) < 10 or not 0 < value < 100:
        return None
    square = value * value
    whole, parts = round(square), max(round(2 / square), 1)
    roots: dict[float, py.Expression] = {
        2 / parts: py.Operation("/", (py.number(2), py.number(parts))),
        float(whole): py.number(whole),
    }
    for known, root in roots.items():
        if abs(known**0.5 - value) <= 1e-14 * value:
            return py.Operation("**", (root, py.number(0.5)))
    return None


def _kind(layer: nn.Module) -> type[nn.Module]:
    """The class of PyTorch's that a layer is of."""
    found: type[nn.Module] = next(
        (cls for cls in type(layer).__mro__ if getattr(nn, cls.__name__, None) is cls), type(layer)
    )
    return found


def _is_default(layer: nn.Module, key: str, weight: Weight) -> bool:
    """Whether a weight starts as PyTorch's own layer does."""
    init, shape = weight.init, weight.shape
    if key == "gain":  # of a layer of archspec's
        return isinstance(init, first.ones)
    if isinstance(layer, _ConvNd | nn.Linear):
        main = layer.weight.shape
        known: Initialiser = first.torch_default(prod(main[1:]))
        if isinstance(layer, _ConvTransposeNd) and key == "bias":
            known = first.torch_default(prod(main[1:]))
        return key in ("weight", "bias") and _same(init, known)
    if isinstance(layer, _NormBase | nn.LayerNorm | nn.GroupNorm | nn.RMSNorm):
        return isinstance(init, first.ones if key == "weight" else first.zeros)
    if isinstance(layer, nn.Embedding):
        inner = init.init if isinstance(init, first.zero_row) and init.row == layer.padding_idx else init
        return _same(inner, first.normal()) and (inner is init) == (layer.padding_idx is None)
    if isinstance(layer, nn.PReLU):
        return _same(init, first.constant(value=0.25))
    if isinstance(layer, nn.RNNBase):
        bound = 1 / sqrt(layer.hidden_size)
        return _same(init, first.uniform(low=-bound, high=bound))
    if isinstance(layer, nn.MultiheadAttention):
        if key == "out_proj.weight":
            return _same(init, first.torch_default(shape[1]))
        return isinstance(init, first.zeros) if key.endswith("bias") else _same(init, first.xavier_uniform())
    return False


def _same(left: Initialiser, right: Initialiser) -> bool:
    if isinstance(left, first.uniform) and isinstance(right, first.uniform):
        return all(abs(a - b) <= 1e-12 for a, b in ((left.low, right.low), (left.high, right.high)))
    return type(left) is type(right) and left == right


def _call(init: Initialiser, shape: tuple[int, ...], target: py.Expression) -> py.Expression | None:
    """The call of `nn.init` that draws or writes such values."""

    def made(name: str, **given: tuple[object, object]) -> py.Expression:
        keywords = tuple(
            py.Keyword(key, py.Literal(value), default) for key, (value, default) in given.items()
        )
        return py.Call(py.Code(f"nn.init.{name}_"), (target,), keywords)

    if isinstance(
        init, first.kaiming_uniform | first.kaiming_normal | first.xavier_uniform | first.xavier_normal
    ):
        if len(shape) < 2:
            drawn = init.drawn(shape)
            if isinstance(init, first.kaiming_uniform | first.xavier_uniform):
                return made("uniform", a=(drawn[0], 0.0), b=(drawn[1], 1.0))
            return made("normal", std=(init.spread(shape).std, 1.0))
        if isinstance(init, first.kaiming_uniform | first.kaiming_normal):
            return made(type(init).__name__, a=(init.a, 0.0), mode=(init.mode, "fan_in"))
        return made(type(init).__name__, gain=(init.gain, 1.0))
    match init:
        case first.zeros() | first.ones():
            return made(type(init).__name__)
        case first.constant():
            return py.Call(py.Code("nn.init.constant_"), (target, py.Literal(float(init.value))))
        case first.uniform():
            return made("uniform", a=(init.low, 0.0), b=(init.high, 1.0))
        case first.normal():
            return made("normal", mean=(init.mean, 0.0), std=(init.std, 1.0))
        case first.trunc_normal():
            return made(
                "trunc_normal",
                mean=(init.mean, 0.0),
                std=(init.std, 1.0),
                a=(init.low, -2.0),
                b=(init.high, 2.0),
            )
        case first.zero_row():
            return _call(init.init, shape, target)
        case first.values():
            listed: py.Expression = table([float(x) for x in init.listed], ())
            if len(shape) != 1:
                listed = py.Call(py.Attribute(listed, "reshape"), tuple(map(py.number, shape)))
            return py.Call(py.Attribute(py.Attribute(target, "data"), "copy_"), (listed,))
    return None


def _brief(init: Initialiser) -> str:
    """An initialisation as a spec writes it, in a line."""
    said = " ".join(str(init).split())
    return said if said.isascii() and len(said) <= 60 else type(init).__name__
