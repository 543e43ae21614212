"""Frames: functions of the graph under construction, and the names that their steps take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archspec.elaboration.defaults import Defaults
from archspec.elaboration.made import Made
from archspec.elaboration.values import SharedLayer
from archspec.graph import Apply, Call, Ref, Step
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.names import LONGEST_NAME, is_label, is_taken, require_free
from archspec.ground.source import Span
from archspec.ground.tensor import TensorType
from archspec.op import Weight


@dataclass(slots=True)
class Frame:
    """A function under construction.

    `path` is its full name where it is elaborated, with a dot behind it. `like` is the function that the first use of a
    shared layer made, where this one is of a later use: it must fit its weights; -1 where the first use has no such part.
    """

    path: str
    inputs: list[TensorType] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    held: dict[str, Mapping[str, Weight]] = field(
        default_factory=dict
    )  # weights of the steps that have any, by name
    layers: list[str] = field(default_factory=list)
    like: int | None = None
    depth: int = 0  # of calls in it
    longest: int = 0  # letters of the longest name in it
    taken: dict[str, Span | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    groups: dict[str, Span] = field(default_factory=dict)  # with the place of the first step in each
    rows: list[tuple[int, int, Span]] = field(
        default_factory=list
    )  # first and last number of each row of calls
    uses: dict[int, int] = field(default_factory=dict)
    defaults: Defaults = field(default_factory=Defaults)  # in force here
    pending: tuple[
        Defaults, ...
    ] = ()  # whose names are of what is below the next step: stated by a model's file
    stated: Span | None = None  # where the block's own `defaults` stands
    made: dict[str, Made] = field(default_factory=dict)  # what its steps give, by name
    edited: tuple[tuple[str, Span], ...] = ()  # what was done to steps here and around, latest last
    inserting: bool = (
        False  # whether steps are made now that others brought, which must not rename the block's own
    )
    inserted: dict[str, Span] = field(default_factory=dict)  # those

    def take_input(self, type_: TensorType) -> Ref:
        """What one more input is called."""
        self.inputs.append(type_)
        return Ref(f"%{len(self.inputs) - 1}")

    def add(self, step: Apply | Call, below: int = 0) -> None:
        """Add a step, in which the longest name has so many letters."""
        self.steps.append(step)
        own = step.name if not step.is_use or step.layer is None else self.layers[step.layer]
        self.longest = max(self.longest, len(own) + 1 + below)

    # -------------------------------------------------------------- names

    def claim_name(self, label: str | None, fallback: str, span: Span) -> str:
        """A name for a step: the label, or one made from `fallback`. SpecError when it is taken."""
        if label is None:
            count = self.counts.get(fallback, 0)
            label = f"{fallback}_{count}" if count else fallback
            while label in self.taken or label in self.groups or is_taken(label):
                if label in self.inserted and not self.inserting:
                    raise self._shadowed(label, span)
                count += 1
                label = f"{fallback}_{count}"
            if not self.inserting:
                self.counts[fallback] = count + 1
        else:
            self.require_new(label, span)
            try:
                require_free(label)
            except Mistake as mistake:
                raise mistake.at(span) from None
        self._take(label, span)
        check_length(label, span)
        if self.inserting:
            self.inserted[label] = span
        return label

    def _shadowed(self, label: str, span: Span) -> SpecError:
        """The error of a step inserted under a name that one of the block's own has without it."""
        return SpecError.of(
            codes.NAME_TAKEN,
            f"a step is inserted as `{label}`, which is the name of another here",
            self.inserted[label],
            places=((f"`{label}` stands here", span),),
            help="give it another name, so that no other step is renamed: `-> drop: Dropout(0.1)`",
        )

    def _take(self, label: str, span: Span) -> None:
        """Note that a step has that name. SpecError when a step has the name of a group that it would stand in."""
        if "." in label:  # `branches.0` stands in a group, whose name is then no step's
            parts = label.split(".")
            for group in (".".join(parts[:i]) for i in range(1, len(parts))):
                if group in self.taken:
                    first = self.taken[group]
                    raise SpecError.of(
                        codes.NAME_TAKEN,
                        f"`{group}` is already a step, so no step can be named `{label}`",
                        span,
                        places=((f"`{group}` is named here", first),) if first else (),
                    )
                self.groups.setdefault(group, span)
        self.taken[label] = span

    def has(self, label: str) -> bool:
        """Whether a step or a group here has that name already."""
        return label in self.taken or label in self.groups or bool(self.rows and self._row_of(label))

    def require_new(self, label: str, span: Span) -> None:
        """SpecError when a step here has that name already."""
        if self.has(label):
            first = self._row_of(label) or self.taken.get(label) or self.groups.get(label)
            raise SpecError.of(
                codes.NAME_TAKEN,
                f"two steps are named `{label}` here",
                span,
                places=((f"`{label}` is first given here", first),) if first else (),
                help="each name is a key of the state_dict"
                + ("; name the lists: `-> name: [...]`" if label.isdigit() else "")
                + (_numbering(label, inserted=self.inserting) if first == span else ""),
            )

    def _row_of(self, label: str) -> Span | None:
        """Where the row stands that takes the label; None when none does."""
        if not label.isdigit():
            return None
        return next((span for first, last, span in self.rows if first < int(label) <= last), None)

    def claim_row(self, first: int, last: int, span: Span) -> bool:
        """Take the numbers up to `last`, which follow a step named `first`; False when one of them is taken."""
        if any(name.isdigit() and first < int(name) <= last for name in (*self.taken, *self.groups)):
            return False
        self.rows.append((first, last, span))
        return True

    def claim_use(self, layer: SharedLayer) -> str:
        """What the next use of a shared layer is called here."""
        self.uses[layer.slot] = uses = self.uses.get(layer.slot, 0) + 1
        return f"@{layer.slot}" if uses == 1 else f"@{layer.slot}@{uses}"

    def declare(self, name: str, span: Span) -> int:
        """Take a name for a shared layer; gives its place among the layers."""
        if name in self.taken or name in self.groups:
            first = self.taken.get(name) or self.groups[name]
            message = f"there is already a step named `{name}`"
            raise SpecError.of(codes.NAME_TAKEN, message, span, places=(("it is named here", first),))
        self._take(name, span)
        check_length(name, span)
        self.layers.append(name)
        return len(self.layers) - 1


def _numbering(label: str, *, inserted: bool) -> str:
    """How steps that are written once and made several times get names."""
    return (
        "; without a name they are numbered" if inserted else f'; a loop numbers them: `"{label}{{i}}": ...`'
    )


def check_label(label: str, span: Span) -> str:
    """The label, when it can name a step; SpecError when not."""
    if not is_label(label):
        help_ = "use letters, digits, `_` and `-`, with dots between the parts of a path"
        raise SpecError.of(codes.NOT_A_NAME, f"`{label}` cannot name a step", span, help=help_)
    return label


def check_length(name: Any, span: Span) -> None:
    """SpecError when the name of a step, or a name of so many letters, is too long."""
    if (name if isinstance(name, int) else len(name)) > LONGEST_NAME:
        raise SpecError.of(
            codes.NOT_A_NAME, f"the name of a step has more than {LONGEST_NAME:,} characters", span
        )
