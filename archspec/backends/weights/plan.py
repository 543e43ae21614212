"""What becomes of each weight of a network, and of each tensor of a file, before anything is loaded.

A plan is made of lines: a weight of the network with the tensors that it is made of, or one of the two alone. What is done to
the tensors on their way is a row of changes, each of which says in a few words what it does, and does it.

Names of another implementation come in by `renamed`: it gives what each map of names makes of a file's keys, as a `Renaming`.
Maps are those of `names` in the spec. One is tried where the keys do not fit the network by themselves, and taken where it alone
explains the whole file: each weight of the network, but for counters of batches, has its tensors, and each tensor its weight or a
place in `dropped`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor

from archspec.analyses.formatting import plural, short
from archspec.analyses.renaming import Fit, Origin, all_names, names_as
from archspec.backends.torch_names import weight_of
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import Problem, SpecError

Fate = Literal["as it is", "adapted", "new", "unused", "refused"]
FATES: tuple[Fate, ...] = ("as it is", "adapted", "new", "unused", "refused")

MOST_SAID = 3

Shapes = Mapping[str, tuple[int, ...]]


# -------------------------------------------------------------- maps of names


def same(tensor: Tensor) -> Tensor:
    """The tensor itself."""
    return tensor


@dataclass(frozen=True)
class Made:
    """A weight of the network as a map of names has it: of the tensors with these keys, which `make` is given in this order.

    `how` says in a few words what `make` does to the values, and is empty where it does nothing.
    """

    keys: tuple[str, ...]
    how: str = ""
    make: Callable[..., Tensor] = same


@dataclass(frozen=True)
class Renaming:
    """What a map of names makes of the keys of a file: the weights of the network by name, and the keys that it drops."""

    name: str
    weights: Mapping[str, Made]
    dropped: frozenset[str] = frozenset()


def renamed(graph: Graph, keys: Shapes) -> tuple[Renaming, ...]:
    """What each map of names that comes with a network makes of the keys of a file, whose shapes are given: of those that explain them.

    Raises SpecError where the rules of a map are wrong.
    """
    fits = (names.fit(keys) for names in all_names(graph))
    return tuple(_renaming(fit) for fit in fits if fit.explains)


def renamed_as(graph: Graph, title: str, keys: Shapes) -> Renaming:
    """What the map of that title makes of the keys of a file, whether or not it explains them all.

    Raises SpecError where the spec has no such map, or its rules are wrong.
    """
    return _renaming(names_as(graph, title).fit(keys))


def _renaming(fit: Fit) -> Renaming:
    made = {
        name: Made(origin.keys, _how(origin), partial(weight_of, origin) if origin.changes_values else same)
        for name, origin in fit.names.origins.items()
        if name not in fit.lacking
    }
    return Renaming(f'names "{fit.names.title}"', made, frozenset(fit.ignored))


def _how(origin: Origin) -> str:
    """What a map does to the values of the tensors of a weight."""
    how = ["joined"] if len(origin.keys) > 1 else []
    return ", ".join([*([f'rearranged "{origin.pattern}"'] if origin.pattern else []), *how])


# -------------------------------------------------------------- lines


@dataclass(frozen=True)
class Change:
    """What is done to tensors on their way into a weight: the first change of a line is given all of its tensors.

    `group` is the same for all lines of which the same is to be said; `told` says more where there is more. A change that
    `fills` is also given the first values of the weight.
    """

    group: str
    make: Callable[..., Tensor] = same
    told: str = ""
    fills: bool = False


@dataclass(frozen=True)
class Line:
    """What becomes of one weight of the network, made of the tensors of the file whose keys are `sources`; or of either alone.

    `why` is what is wrong with a line, or the reason that was asked for. A line is `asked` for where the caller said that
    it may come out so; `offers` are the adaptations that would make it fit. `holds` are numbers that are none: `NaN`. One that
    `fills` takes a part of its values from those that it starts with.
    """

    fate: Fate
    key: str | None
    sources: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    why: str = ""
    help: str = ""
    offers: tuple[str, ...] = ()
    asked: bool = False
    holds: str = ""
    fills: bool = False
    shape: tuple[int, ...] = ()
    """Of the weight, or of the tensor where there is no weight."""
    before: tuple[int, ...] = ()
    """Of the tensor, or of the first of several."""
    step: str = ""
    """The full name of the step whose weight it is."""
    kind: str = ""
    """The op of that step."""

    def __repr__(self) -> str:
        return brief(self, self.said)

    @property
    def said(self) -> str:
        """The line in words."""
        names = self.key or ", ".join(self.sources)
        how = ", ".join(change.told or change.group for change in self.changes)
        return f"{names}: {self.fate}" + (f" ({how})" if how else "") + (f": {self.why}" if self.why else "")

    @property
    def loads(self) -> bool:
        """Whether the weight gets its values from the file."""
        return self.fate in ("as it is", "adapted")

    @property
    def size(self) -> int:
        """How many numbers there are."""
        count = 1
        for length in self.shape:
            count *= length
        return count


@dataclass(frozen=True)
class WeightPlan:
    """What loading a file into a network would do: a line for each weight of the network, and for each tensor without one.

    `notes` are of the file as a whole. `nonfinite` is whether numbers that are infinite or none are let in.
    """

    network: str
    file: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    nonfinite: bool = False
    helps: tuple[str, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        said = ", ".join(f"{self.counts[fate]} {fate}" for fate in FATES if self.counts[fate])
        return brief(self, f"{self.network} from {self.file}: {said or 'no weights'}")

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        from archspec.backends.weights.report import as_html

        return as_html(self)

    def report(self) -> str:
        """The plan as `archspec weights` prints it."""
        from archspec.backends.weights.report import as_text

        return as_text(self)

    def as_record(self) -> dict[str, Any]:
        """The plan as JSON holds it."""
        return {
            "network": self.network,
            "file": self.file,
            "fits": self.fits,
            "notes": [*self.notes],
            "lines": [
                {
                    "fate": line.fate,
                    "key": line.key,
                    "sources": [*line.sources],
                    "changes": [change.told or change.group for change in line.changes],
                    "shape": [*line.shape],
                    "before": [*line.before],
                    "why": line.why,
                    "adapt": [*line.offers],
                    "holds": line.holds,
                    "asked": line.asked,
                }
                for line in self.lines
            ],
        }

    @cached_property
    def counts(self) -> Counter[Fate]:
        """How many lines there are of each fate."""
        return Counter(line.fate for line in self.lines)

    @cached_property
    def wrong(self) -> tuple[Line, ...]:
        """The lines for which a strict load refuses the file."""
        return tuple(
            line
            for line in self.lines
            if (not line.loads and not line.asked) or (line.holds and not self.nonfinite)
        )

    @property
    def fits(self) -> bool:
        """Whether a strict load takes the file: all weights come from it, all of it is used, but for what was asked for."""
        return not self.wrong

    @property
    def new(self) -> tuple[str, ...]:
        """The weights that stay as they are drawn."""
        return tuple(line.key for line in self.lines if line.key is not None and not line.loads)

    def require_fit(self) -> None:
        """SpecError when a strict load refuses the file."""
        if self.fits:
            return
        order = {"new": 0, "unused": 1, "refused": 2, "as it is": 3, "adapted": 3}
        wrong = sorted(self.wrong, key=lambda line: order[line.fate])
        # One of each sort before a second of any, as the first alone would hide what else there is.
        sorts = {line.fate: line for line in reversed(wrong)}
        first = [line for line in wrong if sorts[line.fate] is line]
        shown = [*first, *(line for line in wrong if line not in first)][:MOST_SAID]
        shown.sort(key=wrong.index)
        more = f", and {len(wrong) - len(shown)} more" if len(wrong) > len(shown) else ""
        raise SpecError.of(
            codes.CHECKPOINT,
            f"`{self.file}` does not fit {self.network}: it {', '.join(self._blame(line) for line in shown)}{more}",
            help=self.help,
        )

    def require_finite(self) -> None:
        """SpecError when weights that are loaded hold numbers that are infinite or none, and these are not let in."""
        replace(self, lines=tuple(line for line in self.lines if line.holds and line.loads)).require_fit()

    def problem(self) -> Problem:
        """What a load that is not strict warns of."""
        return Problem(codes.PARTIAL_WEIGHTS, self.told(), help="`archspec weights` shows the plan")

    def _blame(self, line: Line) -> str:
        if line.fate == "new":
            return f"lacks `{line.key}`"
        if line.fate == "unused":
            return line.why or f"has `{line.sources[0]}`, which {self.network} has not"
        return f"has {line.holds} in `{line.key}`" if line.holds and line.loads else line.why

    @property
    def help(self) -> str:
        """How to go on where the file does not fit."""
        for text in self.helps:
            return text
        own = [line for line in self.lines if line.key is not None]
        offered = sum(bool(line.offers) for line in self.wrong)
        if 2 * sum(line.loads for line in own) < len(own) and 2 * offered < len(self.wrong):
            return (
                f"is it of {self.network}? `from_`, or `--from`, says of which network a file is; for keys of other code,"
                " `archspec weights --propose` proposes names"
            )
        offers = list(dict.fromkeys(name for line in self.wrong for name in line.offers))
        helps = list(dict.fromkeys(line.help for line in self.wrong if line.help))
        if offers:
            asked = ", ".join(f'"{name}"' for name in offers)
            adapt = asked if len(offers) == 1 else f"[{asked}]"
            words = " ".join(f"--adapt {name}" for name in offers)
            return f"it can be adapted: `adapt={adapt}`, or `{words}`; `archspec weights` shows the plan"
        for text in helps:
            return text
        if any(line.holds and line.loads for line in self.wrong):
            return "`nonfinite=True`, or `--nonfinite`, lets such numbers in"
        return (
            "`strict=False` takes what both have, and tells what stays new; `archspec weights` shows the plan"
        )

    def told(self) -> str:
        """What a load that is not strict has to tell: what stays new, what is unused, what is wrong; empty when nothing."""
        parts = []
        ways: tuple[tuple[Fate, str], ...] = (
            ("new", "stay new"),
            ("refused", "do not fit and stay new"),
            ("unused", "are unused"),
        )
        for fate, how in ways:
            lines = [line for line in self.wrong if line.fate == fate]
            if lines:
                what = plural(len(lines), "weight" if fate != "unused" else "tensor")
                names = ", ".join(f"`{line.key or line.sources[0]}`" for line in lines[:MOST_SAID])
                more = ", ..." if len(lines) > MOST_SAID else ""
                parts.append(
                    f"{len(lines)} {what} of {self._owner(fate)} {how if len(lines) > 1 else _single(how)}: {names}{more}"
                )
        held = [line for line in self.wrong if line.loads and line.holds]
        if held:
            parts.append(
                f"there is {held[0].holds} in `{held[0].key}`"
                + (f" and {len(held) - 1} more" if held[1:] else "")
            )
        return "; ".join(parts)

    def _owner(self, fate: Fate) -> str:
        return f"`{self.file}`" if fate == "unused" else self.network

    @property
    def drawn(self) -> tuple[str, ...]:
        """The weights whose first values are asked for: those that stay new, and those of which a part does."""
        return tuple(
            line.key for line in self.lines if line.key is not None and (line.fills or not line.loads)
        )

    def tensors(self, held: Mapping[str, Tensor], drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights that come from the file, made of its tensors `held` and of first values, which are `drawn`."""
        return {
            line.key: carried_out(line, held, drawn[line.key] if line.fills else None)
            for line in self.lines
            if line.key is not None and line.loads
        }


def carried_out(line: Line, held: Mapping[str, Tensor], drawn: Tensor | None = None) -> Tensor:
    """The weight of a line, made of the tensors that it names; the tensor itself where nothing is done to it."""
    given: tuple[Tensor, ...] = tuple(held[key] for key in line.sources)
    for change in line.changes:
        given = (change.make(*given, drawn) if change.fills else change.make(*given),)
    return given[0]


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def counted(lines: Iterable[Line]) -> str:
    """How many tensors and numbers there are: `54 tensors, 25.56M values`."""
    lines = list(lines)
    values = sum(line.size for line in lines)
    return f"{len(lines):,} {plural(len(lines), 'tensor')}, {short(values)} {plural(values, 'value')}"


def _single(how: str) -> str:
    return {
        "stay new": "stays new",
        "do not fit and stay new": "does not fit and stays new",
        "are unused": "is unused",
    }[how]


def short_dtype(dtype: torch.dtype) -> str:
    """The name of a dtype, as specs have it where they have it."""
    return _SHORT.get(dtype) or str(dtype).removeprefix("torch.")


_SHORT = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32", torch.float64: "f64", torch.int64: "i64", torch.int32: "i32", torch.int16: "i16"}  # fmt: skip
