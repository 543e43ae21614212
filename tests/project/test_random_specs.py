"""Specs made at random of all ops build, and PyTorch agrees with every type and weight that archspec inferred."""

import re
from random import Random

import pytest
import torch
from random_specs import Spec, sized
from torch import Tensor, fx

import archspec
from archspec import Graph
from archspec.ground.tensor import TensorType, torch_name

BATCH = 2


def tensor_of(type_: TensorType, generator: torch.Generator) -> Tensor:
    """Values of a type: zeros and ones where they may be indices."""
    shape = (BATCH, *type_.shape) if type_.batched else type_.shape
    dtype = getattr(torch, torch_name(type_.dtype))
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    return torch.randint(0, 2, shape, generator=generator).to(dtype)


def require_type(value: Tensor, type_: TensorType, what: str) -> None:
    shape = (BATCH, *type_.shape) if type_.batched else type_.shape
    assert (tuple(value.shape), value.dtype) == (tuple(shape), getattr(torch, torch_name(type_.dtype))), what


class Checked(fx.Interpreter):
    """Runs a network, and holds each value to the type that its step was inferred to have."""

    def __init__(self, module: fx.GraphModule, free: int) -> None:
        super().__init__(module)
        self.free, self.checked = free, 0

    def run_node(self, node: fx.Node) -> object:
        result = super().run_node(node)
        type_ = node.meta.get("type")
        if isinstance(type_, TensorType) and isinstance(result, Tensor):
            one_sample = any(given.name.endswith("_unsqueeze") for given in node.all_input_nodes)
            require_type(
                result[0] if one_sample else result,
                sized(type_, self.free),
                f"{node.name} ({node.meta.get('location')})",
            )
            self.checked += 1
        return result


def hold(graph: Graph) -> int:
    """Hold PyTorch to all that was inferred; how many values were."""
    generator = torch.Generator().manual_seed(0)
    nested, flat = (archspec.load(graph, seed=0, flat=flat).eval() for flat in (False, True))
    state, saved = nested.state_dict(), {name: w for name, w in graph.weights.items() if w.saved}
    assert state.keys() == saved.keys()
    for name, weight in saved.items():
        assert (tuple(state[name].shape), state[name].dtype) == (
            weight.shape,
            getattr(torch, torch_name(weight.dtype)),
        )
    trained = sum(parameter.numel() for parameter in nested.parameters())
    assert trained == sum(weight.size for weight in graph.weights.values() if weight.trainable)
    assert not graph.is_sized or trained == archspec.cost(graph).total.params
    checked = 0
    for free in (1, 6) if not graph.is_sized else (0,):
        inputs = [tensor_of(sized(given.type, free), generator) for given in graph.inputs]
        with torch.no_grad():
            interpreter = Checked(flat, free)
            torch.manual_seed(0)  # for noise
            found = interpreter.run(*inputs)
            torch.manual_seed(0)
            again = nested(*inputs)
        checked += interpreter.checked
        for values in (found, again):
            for value, output in zip(values, graph.outputs, strict=True):
                require_type(value, sized(output.type, free), output.name)
        for one, other in zip(found, again, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4, equal_nan=True)
    return checked


OF_VALUES = re.compile("ZeroDivisionError|out of bounds|out of range|Class values must be")
"""What PyTorch says of values that no type forbids: indices too large, whole numbers divided by 0."""


def hold_spec(seed: int) -> int:
    """The checks of a spec made at random: how many, or none where its values cannot be computed."""
    spec = Spec(Random(seed))
    assert Graph.from_json(spec.graph.to_json()) == spec.graph
    try:
        return hold(spec.graph)
    except Exception as error:
        if OF_VALUES.search(str(error)):
            return 0
        error.add_note(f"seed {seed}\n{spec.text()}")
        raise


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(25))
def test_torch_agrees_with_what_is_inferred_of_any_spec(seed: int) -> None:
    assert hold_spec(seed) > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tens", range(3, 23))
def test_torch_agrees_with_what_is_inferred_of_many_specs(tens: int) -> None:
    checked = [hold_spec(seed) for seed in range(10 * tens, 10 * tens + 10)]
    assert sum(count > 0 for count in checked) > 6
