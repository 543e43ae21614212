"""What a block is given: the shapes that its inputs may have, and those that a model declares."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archspec.elaboration.binding import free_sizes, names_in
from archspec.elaboration.budget import NEW_NODE
from archspec.elaboration.checks import items, whole
from archspec.elaboration.frames import check_length
from archspec.elaboration.mistakes import at
from archspec.elaboration.origins import plain_type
from archspec.elaboration.values import BlockLayer, Environment, Tensor, describe, noun
from archspec.graph import Input, Use
from archspec.ground import codes
from archspec.ground.bounds import always_equal, require_name_of_size, require_place
from archspec.ground.declared import Declared, same_always
from archspec.ground.errors import Edit, Fix, Places, Problem, SpecError
from archspec.ground.size import Free, Size
from archspec.ground.source import Span
from archspec.ground.tensor import BATCH, DType, TensorType, dtype, show
from archspec.op.inference import require_possible, tensors
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine

MOST_INPUTS = 1_000  # in a list of a model's


@dataclass(slots=True)
class Application:
    """One application of a block: its names, and the tensors that its inputs still have to take.

    `late` are parameters whose defaults need sizes of inputs that are still to come, `arguments` the values of the others as JSON
    has them.
    """

    layer: BlockLayer
    env: Environment
    waiting: deque[Tensor]
    root: bool
    inputs: list[Tensor] = field(default_factory=list)
    late: list[t.Parameter] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)
    bound: dict[str, Span] = field(default_factory=dict)  # where shapes of inputs bind names of sizes

    @property
    def ordered_arguments(self) -> dict[str, Any]:
        """The arguments in the order of the parameters."""
        names = (parameter.name for parameter in self.layer.definition.parameters)
        return {name: self.arguments[name] for name in names if name in self.arguments}


_BATCHES = ("b", "n", "bs", "batch", "batch_size", "batchsize", "none")


class Inputs:
    """Takes the tensors that a block is applied to, and declares those of a model."""

    def __init__(self, machine: Machine) -> None:
        self.budget = machine.budget
        self.builder = machine.builder
        self.opened = machine.opened
        self.origins = machine.origins
        self.evaluator = machine.evaluator
        self.declared: list[Input] = []  # by the model
        self._names: dict[str, Span] = {}  # of these, with their places
        self._axes: dict[tuple[str, int], int] = {}  # of the sizes of inputs, the origins that declare them

    # -------------------------------------------------------------- inputs

    def take(self, statement: t.Input, application: Application) -> None:
        """Bind an input to the next tensor, which must fit its pattern; or declare one of the model."""
        wanted = None
        if statement.dtype is not None:
            with at(statement.dtype_span):
                wanted = dtype(statement.dtype)
        if statement.count is None and not statement.remaining:
            application.env.names[statement.name] = self._next(statement, application, wanted, statement.name)
            return
        many = self._count(statement, application)
        if application.root and many > MOST_INPUTS:
            raise SpecError.of(
                codes.TOO_LARGE,
                f"a model takes at most {MOST_INPUTS:,} tensors as `{statement.name}`, not {many:,}",
                statement.span,
                help=f"one tensor with an axis more holds them: `input {statement.name}: [{many}, 3, 224, 224]`",
            )
        taken: list[Tensor] = []
        for i in range(many):
            self.budget.spend(NEW_NODE, statement.span)
            taken.append(self._next(statement, application, wanted, f"{statement.name}_{i}"))
        application.env.names[statement.name] = taken

    def _count(self, statement: t.Input, application: Application) -> int:
        """How many tensors an input is a list of."""
        if statement.count is None:
            if application.root:
                raise SpecError.of(
                    codes.SIZE,
                    f"a model takes a known number of tensors as `{statement.name}`",
                    statement.span,
                    help=f"write `input {statement.name}: 3 * [3, 224, 224]`",
                )
            return len(application.waiting)
        value = self.evaluator.evaluate(statement.count, application.env)
        with at(statement.count.span):
            count = whole(self.origins.spent(value, statement.count.span), "the number of inputs")
        if count < 1:
            raise SpecError.of(
                codes.TENSORS,
                f"`{statement.name}` must be one tensor or more, not {count}",
                statement.count.span,
            )
        return count

    def _next(self, statement: t.Input, application: Application, wanted: DType | None, name: str) -> Tensor:
        """The next tensor, which must fit the statement; of a model, a new one of that name."""
        if application.root:
            tensor = self._root_input(statement, application, wanted or "f32", name)
        else:
            if not application.waiting:
                came = len(application.inputs)
                raise SpecError.of(
                    codes.TENSORS,
                    f"{application.layer.name} takes more than {tensors(came)}",
                    statement.span,
                    label=f"no tensor left for `{statement.name}`",
                    help="give it several as a tuple: `(x, y) -> layer`",
                )
            tensor = application.waiting.popleft()
            if wanted is not None and tensor.type.dtype != wanted:
                raise SpecError.of(
                    codes.DTYPE,
                    f"`{statement.name}` of {application.layer.name} must be {wanted}, not {tensor.type.dtype}",
                    statement.span,
                )
            if statement.pattern is not None:
                self._match(statement, statement.pattern, tensor.type, application)
        application.inputs.append(tensor)
        return tensor

    def _root_input(self, statement: t.Input, application: Application, dtype_: DType, name: str) -> Tensor:
        sizes: list[Size] = []
        for part, size in self._root_sizes(statement.pattern or (), application.env):
            if (
                isinstance(size, bool)
                or not isinstance(size, int | Free)
                or (isinstance(size, int) and size < 1)
            ):
                raise SpecError.of(
                    codes.SIZE, f"a size must be a positive whole number, not {describe(size)}", part.span
                )
            with at(part.span):
                require_place(size)
            if isinstance(size, int):
                axis = name, len(sizes)
                origins = size.origins if isinstance(size, Declared) else 0
                size = self.origins.declared(size, axis)
                self._axes[axis] = origins | size.origins
                if not names_in(part) <= set(application.env.names):
                    # A number of the whole file, which may be used anywhere in it.
                    self.origins.use(size.origins, part.span)
            sizes.append(size)
        if statement.pattern is None:
            raise SpecError.of(
                codes.SIZE,
                "a model's input needs a shape",
                statement.span,
                help=f"write `input {statement.name}: [3, 224, 224]`",
            )
        if name in self._names:
            first = (("the first is here", self._names[name]),)
            message = f"two inputs are named `{name}`"
            raise SpecError.of(codes.NAME_TAKEN, message, statement.span, places=first)
        frame = self.builder.frame
        if name in frame.taken or name in frame.groups:
            first = (("it is named here", frame.taken.get(name) or frame.groups[name]),)
            message = f"there is already a step named `{name}`"
            raise SpecError.of(codes.NAME_TAKEN, message, statement.span, places=first)
        check_length(name, statement.span)
        with at(statement.span):
            require_possible(tuple(sizes))
        type_ = TensorType(tuple(sizes), dtype_)
        self._names[name] = statement.span
        self.declared.append(
            Input.unchecked(name=name, type=plain_type(type_), location=statement.span.location, uses=None)
        )
        frame.taken[name] = statement.span
        type_, plain, trace = self.origins.traced(type_)
        return Tensor(frame.take_input(plain), type_, trace)

    def _root_sizes(
        self, pattern: tuple[t.PatternSize, ...], env: Environment
    ) -> Iterator[tuple[t.PatternSize, Any]]:
        """What a model writes for the sizes of an input, each with its place."""
        for part in pattern:
            for free in free_sizes(part):
                if free.name == BATCH:
                    raise SpecError.of(
                        codes.FREE_PLACE,
                        f"`{BATCH}` is the number of samples, which is free anyway",
                        free.span,
                        help="name the size otherwise",
                    )
                with at(free.span):
                    require_name_of_size(free.name)
                env.names.setdefault(free.name, self.opened.size(free.name))
            if isinstance(part, t.RestSizes | t.Name) and not env.has(part.name):
                raise self._unknown_size(part, pattern)
            elif isinstance(part, t.RestSizes):
                sizes = self.evaluator.evaluate(t.Name(part.span, part.name), env)
                with at(part.span):
                    yield from ((part, size) for size in items(sizes, f"`*{part.name}`"))
            else:
                yield part, self.evaluator.evaluate(part, env)

    @staticmethod
    def _unknown_size(part: t.Name | t.RestSizes, pattern: tuple[t.PatternSize, ...]) -> SpecError:
        """The error for a size of a model's input that is none; one in front of a whole image is likely the batch."""
        message = f"the size `{part.name}` of the model's input is not known"
        help_ = f"write a number, a parameter of the model, or `free {part.name}`"
        if part is pattern[0] and len(pattern) > 1 and part.name.lower() in _BATCHES:
            rest = Span(part.span.source, part.span.start, pattern[1].span.start)
            fix = Fix(f"remove `{part.name}`", (Edit(rest, ""),))
            if part.name == "None":
                help_ = "leave it out: every tensor has the batch in front, of any size"
            else:
                help_ = (
                    f"leave `{part.name}` out if it is the batch, which every tensor has in front; or {help_}"
                )
            return SpecError([Problem(codes.SIZE, message, part.span, help=help_, fix=fix)])
        return SpecError.of(codes.SIZE, message, part.span, help=help_)

    def finished(self) -> tuple[Input, ...]:
        """The model's inputs, with the sizes that were used as numbers; for a finished graph."""
        uses: dict[str, list[Use]] = {given.name: [] for given in self.declared}
        for (name, axis), origins in self._axes.items():
            places = [place for origin, place in self.origins.uses.items() if origin & origins]
            if places:
                uses[name].append(Use.unchecked(axis=axis, location=places[0]))
        return tuple(given.with_changes(uses=tuple(uses[given.name])) for given in self.declared)

    def _match(
        self,
        statement: t.Input,
        pattern: tuple[t.PatternSize, ...],
        type_: TensorType,
        application: Application,
    ) -> None:
        """Check a shape against its pattern, and bind the names in it."""
        rest = [i for i, part in enumerate(pattern) if isinstance(part, t.RestSizes)]
        fits = len(type_.shape) == len(pattern) if not rest else len(type_.shape) >= len(pattern) - 1
        if len(rest) > 1 or not fits:
            wanted = ", ".join(part.span.text for part in pattern)
            raise SpecError.of(
                codes.INPUT_SHAPE,
                f"`{statement.name}` of {application.layer.name} must be [{wanted}], not {show(type_.shape)}",
                statement.span,
                label=f"got {len(type_.shape)} ax{'is' if len(type_.shape) == 1 else 'es'}"
                if len(rest) < 2
                else "a shape can hold only one `*`",
            )
        for part, size in parted(pattern, list(type_.shape)):
            if isinstance(part, t.FreeSize | t.RestSizes) or (
                isinstance(part, t.Name) and not application.env.has(part.name)
            ):
                known = application.env.names.get(part.name)
                if known is None:
                    application.env.names[part.name] = size
                    application.bound[part.name] = part.span
                    continue
                wanted_size = known
                if isinstance(part, t.RestSizes):
                    with at(part.span):
                        wanted_size = items(known, f"`*{part.name}`")
            else:
                wanted_size = self.evaluator.evaluate(part, application.env)
                if isinstance(wanted_size, bool) or not isinstance(wanted_size, int | Free):
                    raise SpecError.of(
                        codes.NOT_A_NUMBER,
                        f"a size must be a whole number, not {noun(wanted_size)}",
                        part.span,
                    )
            pairs = zip(wanted_size, size, strict=False) if isinstance(size, list) else [(wanted_size, size)]
            if not all(same_always(*pair) for pair in pairs):
                wanted_size, size = (
                    self.origins.spent(wanted_size, part.span),
                    self.origins.spent(size, part.span),
                )
            with at(part.span):
                same = wanted_size == size if isinstance(size, list) else always_equal(wanted_size, size)
            if not same:
                raise SpecError.of(
                    codes.INPUT_SHAPE,
                    f"`{statement.name}` of {application.layer.name} does not fit {show(type_.shape)}",
                    part.span,
                    label=f"expected {describe(wanted_size)}, got {describe(size)}",
                    places=self._bound(part, wanted_size, application),
                )

    @staticmethod
    def _bound(part: t.PatternSize, size: Any, application: Application) -> Places:
        """Where the names in a size of a shape are bound that another shape, or another part of this one, binds."""
        whole = isinstance(part, t.Name | t.FreeSize | t.RestSizes)
        return tuple(
            (f"`{name}` was bound to {describe(size)} here" if whole else f"`{name}` was bound here", span)
            for name, span in application.bound.items()
            if name in names_in(part) and span != part.span
        )


def parted(pattern: tuple[t.PatternSize, ...], sizes: list[Any]) -> list[tuple[t.PatternSize, Any]]:
    """The parts of a pattern, each with the size that it stands for, a `*` with a list; none where they are not as many."""
    rest = next((i for i, part in enumerate(pattern) if isinstance(part, t.RestSizes)), None)
    if rest is not None and len(sizes) >= len(pattern) - 1:
        stop = rest + len(sizes) - len(pattern) + 1
        sizes = [*sizes[:rest], sizes[rest:stop], *sizes[stop:]]
    return list(zip(pattern, sizes, strict=True)) if len(sizes) == len(pattern) else []
