"""Names of steps: what PyTorch can hold loads, what it cannot is refused when the spec is read."""

from keyword import kwlist

import pytest
import torch
from torch import nn

import archspec
from archspec import SpecError
from archspec.ground.names import is_taken

OF_MODULES = dir(nn.Module())
DECLARED = {
    "a step": "return x -> {}: Conv(3)",
    "a step without weights": "return x -> {}: ReLU",
    "a group": 'return x -> "{}.conv": Conv(3)',
    "a member of a group": 'return x -> "a.{}.conv": Conv(3)',
    "the last of a path": 'return x -> "a.{}": Conv(3)',
    "a computed name": 'return x -> "{{name}}": Conv(3)',
    "a list": "return x -> {}: [Conv(3), ReLU]",
    "an item of a list": "return x -> a: [{}: Conv(3), ReLU]",
    "a block": "return x -> {}: Unit",
    "a step in a block": "return x -> unit: Unit",
    "a weight": "weight {}: [3, 1, 1] = zeros\n    return x * {}",
    "a buffer": "buffer {}: [3, 1, 1] = zeros\n    return x * {}",
    "a constant": "constant {}: [3, 1, 1] = zeros\n    return x * {}",
    "a shared layer": "shared {} = Conv(3)\n    return x -> {} -> {}",
}


def spec(name: str, declared: str) -> str:
    inside = name if declared == DECLARED["a step in a block"] else "conv"
    return (
        (
            f"block Unit:\n    input x: [*S]\n    return x -> {inside}: Conv(3)\n"
            f"model Net:\n    input x: [3, 4, 4]\n    name = '{name}'\n    "
            + declared.replace("{}", name)
            + "\n"
        )
        .replace("{{", "{")
        .replace("}}", "}")
    )


def test_all_names_of_modules_are_known_to_be_taken() -> None:
    assert [name for name in OF_MODULES if not is_taken(name)] == []


@pytest.mark.parametrize(
    "name", ["half", "type", "forward", "_modules", "training", "T_destination", "__dict__"]
)
@pytest.mark.parametrize("declared", DECLARED.values(), ids=DECLARED)
def test_a_name_of_modules_is_refused_at_its_place(name: str, declared: str) -> None:
    with pytest.raises(SpecError, match=f"`{name}` cannot be a name") as caught:
        archspec.read_text(spec(name, declared))
    assert caught.value.problems[0].span is not None
    assert caught.value.problems[0].help


def test_no_shipped_op_gives_its_step_such_a_name() -> None:
    from archspec.elaboration.builder import snake
    from archspec.op import Op

    assert [name for name in Op.names() if is_taken(snake(name))] == []


def test_a_step_that_is_named_after_its_block_gets_another() -> None:
    text = "block Half = [Conv(3)]\nmodel Net:\n    input x: [3, 4, 4]\n    return x -> Half -> Half\n"
    graph = archspec.read_text(text)
    assert [node.name for node in graph.nodes] == ["half_1.0", "half_2.0"]
    assert archspec.load(graph)(torch.ones(2, 3, 4, 4)).shape == (2, 3, 4, 4)


@pytest.mark.parametrize(
    "name", [name for name in kwlist if name not in ("in", "if", "for", "not", "and", "or")]
)
def test_words_of_python_are_not_refused(name: str) -> None:
    graph = archspec.read_text(spec(name, DECLARED["a computed name"]))
    assert graph.nodes[0].name == name


@pytest.mark.parametrize("name", ["_graph", "_code", "_lineno_map", "_prologue_start"])
def test_names_of_a_networks_program_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match=f"`{name}` cannot be a name"):
        archspec.read_text(spec(name, DECLARED["a step"]))


@pytest.mark.parametrize(
    "name", ["code", "meta", "graph", "append", "pop", "recompile", "class", "self", "torch"]
)
@pytest.mark.parametrize("declared", ["a computed name", "a list", "an item of a list"])
def test_other_names_of_containers_load(name: str, declared: str) -> None:
    written = (
        DECLARED[declared] if declared == "a computed name" else DECLARED[declared].replace("{}", '"{}"')
    )
    network = archspec.load(archspec.read_text(spec(name, written)))
    assert network(torch.ones(2, 3, 4, 4)).shape == (2, 3, 4, 4)
