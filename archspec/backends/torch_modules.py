"""The modules that a lowered network is made of: how they are reached by name, copied and pickled."""

from __future__ import annotations

import copy
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from keyword import iskeyword
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.fx import Graph as FxGraph
from torch.fx import GraphModule

from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.source import Location


class Block(nn.Module):
    """A block of the spec. All blocks with the same program are of one generated subclass."""

    _program: ClassVar[FxGraph | None] = None
    """What `forward` runs, as torch.fx holds it; None for a chain, which runs its children in order."""

    _origin: ClassVar[tuple[Recipe, str]]
    """How the class can be made again: the recipe of a network, and the name of a block in it that is of this class."""

    _changed: ClassVar[str] = ""
    """What was done to `forward` since: "recomputing" or "compiled"."""

    _recomputing: ClassVar[type[Block]]
    """The class of such blocks that recompute, where there are any."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Block:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def __copy__(self) -> Block:
        copied = type(self).__new__(type(self))
        copied.__dict__.update(own_dicts(self))
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._changed == "compiled":
            raise _not_pickled(self)
        return _empty_block, (*self._origin, self._changed), self.__getstate__()  # type: ignore[no-untyped-call]


class Chain(Block, nn.Sequential):
    """Layers one after the other: a list of the spec, or a block that is one. It can be indexed, cut and added to."""

    _places: ClassVar[Mapping[str, Location]]
    """Where in the spec each of the layers stands."""

    def forward(self, input: Tensor) -> Any:
        """Run the layers in order."""
        for module in self:
            input = module(input)
        return input


class ChainOfSeveral(Chain):
    """Layers one after the other, of which some hand on several tensors."""

    def forward(self, *inputs: Tensor) -> Any:
        """Run the layers in order."""
        for module in self:
            made = module(*inputs)
            inputs = made if isinstance(made, tuple) else (made,)
        return inputs if len(inputs) > 1 else inputs[0]


class Step(nn.Module):
    """A function that stands where only a module can: as a layer of a list."""

    def __init__(self, function: Callable[..., Any], settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.function = function
        self.settings = dict(settings)

    def forward(self, *inputs: Tensor) -> Any:
        """Call the function."""
        return self.function(*inputs, **self.settings)

    def extra_repr(self) -> str:
        """How it prints."""
        return ", ".join(
            [self.function.__name__, *(f"{key}={value}" for key, value in self.settings.items())]
        )


class Network(GraphModule):
    """A whole network from a spec: a `torch.fx.GraphModule` that holds a `Block` for each of its blocks.

    When a step fails at run time, the error says where in the spec the step stands. `meta["archspec"]`
    is the graph that it was lowered from, and the `meta` of an fx node has its `node` there and
    the `type` of what it gives. It can be pickled whole, as data: the graph, and what the modules hold.
    """

    @classmethod
    def around(cls, root: nn.Module, recipe: Recipe) -> Network:
        """A network that holds all that `root` does, and runs nothing yet."""
        network = cls(nn.Module(), FxGraph(), class_name=recipe.graph.name)
        for held in ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set"):
            network.__dict__[held] = root.__dict__[held]
        network.meta.update(archspec=recipe.graph, recipe=recipe)
        return network

    def _repr_svg_(self) -> str | None:
        """The overview of its graph, for notebooks."""
        graph: Graph = self.meta["archspec"]
        return graph._repr_svg_()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network on a batch of each of its inputs."""
        try:
            return super().__call__(*args, **kwargs)
        except Exception as error:
            if torch.compiler.is_compiling():
                raise
            from archspec.backends.torch_errors import explained

            found = explained(self, error, args, kwargs)
            if found is error:
                raise
            raise found from error

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any] | str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        strict: bool = True,
        assign: bool = False,
        *,
        names: str | None = None,
        nonfinite: bool = False,
    ) -> Any:
        """As of any module, and of what `archspec.load` takes as `weights`: a file, or a mapping that is wrapped, behind a prefix, under the
        names of a map in the spec, or without counts of batches. `names` and `nonfinite` are as in `load`.

        Raises SpecError when a file does not fit, the weights are there twice, or hold numbers that are infinite or none;
        RuntimeError as PyTorch does.
        """
        from archspec.backends.weights.states import own_state

        state = own_state(self, state_dict, names=names, strict=strict, nonfinite=nonfinite)
        return super().load_state_dict(state, strict, assign)

    @property
    def further_keys(self) -> Mapping[str, str]:
        """The key of the weight that each further key of the `state_dict` is of."""
        if "further_keys" not in self.meta:
            from archspec.analyses.further_keys import further_keys

            self.meta["further_keys"] = further_keys(self.meta["archspec"])
        return self.meta["further_keys"]  # type: ignore[no-any-return]

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As of any module; weights with several keys are under each."""
        state = super().state_dict(*args, **kwargs)
        prefix = kwargs.get("prefix", args[1] if len(args) > 1 else "")
        for key, first in self.further_keys.items():
            if prefix + first in state:
                state[prefix + key] = state[prefix + first]
        return state

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, metadata: Any, strict: bool, missing: list[str],
        unexpected: list[str], errors: list[str],
    ) -> None:  # fmt: skip
        for key, first in self.further_keys.items():
            given = state_dict.pop(prefix + key, None)
            if given is None:
                continue
            other = state_dict.setdefault(prefix + first, given)
            if other is not given and not torch.equal(other, given):
                errors.append(f"`{prefix}{key}` and `{prefix}{first}` are one weight here, and differ")
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, missing, unexpected, errors)

    def get_submodule(self, target: str) -> nn.Module:
        """The module of that name, also where a GraphModule has the name for something else, as `graph`."""
        first, _, rest = target.partition(".")
        child = self._modules.get(first)
        return super().get_submodule(target) if child is None else child.get_submodule(rest)

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        return copied._filled(copy.deepcopy(self._state(), memo), copy.deepcopy(self.graph, memo))

    def __copy__(self) -> Network:
        copied = type(self).__new__(type(self))
        return copied._filled({**self._state(), **own_dicts(self)}, copy.deepcopy(self.graph))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """The recipe and what the modules hold. Raises SpecError when it runs another program than that of its graph."""
        recipe: Recipe = self.meta["recipe"]
        if self.code != recipe.code:
            raise _not_pickled(self)
        state = self._state()
        state["meta"] = {key: value for key, value in self.meta.items() if key not in ("archspec", "recipe")}
        return _empty_network, (recipe,), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "meta": {**self.meta, **state["meta"]}})

    def _state(self) -> dict[str, Any]:
        """What it holds besides its program."""
        state: dict[str, Any] = self.__getstate__()  # type: ignore[no-untyped-call]
        return {name: value for name, value in state.items() if name not in _PROGRAM}

    def _filled(self, state: dict[str, Any], graph: FxGraph) -> Network:
        """A copy, given its state and its program; its class is new, as that of any GraphModule."""
        type(self).__name__ = state["meta"]["archspec"].name
        self.__dict__.update({name: value for name, value in state.items() if name not in _PROGRAM})
        self.run(graph)
        self.name_children()
        return self

    def name_children(self) -> None:
        """Give its class an attribute for each child and weight that generated code cannot call by its name."""
        for key in (*self._modules, *self._parameters, *self._buffers):
            attribute(self, key)

    def run(self, program: FxGraph) -> None:
        """Make it run a program: what `self.graph = program` does, also where a child is named `graph`."""
        GraphModule.graph.fset(self, program)  # type: ignore[attr-defined]


class Writer:
    """Has torch.fx write programs as functions, all of them by one GraphModule: each makes a class, and code for it."""

    def __init__(self) -> None:
        self.module = GraphModule(nn.Module(), FxGraph())

    def forward_of(self, program: FxGraph) -> Callable[..., Any]:
        """The function that torch.fx writes for a program."""
        GraphModule.graph.fset(self.module, program)  # type: ignore[attr-defined]
        program.owning_module = None
        return type(self.module).forward


_PROGRAM = {"_graph", "_code", "_lineno_map", "_prologue_start", "_co_fields", "_compiled_call_impl"}


def _not_pickled(module: nn.Module) -> SpecError:
    return SpecError.of(
        codes.CHANGED,
        f"{type(module).__name__} was compiled, optimised or changed in its fx graph, and cannot be pickled",
        help="pickle it as it was loaded, or its state_dict; `archspec build` keeps how a network is to be loaded",
    )


# -------------------------------------------------------------- pickling


class Recipe:
    """What a network was lowered from: its classes, which are generated, are made again from it when it is unpickled."""

    def __init__(self, graph: Graph, settings: Mapping[str, Any]) -> None:
        self.graph = graph
        self.settings = dict(settings)  # of `lower`
        self.code = ""  # that was generated

    def network(self) -> Network:
        """The network once more, with weights of no values."""
        from archspec.backends.torch_fx import lower
        from archspec.backends.torch_weights import empty

        return lower(self.graph, lambda graph: empty(graph, "meta"), **self.settings)

    @cached_property
    def classes(self) -> dict[str, type[nn.Module]]:
        """The class of each module of the network, by its name."""
        return {name: type(module) for name, module in self.network().named_modules()}

    def __deepcopy__(self, memo: dict[int, Any]) -> Recipe:
        return self

    def __reduce__(self) -> Any:
        return _recipe, (self.graph.to_json(), self.settings)


def _recipe(graph: str, settings: dict[str, Any]) -> Recipe:
    return Recipe(Graph.from_json(graph), settings)


def _empty_network(recipe: Recipe) -> Network:
    return recipe.network()


def _empty_block(recipe: Recipe, name: str, changed: str) -> nn.Module:
    from archspec.backends.torch_blocks import recomputing

    cls = cast(type[Block], recipe.classes[name])
    if changed:
        cls = recomputing(cls)
    return cast(nn.Module, Block.__new__(cls))


def own_dicts(module: nn.Module) -> dict[str, Any]:
    """What a module holds, each dict, list and set copied: modules that share one have hooks or children in common."""
    return {
        name: value if type(value) in _PLAIN else _copied(value) for name, value in module.__dict__.items()
    }


_PLAIN = frozenset((bool, int, float, str, tuple, type(None)))
_COPIED = frozenset((dict, OrderedDict, set, list))  # by a method of theirs, in a fifth of the time


def _copied(value: Any) -> Any:
    if type(value) in _COPIED:
        return value.copy()
    return copy.copy(value) if isinstance(value, dict | set | list) else value


# -------------------------------------------------------------- names


class Child(property):
    """Another name for a child or weight whose own cannot be written in Python, or means something else there."""

    def __init__(self, key: str) -> None:
        super().__init__(partial(_held, key))
        self.key = key


def _held(key: str, module: nn.Module) -> Any:
    held = (module._modules, module._parameters, module._buffers)
    return next(part[key] for part in held if key in part)


class Group(nn.Module):
    """A module that only holds others, of which some have a word of Python as their name."""

    def forward(self, input: Any) -> Any:
        """What came in: where the network is flat, it marks the end of a block."""
        return input

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _empty_group, (), self.__getstate__()  # type: ignore[no-untyped-call]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        for key in (*self._modules, *self._parameters, *self._buffers):
            attribute(self, key)


def _empty_group() -> Group:
    return Group.__new__(_group())


def _group() -> type[Group]:
    """A class of its own, since the names of its children are attributes of it."""
    return type("Group", (Group,), {"__module__": __name__})


def attribute(module: nn.Module, key: str) -> str:
    """What generated code calls a child of a module: by its key, or `class_` where `class` cannot be written."""
    name, cls = key, type(module)
    while not (isinstance(found := getattr(cls, name, None), Child) and found.key == key):
        held = (module._modules, module._parameters, module._buffers)
        others = name != key and any(name in part for part in held)
        if not (iskeyword(name) or found is not None or name in module.__dict__ or others):
            if name != key:
                if cls is nn.Module or cls is nn.Identity:
                    module.__class__ = cls = _group()
                setattr(cls, name, Child(key))
            break
        name += "_"
    return name


def target(module: nn.Module, path: str) -> str:
    """The path by which generated code reaches what stands at `path` in a module."""
    names = []
    for key in path.split("."):
        ours = isinstance(module, Block | Network | Group) or type(module) in (nn.Module, nn.Identity)
        names.append(attribute(module, key) if ours else key)
        module = module._modules.get(key) or module
    return ".".join(names)
