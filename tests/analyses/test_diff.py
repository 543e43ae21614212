"""What differs between two networks."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nets import each_kind_of_network, shipped
from work import calls

import archspec
from archspec.analyses.diff import Difference

CHAIN = """
block Residual(hidden: int = 4):
    input x: [C]
    return x + (x -> Linear(hidden) -> ReLU -> Linear(C))

block Gate:
    input x: [C]
    return x * (x -> linear: Linear(C) -> Sigmoid)

model Net(gates: list = [], depth: int = 4, hidden: int = 4, skip: bool = false, width: int = 4):
    input x: [width]
    blocks = [Gate if i in gates else Residual(hidden) for i in range(depth + len(gates))]
    y = x -> stem: Linear(width) -> blocks: blocks
    z = y + x if skip else y
    return z -> head: Linear(2)
"""


def chain(**settings: Any) -> archspec.Graph:
    return archspec.read_text(CHAIN, **settings)


def names(pieces: Any) -> list[str]:
    return [piece.name for piece in pieces]


@each_kind_of_network
def test_a_network_is_the_same_as_itself(name: str) -> None:
    graph = shipped(name)
    found = archspec.diff(graph, graph)
    assert found.same
    assert found.weights.kept == tuple(key for key, weight in graph.weights.items() if weight.saved)
    assert found.weights.filled == graph.parameters


def test_another_number_of_classes_changes_the_last_layer_only() -> None:
    found = archspec.diff(archspec.read("resnet50"), archspec.read("resnet50", classes=10))
    assert [(change.names, change.arguments) for change in found.changed] == [
        (("fc",), {"out": ("1000", "10")})
    ]
    assert (found.added, found.removed, found.renamed, found.reshaped) == ((), (), (), ())
    assert [right for _, right, _ in found.weights.reshaped] == ["fc.weight", "fc.bias"]
    assert len(found.weights.kept) == 318


def carried(found: Difference) -> tuple[list[str], list[str]]:
    """Load what carries over into a module of the right network: the missing and the unexpected keys."""
    state = archspec.load(found.left).state_dict()
    moved = {key: state[key] for key in found.weights.kept}
    moved |= {new: state[old] for old, new in found.weights.renamed}
    missing, unexpected = archspec.load(found.right).load_state_dict(moved, strict=False)
    return list(missing), list(unexpected)


def told(keys: Any) -> set[str]:
    """Those whose absence torch tells; it starts the counters of batches at 0 in silence."""
    return {key for key in keys if not key.endswith("num_batches_tracked")}


PAIRS = [
    (chain(), chain(gates=[1])),
    (chain(), chain(gates=[0, 3], depth=2)),
    (chain(depth=2), chain(hidden=8)),
    (archspec.read("resnet18"), archspec.read("resnet50")),
    (archspec.read("swin_t"), archspec.read("swin_t", classes=7)),
]


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_what_is_said_of_weights_holds_for_the_modules(left: archspec.Graph, right: archspec.Graph) -> None:
    found = archspec.diff(left, right)
    missing, unexpected = carried(found)
    assert unexpected == []
    reshaped = {new for _, new, _ in found.weights.reshaped}
    assert told(missing) == reshaped | told(found.weights.right_only)
    filled = [*found.weights.kept, *(new for _, new in found.weights.renamed)]
    sizes = {key: weight for key, weight in right.weights.items() if weight.trainable}
    parameters = dict(archspec.load(right).named_parameters())
    assert found.weights.filled == sum(parameters[key].numel() for key in filled if key in sizes)


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_what_one_way_adds_the_other_removes(left: archspec.Graph, right: archspec.Graph) -> None:
    there, back = archspec.diff(left, right), archspec.diff(right, left)
    assert names(there.added) == names(back.removed)
    assert names(there.removed) == names(back.added)
    assert {(b, a) for a, b in there.renamed} == set(back.renamed)


def test_an_inserted_block_renames_those_behind_it() -> None:
    found = archspec.diff(chain(), chain(gates=[1]))
    assert names(found.added) == ["blocks.1"]
    assert found.removed == ()
    assert found.renamed == (("blocks.1", "blocks.2"), ("blocks.2", "blocks.3"), ("blocks.3", "blocks.4"))
    assert ("blocks.3.linear.weight", "blocks.4.linear.weight") in found.weights.renamed
    assert found.weights.right_only == ("blocks.1.linear.weight", "blocks.1.linear.bias")


def test_an_argument_of_a_block_is_told_once() -> None:
    found = archspec.diff(chain(), chain(hidden=8))
    block, *inner = found.changed
    assert (block.kind, block.arguments) == ("Residual", {"hidden": ("4", "8")})
    assert block.names == ("blocks.0", "blocks.1", "blocks.2", "blocks.3")
    assert all(change.follows for change in inner)


def test_a_new_skip_is_a_new_sum_and_a_rewired_layer() -> None:
    found = archspec.diff(chain(), chain(skip=True))
    assert names(found.added) == ["add"]
    (change,) = found.changed
    assert change.names == ("head",)
    assert change.rewired == ("blocks.3.add", "add")


def test_other_shapes_alone_are_only_counted() -> None:
    found = archspec.diff(archspec.read("resnet50"), archspec.read("resnet50", resolution=256))
    assert found.changed == ()
    assert len(found.reshaped) == len(found.right.nodes) - 1  # the classifier sees a vector, as before
    assert found.inputs == (("image f32[3, 224, 224]", "image f32[3, 256, 256]"),)


def test_costs_are_those_of_each() -> None:
    found = archspec.diff(archspec.read("resnet18"), archspec.read("resnet50"))
    assert found.cost["params"] == (11_689_512, 25_557_032)
    assert found.cost["macs"] == (1_814_073_344, 4_089_184_256)
    assert found.cost["depth"] == (18, 50)


def test_a_free_size_leaves_costs_open() -> None:
    graph = archspec.read_text("model Net:\n    input x: [free S, 4]\n    return x -> Linear(2)\n")
    assert archspec.diff(graph, graph).cost["macs"] is None


def test_large_networks_are_compared_in_a_moment() -> None:
    made = []
    for depth in (200, 400, 800):
        left, right = chain(depth=depth), chain(depth=depth + 1, gates=[depth // 2])
        found: list[Any] = []
        made.append(calls(partial(compared, left, right, found), most=10_000_000))
        assert len(found[0].added) == 2
    assert made[2] - made[1] < 2.5 * (made[1] - made[0])  # twice as deep, twice the work


def compared(left: archspec.Graph, right: archspec.Graph, found: list[Any]) -> None:
    found.append(archspec.diff(left, right))


def command(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "archspec", "diff", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "110"},
    )


def test_json_has_structure_cost_and_weights() -> None:
    printed = json.loads(command("resnet18", "resnet50", "--format", "json").stdout)
    assert printed["same"] is False
    assert printed["cost"]["params"] == {"left": 11_689_512, "right": 25_557_032}
    assert len(printed["structure"]["added"]) == 16
    assert set(printed["weights"]) >= {"kept", "renamed", "reshaped", "left_only", "right_only"}


def test_the_same_network_takes_one_line() -> None:
    assert command("resnet18", "resnet18").stdout == "ResNet18 -> ResNet18\n\nthe same network\n"


def test_markdown_lists_and_tabulates() -> None:
    printed = command("resnet18", "resnet18", "--right", "classes=10", "--format", "markdown").stdout
    assert printed.startswith("### ResNet18 -> ResNet18\n\n**settings**\n\n- `classes` 1000 -> 10\n")
    assert "| params | 11.69M | 11.18M | x 0.957 |" in printed


def test_wrong_specs_and_settings_are_told() -> None:
    missing = command("resnet18", "resnet19")
    assert missing.returncode == 1
    assert "resnet18" in missing.stderr  # did you mean
    assert command("resnet18", "resnet18", "--right", "classes").returncode == 2
    assert "Traceback" not in missing.stderr


def test_torch_stays_out() -> None:
    code = (
        "import sys\nfrom archspec.cli import main\nsys.argv = ['archspec', 'diff', 'resnet18', 'resnet50']\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AssertionError" not in done.stderr
    assert done.returncode == 0
