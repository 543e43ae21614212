"""Blocks: their statements in order, and what it means to apply a layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from archspec.elaboration.arguments import ArgumentMistake, check_parameter, parameter_names, takes
from archspec.elaboration.builder import (
    COUNTED_BLOCK,
    DEEPEST,
    Counter,
    GraphBuilder,
    check_length,
    plain_type,
    snake,
)
from archspec.elaboration.expressions import POISON, Expressions, Poisoned, at
from archspec.elaboration.repeats import Application
from archspec.elaboration.values import (
    BlockLayer,
    Environment,
    Labelled,
    OpLayer,
    Outputs,
    SharedLayer,
    Tensor,
    by_default,
    describe,
    frozen,
    identity,
    is_layer,
    kind,
    plain,
)
from archspec.graph import Input, Ref, Use
from archspec.ground.declared import Declared, same_always
from archspec.ground.errors import MOST_PROBLEMS, Mistake, Problem, SpecError
from archspec.ground.names import require_free
from archspec.ground.size import Free, Size, always_equal, require_place
from archspec.ground.source import Span
from archspec.ground.tensor import TensorType, dtype, is_real, show
from archspec.op import Weight
from archspec.op.inference import require_possible, require_start, tensors
from archspec.op.initialisation import Init, Initialiser, constant, values
from archspec.syntax import tree as t


@dataclass(slots=True)
class Call:
    """One application of a block: its names, and the tensors that its inputs still have to take."""

    layer: BlockLayer
    env: Environment
    waiting: list[Tensor]
    root: bool
    inputs: list[Tensor] = field(default_factory=list)


class Stopped(Exception):  # noqa: N818  (the mistakes are kept already)
    """A mistake after which it is no use to go on."""


class Blocks(Expressions):
    """Runs the statements of blocks; mistakes are collected, so that one run shows them all."""

    def __init__(self, builder: GraphBuilder, *, checked: bool = False) -> None:
        super().__init__(builder, checked=checked)
        self.problems: list[Problem] = []
        self.inputs: list[Input] = []
        self._axes: dict[tuple[str, int], int] = {}  # of the sizes of inputs, the origins that declare them
        self._around: list[tuple[str, Span]] = []  # the blocks being applied, outermost first
        self._deepest = 0  # the most blocks around a step, since this was last set
        self._counted: dict[Any, tuple[tuple[Tensor, ...], int]] | None = None
        self._applied: dict[Any, Application] = {}

    def release(self) -> None:
        """Let go of what refers to this in circles, so that nothing of it stays when the graph is dropped."""
        self._methods.clear()
        self._applied.clear()
        self.builder.when_large = None
        self.builder.family.release()

    def count(self, model: BlockLayer) -> None:
        """Keep the mistake, and raise Stopped, when the model's graph would pass the budget.

        A block that is applied in the same way again is not run again, so that this takes far less time
        than to build the graph, whose size may be exponential in that of the spec.
        """
        counting = Blocks(Counter(self.builder.budget), checked=True)
        counting._counted = {}
        problems: Iterable[Problem] = ()
        try:
            counting.run_model(model)
        except SpecError as error:
            problems = error.problems
        except (Poisoned, Stopped):
            problems = counting.problems
        finally:
            counting.release()
        # Other mistakes are found again where they stand, when the graph is built.
        too_large = [problem for problem in problems if problem.kind == "budget"]
        if too_large:
            self.problems += too_large
            raise Stopped

    # -------------------------------------------------------------- applying layers

    def apply(
        self, layer: Any, inputs: tuple[Tensor, ...], label: str | None, span: Span
    ) -> tuple[Tensor, ...]:
        """Apply an op, a block, a shared layer or a list of layers. Raises SpecError when it does not fit."""
        match layer:
            case OpLayer():
                return self.emit(layer, inputs, label, span)
            case BlockLayer():
                return self._apply_block(layer, inputs, label, span, layer.name)
            case SharedLayer():
                if label is not None:
                    raise SpecError.of(
                        "name",
                        f"the shared layer has the name `{layer.name}` already",
                        span,
                        help="apply it without another",
                    )
                with at(span), self.builder.shared_use(layer) as own_label:
                    return self.apply(layer.layer, inputs, own_label, span)
            case list() if is_layer(layer):
                return self._apply_list(layer, inputs, label, span)
            case Labelled():
                return self.apply(layer.layer, inputs, label or layer.label, span)
            case Tensor():
                raise SpecError.of(
                    "type", "a tensor is not a layer", span, help="combine tensors with `+`, `*` or concat"
                )
            case list():
                wrong = next(item for item in layer if not is_layer(item))
                raise SpecError.of("type", f"a list of layers holds {kind(wrong)}", span)
        raise SpecError.of("type", f"{kind(layer)} is not a layer", span)

    def _apply_list(
        self, layers: list[Any], inputs: tuple[Tensor, ...], label: str | None, span: Span
    ) -> tuple[Tensor, ...]:
        self.builder.afford(_steps(layers, {}), span)
        if label is None:
            return self._run_list(layers, inputs, span)
        name = self.builder.claim_name(label, label, span)
        with self.builder.scope(name, "", {}, inputs, span) as outputs:
            outputs.extend(self._run_list(layers, inputs, span))
        return tuple(outputs)

    def _run_list(self, layers: list[Any], inputs: tuple[Tensor, ...], span: Span) -> tuple[Tensor, ...]:
        stream: tuple[Tensor, ...] = inputs
        for i, item in enumerate(layers):
            label, layer, place = str(i), item, span
            if isinstance(item, Labelled):
                label, layer, place = item.label, item.layer, item.span
            before = self.builder.made
            stream = self.apply(layer, stream, None if isinstance(layer, SharedLayer) else label, place)
            if i == 0 and len(layers) > 2 and all(later is item for later in layers):
                more = (self.builder.made - before) * (len(layers) - 1)
                self.builder.afford(more, span)
                if self._counted is not None and _same_types(stream, inputs):
                    self.builder.made += more
                    break
        return stream

    def _apply_block(
        self, layer: BlockLayer, inputs: tuple[Tensor, ...], label: str | None, span: Span, shown: str
    ) -> tuple[Tensor, ...]:
        """Apply a block; `shown` is the name it is known by, which a short form around it may have given."""
        if self._counted is None:
            return self._apply_new_block(layer, inputs, label, span, shown)
        # How many nodes it makes depends on the types of tensors only, be they inputs or in arguments.
        key = (identity(layer, []), tuple(tensor.type for tensor in inputs))
        if key not in self._counted:
            self.builder.spend(COUNTED_BLOCK, span)
            before = self.builder.made
            outputs = self._apply_new_block(layer, inputs, label, span, shown)
            self._counted[key] = outputs, self.builder.made - before
        else:
            outputs, nodes = self._counted[key]
            self.builder.afford(nodes, span)
            self.builder.made += nodes
        return outputs

    def _apply_new_block(
        self, layer: BlockLayer, inputs: tuple[Tensor, ...], label: str | None, span: Span, shown: str
    ) -> tuple[Tensor, ...]:
        if layer.definition.layer is None:
            name = self.builder.claim_name(label, snake(shown), span)
            return self._run_or_repeat(layer, inputs, name, span, shown)
        env = Environment(layer.home)
        with self._inside(f"{label or snake(shown)}: {describe(layer)}", span):
            meant = self._short_form(layer, env, span)
            if isinstance(meant, BlockLayer):
                return self._apply_block(meant, inputs, label, span, shown)
            if not isinstance(meant, list):
                return self.apply(meant, inputs, label, span)
            name = self.builder.claim_name(label, snake(shown), span)
            with self.builder.scope(name, shown, self._arguments(env, span), inputs, span) as outputs:
                outputs.extend(self._run_list(meant, inputs, layer.definition.layer.span))
            return tuple(outputs)

    def _run_or_repeat(
        self, layer: BlockLayer, inputs: tuple[Tensor, ...], name: str, span: Span, shown: str
    ) -> Outputs:
        """Run a block, or copy what it made when it was applied in the same way before."""
        if self.builder.aliased or self._counted is not None:
            return self._run_block(layer, inputs, name, span, shown)
        given = list(inputs)  # what it can see of the graph: its inputs, and the tensors in its arguments
        does = identity(layer, given)
        refs = [tensor.ref for tensor in given]
        same = tuple(refs.index(ref) for ref in refs)  # which of these are one tensor
        types = tuple((tensor.type, tensor.trace) for tensor in inputs)
        key = (shown, does, types, same)
        known = self._applied.get(key)
        depth = len(self._around)
        if known is not None and known.closed and depth + known.height <= DEEPEST:
            self._deepest = max(self._deepest, depth + known.height)
            return known.again(name, given, span)
        first, mistakes = self.builder.size, len(self.problems)
        outer, self._deepest = self._deepest, depth
        outputs = self._run_block(layer, inputs, name, span, shown)
        height, self._deepest = self._deepest - depth, max(outer, self._deepest)
        if len(self.problems) == mistakes:
            last = self.builder.size
            self._applied[key] = Application(self.builder, name, given, outputs, first, last, height)
        return outputs

    def _short_form(self, layer: BlockLayer, env: Environment, span: Span, *, declares: bool = False) -> Any:
        """The layer that a block in the short form, applied at `span`, stands for."""
        definition = layer.definition
        assert definition.layer is not None
        self._require_arguments(layer, span)
        self._bind_parameters(layer, env, declares=declares)
        meant = self.evaluate(definition.layer, env)
        if not is_layer(meant):
            raise SpecError.of(
                "type", f"`{layer.name}` must be a layer, not {kind(meant)}", definition.layer.span
            )
        if layer.passed_on:
            if isinstance(meant, list | SharedLayer):
                raise SpecError.of(
                    "argument",
                    f"{layer.name} has no argument `{next(iter(layer.passed_on))}`",
                    span,
                    help=takes(layer.name, parameter_names(layer)),
                )
            with at(span):
                meant = self.call(meant, [], dict(layer.passed_on), span)
        return meant

    def _run_block(
        self,
        layer: BlockLayer,
        inputs: tuple[Tensor, ...],
        name: str,
        span: Span,
        shown: str,
        *,
        root: bool = False,
    ) -> Outputs:
        env = Environment(layer.home)
        declared = [s for s in layer.definition.body if isinstance(s, t.Input)]
        if not root and len(declared) != len(inputs) and not _inputs_within(layer.definition):
            names = ", ".join(statement.name for statement in declared)
            help_ = f"give it several as a tuple: `({names}) -> {layer.name}`" if len(declared) > 1 else ""
            message = f"{layer.name} takes {tensors(len(declared))}, not {len(inputs)}"
            raise SpecError.of("shape", message, span, help=help_)
        self._require_arguments(layer, span)
        with self._inside(None if root else f"{name}: {describe(layer)}", span):
            self._bind_parameters(layer, env, declares=root)
            arguments = self._arguments(env, span)
            call = Call(layer, env, list(inputs), root)
            with self.builder.scope(name, shown, arguments, inputs, span) as outputs:
                returned = self._run(layer.definition.body, call)
                if returned is None:
                    raise SpecError.of(
                        "syntax",
                        f"{layer.name} returns nothing",
                        layer.definition.span,
                        help="end it with `return`, in every branch that is taken",
                    )
                if root and not call.inputs:
                    raise SpecError.of(
                        "shape",
                        f"the model {layer.name} has no input",
                        layer.definition.span,
                        help="declare what it is given, as in `input x: [3, 224, 224]`",
                    )
                if call.waiting:
                    taken = len(call.inputs)
                    raise SpecError.of(
                        "shape", f"{layer.name} takes {tensors(taken)}, not {len(inputs)}", span
                    )
                outputs.extend(returned)
            if root:
                self.builder.scopes[0] = self.builder.scopes[0].model_copy(
                    update={"inputs": tuple(tensor.ref for tensor in call.inputs)}
                )
        return returned

    def run_model(self, layer: BlockLayer) -> tuple[Outputs, BlockLayer]:
        """Run a model: its inputs become the graph's. Gives its outputs, and the block in its long form."""
        shown, span = layer.name, layer.definition.span
        for _ in range(DEEPEST):
            if layer.definition.layer is None:
                return self._run_block(layer, (), "", span, shown, root=True), layer
            meant = self._short_form(layer, Environment(layer.home), span, declares=True)
            if not isinstance(meant, BlockLayer):
                raise SpecError.of(
                    "shape",
                    f"the model {shown} has no input of known shape",
                    layer.definition.span,
                    help="write it in the long form, with `input x: [3, 224, 224]`",
                )
            layer = meant
        raise SpecError.of(
            "recursion", f"the model {shown} stands for itself, without end", span, help=_NO_RECURSION
        )

    @contextmanager
    def _inside(self, what: str | None, span: Span) -> Iterator[None]:
        """Adds to errors the block in which they come up, and lets no block apply itself without end."""
        if what is None:
            yield
            return
        if len(self._around) >= DEEPEST:
            blocks = [name.partition(": ")[2] for name, _ in self._around]
            again = blocks.count(what.partition(": ")[2]) > 1
            message = (
                f"`{blocks[-1]}` applies itself, without end"
                if again
                else f"blocks are nested more than {DEEPEST} deep"
            )
            raise SpecError.of("recursion", message, span, help=_NO_RECURSION)
        self._around.append((what, span))
        self._deepest = max(self._deepest, len(self._around))
        try:
            yield
        except SpecError as error:
            raise error.inside(what, span) from None
        finally:
            self._around.pop()

    def _arguments(self, env: Environment, span: Span) -> dict[str, Any]:
        """The arguments of a block as JSON holds them."""
        for value in env.names.values():
            self._weighed(value, span)
        return {name: plain(value) for name, value in env.names.items()}

    # -------------------------------------------------------------- parameters

    def _bind_parameters(self, layer: BlockLayer, env: Environment, *, declares: bool) -> None:
        """Give the parameters their values; those of a model that `declares` sizes by them know where they come from."""
        declaring = _declaring(layer.definition) if declares else set()
        for parameter in layer.definition.parameters:
            if parameter.name in layer.arguments:
                value = layer.arguments[parameter.name]
            elif parameter.default is not None:
                value = self.evaluate(parameter.default, env)
                known = self.spent(value, parameter.span) if parameter.domain else value
                try:
                    check_parameter(layer.name, parameter, known, partial(self.evaluate, env=env))
                except Mistake as mistake:
                    raise mistake.at(parameter.default.span) from None
            else:
                continue
            if parameter.name in declaring:
                value = self._declared(value, (layer.definition.name, parameter.name))
            env.names[parameter.name] = value

    def _declared(self, value: Any, origin: tuple[str | int, ...]) -> Any:
        """A value whose whole numbers know that they come from this parameter, or from that of another model."""
        if type(value) is int:
            return self.builder.declared(value, origin)
        if type(value) in (list, tuple):
            return type(value)(self._declared(item, (*origin, i)) for i, item in enumerate(value))
        return value

    def _require_arguments(self, layer: BlockLayer, span: Span) -> None:
        needed = (p.name for p in layer.definition.parameters if p.default is None)
        missing = [f"`{name}`" for name in needed if name not in layer.arguments]
        if missing:
            names = parameter_names(layer)
            message = f"{layer.name} needs {' and '.join(missing)}"
            raise SpecError.of(
                "argument", message, span, help=takes(layer.name, names) if len(names) > 1 else ""
            )

    def check_arguments(self, layer: BlockLayer, given: Mapping[str, Any]) -> None:
        """ArgumentMistake when a value is not of its parameter's type or domain."""
        for parameter in layer.definition.parameters:
            if parameter.name in given:
                env = Environment(layer.home)
                env.names.update(layer.arguments)
                value = given[parameter.name]
                if parameter.domain:
                    value = self.spent(value, parameter.span)
                try:
                    check_parameter(layer.name, parameter, value, partial(self.evaluate, env=env))
                except ArgumentMistake:
                    raise
                except Mistake as mistake:
                    raise mistake.at(parameter.span) from None

    # -------------------------------------------------------------- statements

    def _run(self, body: Iterable[t.Statement], call: Call) -> Outputs | None:
        """Run statements up to a `return`; a mistake is kept and poisons what depends on it."""
        for statement in body:
            try:
                returned = self._statement(statement, call)
            except Poisoned:
                self._poison(statement, call)
            except SpecError as error:
                self._keep(error)
                self._poison(statement, call)
            except RecursionError:
                self._keep(SpecError.of("recursion", "this is nested too deeply", statement.span))
            else:
                if returned is not None:
                    return returned
        return None

    def _keep(self, error: SpecError) -> None:
        """Keep a mistake to report it with the others; Stopped when it is no use to go on."""
        around = tuple(reversed(self._around))
        self.problems += (replace(problem, trail=(*problem.trail, *around)) for problem in error.problems)
        hopeless = any(problem.kind in ("budget", "recursion") for problem in error.problems)
        if hopeless or len(self.problems) > MOST_PROBLEMS:
            raise Stopped

    def _poison(self, statement: t.Statement, call: Call) -> None:
        for name in _bound(statement):
            call.env.names[name] = POISON
        if isinstance(statement, t.Return | t.Input) or not self.problems:
            raise Poisoned

    def _statement(self, statement: t.Statement, call: Call) -> Outputs | None:
        env = call.env
        match statement:
            case t.Assign(target=target, value=value):
                self.bind(target, self.evaluate(value, env), env)
            case t.Return():
                return self._return(statement, env)
            case t.Input():
                self._input(statement, call)
            case t.Own():
                self._own(statement, env)
            case t.Shared():
                self._shared(statement, env)
            case t.Require():
                self._require(statement, env)
            case t.If(branches=branches, other=other):
                for branch in branches:
                    if self.truth(branch.test, env):
                        return self._run(branch.body, call)
                return self._run(other, call)
            case t.For(target=target, iterable=iterable, body=body):
                for value in self.iterate(iterable, env):
                    self.bind(target, value, env)
                    returned = self._run(body, call)
                    if returned is not None:
                        return returned
            case t.Docstring():
                pass
        return None

    def _return(self, statement: t.Return, env: Environment) -> Outputs:
        tensors: list[Tensor] = []
        names: list[str] = []
        for output in statement.outputs:
            value = self.evaluate(output.value, env)
            several = list(value) if isinstance(value, list | tuple) else [value]
            for tensor in several:
                if not isinstance(tensor, Tensor):
                    tensor = tensor if len(several) == 1 else value
                    help_ = "apply it: `x -> layer`" if is_layer(tensor) else ""
                    raise SpecError.of(
                        "type", f"a block returns tensors, not {kind(tensor)}", output.span, help=help_
                    )
            if output.name and len(several) != 1:
                raise SpecError.of(
                    "type", f"`{output.name}` names one tensor, not {len(several)}", output.span
                )
            tensors += several
            given = (
                value.names
                if isinstance(value, Outputs) and output.name is None
                else [output.name or ""] * len(several)
            )
            names += given
        if not tensors:
            raise SpecError.of("type", "a block returns at least one tensor", statement.span)
        if any(names) and (not all(names) or len(set(names)) < len(names)):
            raise SpecError.of("name", "name all outputs, each differently, or none", statement.span)
        return Outputs(tensors, names)

    # -------------------------------------------------------------- inputs

    def _input(self, statement: t.Input, call: Call) -> None:
        wanted = None
        if statement.dtype is not None:
            with at(statement.span):
                wanted = dtype(statement.dtype)
        if call.root:
            tensor = self._root_input(statement, call, wanted or "f32")
        else:
            if not call.waiting:
                came = len(call.inputs)
                raise SpecError.of(
                    "shape",
                    f"{call.layer.name} takes more than {tensors(came)}",
                    statement.span,
                    label=f"nothing is left for `{statement.name}`",
                    help="give it several as a tuple: `(x, y) -> layer`",
                )
            tensor = call.waiting.pop(0)
            if wanted is not None and tensor.type.dtype != wanted:
                raise SpecError.of(
                    "dtype",
                    f"`{statement.name}` of {call.layer.name} is {wanted}, not {tensor.type.dtype}",
                    statement.span,
                )
            if statement.pattern is not None:
                self._match(statement, statement.pattern, tensor.type, call)
        call.inputs.append(tensor)
        call.env.names[statement.name] = tensor

    def _root_input(self, statement: t.Input, call: Call, dtype_: Any) -> Tensor:
        sizes: list[Size] = []
        for part in statement.pattern or ():
            if isinstance(part, t.FreeSize):
                size: Any = call.env.names.setdefault(part.name, Free.named(part.name))
            elif isinstance(part, t.RestSizes) or (
                isinstance(part, t.Name) and not _found(call.env, part.name)
            ):
                raise SpecError.of(
                    "shape",
                    f"the size `{part.name}` of the model's input is not known",
                    part.span,
                    help=f"write a number, a parameter of the model, or `free {part.name}`",
                )
            else:
                size = self.evaluate(part, call.env)
            if (
                isinstance(size, bool)
                or not isinstance(size, int | Free)
                or (isinstance(size, int) and size < 1)
            ):
                raise SpecError.of(
                    "shape", f"a size is a positive whole number, not {describe(size)}", part.span
                )
            with at(part.span):
                require_place(size)
            if isinstance(size, int):
                axis = statement.name, len(sizes)
                origins = size.origins if isinstance(size, Declared) else 0
                size = self.builder.declared(size, axis)
                self._axes[axis] = origins | size.origins
                if not _names_in(part) <= set(call.env.names):
                    # A number of the whole file, which may be used anywhere in it.
                    self.builder.use(size.origins, part.span)
            sizes.append(size)
        if statement.pattern is None:
            raise SpecError.of(
                "shape",
                "a model's input needs its shape",
                statement.span,
                help=f"write `input {statement.name}: [3, 224, 224]`",
            )
        if any(given.name == statement.name for given in self.inputs):
            raise SpecError.of("name", f"two inputs are named `{statement.name}`", statement.span)
        level = self.builder.level
        if statement.name in level.taken or statement.name in level.groups:
            raise SpecError.of("name", f"a step is named `{statement.name}` already", statement.span)
        check_length(statement.name, statement.span)
        with at(statement.span):
            require_possible(tuple(sizes))
        type_ = TensorType(tuple(sizes), dtype_)
        self.inputs.append(
            Input(name=statement.name, type=plain_type(type_), location=statement.span.location)
        )
        level.taken[statement.name] = statement.span
        type_, _, trace = self.builder.traced(type_)
        return Tensor(Ref(statement.name), type_, trace)

    def declared_inputs(self) -> tuple[Input, ...]:
        """The model's inputs, with the sizes that were used as numbers; for a finished graph."""
        uses: dict[str, list[Use]] = {given.name: [] for given in self.inputs}
        for (name, axis), origins in self._axes.items():
            places = [place for origin, place in self.builder.uses.items() if origin & origins]
            if places:
                uses[name].append(Use(axis=axis, location=places[0]))
        return tuple(given.model_copy(update={"uses": tuple(uses[given.name])}) for given in self.inputs)

    def _match(
        self, statement: t.Input, pattern: tuple[t.PatternSize, ...], type_: TensorType, call: Call
    ) -> None:
        """Check a shape against its pattern, and bind the names in it."""
        rest = [i for i, part in enumerate(pattern) if isinstance(part, t.RestSizes)]
        fits = len(type_.shape) == len(pattern) if not rest else len(type_.shape) >= len(pattern) - 1
        if len(rest) > 1 or not fits:
            wanted = ", ".join(part.span.text for part in pattern)
            raise SpecError.of(
                "shape",
                f"`{statement.name}` of {call.layer.name} is [{wanted}], not {show(type_.shape)}",
                statement.span,
                label=f"{len(type_.shape)} ax{'is' if len(type_.shape) == 1 else 'es'} came"
                if len(rest) < 2
                else "only one `*` can stand in a shape",
            )
        sizes: list[Any] = list(type_.shape)
        if rest:
            stop = rest[0] + len(sizes) - len(pattern) + 1
            sizes[rest[0] : stop] = [sizes[rest[0] : stop]]
        for part, size in zip(pattern, sizes, strict=True):
            if isinstance(part, t.FreeSize | t.RestSizes) or (
                isinstance(part, t.Name) and not _found(call.env, part.name)
            ):
                known = call.env.names.get(part.name)
                if known is None:
                    call.env.names[part.name] = size
                    continue
                wanted_size = known
            else:
                wanted_size = self.evaluate(part, call.env)
                if isinstance(wanted_size, bool) or not isinstance(wanted_size, int | Free):
                    raise SpecError.of(
                        "type", f"a size is a whole number, not {kind(wanted_size)}", part.span
                    )
            pairs = zip(wanted_size, size, strict=False) if isinstance(size, list) else [(wanted_size, size)]
            if not all(same_always(*pair) for pair in pairs):
                wanted_size, size = self.spent(wanted_size, part.span), self.spent(size, part.span)
            with at(part.span):
                same = wanted_size == size if isinstance(size, list) else always_equal(wanted_size, size)
            if not same:
                raise SpecError.of(
                    "shape",
                    f"`{statement.name}` of {call.layer.name} does not fit {show(type_.shape)}",
                    part.span,
                    label=f"{describe(wanted_size)} is wanted, {describe(size)} came",
                )

    # -------------------------------------------------------------- weights, shared layers, checks

    def _own(self, statement: t.Own, env: Environment) -> None:
        with at(statement.span):
            dtype_ = dtype(statement.dtype or "f32")
        shape = []
        for part in statement.shape:
            size = self.spent(self.evaluate(part, env), part.span)
            if isinstance(size, Free):
                raise SpecError.of(
                    "free", f"a weight's size must be known, but {size} is free", part.span, help=_KNOWN
                )
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise SpecError.of(
                    "shape", f"a weight's size is a positive whole number, not {describe(size)}", part.span
                )
            shape.append(size)
        value = self.spent(self.evaluate(statement.value, env), statement.value.span)
        trainable = statement.kind == "weight"
        if trainable and not is_real(dtype_):
            raise SpecError.of(
                "dtype",
                f"{dtype_} cannot be trained",
                statement.span,
                help="declare a `buffer` or a `constant`",
            )
        with at(statement.value.span):
            weight = Weight(
                shape=tuple(shape),
                init=_first_values(value, tuple(shape)),
                dtype=dtype_,
                trainable=trainable,
                saved=statement.kind != "constant",
            )
            require_start(weight, f"`{statement.name}`")
        with at(statement.span):
            name = self.builder.claim_name(statement.name, statement.name, statement.span)
            env.names[statement.name] = self.builder.own_weight(name, weight, statement.span)

    def _shared(self, statement: t.Shared, env: Environment) -> None:
        layer = self.evaluate(statement.value, env)
        if not is_layer(layer):
            raise SpecError.of("type", f"only a layer can be shared, not {kind(layer)}", statement.value.span)
        with at(statement.span):
            require_free(statement.name)
        # The name is taken at the first use, in the scope of this declaration.
        env.names[statement.name] = SharedLayer(statement.name, self.builder.level.prefix, layer)
        level = self.builder.level
        if statement.name in level.taken or statement.name in level.groups:
            raise SpecError.of("name", f"a step is named `{statement.name}` already", statement.span)
        level.taken[statement.name] = statement.span

    def _require(self, statement: t.Require, env: Environment) -> None:
        if not self.truth(statement.test, env):
            said = (
                self.text(statement.message, env) if statement.message else "what is required does not hold"
            )
            raise SpecError.of("require", said, statement.test.span)


def _inputs_within(definition: t.Definition) -> bool:
    """Whether a block declares inputs in an `if` or a `for`, so that it may take more or fewer tensors."""
    stack: list[t.Tree] = [s for s in definition.body if isinstance(s, t.If | t.For)]
    while stack:
        node = stack.pop()
        if isinstance(node, t.Input):
            return True
        stack.extend(child for child in node.children() if isinstance(child, t.Statement | t.Branch))
    return False


def _declaring(definition: t.Definition) -> set[str]:
    """The names on which the sizes that a model declares for its inputs may depend."""
    if definition.layer is not None:  # whatever they are, they may be those of the model that it stands for
        return {parameter.name for parameter in definition.parameters}
    bound: dict[str, set[str]] = {}
    names: set[str] = set()
    stack: list[t.Tree] = [definition]
    while stack:
        node = stack.pop()
        match node:
            case t.Assign(target=target, value=value) | t.For(target=target, iterable=value):
                for name in _target_names(target):
                    bound.setdefault(name, set()).update(_names_in(value))
            case t.Input(pattern=pattern):
                for part in pattern or ():
                    names |= _names_in(part)
        stack.extend(node.children())
    waiting = list(names)
    while waiting:
        for name in bound.get(waiting.pop(), ()):
            if name not in names:
                names.add(name)
                waiting.append(name)
    defaults = {p.name: _names_in(p.default) for p in definition.parameters if p.default is not None}
    for parameter in reversed(definition.parameters):
        if parameter.name in names:
            names |= defaults.get(parameter.name, set())
    return names


def _names_in(node: t.Tree) -> set[str]:
    """The names in an expression."""
    found, stack = set(), [node]
    while stack:
        node = stack.pop()
        if isinstance(node, t.Name):
            found.add(node.name)
        stack.extend(node.children())
    return found


_KNOWN = "give the input a number there, or a parameter of the model"
_NO_RECURSION = "blocks cannot recur; repeat with a list: `n * [Block]`"


def _first_values(value: Any, shape: tuple[int, ...]) -> Init:
    """What `= value` means for a weight of that shape. Raises Mistake when it means nothing."""
    if isinstance(value, type) and issubclass(value, Initialiser):
        return by_default(value)
    if isinstance(value, Initialiser):
        return value
    if isinstance(value, int | float):
        return constant(value=value)
    if isinstance(value, list | tuple):
        flat = _flatten(frozen(value), shape)
        return values(listed=flat)
    raise Mistake(
        f"a weight starts as an initialisation, a number or a list, not {kind(value)}",
        kind="type",
        help="`zeros`, `ones`, `normal(0.02)`, `trunc_normal(0.02)`, `kaiming_normal`, `xavier_uniform` ...",
    )


def _flatten(value: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    if not shape:
        if isinstance(value, tuple):
            raise Mistake("the list of values is nested deeper than the shape", kind="shape")
        if not isinstance(value, int | float):
            raise Mistake(f"a weight holds numbers, not {kind(value)}", kind="type")
        return (value,)
    if not isinstance(value, tuple) or len(value) != shape[0]:
        found = f"{len(value)} are" if isinstance(value, tuple) else f"{kind(value)} is"
        raise Mistake(f"the shape wants a list of {shape[0]} where {found} given", kind="shape")
    return tuple(leaf for item in value for leaf in _flatten(item, shape[1:]))


def _same_types(some: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> bool:
    return [tensor.type for tensor in some] == [tensor.type for tensor in others]


def _steps(layers: list[Any], known: dict[int, int]) -> int:
    """How many steps a list of layers has at least, lists in it included."""
    if id(layers) not in known:
        total = 0
        for item in layers:
            layer = item.layer if isinstance(item, Labelled) else item
            total += _steps(layer, known) if isinstance(layer, list) else 1
        known[id(layers)] = total
    return known[id(layers)]


def _bound(statement: t.Statement) -> Iterable[str]:
    """The names that a statement would have bound."""
    match statement:
        case t.Assign(target=target):
            yield from _target_names(target)
        case t.For(target=target, body=body):
            yield from _target_names(target)
            for inner in body:
                yield from _bound(inner)
        case t.If(branches=branches, other=other):
            for body in (*(branch.body for branch in branches), other):
                for inner in body:
                    yield from _bound(inner)
        case t.Own(name=name) | t.Shared(name=name) | t.Input(name=name):
            yield name


def _target_names(target: t.Target) -> Iterable[str]:
    if target.name is not None:
        yield target.name
    for part in target.targets:
        yield from _target_names(part)


def _found(env: Environment, name: str) -> bool:
    try:
        env.find(name)
    except KeyError:
        return False
    return True
