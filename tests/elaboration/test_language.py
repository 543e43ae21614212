"""The language, construct by construct: what a spec means, worked out by hand."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest
from nets import each_kind_of_network, shipped

import archspec
from archspec.elaboration.reuse import Reuse
from archspec.graph import Graph, Node
from archspec.ground.source import Source
from archspec.syntax import tree
from archspec.syntax.parsing import parse_file

IMAGE = "input x: [3, 32, 32]"


def net(*lines: str, before: str = "", given: str = IMAGE) -> Graph:
    """The graph of a model with these lines; its input is an image unless another is given."""
    body = "".join(f"    {line}\n" for line in (*given.split("; "), *lines))
    return archspec.read_text(f"{before}\nmodel Net:\n{body}")


def value(expression: str) -> object:
    """The value of an expression, through an attribute of the graph that keeps it: a block's argument."""
    graph = net(
        f"return x -> Keep({expression})",
        before="block Keep(kept):\n    input x: [*S]\n    return x -> ReLU\n",
    )
    return graph.scopes[-1].arguments["kept"]


def node(graph: Graph, name: str) -> Node:
    return next(node for node in graph.nodes if node.name == name)


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def ops(graph: Graph) -> list[str]:
    return [str(node.op) for node in graph.nodes]


def shape(graph: Graph, output: int = 0) -> tuple[object, ...]:
    return graph.outputs[output].type.shape


def weights(graph: Graph) -> dict[str, tuple[int, ...]]:
    return {name: weight.shape for name, weight in graph.weights.items()}


# ------------------------------------------------------------------ steps and their names


def test_a_step_applies_a_layer() -> None:
    graph = net("return x -> Conv(8, 3)")
    assert (shape(graph), graph.parameters) == ((8, 32, 32), 8 * 3 * 9 + 8)
    assert [str(value) for value in graph.nodes[0].inputs] == ["x"]


def test_steps_go_from_left_to_right() -> None:
    graph = net("return x -> Conv(8, 3) -> ReLU -> MaxPool(2)")
    assert ops(graph) == ["Conv(8, kernel=3)", "ReLU", "MaxPool(2)"]
    assert [[str(value) for value in n.inputs] for n in graph.nodes] == [["x"], ["conv"], ["relu"]]
    assert shape(graph) == (8, 16, 16)


def test_a_named_step_has_its_name() -> None:
    graph = net("return x -> stem: Conv(8) -> act: ReLU")
    assert names(graph) == ["stem", "act"]
    assert weights(graph) == {"stem.weight": (8, 3, 1, 1), "stem.bias": (8,)}


def test_steps_without_a_name_are_named_by_their_op_and_counted() -> None:
    graph = net("return x -> ReLU -> ReLU6 -> ReLU -> GlobalAvgPool -> ReLU")
    assert names(graph) == ["relu", "relu6", "relu_1", "global_avg_pool", "relu_2"]


def test_a_name_that_is_taken_is_passed_over() -> None:
    assert names(net("return x -> relu_1: ReLU -> ReLU -> ReLU")) == ["relu_1", "relu", "relu_2"]


def test_a_computed_name_is_a_string_with_holes() -> None:
    graph = net("i = 2", 'return x -> "conv{i + 1}": Conv(8) -> "a{i}_{2 * i}": ReLU')
    assert names(graph) == ["conv3", "a2_4"]


def test_a_whole_number_may_name_a_step() -> None:
    assert names(net("return x -> 0: ReLU -> 1: ReLU")) == ["0", "1"]


def test_a_name_with_dots_stands_below_groups() -> None:
    graph = net("for i in range(2):", '    x = x -> "branches.{i}.conv": Conv(3)', "return x")
    assert names(graph) == ["branches.0.conv", "branches.1.conv"]


def test_names_count_anew_in_each_block() -> None:
    graph = net(
        "return x -> a: Twice -> b: Twice",
        before="block Twice:\n    input x: [*S]\n    return x -> ReLU -> ReLU\n",
    )
    assert names(graph) == ["a.relu", "a.relu_1", "b.relu", "b.relu_1"]


# ------------------------------------------------------------------ lists, groups, repetition


def test_a_named_list_is_a_group_whose_steps_are_numbered() -> None:
    graph = net("return x -> stem: [Conv(8), BatchNorm, ReLU]")
    assert names(graph) == ["stem.0", "stem.1", "stem.2"]


def test_a_list_without_a_name_joins_the_steps_around_it() -> None:
    graph = net("return x -> [conv: Conv(8), norm: BatchNorm] -> ReLU")
    assert names(graph) == ["conv", "norm", "relu"]


def test_items_of_a_list_may_have_names() -> None:
    assert names(net("return x -> stem: [conv: Conv(8), BatchNorm, act: ReLU]")) == [
        "stem.conv",
        "stem.1",
        "stem.act",
    ]


def test_lists_within_lists_are_groups_within_groups() -> None:
    graph = net("return x -> body: [[ReLU, GELU], tail: [ReLU]]")
    assert names(graph) == ["body.0.0", "body.0.1", "body.tail.0"]
    assert [(s.name, s.parent, s.block) for s in graph.scopes] == [
        ("", None, "Net"),
        ("body", 0, ""),
        ("body.0", 1, ""),
        ("body.tail", 1, ""),
    ]


def test_repetition_makes_new_weights_each_time() -> None:
    graph = net("return x -> body: 3 * [Conv(3, bias=false)]")
    assert weights(graph) == {f"body.{i}.weight": (3, 3, 1, 1) for i in range(3)}
    assert names(net("return x -> body: [ReLU] * 2")) == ["body.0", "body.1"]


def test_repetition_by_nothing_leaves_nothing() -> None:
    graph = net("return x -> body: 0 * [ReLU] -> ReLU")
    assert names(graph) == ["relu"]
    assert str(graph.nodes[0].inputs[0]) == "x"


def test_lists_are_joined() -> None:
    assert ops(net("return x -> body: [ReLU] + 2 * [GELU] + [Tanh]")) == ["ReLU", "GELU", "GELU", "Tanh"]


def test_several_tensors_flow_through_a_list() -> None:
    before = "block Swap:\n    input a: [*S]\n    input b: [*T]\n    return b, a\n"
    graph = net("y = x -> MaxPool(2)", "return (x, y) -> swaps: 3 * [Swap]", before=before)
    assert [output.type.shape for output in graph.outputs] == [(3, 16, 16), (3, 32, 32)]


# ------------------------------------------------------------------ comprehensions


def test_a_comprehension_makes_a_list() -> None:
    assert value("[2 * n for n in range(4)]") == [0, 2, 4, 6]


def test_a_comprehension_unpacks_tuples() -> None:
    assert value("[a * b for (a, b), in [((2, 3),), ((4, 5),)]]") == [6, 20]


def test_a_comprehension_nests_from_left_to_right() -> None:
    assert value("[(a, b) for a in range(3) for b in range(a)]") == [[1, 0], [2, 0], [2, 1]]


def test_a_comprehension_has_conditions() -> None:
    assert value("[a + b for a in range(4) if a % 2 == 1 for b in range(4) if b > 1 if b < a]") == [5]


def test_a_comprehension_stands_alone_in_a_call() -> None:
    assert value("sum(n * n for n in range(4))") == 14


def test_items_of_a_comprehension_may_have_computed_names() -> None:
    graph = net('return x -> dense: ["layer{i + 1}": Conv(4 * i) for i in range(1, 3)]')
    assert names(graph) == ["dense.layer2", "dense.layer3"]
    assert weights(graph)["dense.layer3.weight"] == (8, 4, 1, 1)


def test_the_names_of_a_comprehension_stay_inside_it() -> None:
    assert value("[n for n in range(2)] + [n for n in range(3, 5)]") == [0, 1, 3, 4]
    graph = net("n = 7", "m = [n for n in range(3)]", "return x -> Conv(n)")
    assert shape(graph) == (7, 32, 32)


# ------------------------------------------------------------------ blocks

RESIDUAL = """
block Residual(kernel: int = 3, act: layer = ReLU):
    "Two convolutions and a shortcut."
    input x: [C, H, W]
    return x + (x -> conv: Conv(C, kernel) -> act)
"""


def test_a_block_makes_a_scope_that_knows_its_arguments() -> None:
    graph = net("return x -> unit: Residual(5, act=GELU)", before=RESIDUAL)
    assert names(graph) == ["unit.conv", "unit.gelu", "unit.add"]
    scope = graph.scopes[1]
    assert (scope.name, scope.block, scope.parent) == ("unit", "Residual", 0)
    assert scope.arguments == {"kernel": 5, "act": "GELU"}
    assert ([str(i) for i in scope.inputs], [str(o) for o in scope.outputs]) == (["x"], ["unit.add"])
    assert [n.scope for n in graph.nodes] == [1, 1, 1]


def test_a_block_without_a_name_is_named_in_snake_case() -> None:
    before = "block SqueezeExcite:\n    input x: [*S]\n    return x -> ReLU\n"
    assert names(net("return x -> SqueezeExcite -> SqueezeExcite", before=before)) == [
        "squeeze_excite.relu",
        "squeeze_excite_1.relu",
    ]


def test_the_first_scope_is_the_model() -> None:
    graph = archspec.read_text(
        "model Net(width: int = 8):\n    input x: [3]\n    return x -> Linear(width)\n", width=5
    )
    assert (graph.scopes[0].name, graph.scopes[0].block, graph.scopes[0].parent) == ("", "Net", None)
    assert graph.scopes[0].arguments == {"width": 5}
    assert (graph.name, graph.settings) == ("Net", {"width": 5})


def test_a_short_form_of_a_chain_is_a_group_with_the_name_of_the_block() -> None:
    before = "block Stem(width: int) = [conv: Conv(width), ReLU]\n"
    graph = net("return x -> Stem(8) -> tail: Stem(4)", before=before)
    assert names(graph) == ["stem.conv", "stem.1", "tail.conv", "tail.1"]
    assert [(s.block, s.arguments) for s in graph.scopes[1:]] == [
        ("Stem", {"width": 8}),
        ("Stem", {"width": 4}),
    ]


def test_a_short_form_of_an_op_adds_no_level_of_names() -> None:
    graph = net("return x -> conv: Depthwise(3)", before="block Depthwise(n: int) = Conv(n, 3, groups=n)\n")
    assert names(graph) == ["conv"]
    assert weights(graph) == {"conv.weight": (3, 1, 3, 3), "conv.bias": (3,)}


def test_a_short_form_passes_arguments_on() -> None:
    before = RESIDUAL + "block Wide = Residual(kernel=7)\n"
    graph = net("return x -> Wide(act=GELU)", before=before)
    assert weights(graph)["wide.conv.weight"] == (3, 3, 7, 7)
    assert graph.scopes[1].block == "Wide"
    assert "wide.gelu" in names(graph)


def test_a_model_may_stand_for_another() -> None:
    text = "model Net(width: int = 8):\n    input x: [3]\n    return x -> fc: Linear(width)\n\nmodel Wide = Net(width=16)\n"
    assert shape(archspec.read_text(text)) == (16,)
    assert shape(archspec.read_text(text, width=4)) == (4,)
    assert shape(archspec.read_text(text, model="Net")) == (8,)


def test_a_model_may_be_used_as_a_block() -> None:
    before = "model Inner(size: int = 32):\n    input x: [3, size, size]\n    return x -> conv: Conv(8)\n"
    assert names(net("return x -> backbone: Inner -> ReLU", before=before)) == ["backbone.conv", "relu"]


def test_blocks_may_be_used_above_their_definition() -> None:
    text = "model Net:\n    input x: [3]\n    return x -> Later\n\nblock Later = Linear(8)\n"
    assert shape(archspec.read_text(text)) == (8,)


def test_the_last_model_of_a_file_is_meant() -> None:
    text = "".join(f"model Net{i}:\n    input x: [3]\n    return x -> Linear({i})\n\n" for i in (1, 2))
    assert archspec.read_text(text).name == "Net2"


def test_the_documentation_of_a_model_is_its_docstring_or_that_of_the_file() -> None:
    inner = (
        'model Net:\n    """\n    First line.\n\n        indented\n    """\n    input x: [3]\n    return x\n'
    )
    assert archspec.read_text(inner).doc == "First line.\n\n    indented"
    assert (
        archspec.read_text('"Of the file."\nmodel Net:\n    input x: [3]\n    return x\n').doc
        == "Of the file."
    )


# ------------------------------------------------------------------ parameters


def test_arguments_go_by_position_and_by_name() -> None:
    before = "block Unit(out: int, kernel: int, bias: bool = true) = Conv(out, kernel, bias=bias)\n"
    for call in ("Unit(8, 3)", "Unit(8, kernel=3)", "Unit(kernel=3, out=8)", "Unit(8, 3, true)"):
        assert weights(net(f"return x -> u: {call}", before=before)) == {
            "u.weight": (8, 3, 3, 3),
            "u.bias": (8,),
        }


def test_a_default_may_use_the_parameters_before_it() -> None:
    before = "block Unit(out: int, hidden: int = out // 2) = [Conv(hidden), Conv(out)]\n"
    assert weights(net("return x -> Unit(8)", before=before))["unit.0.weight"] == (4, 3, 1, 1)


@pytest.mark.parametrize(
    ("type_", "given", "kept"),
    [
        ("int", "3", 3),
        ("float", "3", 3),
        ("float", "0.5", 0.5),
        ("bool", "true", True),
        ("str", '"same"', "same"),
        ("layer", "Conv(8)", "Conv(8)"),
        ("layer", "[Conv(8), ReLU]", ["Conv(8)", "ReLU"]),
        ("list", '[1, "a"]', [1, "a"]),
        ("list[int]", "(1, 2)", [1, 2]),
        ("list[list[float]]", "[[1, 0.5]]", [[1, 0.5]]),
    ],
)
def test_a_parameter_takes_values_of_its_type(type_: str, given: str, kept: object) -> None:
    before = f"block Keep(kept: {type_}):\n    input x: [*S]\n    return x\n"
    assert net(f"return x -> Keep({given})", before=before).scopes[1].arguments["kept"] == kept


@pytest.mark.parametrize("width", [1, 8, 64])
def test_a_range_holds_both_its_ends(width: int) -> None:
    text = "model Net(width: int in 1..64 = 8):\n    input x: [3]\n    return x -> Linear(width)\n"
    assert shape(archspec.read_text(text, width=width)) == (width,)


def test_a_domain_lists_the_values_that_a_parameter_takes() -> None:
    text = 'model Net(kernel: int in {1, 3} = 1, mode: str in {"a", "b"} = "a"):\n    input x: [3, 8]\n    return x -> Conv(2, kernel)\n'
    assert archspec.read_text(text, kernel=3, mode="b").parameters == 2 * 3 * 3 + 2


def test_a_parameter_with_none_as_its_default_takes_none() -> None:
    before = (
        "block Unit(act: layer = none):\n    input x: [*S]\n    return x if act == none else (x -> act)\n"
    )
    assert ops(net("return x -> Unit -> Unit(none) -> Unit(act=ReLU)", before=before)) == ["ReLU"]


def test_a_tensor_may_be_an_argument() -> None:
    before = "block Shift(by):\n    input x: [*S]\n    return x + by\n"
    graph = net("y = x -> Conv(3)", "return x -> Shift(by=y)", before=before)
    assert [str(i) for i in node(graph, "shift.add").inputs] == ["x", "conv"]


# ------------------------------------------------------------------ layers as values


def test_calling_a_layer_binds_more_arguments() -> None:
    graph = net(
        "conv = Conv(bias=false)", "wide = conv(kernel=3)", "return x -> a: wide(8) -> b: wide(4, kernel=5)"
    )
    assert weights(graph) == {"a.weight": (8, 3, 3, 3), "b.weight": (4, 8, 5, 5)}


def test_positions_go_on_where_the_last_call_ended() -> None:
    graph = net("conv = Conv(8)", "return x -> a: conv(3, stride=2)")
    assert ops(graph) == ["Conv(8, kernel=3, stride=2)"]


def test_a_layer_may_be_an_argument() -> None:
    before = "block Twice(f: layer):\n    input x: [*S]\n    return x -> first: f -> second: f\n"
    graph = net("return x -> Twice(Conv(3, bias=false)) -> body: Twice(Twice([ReLU, GELU]))", before=before)
    assert names(graph)[:2] == ["twice.first", "twice.second"]
    assert names(graph)[2:] == [
        f"body.{a}.{b}.{i}" for a in ("first", "second") for b in ("first", "second") for i in (0, 1)
    ]
    assert weights(graph) == {"twice.first.weight": (3, 3, 1, 1), "twice.second.weight": (3, 3, 1, 1)}


def test_layers_may_stand_in_lists() -> None:
    graph = net(
        "acts = [ReLU, GELU, [Tanh, Sigmoid]]", "for act in acts:", "    x = x -> act", "return x -> acts[1]"
    )
    assert ops(graph) == ["ReLU", "GELU", "Tanh", "Sigmoid", "GELU"]


def test_optional_tensors_of_an_op_are_given_by_name() -> None:
    graph = net(
        "return (q, k, k) -> a: Attention(mask=m) -> b: ReLU",
        given="input q: [5, 8]; input k: [7, 8]; input m: bool[5, 7]",
    )
    assert [str(i) for i in node(graph, "a").inputs] == ["q", "k", "k"]
    assert {name: str(value) for name, value in node(graph, "a").options.items()} == {"mask": "m"}
    assert shape(graph) == (5, 8)


def test_an_optional_tensor_may_be_none() -> None:
    graph = net("return (x, x, x) -> Attention(mask=none)", given="input x: [5, 8]")
    assert graph.nodes[0].options == {}


# ------------------------------------------------------------------ shapes: patterns that check and bind


def bound(pattern: str, given: str, *kept: str) -> list[object]:
    """What names of a pattern are bound to."""
    before = (
        f"block Keep({', '.join(kept)}):\n    input y\n    return y\n\n"
        f"block Match(n: int = 2):\n    input x: {pattern}\n    return x -> Keep({', '.join(kept)})\n"
    )
    return list(
        net("return x -> Match", before=before, given=f"input x: {given}").scopes[-1].arguments.values()
    )


def test_names_in_a_pattern_are_bound_to_sizes() -> None:
    assert bound("[C, H, W]", "[3, 32, 24]", "C", "H", "W") == [3, 32, 24]


def test_a_star_takes_any_number_of_sizes() -> None:
    assert bound("[C, *S]", "[3, 32, 24]", "C", "S") == [3, [32, 24]]
    assert bound("[*S]", "[3]", "S") == [[3]]
    assert bound("[*A, N, D]", "[3, 32, 24]", "A", "N", "D") == [[3], 32, 24]
    assert bound("[A, *B, C]", "[3, 32]", "A", "B", "C") == [3, [], 32]


def test_numbers_names_and_expressions_in_a_pattern_must_match() -> None:
    assert bound("[3, 4 * n, n + 6]", "[3, 8, 8]", "n") == [2]
    assert bound("[C, H, H]", "[3, 8, 8]", "C", "H") == [3, 8]
    with pytest.raises(archspec.SpecError, match="expected 8, got 9"):
        bound("[C, H, H]", "[3, 8, 9]", "C")


def test_a_free_size_in_a_pattern_takes_any_size() -> None:
    assert bound("[C, free L]", "[3, 8]", "L") == [8]


def test_a_pattern_may_ask_for_a_dtype() -> None:
    assert bound("int64[N]", "i64[5]", "N") == [5]
    assert bound("i64[N]", "int64[5]", "N") == [5]


def test_an_input_without_a_pattern_takes_any_shape() -> None:
    assert shape(net("return x -> Any", before="block Any:\n    input x\n    return x -> ReLU\n")) == (
        3,
        32,
        32,
    )


def test_two_inputs_share_the_names_of_their_sizes() -> None:
    before = (
        "block Merge:\n    input a: [C, *S]\n    input b: [D, *S]\n    return concat(a, b), a -> Conv(D)\n"
    )
    graph = net("y = x -> Conv(5)", "return (x, y) -> Merge", before=before)
    assert [output.type.shape for output in graph.outputs] == [(8, 32, 32), (5, 32, 32)]


def test_dtypes_of_inputs_are_kept() -> None:
    graph = net("return x -> Embedding(10, 4)", given="input x: int64[7]")
    assert (str(graph.inputs[0].type), str(graph.outputs[0].type)) == ("i64[7]", "f32[7, 4]")


def test_sizes_of_a_model_may_be_computed() -> None:
    text = "model Net(size: int = 8):\n    input x: [3, 2 * size, size // 2]\n    return x\n"
    assert archspec.read_text(text).inputs[0].type.shape == (3, 16, 4)


# ------------------------------------------------------------------ free sizes


def free(*lines: str) -> Graph:
    return net(*lines, given="input x: [3, free H, free W]")


def test_free_sizes_are_carried_along_as_formulas() -> None:
    graph = free("y = concat(x, x[:, :, 0:1], axis=2)", "return y -> Conv(8, 3) -> Flatten(start=1)")
    assert str(graph.inputs[0].type) == "f32[3, H, W]"
    assert str(graph.outputs[0].type) == "f32[8, H*W + H]"


def test_free_sizes_that_are_alike_are_equal() -> None:
    graph = free("require x.height == x.height and 2 * x.height > x.height", "return x + (x -> Conv(3, 3))")
    assert str(graph.outputs[0].type) == "f32[3, H, W]"


def test_free_sizes_go_through_blocks() -> None:
    graph = net("return x -> Residual", before=RESIDUAL, given="input x: [3, free H, 16]")
    assert str(graph.outputs[0].type) == "f32[3, H, 16]"


def test_parameters_do_not_depend_on_free_sizes() -> None:
    assert free("return x -> Conv(8, 3) -> GlobalAvgPool -> Linear(10)").parameters == 8 * 27 + 8 + 90


# ------------------------------------------------------------------ several inputs and outputs


def test_several_inputs_come_in_order() -> None:
    graph = net("return a + b", given="input a: [3]; input b: [1]")
    assert [(i.name, i.type.shape) for i in graph.inputs] == [("a", (3,)), ("b", (1,))]
    assert [str(i) for i in graph.nodes[0].inputs] == ["a", "b"]


def test_several_outputs_are_unpacked() -> None:
    before = "block Both:\n    input x: [*S]\n    return x -> a: ReLU, x -> b: GELU\n"
    graph = net("p, q = x -> Both", "return q, p", before=before)
    assert [str(output.value) for output in graph.outputs] == ["both.b", "both.a"]
    assert [output.name for output in graph.outputs] == ["", ""]


def test_outputs_of_an_op_are_numbered() -> None:
    graph = net("a, b, c = x -> split: Split(3)", "return c + a")
    assert [str(i) for i in graph.nodes[-1].inputs] == ["split:2", "split"]
    assert shape(graph) == (1, 32, 32)


def test_outputs_may_be_named() -> None:
    before = "block Heads:\n    input x: [*S]\n    return logits=x -> a: ReLU, aux=x -> b: GELU\n"
    graph = net("heads = x -> Heads", "return first=heads.aux, second=heads.logits", before=before)
    assert [(o.name, str(o.value)) for o in graph.outputs] == [("first", "heads.b"), ("second", "heads.a")]


def test_a_model_that_returns_a_block_keeps_the_names_of_its_outputs() -> None:
    before = "block Heads:\n    input x: [*S]\n    return logits=x, aux=x\n"
    assert [o.name for o in net("return x -> Heads", before=before).outputs] == ["logits", "aux"]


def test_an_input_may_be_an_output() -> None:
    graph = net("return x")
    assert (graph.nodes, str(graph.outputs[0].value)) == ((), "x")


# ------------------------------------------------------------------ arithmetic on tensors


@pytest.mark.parametrize(
    ("expression", "op"),
    [
        ("x + y", "Add"),
        ("x - y", "Sub"),
        ("x * y", "Mul"),
        ("x / y", "Div"),
        ("x @ y", "MatMul"),
        ("x == y", "Equal"),
        ("-x", "Scale(-1)"),
        ("x + 1", "Scale(1, offset=1)"),
        ("2 + x", "Scale(1, offset=2)"),
        ("x - 1", "Scale(1, offset=-1)"),
        ("1 - x", "Scale(-1, offset=1)"),
        ("3 * x", "Scale(3)"),
        ("x / 4", "Scale(0.25)"),
        ("x ** 2", "Power(2)"),
    ],
)
def test_an_operator_on_tensors_is_an_op(expression: str, op: str) -> None:
    graph = net(f"return {expression}", given="input x: [8, 8]; input y: [8, 8]")
    assert ops(graph) == [op]
    assert shape(graph) == (8, 8)


def test_a_number_divided_by_a_tensor_is_two_ops() -> None:
    assert ops(net("return 2 / x")) == ["Power(-1)", "Scale(2)"]


@pytest.mark.parametrize(
    ("left", "right", "both"),
    [
        ("[8, 4]", "[8, 4]", (8, 4)),
        ("[8, 4]", "[4]", (8, 4)),
        ("[8, 1]", "[5]", (8, 5)),
        ("[]", "[3, 4]", (3, 4)),
    ],
)
def test_shapes_broadcast_like_numpy(left: str, right: str, both: tuple[int, ...]) -> None:
    assert shape(net("return x + y", given=f"input x: {left}; input y: {right}")) == both


def test_an_arrow_binds_looser_than_arithmetic() -> None:
    assert ops(net("return x + x -> ReLU")) == ["Add", "ReLU"]
    assert ops(net("return x + (x -> ReLU)")) == ["ReLU", "Add"]


def test_concat_joins_along_an_axis() -> None:
    assert shape(net("return concat(x, x)")) == (6, 32, 32)
    assert shape(net("return concat([x, x, x], axis=1)")) == (3, 96, 32)
    assert shape(net("return concat(x, x, axis=-1)")) == (3, 32, 64)


def test_concat_of_one_tensor_is_that_tensor() -> None:
    assert net("return concat([x])").nodes == ()


@pytest.mark.parametrize(
    ("index", "left"),
    [
        ("0", (32, 24)),
        ("-1", (32, 24)),
        ("1:", (2, 32, 24)),
        ("0, 1", (24,)),
        (":, 4:20:4", (3, 4, 24)),
        (":, 5, -3:", (3, 3)),
        (":-1", (2, 32, 24)),
    ],
)
def test_a_subscript_takes_a_part_of_each_sample(index: str, left: tuple[int, ...]) -> None:
    assert shape(net(f"return x[{index}]", given="input x: [3, 32, 24]")) == left


# ------------------------------------------------------------------ attributes


def test_attributes_of_a_tensor_are_numbers() -> None:
    lines = "[x.shape, x.rank, x.channels, x.height, x.width]"
    assert value(lines) == [[3, 32, 32], 3, 3, 32, 32]


def test_a_sequence_has_a_length() -> None:
    graph = net("return x -> Linear(2 * x.length)", given="input x: [5, 7]")
    assert shape(graph) == (5, 14)


# ------------------------------------------------------------------ own weights, shared layers, tied weights


def test_a_weight_has_the_shape_that_is_written_and_is_trained() -> None:
    graph = net("weight gain: [x.channels, 1, 1] = ones", "return x * gain")
    assert weights(graph) == {"gain": (3, 1, 1)}
    assert (graph.weights["gain"].trainable, graph.weights["gain"].saved, graph.parameters) == (True, True, 3)
    assert (str(graph.weights["gain"].init), shape(graph)) == ("ones", (3, 32, 32))


def test_a_weight_stands_below_its_block() -> None:
    before = (
        "block Gain:\n    input x: [C, *S]\n    weight gain: [C, 1, 1] = constant(0.5)\n    return x * gain\n"
    )
    graph = net("return x -> a: Gain -> b: Gain", before=before)
    assert weights(graph) == {"a.gain": (3, 1, 1), "b.gain": (3, 1, 1)}


def test_a_buffer_is_saved_but_not_trained_and_a_constant_is_neither() -> None:
    graph = net("buffer a: [] = 2.0", "constant b: i64[2, 2] = [[1, 2], [3, 4]]", "return x * a, b")
    a, b = graph.weights["a"], graph.weights["b"]
    assert ((a.trainable, a.saved), (b.trainable, b.saved)) == ((False, True), (False, False))
    assert (b.dtype, b.shape, b.init.listed) == ("i64", (2, 2), (1, 2, 3, 4))  # type: ignore[attr-defined]
    assert graph.parameters == 0


def test_a_weight_has_no_batch() -> None:
    graph = net("weight w: [3, 1, 1] = ones", "return x * w", "")
    assert [n.types[0].batched for n in graph.nodes] == [False, True]


@pytest.mark.parametrize(
    ("first", "init"),
    [
        ("zeros", "zeros"),
        ("0.5", "constant(value=0.5)"),
        ("normal(0.02)", "normal(std=0.02)"),
        ("trunc_normal(std=0.02, mean=1)", "trunc_normal(std=0.02, mean=1.0)"),
        ('kaiming_normal(mode="fan_out")', 'kaiming_normal(mode="fan_out")'),
    ],
)
def test_the_first_values_of_a_weight(first: str, init: str) -> None:
    graph = net(f"weight w: [3, 1, 1] = {first}", "return x * w")
    assert str(graph.weights["w"].init) == init


def test_each_application_makes_new_weights_unless_the_layer_is_shared() -> None:
    alone = net("conv = Conv(3, bias=false)", "return x -> conv -> conv")
    assert weights(alone) == {"conv.weight": (3, 3, 1, 1), "conv_1.weight": (3, 3, 1, 1)}
    shared = net("shared conv = Conv(3, bias=false)", "return x -> conv -> conv")
    assert weights(shared) == {"conv.weight": (3, 3, 1, 1)}
    assert [n.shares for n in shared.nodes] == ["", "conv"]
    assert shared.parameters == 9


def test_a_shared_list_shares_each_of_its_layers() -> None:
    graph = net(
        "shared mlp = [Linear(2), ReLU, Linear(3)]",
        "return (x -> GlobalAvgPool -> mlp) + (x -> GlobalMaxPool -> mlp)",
    )
    assert set(weights(graph)) == {f"mlp.{i}.{key}" for i in (0, 2) for key in ("weight", "bias")}
    assert graph.parameters == 3 * 2 + 2 + 2 * 3 + 3
    assert [n.shares for n in graph.nodes if n.shares] == ["mlp.0", "mlp.2"]


def test_a_shared_layer_may_be_passed_to_blocks() -> None:
    before = "block Use(f: layer):\n    input x: [*S]\n    return x -> f\n"
    graph = net("shared conv = Conv(3)", "return x -> Use(conv) -> Use(conv)", before=before)
    assert set(weights(graph)) == {"conv.weight", "conv.bias"}


def test_a_weight_of_a_shared_layer_is_a_tensor() -> None:
    graph = net(
        "shared embed = Embedding(10, 4)",
        "y = x -> embed",
        "return y @ (embed.weight -> Permute([1, 0]))",
        given="input x: i64[7]",
    )
    assert shape(graph) == (7, 10)
    assert weights(graph) == {"embed.weight": (10, 4)}
    assert graph.parameters == 40


# ------------------------------------------------------------------ control


@pytest.mark.parametrize(("n", "op"), [(1, "ReLU"), (2, "GELU"), (3, "Tanh"), (9, "Tanh")])
def test_only_the_branch_taken_counts(n: int, op: str) -> None:
    lines = [
        "if n == 1:",
        "    y = x -> ReLU",
        "elif n == 2:",
        "    y = x -> GELU",
        "else:",
        "    y = x -> Tanh",
    ]
    assert ops(net(f"n = {n}", *lines, "return y")) == [op]


def test_a_branch_not_taken_may_be_wrong() -> None:
    assert ops(net("if x.channels == 4:", "    return x -> Conv(0)", "return x -> ReLU")) == ["ReLU"]
    assert ops(net("return x -> (ReLU if true else Conv(0))")) == ["ReLU"]


def test_a_block_may_return_early() -> None:
    assert ops(
        net(
            "for i in range(5):",
            "    x = x -> ReLU",
            "    if i == 1:",
            "        return x",
            "return x -> GELU",
        )
    ) == ["ReLU", "ReLU"]


def test_a_loop_carries_a_tensor() -> None:
    graph = net("for i, width in enumerate([8, 16]):", '    x = x -> "conv{i}": Conv(width)', "return x")
    assert weights(graph) == {
        "conv0.weight": (8, 3, 1, 1),
        "conv0.bias": (8,),
        "conv1.weight": (16, 8, 1, 1),
        "conv1.bias": (16,),
    }


def test_a_loop_gathers_tensors_in_a_list() -> None:
    graph = net(
        "states = [x]",
        "for i in range(3):",
        "    states = states + [concat(states) -> Conv(4)]",
        "return concat(states)",
    )
    assert shape(graph) == (3 + 3 * 4, 32, 32)
    taken = [graph.input_types(n)[0].shape[0] for n in graph.nodes if str(n.op) == "Conv(4)"]
    assert taken == [3, 7, 11]


def test_a_loop_over_nothing_does_nothing() -> None:
    assert ops(net("for i in []:", "    x = x -> ReLU", "return x")) == []


def test_a_name_may_be_bound_again() -> None:
    assert shape(net("n = 4", "n = n + 1", "n, m = n * 2, n", "return x -> Conv(n + m)")) == (15, 32, 32)


def test_names_of_a_block_stay_inside_it() -> None:
    before = "n = 5\n\nblock B:\n    input x: [*S]\n    n = 7\n    return x -> Conv(n)\n"
    graph = net("y = x -> B", "return y -> Conv(n)", before=before)
    assert (node(graph, "b.conv").types[0].shape[0], shape(graph)[0]) == (7, 5)


def test_a_requirement_that_holds_says_nothing() -> None:
    assert ops(net('require x.channels == 3, "three channels"', "return x -> ReLU")) == ["ReLU"]


# ------------------------------------------------------------------ numbers, strings, lists


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("7 / 2", 3.5), ("7 // 2", 3), ("-7 // 2", -4), ("-7 % 3", 2), ("2 ** 10", 1024), ("2 ** -1", 0.5),
        ("-2 ** 2", -4), ("2 ** 3 ** 2", 512), ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("10 - 4 - 3", 3),
        ("8 // 2 // 2", 2), ("+3", 3), ("--3", 3), ("1_000", 1000), ("1e-3", 0.001), ("1.5e2", 150.0),
        ("1 < 2 < 3", True), ("1 < 3 < 2", False), ("1 != 2", True), ("true == 1", False), ("1 == 1.0", True),
        ("[1, [2]] == [1, (2,)]", True), ("not true or true", True), ("not (true or true)", False),
        ("true or 1 / 0 > 0", True), ("false and 1 / 0 > 0", False), ("2 in [1, 2]", True), ("2 not in (1, 3)", True),
        ('"b" in "abc"', True), ('"a" < "b"', True), ("1 if 2 > 1 else 0", 1), ("1 if false else 2 if false else 3", 3),
        ('"a" + "b"', "ab"), ('"{1 + 1}a"', "2a"), ('"{{x}}"', "{x}"), ("'it\\'s'", "it's"),
        ('"a\\tb\\\\"', "a\tb\\"), ('"""two\nlines"""', "two\nlines"), ('"{0.5}"', "0.5"), ('"{1 < 2}"', "true"),
        ("[1, 2] + [3]", [1, 2, 3]), ("(1,) + (2,)", [1, 2]), ("2 * [0, 1]", [0, 1, 0, 1]), ("[]", []), ("()", []),
        ("[1, 2, 3][-1]", 3), ("[1, 2, 3][1:]", [2, 3]), ("[1, 2, 3][::-1]", [3, 2, 1]), ('"abc"[1]', "b"),
        ("none", None), ("none == none", True),
        ("range(3)", [0, 1, 2]), ("range(1, 7, 3)", [1, 4]), ("range(3, 0, -1)", [3, 2, 1]), ("len([1, 2])", 2), ('len("abc")', 3),
        ("enumerate([5, 6], 1)", [[1, 5], [2, 6]]), ("zip([1, 2], [3, 4])", [[1, 3], [2, 4]]), ("sum([1, 2.5])", 3.5),
        ("prod([2, 3])", 6), ("min(3, 1, 2)", 1), ("max([3, 1])", 3), ("abs(-2)", 2), ("round(2.5)", 2), ("round(3.5)", 4),
        ("round(2.567, 1)", 2.6), ("floor(-1.5)", -2), ("ceil(1.2)", 2), ("int(-1.7)", -1), ("float(2)", 2.0), ("str(8)", "8"),
        ("sqrt(16)", 4.0), ("log2(8)", 3.0), ("exp(0)", 1.0), ("sin(0)", 0.0), ("cos(0)", 1.0), ("log(1)", 0.0),
        ("sorted([2, 1])", [1, 2]), ("reversed([1, 2])", [2, 1]), ("all([true, false])", False), ("any([true, false])", True),
        # Sandler et al. round to a multiple of 8 that is not below nine tenths of the value.
        ("[round_to(n, 8) for n in (1, 11, 12, 22.4, 38.4, 83)]", [8, 16, 16, 24, 40, 80]),
    ],
)  # fmt: skip
def test_an_expression_has_its_value(expression: str, result: object) -> None:
    found = value(expression)
    assert (found, type(found)) == (result, type(result))


# ------------------------------------------------------------------ imports


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "stem.arch").write_text(
        '"Stems."\nfrom parts.width import width\n\nblock Stem = Conv(width, 3)\n\nblock Other = Conv(2 * width)\n'
    )
    (tmp_path / "parts" / "width.arch").write_text("width = 8\n")
    return tmp_path


def write(folder: Path, *lines: str) -> Path:
    path = folder / "net.arch"
    path.write_text(
        "\n".join(
            [*lines, "", "model Net:", "    input x: [3, 8, 8]", "    return x -> stem: Stem -> Tail", ""]
        )
    )
    return path


def test_an_import_brings_in_names(folder: Path) -> None:
    graph = archspec.read(write(folder, "from parts.stem import Stem, Other as Tail"))
    assert weights(graph)["stem.weight"] == (8, 3, 3, 3)
    assert shape(graph) == (16, 8, 8)


def test_an_import_brings_in_only_the_names_it_says(folder: Path) -> None:
    with pytest.raises(archspec.SpecError, match="there is no `Tail`"):
        archspec.read(write(folder, "from parts.stem import Stem, Other"))


def test_values_may_be_imported(folder: Path) -> None:
    path = write(
        folder,
        "from parts.stem import Stem",
        "from parts.width import width as n",
        "",
        "block Tail = Conv(n + 1)",
    )
    assert shape(archspec.read(path)) == (9, 8, 8)


def test_shipped_blocks_may_be_imported(folder: Path) -> None:
    path = write(
        folder,
        "from parts.stem import Stem",
        "from blocks.attention import SqueezeExcite",
        "",
        "block Tail = SqueezeExcite(2)",
    )
    assert {"tail.fc1.weight", "tail.fc2.weight"} <= set(weights(archspec.read(path)))


def test_a_graph_names_the_files_that_went_in(folder: Path) -> None:
    graph = archspec.read(write(folder, "from parts.stem import Stem, Other as Tail"))
    assert list(graph.sources) == ["net.arch", "parts/stem.arch", "parts/width.arch"]
    assert all(len(digest) == 64 for digest in graph.sources.values())


def test_the_place_of_a_node_is_where_its_step_is_written(folder: Path) -> None:
    graph = archspec.read(write(folder, "from parts.stem import Stem, Other as Tail"))
    assert str(node(graph, "stem").location) == "net.arch:5:23"
    text = "block B:\n    input x: [*S]\n    y = x -> a: ReLU\n    return y\n        -> b: GELU\n\n"
    graph = net("return x -> B", before=text)
    assert [str(n.location) for n in graph.nodes] == ["spec.arch:3:17", "spec.arch:5:15"]
    assert [str(s.location) for s in graph.scopes] == ["spec.arch:8:1", "spec.arch:10:17"]
    assert str(graph.inputs[0].location) == "spec.arch:9:5"


# ------------------------------------------------------------------ claims


def test_claims_stand_in_the_graph_as_they_are_written() -> None:
    text = (
        "model Net(width: int = 8, size: int = 8):\n    input x: [3, size, size]\n    return out=x -> Conv(width)\n\n"
        'claims Net "Someone 2020, Table 1" at width=16, size=2 * 8:\n'
        "    params 64\n    macs 12.3K\n    output out [16, 16, 16]\n\n"
        "claims Net:\n    params 32\n"
    )
    graph = archspec.read_text(text)
    assert [(c.quantity, c.subject, c.figure, c.shape) for c in graph.claims] == [
        ("params", "", "64", None),
        ("macs", "", "12.3K", None),
        ("output", "out", "", (16, 16, 16)),
        ("params", "", "32", None),
    ]
    assert [c.settings for c in graph.claims] == 3 * [{"width": 16, "size": 16}] + [{}]
    assert [c.source for c in graph.claims] == 3 * ["Someone 2020, Table 1"] + [""]
    assert str(graph.claims[1].location) == "spec.arch:7:5"


def test_claims_are_of_the_model_they_name() -> None:
    text = "".join(
        f"model Net{i}:\n    input x: [3]\n    return x\n\nclaims Net{i}:\n    params {i}\n\n" for i in (0, 1)
    )
    assert [c.figure for c in archspec.read_text(text, model="Net0").claims] == ["0"]


# ------------------------------------------------------------------ lines


def test_a_line_that_starts_with_an_arrow_goes_on() -> None:
    graph = net(
        "y = x",
        "        -> a: ReLU",
        "",
        "    # a comment in between",
        "        # and another",
        "  -> b: GELU -> c: Tanh",
        "return y",
    )
    assert names(graph) == ["a", "b", "c"]


def test_lines_go_on_in_brackets_and_after_a_backslash() -> None:
    assert shape(
        net("n = (1 +", "# comment", "2)", "m = 4 + \\", "   5", "return x -> Conv(", "  n", "+ m,)")
    ) == (12, 32, 32)


def test_a_file_may_end_without_a_line_break() -> None:
    assert shape(archspec.read_text("model Net:\n    input x: [3]\n    return x -> Linear(2)")) == (2,)


def test_statements_may_be_indented_by_any_depth() -> None:
    text = "model Net:\n  input x: [3]\n  if true:\n        y = x -> ReLU\n\n        # comment\n  return y\n"
    assert ops(archspec.read_text(text)) == ["ReLU"]


# ------------------------------------------------------------------ the tree

TEXT = """"Of the file."  # one
from a.b import C as D  # two

# three
n = 2 * (3 + 4)

block B(k: int in {1, 3} = 1):
    input x: [C, *S]  # four
    # five
    y = x -> "conv{n}": Conv(n, k)
          # six
          -> [relu: ReLU]
    return y
# seven
"""


def parsed(text: str = TEXT) -> tree.File:
    return parse_file(Source("spec.arch", text, "spec.arch"))


def below(node: tree.Tree) -> list[tree.Tree]:
    """The node and all below it."""
    return [node, *(inner for child in node.children() for inner in below(child))]


def test_comments_are_kept_in_order_with_their_places() -> None:
    comments = parsed().comments
    assert [comment.text for comment in comments] == [
        f"# {word}" for word in ("one", "two", "three", "four", "five", "six", "seven")
    ]
    assert [comment.span.source.position(comment.span.start) for comment in comments] == [
        (1, 17), (2, 25), (4, 1), (8, 23), (9, 5), (11, 11), (14, 1),
    ]  # fmt: skip


def test_a_hash_in_a_string_is_no_comment() -> None:
    assert parsed('a = "# no" # yes\n"""\n# no\n"""\n').comments[0].text == "# yes"
    assert len(parsed('a = "# no" # yes\n"""\n# no\n"""\n').comments) == 1


def test_the_span_of_a_node_is_its_text() -> None:
    spans = {
        type(n).__name__: [m.span.text for m in below(parsed()) if type(m) is type(n)]
        for n in below(parsed())
    }
    assert spans["Import"] == ["from a.b import C as D"]
    assert spans["Imported"] == ["C as D"]
    assert spans["Assign"][0] == "n = 2 * (3 + 4)"
    assert spans["Binary"] == ["2 * (3 + 4)", "(3 + 4)"]
    assert spans["Parameter"] == ["k: int in {1, 3} = 1"]
    assert spans["Choices"] == ["{1, 3}"]
    assert spans["Input"] == ["input x: [C, *S]"]
    assert spans["RestSizes"] == ["*S"]
    assert spans["Call"] == ["Conv(n, k)"]
    assert [span.splitlines()[0] for span in spans["Chain"]] == ['x -> "conv{n}": Conv(n, k)']
    assert spans["Step"] == ['"conv{n}": Conv(n, k)', "[relu: ReLU]"]
    assert spans["Item"] == ["relu: ReLU"]
    assert spans["Return"] == ["return y"]


def test_every_span_lies_within_that_of_its_parent() -> None:
    def check(parent: tree.Tree) -> None:
        for child in parent.children():
            if not isinstance(
                parent, tree.Definition | tree.If | tree.For | tree.Branch
            ):  # their span is the head
                assert parent.span.start <= child.span.start <= child.span.end <= parent.span.end, child
            check(child)

    file = parsed()
    for statement in file.statements:
        check(statement)


def test_a_hole_in_a_string_has_its_place() -> None:
    hole = next(n for n in below(parsed()) if isinstance(n, tree.Text) and n.literal is None)
    inner = next(n for n in below(hole) if isinstance(n, tree.Name))
    assert (inner.span.text, inner.span.source.position(inner.span.start)) == ("n", (10, 20))


# ------------------------------------------------------------------ the graph as JSON


def rich() -> Graph:
    """A graph with something of everything."""
    text = """"Something of everything."
block Heads(classes: int, act: layer = ReLU):
    input x: [C, *S]
    shared norm = LayerNorm
    weight gain: [C, 1] = trunc_normal(0.02)
    constant order: i64[2] = [1, 0]
    y = (x * gain -> norm) + (x -> norm) -> act
    return logits=y -> Reduce("mean", 1) -> fc: Linear(classes), order=(y, order) -> Gather

model Net(classes: int = 5):
    input x: [3, free L]
    input scale: bool[]
    return x -> stem: [Conv(4, 3), GELU] -> Permute([1, 0]) -> Permute([1, 0]) -> heads: Heads(classes)

claims Net "by hand" at classes=7:
    output logits [7]
"""
    return archspec.read_text(text.replace("LayerNorm", "Conv(4)"))


def test_a_graph_reads_back_equal_from_json() -> None:
    graph = rich()
    again = Graph.from_json(graph.to_json())
    assert again == graph
    assert again.to_json() == graph.to_json()
    assert again.nodes[0].op == graph.nodes[0].op
    assert again.inputs[0].type.shape == graph.inputs[0].type.shape


def test_a_graph_in_json_says_its_format() -> None:
    assert json.loads(rich().to_json())["format"] == 2


def test_a_graph_in_json_is_as_its_schema_says() -> None:
    schema = Graph.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(rich().to_json()), schema)
    jsonschema.validate(json.loads(archspec.read("efficientnet_b3").to_json()), schema)


@pytest.mark.parametrize("change", [{"format": 3}, {"functions": 3}, {"surprise": 1}, {"name": None}])
def test_the_schema_refuses_what_is_no_graph(change: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(rich().to_json()), **change}, Graph.model_json_schema())


def test_every_value_in_a_graph_is_made_before_it_is_used() -> None:
    for graph in (rich(), archspec.read("nasnet_a_large")):
        made = {given.name for given in graph.inputs}
        for n in graph.nodes:
            assert all(value.producer in made for value in n.operands)
            made.add(n.name)
        assert all(output.value.producer in made for output in graph.outputs)
        assert len(made) == len(graph.inputs) + len(graph.nodes)


def test_reading_twice_gives_the_same_graph() -> None:
    assert rich().to_json() == rich().to_json()
    first, again = archspec.read("nasnet_a_large"), archspec.read("nasnet_a_large")
    assert first == again
    assert first.to_json() == again.to_json()


def test_another_process_reads_the_same_graph() -> None:
    code = "import hashlib, archspec; print(hashlib.sha256(archspec.read('swin_t').to_json().encode()).hexdigest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_threads_read_at_the_same_time() -> None:
    texts = [
        f"model Net:\n    input x: [3]\n    y = [(\n    {i} + 1)]\n    return x -> Linear(y[0])\n"
        for i in range(200)
    ]
    with ThreadPoolExecutor(8) as pool:
        graphs = list(pool.map(archspec.read_text, texts))
    assert [shape(graph) for graph in graphs] == [(i + 1,) for i in range(200)]


@each_kind_of_network
def test_a_block_that_is_copied_is_what_it_would_be_if_it_were_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = shipped(name)
    monkeypatch.setattr(Reuse, "known", lambda self, key: None)
    run = archspec.read(name)
    assert copied == run
    assert list(copied.weights) == list(run.weights)


def test_a_block_that_is_copied_uses_the_tensors_it_is_given_as_arguments_now() -> None:
    graph = archspec.read_text("""
block AddTo(t):
    input x: [C]
    return x + t, t

block Mix(layer: layer):
    input x: [N, D]
    return (x, x, x) -> layer

model Net:
    input x: [3]
    input q: [4, 4]
    a, given = x -> first: AddTo(t=x)
    b, given_again = a -> second: AddTo(t=x)
    c, other = b -> third: AddTo(t=b)
    d, last = c -> fourth: AddTo(t=c)
    m = q -> mix: Mix(Attention(bias=q))
    n = m -> mix_again: Mix(Attention(bias=q))
    return d, given_again, last, n
""")
    operands = {node.name: [str(ref) for ref in node.operands] for node in graph.nodes}
    assert operands == {
        "first.add": ["x", "x"],
        "second.add": ["first.add", "x"],
        "third.add": ["second.add", "second.add"],
        "fourth.add": ["third.add", "third.add"],
        "mix.attention": ["q", "q", "q", "q"],
        "mix_again.attention": ["mix.attention", "mix.attention", "mix.attention", "q"],
    }
    assert [str(output.value) for output in graph.outputs] == [
        "fourth.add",
        "x",
        "third.add",
        "mix_again.attention",
    ]


def test_blocks_that_share_or_nest_too_deeply_are_not_copied() -> None:
    graph = archspec.read_text("""
block Both(mlp: layer):
    input x: [C]
    return (x -> mlp) + (x -> mlp)

block Own:
    input x: [C]
    shared mlp = Linear(C)
    return x -> Both(mlp)

model Net:
    input x: [8]
    shared outer = Linear(8)
    return x -> Both(outer) -> Both(outer) -> Own -> Own
""")
    shared = {node.name: node.shares for node in graph.nodes if "Linear" in str(node.op)}
    assert shared == {
        "outer": "",
        "outer@2": "outer",
        "outer@3": "outer",
        "outer@4": "outer",
        "own.mlp": "",
        "own.mlp@2": "own.mlp",
        "own_1.mlp": "",
        "own_1.mlp@2": "own_1.mlp",
    }


def test_the_mark_of_the_byte_order_is_no_part_of_a_spec(tmp_path: Path) -> None:
    text = "model M:\n    input x: [3]\n    return x -> ReLU\n"
    (tmp_path / "m.arch").write_text(text, encoding="utf-8-sig")
    for marked in (archspec.read_text("\ufeff" + text), archspec.read(tmp_path / "m.arch")):
        assert marked.nodes[0].location[1:] == archspec.read_text(text).nodes[0].location[1:]
    with pytest.raises(archspec.SpecError, match=r"unexpected character U\+FEFF"):
        archspec.read_text(text + "\ufeff" + text.replace("M", "N"))


def test_a_default_that_applies_a_layer_is_a_step_of_whoever_applies_the_block() -> None:
    text = """
block Twice(a, b = (a -> Linear(3)), c: int = 3):
    input x: [N]
    return x + b -> Linear(c)

block Outer(t):
    input x: [N]
    return x -> one: Twice(a=t) -> two: Twice(a=t)

model Net:
    input x: [3]
    return x -> first: Twice(a=x) -> second: Twice(a=x, b=x) -> third: Twice(a=x) -> Outer(t=x) -> Outer(t=x)
"""
    graph = archspec.read_text(text)
    assert [n.name for n in graph.nodes if type(n.op).__name__ == "Linear"] == [
        *("linear", "first.linear", "second.linear", "linear_1", "third.linear"),
        *("outer.linear", "outer.one.linear", "outer.linear_1", "outer.two.linear"),
        *("outer_1.linear", "outer_1.one.linear", "outer_1.linear_1", "outer_1.two.linear"),
    ]
    assert [function.block for function in graph.functions] == ["Twice", "Outer", "Net"]


# ------------------------------------------------------------------ several tensors combined


@pytest.mark.parametrize(
    ("function", "op"), [("sum", "Add"), ("prod", "Mul"), ("max", "Maximum"), ("min", "Minimum")]
)
def test_tensors_of_a_list_are_combined_in_one_step(function: str, op: str) -> None:
    graph = net(f"return {function}([x, x -> Conv(1), x -> GlobalAvgPool(keep=true)])")
    assert ops(graph)[-1] == op and len(graph.nodes) == 3
    assert [str(value) for value in graph.nodes[-1].inputs] == ["x", "conv", "global_avg_pool"]
    same = net(f"return (x, x -> Conv(1), x -> GlobalAvgPool(keep=true)) -> {op}")
    assert same.functions[0].steps[-1].with_changes(location=None) == graph.functions[0].steps[
        -1
    ].with_changes(location=None)


def test_one_tensor_combined_is_that_tensor_and_numbers_stay_numbers() -> None:
    assert ops(net("return sum([x]) -> ReLU")) == ["ReLU"]
    assert value("[sum([1, 2]), prod([2, 3]), max(1, 4), min([5, 2])]") == [3, 6, 4, 2]
    assert ops(net("return max(x, x -> ReLU)")) == ["ReLU", "Maximum"]


# ------------------------------------------------------------------ items spread out


def test_items_of_a_row_are_arguments() -> None:
    graph = net("row = (8, 3)", "return x -> Conv(*row, stride=2)")
    assert ops(graph) == ["Conv(8, kernel=3, stride=2)"]


def test_items_stand_in_lists_and_tuples_in_their_place() -> None:
    assert value("[0, *[1, 2], *(), *(3,)]") == [0, 1, 2, 3]
    assert value("(*[1, 2], 3) == (1, 2, 3)") is True
    assert value("max(1, *[5, 2])") == 5
    graph = net("tail = [ReLU, GELU]", "return x -> body: [Conv(4), *tail, norm: BatchNorm]")
    assert names(graph) == ["body.0", "body.1", "body.2", "body.norm"]


def test_outputs_of_a_step_spread_out() -> None:
    graph = net("parts = x -> Split(3)", "return (*parts, x) -> Concat")
    read = [(ref.producer, ref.output) for ref in graph.nodes[-1].inputs]
    assert read == [("split", 0), ("split", 1), ("split", 2), ("x", 0)]


def test_items_are_returned() -> None:
    """By blocks, each in its place."""
    split = "block Parts(count: int):\n    input x\n    return (x, *(x -> Split(count)), *[x])\n"
    graph = net("return x -> Parts(3)", before=split)
    returned = [(output.value.producer, output.value.output) for output in graph.outputs]
    assert returned == [("x", 0), *(("parts.split", i) for i in range(3)), ("x", 0)]
    with pytest.raises(archspec.SpecError, match="must return tensors, not the number 1"):
        net("return (x, *[1])")
    with pytest.raises(archspec.SpecError, match="at least one tensor"):
        net("return (*[],)")


def test_what_a_layer_gives_spreads_out_be_it_one_tensor() -> None:
    for count in (1, 3):
        graph = net(f"return (*(x -> Split({count})), x) -> Concat")
        assert len(graph.nodes[-1].inputs) == count + 1
    with pytest.raises(archspec.SpecError, match=r"takes a list or a tuple, not a tensor"):
        net("y = x -> ReLU", "return (*y, x) -> Concat")


# ------------------------------------------------------------------ defaults from the sizes of inputs

MLP = """
block Mlp(hidden: int = 4 * D, inner: int = hidden // 2, act: layer = ReLU):
    input x: [N, D]
    return x -> fc1: Linear(hidden) -> act -> fc2: Linear(inner) -> fc3: Linear(D)
"""


def test_a_default_may_use_the_sizes_of_inputs() -> None:
    graph = net("return x -> a: Mlp -> b: Mlp(6) -> c: Mlp(inner=3)", before=MLP, given="input x: [5, 8]")
    found = {scope.name: scope.arguments for scope in graph.scopes if scope.block == "Mlp"}
    assert found == {
        "a": {"hidden": 32, "inner": 16, "act": "ReLU"},
        "b": {"hidden": 6, "inner": 3, "act": "ReLU"},
        "c": {"hidden": 32, "inner": 3, "act": "ReLU"},
    }
    assert [list(arguments) for arguments in found.values()] == [["hidden", "inner", "act"]] * 3
    assert weights(graph)["a.fc1.weight"] == (32, 8) and weights(graph)["c.fc2.weight"] == (3, 32)


def test_a_default_may_use_the_inputs_themselves() -> None:
    graph = net(
        "return (x, x -> Conv(8)) -> Join",
        before="block Join(width: int = a.channels + b.channels, by = (a -> Conv(1))):\n    input a\n    input b\n"
        "    return (concat(a, b) -> Conv(width)) * by\n",
    )
    assert shape(graph) == (11, 32, 32)
    assert names(graph) == ["conv", "join.conv", "join.concat", "join.conv_1", "join.mul"]


def test_a_models_default_may_use_the_sizes_that_it_declares() -> None:
    text = "model Net(size: int = 8, width: int = 2 * x.height):\n    input x: [3, size, size]\n    return x -> Conv(width)\n"
    assert shape(archspec.read_text(text)) == (16, 8, 8)
    assert shape(archspec.read_text(text, size=4)) == (8, 4, 4)
    assert shape(archspec.read_text(text, width=4)) == (4, 8, 8)
    assert archspec.read_text(text).functions[-1].arguments == {"size": 8, "width": 16}


def test_a_size_known_before_is_used_at_once() -> None:
    graph = net(
        "return x -> Unit",
        before="C = 3\nblock Unit(width: int = 2 * C):\n    input x: [width // 2, H, W]\n    return x -> Conv(width)\n",
    )
    assert shape(graph) == (6, 32, 32)


# ------------------------------------------------------------------ keys with dots, weights further down

BELOW = """
block Mlp(hidden: int = 12):
    input x: [N, D]
    return x -> fc1: Linear(hidden) -> act: ReLU -> "tail.fc2": Linear(D)

block Outer:
    input x: [N, D]
    shared "in.side" as inner = Mlp
    return x -> inner -> inner -> steps: 3 * [Linear(D)]

block Reads(layer):
    input x
    return x * layer.bias
"""


def test_an_own_weight_may_have_a_key_with_dots() -> None:
    graph = net(
        'weight "rel_pos.table" as table: [8] = zeros',
        "for i in range(2):",
        '    buffer "scales.{i}.gamma" as gamma: [8] = ones',
        "    x = x * gamma + table",
        "return x",
        given="input x: [5, 8]",
    )
    assert weights(graph) == {"rel_pos.table": (8,), "scales.0.gamma": (8,), "scales.1.gamma": (8,)}
    assert graph == Graph.from_json(graph.to_json())
    assert graph.nodes == graph.with_nodes(graph.nodes).nodes


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("mlp.fc1.weight", "mlp.fc1.weight"),
        ("mlp.tail.fc2.bias", "mlp.tail.fc2.bias"),
        ("layers[0].bias", "layers.0.bias"),
        ("layers[1][1].bias", "layers.1.1.bias"),
        ("layers.norm.weight", "layers.norm.weight"),
        ("outer.in.side.fc1.bias", "top.outer.in.side.fc1.bias"),
        ("outer.steps[2].weight", "top.outer.steps.2.weight"),
    ],
)
def test_weights_further_down_a_shared_layer_are_reached_by_their_path(path: str, key: str) -> None:
    graph = net(
        "shared mlp = Mlp",
        "shared layers = [Linear(8), [ReLU, Linear(8)], norm: LayerNorm]",
        'shared "top.outer" as outer = Outer',
        "y = x -> mlp -> layers -> outer -> outer",
        f"return y, {path}",
        before=BELOW,
        given="input x: [5, 8]",
    )
    assert str(node(graph, graph.outputs[1].value.producer).op.arguments["target"]) == key
    assert shape(graph, 1) == graph.weights[key].shape
    assert graph == Graph.from_json(graph.to_json())
    assert graph.nodes == graph.with_nodes(graph.nodes).nodes


def test_a_part_of_a_shared_layer_can_be_handed_to_a_block() -> None:
    graph = net(
        "shared outer = Outer",
        "return x -> outer -> Reads(outer.steps[1])",
        before=BELOW,
        given="input x: [5, 8]",
    )
    assert node(graph, "reads.outer_steps_1_bias").op.arguments["target"] == "outer.steps.1.bias"


# ------------------------------------------------------------------ blocks without inputs

TABLE = "block Table(n: int):\n    weight table: [n, 8] = normal(1.0)\n    return table\n"


def test_a_block_without_inputs_is_applied_to_no_tensors() -> None:
    graph = net(
        "shared t = Table(5)",
        "return x + (() -> t) + (() -> other: Table(5)) + (() -> t)",
        before=TABLE,
        given="input x: [5, 8]",
    )
    assert weights(graph) == {"t.table": (5, 8), "other.table": (5, 8)}
    assert names(graph) == ["t.table", "add", "other.table", "add_1", "t@2.table", "add_2"]
    assert graph == Graph.from_json(graph.to_json())
    assert graph.nodes == graph.with_nodes(graph.nodes).nodes


# ------------------------------------------------------------------ lists without names, side by side


def test_steps_without_weights_of_lists_without_names_do_not_clash() -> None:
    graph = net("y = x -> [Conv(3), ReLU]", "return x + y -> [ReLU, Tanh, GELU] -> [ReLU]")
    assert names(graph) == ["0", "1", "add", "relu", "tanh", "2", "relu_1"]
    assert set(weights(graph)) == {"0.weight", "0.bias"}


# ------------------------------------------------------------------ inputs that are lists

MANY = """
block Fuse:
    input first: [C, H, W]
    input *others: [D, H, W]
    return concat([first, *others])

block Pairs(n: int):
    input xs: n * [C, H, W]
    input y
    return [x * y for x in xs]
"""


def test_an_input_takes_all_tensors_that_remain() -> None:
    graph = net("return (x, x) -> a: Fuse, (x, x, x) -> b: Fuse, x -> c: Fuse", before=MANY)
    assert [shape(graph, i) for i in range(3)] == [(6, 32, 32), (9, 32, 32), (3, 32, 32)]


def test_an_input_takes_a_counted_list() -> None:
    graph = net("return (x, x -> Conv(3), x -> GlobalAvgPool(keep=true)) -> Pairs(2)", before=MANY)
    assert [node.op.__class__.__name__ for node in graph.nodes] == ["Conv", "GlobalAvgPool", "Mul", "Mul"]
    assert len(graph.outputs) == 2


def test_a_model_declares_a_counted_list_of_inputs() -> None:
    text = "model Net(n: int = 2, size: int = 8):\n    input xs: n * i64[size]\n    input y: [size]\n    return sum(xs) + y\n"
    graph = archspec.read_text(text, n=3)
    assert [(given.name, str(given.type)) for given in graph.inputs] == [
        ("xs_0", "i64[8]"),
        ("xs_1", "i64[8]"),
        ("xs_2", "i64[8]"),
        ("y", "f32[8]"),
    ]
    assert [str(ref) for ref in graph.nodes[0].inputs] == ["xs_0", "xs_1", "xs_2"]
    assert graph == Graph.from_json(graph.to_json())


def test_the_count_may_be_computed() -> None:
    graph = archspec.read_text(
        "model Net(n: int = 2):\n    input xs: (2 * n - 1) * [4]\n    return prod(xs)\n"
    )
    assert len(graph.inputs) == 3


def test_a_count_may_also_be_written_out() -> None:
    graph = archspec.read_text("model Net:\n    input xs: 2 * [4]\n    return xs[1] - xs[0]\n")
    assert [str(ref) for ref in graph.nodes[0].inputs] == ["xs_1", "xs_0"]


# ------------------------------------------------------------------ a budget that a spec asks for

LONG = "numbers = [i + j for i in range(600) for j in range(600)]\n"
LOOPS = f"""
block Sums:
    input x: [*S]
    {LONG}    return x * sum(numbers) ** 0

model Net:
    input x: [3]
    return x -> Sums
"""


def test_a_spec_may_ask_for_a_larger_budget(tmp_path: Path) -> None:
    with pytest.raises(archspec.SpecError, match="more than 1,000,000 steps"):
        archspec.read_text(LOOPS)
    assert len(archspec.read_text(f"budget 3_000_000\n{LOOPS}").nodes) == 1
    (tmp_path / "sums.arch").write_text(f"budget 3_000_000\n{LOOPS}")
    (tmp_path / "main.arch").write_text("from sums import Net\n\nmodel Main = Net\n")
    assert len(archspec.read(tmp_path / "main.arch").nodes) == 1


def test_the_readers_own_budget_is_final() -> None:
    with pytest.raises(archspec.SpecError, match="more than 1,000,001 steps"):
        archspec.read_text(f"budget 3_000_000\n{LOOPS}", budget=1_000_001)
    assert len(archspec.read_text(LOOPS, budget=3_000_000).nodes) == 1


def test_sizes_of_a_weight_may_be_spread_out() -> None:
    graph = archspec.read_text("""
model Net(sizes: list[int] = [2, 3]):
    input x: [4, 8, 8]
    weight places: [1, *x.shape] = normal
    buffer table: i64[*sizes, 5] = 1
    return x + places[0], table
""")
    assert {key: weight.shape for key, weight in graph.weights.items()} == {
        "places": (1, 4, 8, 8),
        "table": (2, 3, 5),
    }
