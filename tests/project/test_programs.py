"""Programs made at random compute what they mean, however they are read, kept and lowered."""

import copy
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from programs import BINARY, MEANINGS, Program
from random_programs import COMBINED, programs
from torch import Tensor

import archspec
from archspec.api.artifact import save_artifact
from archspec.elaboration.reuse import Reuse
from archspec.graph import Graph, Node
from archspec.ops.weights import Own, Tied

BATCH = 3
SIGNS = {"Add": "+", "Sub": "-", "Mul": "*", "MatMul": "@"}
FUNCTIONS = {"Add": "sum", "Mul": "prod", "Maximum": "max", "Minimum": "min"}


def interpreted(graph: Graph, inputs: Sequence[Tensor], weights: Mapping[str, Tensor]) -> list[Tensor]:
    """What a graph computes, node by node."""
    values: dict[Any, Tensor] = {(given.name, 0): x for given, x in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        result = _result(node, values, weights)
        for index, value in enumerate(result if isinstance(result, tuple) else (result,)):
            values[node.name, index] = value
    return [values[output.value] for output in graph.outputs]


def _result(node: Node, values: Mapping[Any, Tensor], weights: Mapping[str, Tensor]) -> Any:
    taken = [values[ref] for ref in node.inputs]
    options = {name: values[ref] for name, ref in node.options.items()}
    owner, op = node.shares or node.name, node.op
    if isinstance(op, Tied):
        return weights[op.target]
    if isinstance(op, Own):
        return weights[owner]
    match type(op).__name__:
        case "Add" | "Sub" | "Mul" | "MatMul" as name if len(taken) == 2:
            return BINARY[SIGNS[name]](*taken)
        case "Add" | "Mul" | "Maximum" | "Minimum" as name:
            return reduce(COMBINED[FUNCTIONS[name]], taken)
        case "Scale":
            return taken[0] * op.arguments["factor"] + op.arguments["offset"]
        case "Concat":
            return torch.cat(taken, 1)
        case "Index":
            return taken[0][:, 2:6]
    return MEANINGS[str(op)](lambda key: weights[f"{owner}.{key}"], *taken, **options)


def read(program: Program) -> Graph:
    """The graph of a program, which is the same whether each application of a block is run, or its function found again."""
    graph = archspec.read_text(program.text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reuse, "known", lambda self, key: None)
        assert graph == archspec.read_text(program.text), (
            "a function that is found again differs from what is run"
        )
    assert graph == Graph.from_json(graph.to_json()), "JSON reads back as another graph"
    assert graph.nodes == graph.with_nodes(graph.nodes).nodes, "the flat view folds to other functions"
    return graph


def drawn(graph: Graph) -> dict[str, Tensor]:
    """Values for all weights that are saved, those of norms far from their first ones."""
    generator = torch.Generator().manual_seed(len(graph.nodes))
    weights = {}
    for name, weight in graph.weights.items():
        if weight.dtype == "i64":
            weights[name] = torch.tensor(3)
        elif weight.saved:
            values = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weights[name] = values.abs() + 0.5 if name.endswith("running_var") else values
    return weights


def outputs(module: torch.nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    result = module(*inputs)
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, tuple) else [result]


def require_close(found: Sequence[Tensor], wanted: Sequence[Tensor], what: str) -> None:
    """The same values, to within rounding: of the largest of them, which smaller ones may be differences of."""
    assert len(found) == len(wanted), what
    largest = max((float(value.detach().abs().max().nan_to_num(0, 0, 0)) for value in wanted), default=0.0)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(
            one.detach(),
            other.detach(),
            rtol=1e-6,
            atol=1e-9 * max(1.0, largest),
            equal_nan=True,
            msg=lambda m: f"{what}: {m}",
        )


def gradients(values: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of a sum of all values, each in a share of its own; zeros where nothing depends on a weight."""
    shares = torch.arange(16.0, dtype=torch.float64).view(4, 4)
    total = sum((value * shares * (i + 1)).sum() for i, value in enumerate(values))
    if not isinstance(total, Tensor) or not total.requires_grad:
        return [torch.zeros_like(weight) for weight in weights]
    return list(torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True))


def hold(program: Program, folder: Path) -> None:
    """Hold all ways to read, keep and lower a program to what it means."""
    graph = read(program)
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(BATCH, 4, 4, generator=generator, dtype=torch.float64) for _ in graph.inputs]
    nested, flat = (archspec.load(graph, seed=0, dtype="f64", flat=flat).eval() for flat in (False, True))
    weights = drawn(graph)
    for module in (nested, flat):
        module.load_state_dict(weights)
    constants = {
        name.removesuffix(".value"): value for name, value in flat.named_buffers() if name not in weights
    }
    everything = {**weights, **constants}
    trained = {name: w.requires_grad_() for name, w in weights.items() if graph.weights[name].trainable}

    wanted, used = program.run(inputs, everything)
    assert used == set(graph.weights)
    require_close(interpreted(graph, inputs, everything), wanted, "the graph")
    require_close(outputs(nested, inputs), wanted, "nested")
    require_close(outputs(flat, inputs), wanted, "flat")

    expected = gradients(wanted, list(trained.values()))
    for module, what in ((nested, "nested"), (flat, "flat")):
        parameters = [module.get_parameter(name) for name in trained]
        require_close(gradients(outputs(module, inputs), parameters), expected, f"gradients of {what}")

    again = Graph.from_json(graph.to_json())
    assert again == graph
    with torch.no_grad():
        path = folder / "program.archmod"
        save_artifact(nested, path, dtype="f64")
        read_again = archspec.load(again, dtype="f64").eval()
        read_again.load_state_dict(weights)
        require_close(outputs(read_again, inputs), wanted, "from JSON")
        require_close(outputs(copy.deepcopy(nested), inputs), wanted, "a copy")
        require_close(outputs(archspec.load(path).eval(), inputs), wanted, "from an artefact")
        require_close(outputs(archspec.load(path, optimize="inference"), inputs), wanted, "optimised")


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
    ],
)
@given(program=programs)
def test_programs_compute_what_they_mean(program: Program, tmp_path: Path) -> None:
    hold(program, tmp_path)
