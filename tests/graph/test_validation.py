"""Graphs from elsewhere: what is not a graph that a spec could have is refused, and nothing in one is ever run."""

import builtins
import json
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hostile import PWNED, mutate
from torch import nn

import archspec
from archspec import Graph, Op, SpecError
from archspec.graph import Ref
from archspec.ground.size import Free
from archspec.ground.tensor import TensorType, torch_name
from archspec.op import Weight
from archspec.op.initialisation import zeros

SPECS = {
    "blocks": """
block Unit(out: int, stride: int = 1):
    input x: [C, H, W]
    y = x -> conv: Conv(out, 3, stride=stride, bias=false) -> norm: BatchNorm -> ReLU
    return y if stride > 1 or C != out else x + y

model Net(width: int = 4):
    "A few blocks."
    input image: [3, 8, 8]
    x = image -> stem: [Conv(width, 3), act: GELU] -> stage: [Unit(width), Unit(width), Unit(2 * width, 2)]
    return x -> GlobalAvgPool -> Dropout(0.1) -> head: Linear(5)

claims Net "by hand" at width=4:
    params 1.2K but 1_073 "counted"
    output [5]
""",
    "weights": """
block Tokens(classes: int = 1):
    input x: [N, D]
    weight cls: [classes, D] = normal(0.02)
    buffer scale: [] = 2.0
    constant order: i64[N + classes] = [i for i in range(N + classes)]
    table = (concat(cls, cls, cls, cls, cls), order) -> Gather
    return concat(cls + 0 * (x[0:1]), x) * scale + table

model Net:
    input x: [4, 6]
    shared fc = [proj: Linear(6), Tanh]
    shared up = Linear(6, bias=false)
    y = x -> fc -> tokens: Tokens -> fc -> up
    return out=y @ (up.weight -> Permute([1, 0])), other=y -> "heads.a": Linear(2)
""",
    "free": """
model Net(words: int = 7):
    input tokens: i64[free S]
    input mask: bool[S, S]
    input more: [2 * S, 8]
    x = tokens -> embed: Embedding(words, 8, init=zero_row(normal(0.1), 0))
    y = concat(x, x, axis=0) + more
    (a, b) = y -> Split(2, axis=-1)
    z = (x, x, x) -> attend: Attention(mask=mask)
    return (a + b -> Reduce("mean", 0)), z
""",
}  # fmt: skip

BASES = {name: archspec.parse(text) for name, text in SPECS.items()}


def changed(graph: Graph, change: Callable[[Any], Any]) -> str:
    """The JSON of a graph after a change to its tree."""
    tree = json.loads(graph.to_json())
    replaced = change(tree)
    return json.dumps(tree if replaced is None else replaced)


def everywhere(tree: Any, old: str, new: str) -> Any:
    """The tree with a text replaced wherever it occurs, in keys too."""
    return json.loads(json.dumps(tree).replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))


# ------------------------------------------------------------------ code


HOSTILE_NAMES = [
    f"x={PWNED}",
    f'c"), {PWNED}, ("',
    f"x):\n    {PWNED}\n    def g(y",
    f"'+str({PWNED})+'",
    "a b",
    "é",
    "",
    "a\n",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("old", ["image", "stem.act", "head", "Net", "Unit", "width"])
def test_no_name_is_code(old: str, name: str) -> None:
    if (old, name) == ("Unit", ""):
        return  # a scope of no block is a list
    with pytest.raises(SpecError, match="graph"):
        archspec.load(Graph.from_json(changed(BASES["blocks"], lambda tree: everywhere(tree, old, name))))
    assert not hasattr(builtins, "PWNED")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_no_name_of_an_output_an_option_a_weight_or_a_file_is_code(name: str) -> None:
    for base, old in (
        ("weights", "other"),
        ("free", "mask"),
        ("weights", "tokens.cls"),
        ("free", "S"),
        ("free", "spec.arch"),
    ):
        if (old, name) in (("spec.arch", "a b"), ("spec.arch", "é")) or (
            old == "spec.arch" and name.isprintable() and name
        ):
            continue  # a file may be called so: no code holds more than a comment
        with pytest.raises(SpecError, match="graph"):
            archspec.load(
                Graph.from_json(changed(BASES[base], lambda tree, old=old: everywhere(tree, old, name)))
            )
    assert not hasattr(builtins, "PWNED")


def test_a_copy_with_changes_is_checked_and_the_graph_itself_is_not_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = archspec.parse(SPECS["blocks"])
    given = graph.inputs[0].model_copy(update={"name": f"x={PWNED}"})
    for hostile in (
        graph.model_copy(update={"inputs": (given,)}),
        graph.model_copy(update={"inputs": (given,)}, deep=True),
        Graph.model_construct(**{**dict(graph), "inputs": (given,)}),
        Graph(**{**dict(graph), "inputs": (given,)}),
        graph.with_nodes(graph.nodes[:-1]),
    ):
        with pytest.raises(SpecError, match="not valid"):
            archspec.load(hostile)
    assert not hasattr(builtins, "PWNED")
    assert graph.inputs[0].name == "image"
    monkeypatch.setattr(
        "archspec.graph.validation.validate", lambda graph: pytest.fail("it was made by elaboration")
    )
    archspec.load(graph)


def test_a_copy_does_not_keep_what_was_found_of_the_original() -> None:
    graph = archspec.parse(SPECS["blocks"])
    assert Ref("head") in graph.types
    assert len(list(graph.inside(0))) == len(graph.nodes)
    shorter = graph.with_nodes(graph.nodes[:-1])
    assert Ref("head") not in shorter.types
    assert len(list(shorter.inside(0))) == len(graph.nodes) - 1
    assert set(vars(pickle.loads(pickle.dumps(graph)))) == set(Graph.model_fields)


@pytest.mark.parametrize(
    "made",
    [
        lambda g: Graph.model_construct(),
        lambda g: Graph.model_construct(**{**dict(g), "nodes": None}),
        lambda g: Graph.model_construct(**{**dict(g), "nodes": [1]}),
        lambda g: Graph.model_construct(**{**dict(g), "name": 5}),
        lambda g: g.model_copy(update={"weights": {"a": 1}}),
        lambda g: g.model_copy(update={"scopes": ()}),
        lambda g: g.with_nodes([g.nodes[0].model_copy(update={"op": Op.model_construct()})]),
        lambda g: g.with_nodes([g.nodes[0].model_copy(update={"location": None})]),
        lambda g: g.with_nodes([g.nodes[0].model_copy(update={"scope": 10**9})]),
    ],
)
def test_what_pydantic_did_not_see_is_refused(made: Callable[[Graph], Graph]) -> None:
    with pytest.raises(SpecError, match="not valid"):
        archspec.load(made(BASES["blocks"]))


TAKERS: dict[str, Callable[[Graph], object]] = {
    "cost": lambda g: archspec.cost(g).total,
    "diff, left": lambda g: archspec.diff(g, BASES["blocks"]),
    "diff, right": lambda g: archspec.diff(BASES["blocks"], g),
    "draw": lambda g: archspec.draw(g).dot,
    "load": archspec.load,
    "resize_positions": lambda g: archspec.resize_positions({}, g),
    "to_json": lambda g: g.to_json(),
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize(
    "changes",
    [
        lambda g: {"inputs": ()},
        lambda g: {"scopes": ()},
        lambda g: {"nodes": ()},
        lambda g: {"nodes": g.nodes[::-1]},
        lambda g: {"nodes": g.nodes[1:]},
        lambda g: {"outputs": ()},
        lambda g: {"weights": {}},
        lambda g: {"weights": None},
    ],
)
def test_each_function_checks_a_graph_that_was_changed(
    taker: str, changes: Callable[[Graph], dict[str, object]]
) -> None:
    graph = BASES["blocks"]
    with pytest.raises(SpecError, match="not valid"):
        TAKERS[taker](graph.model_copy(update=changes(graph)))
    TAKERS[taker](graph)


def test_a_notebook_shows_no_picture_of_a_graph_that_is_none() -> None:
    assert BASES["blocks"].model_copy(update={"scopes": ()})._repr_svg_() is None


# ------------------------------------------------------------------ one invariant each


def at(*path: Any, value: Any) -> Callable[[Any], None]:
    """A change of one place."""

    def change(tree: Any) -> None:
        for step in path[:-1]:
            tree = tree[step]
        tree[path[-1]] = value

    return change


def delete(*path: Any) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        for step in path[:-1]:
            tree = tree[step]
        del tree[path[-1]]

    return change


def again(key: str, index: int) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        tree[key].insert(index + 1, json.loads(json.dumps(tree[key][index])))

    return change


def swapped(key: str, left: int, right: int) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        tree[key][left], tree[key][right] = tree[key][right], tree[key][left]

    return change


def _parted(tree: Any) -> Any:
    """A step in the middle of a block leaves it."""
    for scope in tree["scopes"]:
        if scope["name"].startswith("stage"):
            scope["outputs"] = []
    apart = tree["nodes"][_named(tree, "stage.0.relu")]
    apart["scope"], apart["inputs"], apart["types"][0]["shape"] = 0, ["image"], [3, 8, 8]
    return everywhere(tree, "stage.0.relu", "apart")


WRONG: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "unknown reference": ("blocks", at("nodes", 1, "inputs", 0, value="nowhere"), "nothing before it gives"),
    "later reference": ("blocks", at("nodes", 0, "inputs", 0, value="head"), "nothing before it gives"),
    "own output": ("blocks", at("nodes", 0, "inputs", 0, value="stem.0"), "nothing before it gives"),
    "output out of range": ("blocks", at("nodes", 1, "inputs", 0, value="stem.0:1"), "nothing before it gives"),
    "negative output": ("blocks", at("nodes", 1, "inputs", 0, value="stem.0:-1"), "no output of a step"),
    "two steps of a name": ("blocks", again("nodes", 0), "another part has that name"),
    "steps in another order": ("blocks", swapped("nodes", 0, 1), "nothing before it gives"),
    "a step too few": ("blocks", delete("nodes", -1), "nothing before it gives|missing|no step has"),
    "no inputs": ("blocks", at("inputs", value=[]), "no input"),
    "two inputs of a name": ("blocks", again("inputs", 0), "two inputs"),
    "no outputs": ("blocks", at("outputs", value=[]), "gives other values|no output"),
    "outputs of one name": ("weights", at("outputs", 0, "name", value="other"), "two outputs"),
    "one unnamed output": ("weights", at("outputs", 0, "name", value=""), "cannot name an output"),
    "an output of another type": ("blocks", at("outputs", 0, "type", "shape", value=[6]), "the output"),
    "no scopes": ("blocks", at("scopes", value=[]), "no scopes"),
    "a scope in a later one": ("blocks", at("scopes", 1, "parent", value=2), "in no scope before it"),
    "a scope in itself": ("blocks", at("scopes", 1, "parent", value=1), "in no scope before it"),
    "a scope without another": ("blocks", at("scopes", 1, "parent", value=None), "in no scope before it"),
    "two scopes of a name": ("blocks", again("scopes", 2), "another part has that name"),
    "the model within": ("blocks", at("scopes", 0, "parent", value=0), "not the model"),
    "another model": ("blocks", at("name", value="Other"), "not the model"),
    "a scope that is not there": ("blocks", at("nodes", 0, "scope", value=99), "in no scope"),
    "a negative scope": ("blocks", at("nodes", 0, "scope", value=-1), "in no scope"),
    "a step outside of its scope": ("blocks", at("nodes", 0, "scope", value=0), "but not in it"),
    "a scope in two parts": ("blocks", _parted, "are not together"),
    "a scope that gives what it has not": ("blocks", at("scopes", 1, "outputs", value=["head"]), "nothing before it gives"),
    "a scope that takes what comes later": ("blocks", at("scopes", 1, "inputs", value=["head"]), "nothing before it gives"),
    "a value of a scope that is not given": ("blocks", at("scopes", 1, "outputs", value=["stem.0"]), "does not give"),
    "a type that the op does not give": ("blocks", at("nodes", 0, "types", 0, "shape", value=[5, 8, 8]), "it gives"),
    "a type too many": ("blocks", at("nodes", 1, "types", value=[{"shape": [4, 8, 8], "dtype": "f32", "batched": True}] * 2), "it gives"),
    "another argument": ("blocks", at("nodes", 0, "op", "arguments", "out", value=5), "it gives"),
    "an argument that fits nowhere": ("blocks", at("nodes", 0, "op", "arguments", "groups", value=2), "groups"),
    "an input too many": ("blocks", at("nodes", 0, "inputs", value=["image", "image"]), "takes 1 tensor"),
    "an option that is none": ("free", at("nodes", 5, "options", value={"mosk": "mask"}), "no optional tensor"),
    "an op without a name": ("blocks", at("nodes", 0, "op", value={}), "its name and its arguments"),
    "an op of a list": ("blocks", at("nodes", 0, "op", "name", value=[]), "its name and its arguments"),
    "a base of ops": ("blocks", at("nodes", 0, "op", "name", value="_Conv"), "no op `_Conv`"),
    "an initialisation without a name": ("weights", at("nodes", 0, "op", "arguments", "init", value={}), "its name and its arguments"),
    "an initialisation of a list": ("weights", at("nodes", 0, "op", "arguments", "init", value={"name": []}), "its name and its arguments"),
    "a weight too few": ("blocks", delete("weights", "head.bias"), "is missing"),
    "a weight too many": ("blocks", at("weights", "head.more", value={"shape": [1], "init": {"name": "zeros"}}), "no step has"),
    "a weight of another shape": ("blocks", at("weights", "head.bias", "shape", value=[6]), "not the one that its step has"),
    "a weight of another dtype": ("blocks", at("weights", "head.bias", "dtype", value="f16"), "not the one that its step has"),
    "a weight that is not trained": ("blocks", at("weights", "head.bias", "trainable", value=False), "not the one that its step has"),
    "a weight that is not saved": ("blocks", at("weights", "head.bias", "saved", value=False), "not the one that its step has"),
    "a weight that starts otherwise": ("blocks", at("weights", "head.bias", "init", value={"name": "zeros"}), "not the one that its step has"),
    "shares of nothing": ("weights", at("nodes", 0, "shares", value="tokens"), "it shares the weights of"),
    "no shares": ("weights", lambda tree: at("nodes", _named(tree, "fc@2.proj"), "shares", value="")(tree), "it shares the weights of"),
    "a tie to nothing": ("weights", lambda tree: at("nodes", _op(tree, "Tied"), "op", "arguments", "target", value="no.weight")(tree), "which no step before it has"),
    "a tie to another shape": ("weights", lambda tree: at("nodes", _op(tree, "Tied"), "op", "arguments", "target", value="fc.proj.bias")(tree), "it reads"),
    "a size of nothing": ("blocks", at("inputs", 0, "type", "shape", value=[3, 0, 8]), "positive whole number"),
    "a size that no computer has": ("blocks", at("inputs", 0, "type", "shape", value=[3, 2**62, 8]), "more values than"),
    "an input without a batch": ("blocks", at("inputs", 0, "type", "batched", value=False), "has no batch"),
    "a free size of no name": ("free", at("inputs", 2, "type", "shape", 0, value="2*T"), "no input has the free sizes"),
    "a free size that can be 0": ("free", at("inputs", 2, "type", "shape", 0, value="S - 1"), "at least 1|S = 1"),
    "a figure that is none": ("blocks", at("claims", 0, "figure", value="many"), "no figure"),
    "a place that is none": ("blocks", at("nodes", 0, "location", 1, value=0), "in no file"),
    "a digest that is none": ("blocks", lambda tree: tree["sources"].update({"spec.arch": "abc"}), "SHA-256"),
    "settings too deep": ("blocks", at("settings", value={"a": json.loads("[" * 150 + "]" * 150)}), "nested|recursion"),
    "a number too large": ("blocks", at("settings", value={"a": 10**31}), "more than 30 digits"),
    "no number": ("blocks", at("settings", value={"a": float("nan")}), "or is none"),
}  # fmt: skip


def _named(tree: Any, name: str) -> int:
    return next(i for i, node in enumerate(tree["nodes"]) if node["name"] == name)


def _op(tree: Any, name: str) -> int:
    return next(i for i, node in enumerate(tree["nodes"]) if node["op"]["name"] == name)


@pytest.mark.parametrize("case", WRONG)
def test_each_invariant_is_held_to(case: str) -> None:
    base, change, message = WRONG[case]
    with pytest.raises(SpecError, match=message):
        Graph.from_json(changed(BASES[base], change))


def test_constants_that_nothing_accounts_for_are_refused() -> None:
    spec = "model M:\n    input x: [3]\n    constant c: [{}, 1] = 1.0\n    return x + c[0]\n"
    graph = archspec.parse(spec.format(8))
    huge = changed(graph, lambda tree: json.loads(json.dumps(tree).replace("[8, 1]", "[1000000000000, 1]")))
    with pytest.raises(SpecError, match="constants hold 1,000,000,000,000 values"):
        Graph.from_json(huge)
    with pytest.raises(SpecError, match="constants hold 1,000,000,000,000 values"):
        archspec.parse(spec.format(10**12))


def test_weights_that_no_memory_holds_are_refused_before_they_are_drawn() -> None:
    spec = "model M:\n    input x: [{0}]\n    return x -> Linear({0})\n"
    graph = Graph.from_json(archspec.parse(spec.format(10**9)).to_json())
    with pytest.raises(SpecError, match=r"the weights of M take [\d.]+(e\+\d+)? TiB, and this machine has"):
        archspec.load(graph)


def test_an_op_with_outputs_without_end_is_refused() -> None:
    spec = "model M:\n    input x: [{0}]\n    return x -> Split({0})\n"
    with pytest.raises(SpecError, match="more than 1,000,000 parts"):
        archspec.parse(spec.format(10**9))
    with pytest.raises(SpecError, match="more than 1,000,000 parts"):
        Graph.from_json(
            archspec.parse(spec.format(4))
            .to_json()
            .replace("[4]", "[1000000000]")
            .replace('"parts":4', '"parts":1000000000')
        )


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"settings":' + '{"a":' * 100_000, "\ud800", "9" * 100_000, b"\xff\xfe"]
)
def test_text_that_breaks_parsers_is_refused(text: str | bytes) -> None:
    with pytest.raises(SpecError, match="not a graph"):
        Graph.from_json(text)


@pytest.mark.parametrize("how", ["infer", "weights"])
def test_an_op_of_anyone_that_fails_is_named(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Op, "known", dict(Op.known))

    class Breaks(Op):
        """Fails as ops of anyone may: with what is no Mistake."""

        how: str

        def infer(self, x: TensorType) -> TensorType:
            if self.how == "infer":
                raise KeyError("how")
            return x

        def weights(self, x: TensorType) -> dict[str, Weight]:
            if self.how == "weights":
                raise ZeroDivisionError
            return {"w": Weight(shape=(2,), init=zeros())}

        def flops(self, x: TensorType) -> int:
            return 0

        def lower(self, x: TensorType) -> nn.Module:
            raise NotImplementedError

    text = archspec.parse('model M:\n    input x: [3]\n    return x -> Breaks("no")\n').to_json()
    with pytest.raises(SpecError, match=rf"`{how}` of Breaks fails with (KeyError|ZeroDivisionError)"):
        Graph.from_json(text.replace('"no"', f'"{how}"'))


# ------------------------------------------------------------------ any change


def inputs_of(graph: Graph, free: int = 5) -> list[torch.Tensor]:
    """Something to put in: two samples, free sizes all the same."""
    made = []
    for given in graph.inputs:
        shape = (2, *sizes(given.type, free))
        dtype = getattr(torch, torch_name(given.type.dtype))
        made.append(torch.randn(shape).to(dtype) if given.type.floating else torch.zeros(shape, dtype=dtype))
    return made


def sizes(type_: TensorType, free: int) -> tuple[int, ...]:
    return tuple(
        size.at(dict.fromkeys(size.names, free)) if isinstance(size, Free) else size for size in type_.shape
    )


def runs_alike(graph: Graph) -> None:
    """It is a network: as blocks and flat it gives the same, of the types that the graph has."""
    made = inputs_of(graph)
    results = []
    for flat in (False, True):
        with torch.no_grad():
            found = archspec.load(graph, seed=0, flat=flat).eval()(*(tensor.clone() for tensor in made))
        results.append(
            list(found.values())
            if isinstance(found, dict)
            else list(found)
            if isinstance(found, tuple)
            else [found]
        )
    for output, nested, flat_ in zip(graph.outputs, *results, strict=True):
        torch.testing.assert_close(nested, flat_, equal_nan=True)
        assert tuple(nested.shape[output.type.offset :]) == sizes(output.type, 5)
        assert nested.dtype == getattr(torch, torch_name(output.type.dtype))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("seed", range(150))
def test_any_change_is_refused_or_leaves_a_network(name: str, seed: int) -> None:
    tree = mutate(json.loads(BASES[name].to_json()), random.Random(f"{name}/{seed}"))
    try:
        graph = Graph.from_json(json.dumps(tree))
        if graph != BASES[name]:
            runs_alike(graph)
    except SpecError as error:
        assert str(error).startswith("error[")
    assert not hasattr(builtins, "PWNED")


@pytest.mark.parametrize("name", SPECS)
def test_what_was_not_changed_is_a_network(name: str) -> None:
    runs_alike(Graph.from_json(BASES[name].to_json()))
