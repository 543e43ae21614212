"""The graph of functions: what is the same is one function, and costs what one costs."""

import json
import tracemalloc
from random import Random

import pytest
import torch
from nets import shipped
from random_programs import program
from work import calls

import archspec
from archspec import Graph, SpecError
from archspec.graph import Apply, Call, Function
from archspec.graph.rewriting import rewritten
from archspec.ground.names import first_use
from archspec.ops.activation import GELU, ReLU
from archspec.ops.regularisation import Dropout

DEEP = """
block Residual:
    input x: [C, H, W]
    return x + (x -> conv: Conv(C, 3) -> bn: BatchNorm -> ReLU) -> ReLU

model Deep(depth: int):
    input x: [8, 8, 8]
    return x -> blocks: depth * [Residual]
"""

NETS = ["resnet50", "swin_t", "nasnet_a_large", "transformer_base", "cbam_resnet18", "densenet121"]
PROGRAMS = [program(Random(seed), 4, 1).text for seed in range(40)]


@pytest.fixture(params=[*NETS, *range(len(PROGRAMS))])
def graph(request: pytest.FixtureRequest) -> Graph:
    name = request.param
    return shipped(name) if isinstance(name, str) else archspec.read_text(PROGRAMS[name])


# ------------------------------------------------------------------ what exists


def tower(levels: int) -> str:
    """Blocks of which each applies the one before ten times: 10 ** (levels + 1) linear layers."""
    blocks = ["block B0:\n    input x: [C]\n    return x -> 10 * [Linear(C)]\n"]
    blocks += [
        f"block B{i}:\n    input x: [C]\n    return x -> 10 * [B{i - 1}]\n" for i in range(1, levels + 1)
    ]
    return "\n".join([*blocks, f"model Net:\n    input x: [8]\n    return x -> B{levels}\n"])


def test_a_network_of_ten_trillion_layers_is_its_thirteen_functions() -> None:
    graph = archspec.read_text(tower(12))
    assert len(graph.functions) == 14
    assert graph.sizes[-1] == 10**13
    assert graph.parameters == 72 * 10**13
    assert len(graph.to_json()) < 10_000
    assert Graph.from_json(graph.to_json()) == graph
    assert isinstance(graph.find("b12.3.7")[1], Call)


def test_its_nodes_are_not_listed() -> None:
    graph = archspec.read_text(tower(12))
    for flat in ("nodes", "scopes", "weights", "outputs", "types"):
        with pytest.raises(SpecError, match="has 10,000,000,000,000 nodes"):
            getattr(graph, flat)


def test_the_budget_counts_what_exists() -> None:
    assert archspec.read_text(tower(12), budget=20).sizes[-1] == 10**13
    with pytest.raises(SpecError, match="more than 9 nodes"):
        archspec.read_text(tower(12), budget=9)


def test_reading_takes_hardly_longer_for_more_of_the_same() -> None:
    archspec.read_text(DEEP, depth=3)
    few, many = (
        calls(lambda depth=depth: archspec.read_text(DEEP, depth=depth), 10**6) for depth in (800, 8_000)
    )
    assert many < 1.1 * few


def test_a_deep_net_is_small() -> None:
    archspec.read_text(DEEP, depth=3)
    tracemalloc.start()
    graph = archspec.read_text(DEEP, depth=20_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert graph.sizes[-1] == 100_000
    assert peak < 3_000_000  # each node was more than a kilobyte once
    assert len(graph.to_json()) < 5_000


# ------------------------------------------------------------------ the flat view


def test_the_flat_view_has_as_many_nodes_and_weights_as_the_functions_say(graph: Graph) -> None:
    assert len(graph.nodes) == graph.sizes[-1]
    assert graph.parameters == sum(weight.size for weight in graph.weights.values() if weight.trainable)
    assert graph.owned(lambda weight: 1)[-1] == len(graph.weights)


def test_scopes_of_one_function_hold_the_same_but_for_names(graph: Graph) -> None:
    seen: dict[int, list[tuple[object, ...]]] = {}
    for index, scope in enumerate(graph.scopes):
        inside = (
            [
                (node.op if not node.op.arguments.get("target") else type(node.op), node.types, node.location)
                for node in graph.inside(index)
            ]
            if graph.members[index]
            else []
        )
        assert seen.setdefault(scope.function, inside) == inside


def test_functions_of_one_kind_differ_in_places_and_arguments_alone(graph: Graph) -> None:
    def meaning(index: int) -> object:
        function = graph.functions[index]
        steps = [
            (step.name, step.op, step.inputs, step.options, step.types, step.layer)
            if isinstance(step, Apply)
            else (step.name, graph.kinds[step.function], step.inputs, step.layers, step.types, step.times)
            for step in function.steps
        ]
        return function.block, function.inputs, function.layers, steps, function.outputs

    for index, kind in enumerate(graph.kinds):
        assert meaning(index) == meaning(kind)
    assert len({str(meaning(index)) for index in range(len(graph.functions))}) == len(set(graph.kinds))


def test_every_node_is_found_by_its_name(graph: Graph) -> None:
    for node in graph.nodes:
        function, step = graph.find(node.name)
        assert isinstance(step, Apply)
        assert type(step.op) is type(node.op)
        if first_use(node.name) == node.name:
            assert step.types == node.types
        assert step in function.steps


def test_a_name_that_is_none_is_told() -> None:
    graph = shipped("resnet50")
    with pytest.raises(SpecError, match="did you mean `conv2`"):
        graph.find("layer1.0.konv2")
    with pytest.raises(SpecError, match="contains no steps"):
        graph.find("layer1.0.conv2.weight")


def test_the_flat_view_folds_to_the_same_network(graph: Graph) -> None:
    folded = graph.with_nodes(graph.nodes)
    assert (folded.nodes, folded.scopes, folded.weights) == (graph.nodes, graph.scopes, graph.weights)
    assert folded.parameters == graph.parameters
    assert Graph.from_json(folded.to_json()) == folded


# ------------------------------------------------------------------ passes


def with_gelu(function: Function, step: Apply) -> list[Apply] | None:
    return [step.with_changes(op=GELU())] if isinstance(step.op, ReLU) else None


def without_dropout(function: Function, step: Apply) -> list[Apply] | None:
    return [] if isinstance(step.op, Dropout) else None


def dropping(function: Function, step: Apply) -> list[Apply] | None:
    """A dropout behind each activation."""
    if not isinstance(step.op, ReLU):
        return None
    after = Apply(
        name=f"{step.name}_drop",
        op=Dropout(p=0.5),
        inputs=(f"{step.name}",),
        types=(),
        location=step.location,
    )
    return [step, after]


def ops(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes]


def test_an_op_is_replaced_everywhere() -> None:
    graph = shipped("resnet50")
    changed = rewritten(graph, with_gelu)
    assert ops(changed) == [{"ReLU": "GELU"}.get(op, op) for op in ops(graph)]
    assert [node.name for node in changed.nodes] == [node.name for node in graph.nodes]
    assert changed.parameters == graph.parameters
    assert len(changed.functions) == len(graph.functions)


def test_a_step_is_inserted_and_cut_again() -> None:
    graph = archspec.read_text(DEEP, depth=4)
    noisy = rewritten(graph, dropping)
    assert ops(noisy) == [name for op in ops(graph) for name in ([op, "Dropout"] if op == "ReLU" else [op])]
    assert rewritten(noisy, without_dropout).functions == graph.functions


def test_a_pass_over_functions_does_not_count_calls() -> None:
    asked = 0

    def counting(function: Function, step: Apply) -> None:
        nonlocal asked
        asked += 1

    graph = archspec.read_text(tower(12))
    assert rewritten(graph, counting).sizes == graph.sizes
    assert asked == 10


def test_what_changes_types_changes_all_that_follow() -> None:
    text = """
block Unit:
    input x: [C, H, W]
    return x -> conv: Conv(C, 3) -> ReLU

model Net:
    input x: [4, 16, 16]
    return x -> a: 3 * [Unit] -> MaxPool(2) -> b: 2 * [Unit] -> GlobalAvgPool -> head: Linear(10)
"""
    graph = archspec.read_text(text)

    def strided(function: Function, step: Apply) -> list[Apply] | None:
        return (
            [step.with_changes(op=step.op.model_copy(update={"stride": 2}))] if step.name == "conv" else None
        )

    changed = rewritten(graph, strided)
    wanted = archspec.read_text(text.replace("Conv(C, 3)", "Conv(C, 3, stride=2)"))
    assert [(n.name, n.op, n.types) for n in changed.nodes] == [(n.name, n.op, n.types) for n in wanted.nodes]
    x = torch.randn(2, 4, 16, 16)
    torch.testing.assert_close(archspec.load(changed, seed=1)(x), archspec.load(wanted, seed=1)(x))


def test_what_does_not_fit_is_told_with_its_place() -> None:
    graph = shipped("resnet50")

    def wide(function: Function, step: Apply) -> list[Apply] | None:
        return [step.with_changes(op=step.op.model_copy(update={"out": 7}))] if step.name == "conv3" else None

    with pytest.raises(SpecError, match=r"(?s)add.*families/resnet.arch"):
        rewritten(graph, wide)


def test_the_page_of_the_graph_shows_what_json_holds() -> None:
    tree = json.loads(archspec.read_text(DEEP, depth=5).to_json())
    assert [(f["block"], [s["name"] for s in f["steps"]]) for f in tree["functions"]] == [
        ("Residual", ["conv", "bn", "relu", "add", "relu_1"]),
        ("", ["0"]),
        ("Deep", ["blocks"]),
    ]
    assert tree["functions"][1]["steps"][0]["times"] == 5


def test_a_use_that_is_not_there_is_not_found() -> None:
    graph = archspec.read_text(
        "model Net:\n    input x: [4]\n    shared fc = Linear(4)\n    return x -> fc -> fc -> head: Linear(2)\n"
    )
    assert graph.find("fc@2")[1].layer == 0
    for wrong in ("fc@3", "fc@0", "fc@02", "head@2", "head.", ".head", "fc@2.weight"):
        with pytest.raises(SpecError, match=r"has no step|contains no steps"):
            graph.find(wrong)


def test_steps_that_take_several_values_are_not_cut() -> None:
    with pytest.raises(SpecError, match="cannot be cut: it takes 2 values"):
        rewritten(shipped("resnet50"), lambda function, step: [] if step.name == "add" else None)


@pytest.mark.parametrize("wrong", [True, "ReLU", GELU(), [GELU()]])
def test_what_is_no_list_of_steps_is_refused(wrong: object) -> None:
    with pytest.raises(SpecError, match="None or a list of steps"):
        rewritten(shipped("resnet50"), lambda function, step: wrong)  # type: ignore[arg-type, return-value]


def test_a_class_is_no_op_of_a_step() -> None:
    with pytest.raises(SpecError, match="not an op with its arguments"):
        rewritten(shipped("resnet50"), lambda function, step: [step.with_changes(op=GELU)])
    with pytest.raises(TypeError, match="Apply has no field `opp`"):
        rewritten(shipped("resnet50"), lambda function, step: [step.with_changes(opp=GELU())])


def test_what_does_not_change_keeps_its_claims() -> None:
    graph = shipped("resnet50")
    assert rewritten(graph, lambda function, step: None) is graph


def test_nodes_in_another_order_are_told() -> None:
    graph = shipped("resnet50")
    with pytest.raises(SpecError, match="used before it is defined"):
        graph.with_nodes(graph.nodes[::-1])


def test_a_weight_that_a_shared_tower_lacks_is_told_soon() -> None:
    blocks = ["block B0:\n    input x: [C]\n    return x -> Linear(C)\n"]
    blocks += [
        f"block B{i}:\n    input x: [C]\n    return x -> B{i - 1} -> B{i - 1} -> B{i - 1}\n"
        for i in range(1, 30)
    ]
    model = "model Net:\n    input x: [8]\n    shared tower = B29\n    return (x -> tower) * tower.weight\n"

    def read() -> None:
        with pytest.raises(SpecError, match="the shared layer `tower` has no weight `weight`"):
            archspec.read_text("\n".join([*blocks, model]))

    calls(read, 10**6)  # of 3 ** 29 layers, no list is made
