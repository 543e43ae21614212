"""Graphs from elsewhere: what is not a graph that a spec could have is refused, and nothing in one is ever run."""

import builtins
import json
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
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

BASES = {name: archspec.read_text(text) for name, text in SPECS.items()}


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
@pytest.mark.parametrize("old", ["image", "stem", "head", "Net", "Unit", "width"])
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
        ("weights", "cls"),
        ("weights", "fc"),
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
    graph = archspec.read_text(SPECS["blocks"])
    given = graph.inputs[0].model_copy(update={"name": f"x={PWNED}"})
    for hostile in (
        graph.model_copy(update={"inputs": (given,)}),
        graph.model_copy(update={"inputs": (given,)}, deep=True),
        Graph.model_construct(**{**dict(graph), "inputs": (given,)}),
        Graph(**{**dict(graph), "inputs": (given,)}),
        graph.model_copy(update={"functions": graph.functions[:-1]}),
    ):
        with pytest.raises(SpecError, match="invalid graph"):
            archspec.load(hostile)
    assert not hasattr(builtins, "PWNED")
    assert graph.inputs[0].name == "image"
    monkeypatch.setattr(
        "archspec.graph.validation.validate", lambda graph: pytest.fail("it was made by elaboration")
    )
    archspec.load(graph)


def test_a_copy_does_not_keep_what_was_found_of_the_original() -> None:
    graph = archspec.read_text(SPECS["blocks"])
    assert Ref("head") in graph.types
    assert len(list(graph.inside(0))) == len(graph.nodes)
    nodes = graph.nodes[:-3] + graph.nodes[-2:-1] + graph.nodes[-1:]
    pooled = nodes[-3].name
    nodes = (*nodes[:-2], replace(nodes[-2], inputs=(Ref(pooled),), types=nodes[-3].types), nodes[-1])
    with pytest.raises(SpecError, match="invalid graph"):
        archspec.load(graph.with_nodes(nodes))
    renamed = graph.model_copy(update={"name": "Other", "functions": graph.functions[:-1]})
    assert renamed.functions != graph.functions
    assert Ref("head") not in renamed.types
    assert set(vars(pickle.loads(pickle.dumps(graph)))) == set(Graph.model_fields)


def test_the_flat_view_is_not_changed_by_a_copy() -> None:
    for name in ("nodes", "scopes", "weights", "outputs"):
        with pytest.raises(TypeError, match=f"a graph has no field `{name}`"):
            BASES["blocks"].model_copy(update={name: ()})


def with_step(graph: Graph, **changed: Any) -> Graph:
    """The graph with another first step in its first function."""
    first = graph.functions[0]
    steps = (first.steps[0].with_changes(**changed), *first.steps[1:])
    return graph.model_copy(update={"functions": (first.with_changes(steps=steps), *graph.functions[1:])})


@pytest.mark.parametrize(
    "made",
    [
        lambda g: Graph.model_construct(),
        lambda g: Graph.model_construct(**{**dict(g), "functions": None}),
        lambda g: Graph.model_construct(**{**dict(g), "functions": [1]}),
        lambda g: Graph.model_construct(**{**dict(g), "name": 5}),
        lambda g: g.model_copy(update={"returns": {"a": 1}}),
        lambda g: g.model_copy(update={"functions": ()}),
        lambda g: with_step(g, op=Op.model_construct()),
        lambda g: with_step(g, location=None),
        lambda g: with_step(g, layer=10**9),
        lambda g: with_step(g, options=None),
        lambda g: g.with_nodes([replace(g.nodes[0], op=Op.model_construct())]),
        lambda g: g.with_nodes([replace(g.nodes[0], scope=10**9)]),
    ],
)
def test_what_pydantic_did_not_see_is_refused(made: Callable[[Graph], Graph]) -> None:
    with pytest.raises(SpecError, match="invalid graph"):
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
        lambda g: {"functions": ()},
        lambda g: {"functions": g.functions[::-1]},
        lambda g: {"functions": g.functions[1:]},
        lambda g: {"functions": g.functions[:-1]},
        lambda g: {"returns": ()},
        lambda g: {"returns": None},
    ],
)
def test_each_function_checks_a_graph_that_was_changed(
    taker: str, changes: Callable[[Graph], dict[str, object]]
) -> None:
    graph = BASES["blocks"]
    with pytest.raises(SpecError, match="invalid graph"):
        TAKERS[taker](graph.model_copy(update=changes(graph)))
    TAKERS[taker](graph)


def test_a_notebook_shows_no_picture_of_a_graph_that_is_none() -> None:
    assert BASES["blocks"].model_copy(update={"functions": ()})._repr_svg_() is None


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


def again(*path: Any) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        for step in path[:-1]:
            tree = tree[step]
        tree.insert(path[-1] + 1, json.loads(json.dumps(tree[path[-1]])))

    return change


def swapped(*path: Any, with_: int) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        for step in path[:-1]:
            tree = tree[step]
        tree[path[-1]], tree[with_] = tree[with_], tree[path[-1]]

    return change


def step(function: int, index: int, *path: Any, value: Any) -> Callable[[Any], None]:
    """A change of one place in a step."""
    return at("functions", function, "steps", index, *path, value=value)


TYPE = {"shape": [4, 8, 8], "dtype": "f32", "batched": True}

WRONG: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "unknown reference": ("blocks", step(0, 1, "inputs", 0, value="nowhere"), "not defined before it"),
    "later reference": ("blocks", step(4, 0, "inputs", 0, value="head"), "not defined before it"),
    "own output": ("blocks", step(0, 0, "inputs", 0, value="0"), "not defined before it"),
    "an input too far": ("blocks", step(0, 0, "inputs", 0, value="%1"), "not defined before it"),
    "output out of range": ("blocks", step(0, 1, "inputs", 0, value="0:1"), "not defined before it"),
    "negative output": ("blocks", step(0, 1, "inputs", 0, value="0:-1"), "not the index of an output"),
    "two steps of a name": ("blocks", again("functions", 0, "steps", 0), "duplicate step name"),
    "steps in another order": ("blocks", swapped("functions", 0, "steps", 0, with_=1), "not defined before it"),
    "a step too few": ("blocks", delete("functions", 4, "steps", -1), "output `[^`]*` is not defined"),
    "a step below another": ("blocks", step(0, 1, "name", value="0.act"), "no step can be named `0."),
    "a group that is a step": ("weights", lambda tree: everywhere(tree, "heads.a", "mat_mul.a"), "no step can be named"),
    "an input that is a step": ("blocks", at("inputs", 0, "name", value="head"), "both an input and a step"),
    "no inputs": ("blocks", at("inputs", value=[]), "no inputs"),
    "two inputs of a name": ("blocks", again("inputs", 0), "duplicate input name"),
    "no outputs": ("blocks", lambda tree: tree.update(returns=[]) or tree["functions"][4].update(outputs=[]), "no outputs"),
    "names for more outputs": ("blocks", at("returns", value=["", ""]), "a different number of outputs"),
    "outputs of one name": ("weights", at("returns", 0, value="other"), "duplicate output name"),
    "one unnamed output": ("weights", at("returns", 0, value=""), "cannot name an output"),
    "no functions": ("blocks", at("functions", value=[]), "no functions"),
    "a call of itself": ("blocks", step(3, 0, "function", value=3), "can only call an earlier function"),
    "a call of a later one": ("blocks", step(3, 0, "function", value=4), "can only call an earlier function"),
    "a call of nothing": ("blocks", step(3, 0, "function", value=99), "can only call an earlier function"),
    "a call of another": ("blocks", step(3, 1, "function", value=1), "types of the function's inputs|the function returns"),
    "a function that is not called": ("blocks", again("functions", 0), "never called|types of the function's inputs"),
    "another model": ("blocks", at("name", value="Other"), "not the model"),
    "other types for the model": ("blocks", at("functions", 4, "inputs", 0, "shape", value=[3, 8, 9]), "the op returns|inputs of the model|types of the function's inputs"),
    "more given than taken": ("blocks", at("functions", 0, "given", value=2), "`given` exceeds"),
    "a value of a call that it does not give": ("blocks", step(4, 1, "inputs", 0, value="stem.0"), "not defined before it"),
    "a type that the op does not give": ("blocks", step(0, 0, "types", 0, "shape", value=[5, 8, 8]), "the op returns"),
    "a type too many": ("blocks", step(0, 1, "types", value=[TYPE] * 2), "the op returns"),
    "a type that the function does not give": ("blocks", step(4, 0, "types", 0, "shape", value=[5, 8, 8]), "the function returns"),
    "another argument": ("blocks", step(0, 0, "op", "arguments", "out", value=5), "the op returns"),
    "an argument that fits nowhere": ("blocks", step(0, 0, "op", "arguments", "groups", value=2), "groups"),
    "an input too many": ("blocks", step(0, 0, "inputs", value=["%0", "%0"]), "takes 1 tensor"),
    "an option that is none": ("free", step(0, 4, "options", value={"mosk": "%1"}), "no optional tensor"),
    "an op without a name": ("blocks", step(0, 0, "op", value={}), "exactly `name` and `arguments`"),
    "an op of a list": ("blocks", step(0, 0, "op", "name", value=[]), "exactly `name` and `arguments`"),
    "a base of ops": ("blocks", step(0, 0, "op", "name", value="_Conv"), "no op `_Conv`"),
    "neither an op nor a call": ("blocks", delete("functions", 4, "steps", 0, "function"), "not a graph"),
    "an initialisation without a name": ("weights", step(1, 0, "op", "arguments", "weight", "init", value={}), "needs a name"),
    "an initialisation of a list": ("weights", step(1, 0, "op", "arguments", "weight", "init", value={"name": []}), "needs a name"),
    "a row of other types": ("blocks", lambda tree: (step(3, 1, "times", value=2)(tree)), "must return what it takes"),
    "a row that is not numbered": ("blocks", step(4, 0, "times", value=2), "named by a number"),
    "a row of none": ("blocks", step(3, 0, "times", value=0), "greater than or equal to 1"),
    "a row without end": ("blocks", step(3, 0, "times", value=10**12), "`times` must be"),
    "a row over another step": ("blocks", step(3, 0, "times", value=3), "duplicate step name `2`"),
    "a shared layer that is not there": ("weights", step(3, 0, "layer", value=5), "out of range"),
    "a use by another name": ("weights", step(3, 0, "name", value="@1"), "must be named `@0`"),
    "a use by its number": ("weights", step(3, 2, "name", value="@0@3"), "must be named `@0@2`"),
    "a layer handed to what takes none": ("weights", step(3, 1, "layers", value=[0]), "shared layers do not match"),
    "two layers of a name": ("weights", at("functions", 3, "layers", value=["fc", "fc"]), "its own, each with a different name"),
    "a layer of the name of a step": ("weights", at("functions", 3, "layers", 1, value="tokens"), "duplicate step name"),
    "a use of another layer": ("weights", step(3, 2, "function", value=1), "does not fit the first use|types of the function's inputs|never called"),
    "a tie to nothing": ("weights", step(3, 4, "op", "arguments", "target", value="bias"), "which does not exist"),
    "a tie to no layer": ("weights", step(3, 4, "layer", value=None), "but of no shared layer"),
    "a tie to another shape": ("weights", step(3, 4, "layer", value=0), "which does not exist"),
    "a tie before its layer": ("weights", swapped("functions", 3, "steps", 3, with_=4), "before its first use"),
    "a size of nothing": ("blocks", at("inputs", 0, "type", "shape", value=[3, 0, 8]), "positive integer"),
    "a size that no computer has": ("blocks", at("inputs", 0, "type", "shape", value=[3, 2**62, 8]), "more values than"),
    "an input without a batch": ("blocks", at("inputs", 0, "type", "batched", value=False), "no batch axis"),
    "a free size of no name": ("free", at("inputs", 2, "type", "shape", 0, value="T*U"), "no input declares"),
    "a free size that can be 0": ("free", at("inputs", 2, "type", "shape", 0, value="S - 1"), "an axis cannot have size S - 1"),
    "a free size of no input": ("free", at("functions", 0, "inputs", 2, "shape", 0, value="2*T"), "no input of the network declares"),
    "a figure that is none": ("blocks", at("claims", 0, "figure", value="many"), "figure is not a number"),
    "a place that is none": ("blocks", step(0, 0, "location", 1, value=0), "invalid line or column"),
    "a default at a place that is none": ("blocks", step(0, 0, "defaults", value={"out": ["net.arch", 0, 1]}), "invalid line or column"),
    "a default of no name": ("blocks", step(0, 0, "defaults", value={"a b": ["net.arch", 1, 1]}), "cannot name an argument"),
    "a digest that is none": ("blocks", lambda tree: tree["sources"].update({"spec.arch": "abc"}), "SHA-256"),
    "settings too deep": ("blocks", at("settings", value={"a": json.loads("[" * 150 + "]" * 150)}), "nested|recursion"),
    "a number too large": ("blocks", at("settings", value={"a": 10**31}), "more than 30 digits"),
    "no number": ("blocks", at("settings", value={"a": float("nan")}), "not finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_each_invariant_is_held_to(case: str) -> None:
    base, change, message = WRONG[case]
    with pytest.raises(SpecError, match=message):
        Graph.from_json(changed(BASES[base], change))


def test_constants_that_nothing_accounts_for_are_refused() -> None:
    spec = "model M:\n    input x: [3]\n    constant c: [{}, 1] = 1.0\n    return x + c[0]\n"
    graph = archspec.read_text(spec.format(8))
    huge = changed(graph, lambda tree: json.loads(json.dumps(tree).replace("[8, 1]", "[1000000000000, 1]")))
    with pytest.raises(SpecError, match="constants hold 1,000,000,000,000 values"):
        Graph.from_json(huge)
    with pytest.raises(SpecError, match="constants hold 1,000,000,000,000 values"):
        archspec.read_text(spec.format(10**12))


def test_weights_that_no_memory_holds_are_refused_before_they_are_drawn() -> None:
    spec = "model M:\n    input x: [{0}]\n    return x -> Linear({0})\n"
    graph = Graph.from_json(archspec.read_text(spec.format(10**9)).to_json())
    with pytest.raises(SpecError, match=r"the weights of M take [\d.]+(e\+\d+)? TiB, and this machine has"):
        archspec.load(graph)


def test_an_op_with_outputs_without_end_is_refused() -> None:
    spec = "model M:\n    input x: [{0}]\n    return x -> Split({0})\n"
    with pytest.raises(SpecError, match="more than 1,000,000 parts"):
        archspec.read_text(spec.format(10**9))
    with pytest.raises(SpecError, match="more than 1,000,000 parts"):
        Graph.from_json(
            archspec.read_text(spec.format(4))
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

    text = archspec.read_text('model M:\n    input x: [3]\n    return x -> Breaks("no")\n').to_json()
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
        size.substitute(dict.fromkeys(size.names, free)) if isinstance(size, Free) else size
        for size in type_.shape
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


# ------------------------------------------------------------------ the first format

FIRST = {path.stem: path.read_text() for path in sorted(Path(__file__).with_name("format_1").glob("*.json"))}


@pytest.mark.parametrize("name", SPECS)
def test_a_graph_of_the_first_format_is_the_same_network(name: str) -> None:
    graph = Graph.from_json(FIRST[name])
    assert (graph.nodes, graph.scopes, graph.weights) == (
        BASES[name].nodes,
        BASES[name].scopes,
        BASES[name].weights,
    )
    assert (graph.inputs, graph.outputs, graph.claims) == (
        BASES[name].inputs,
        BASES[name].outputs,
        BASES[name].claims,
    )
    runs_alike(graph)


def test_a_module_built_with_the_first_format_still_loads() -> None:
    path = Path(__file__).with_name("format_1") / "shared.archmod"
    graph = archspec.read_text(path.with_suffix(".arch").read_text())
    module = archspec.load(path)
    assert module.meta["archspec"].nodes == graph.nodes
    x, mask = torch.randn(2, 4, 6), torch.ones(2, 4, 4, dtype=torch.bool)
    torch.testing.assert_close(module(x, mask), archspec.load(graph, seed=1)(x, mask))


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("seed", range(60))
def test_any_change_of_the_first_format_is_refused_or_leaves_a_network(name: str, seed: int) -> None:
    tree = mutate(json.loads(FIRST[name]), random.Random(f"{name}/{seed}"))
    try:
        graph = Graph.from_json(json.dumps(tree))
        if graph.nodes != Graph.from_json(FIRST[name]).nodes:
            runs_alike(graph)
    except SpecError as error:
        assert str(error).startswith("error[")
    assert not hasattr(builtins, "PWNED")


FIRST_WRONG: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a weight too few": ("blocks", delete("weights", "head.bias"), "is missing"),
    "a weight too many": ("blocks", at("weights", "head.more", value={"shape": [1], "init": {"name": "zeros"}}), "belongs to no step"),
    "a weight of another shape": ("blocks", at("weights", "head.bias", "shape", value=[6]), "differs from what its step declares"),
    "shares of nothing": ("weights", at("nodes", 0, "shares", value="tokens"), "does not fit its block"),
    "a scope in a later one": ("blocks", at("scopes", 1, "parent", value=2), "not an earlier scope"),
    "a scope that gives what it has not": ("blocks", at("scopes", 1, "outputs", value=["head"]), "before it is defined"),
    "a step outside of its scope": ("blocks", at("nodes", 0, "scope", value=0), "no step can be named"),
    "an output of another type": ("blocks", at("outputs", 0, "type", "shape", value=[6]), "does not have the type of its value"),
    "no scopes": ("blocks", at("scopes", value=[]), "no scopes"),
}  # fmt: skip


@pytest.mark.parametrize("case", FIRST_WRONG)
def test_what_the_first_format_repeats_must_agree(case: str) -> None:
    name, change, message = FIRST_WRONG[case]
    tree = json.loads(FIRST[name])
    change(tree)
    with pytest.raises(SpecError, match=message):
        Graph.from_json(json.dumps(tree))
