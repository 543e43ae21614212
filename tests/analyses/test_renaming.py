"""Maps of names: each key has its counterpart, and its values are those that the other code computes with."""

import json
from itertools import permutations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import archspec
from archspec import SpecError
from archspec.analyses.renaming import Origin, all_names, names_as, titles
from archspec.analyses.wrong_names import wrong_names
from archspec.backends.torch_names import tensor_of, weight_of
from archspec.elaboration import module_from_text
from archspec.graph import Graph
from archspec.graph.templates import Matcher, template
from archspec.ground.errors import Mistake

ATTENTION = """
model Net(heads: int = 2, dim: int = 6, layers: int = 3):
    input x: [5, dim]
    z = x
    for i in range(layers):
        z += z -> "blocks.{i}.qkv": Linear(3 * dim) -> Linear(dim)
    return z -> head: Linear(4)

names Net "theirs":
    ("l_{i + 1}/q/kernel", "l_{i + 1}/k/kernel", "l_{i + 1}/v/kernel") -> "blocks.{i}.qkv.weight": "d heads k -> (heads k) d"
    ("l_{i + 1}/q/bias", "l_{i + 1}/k/bias", "l_{i + 1}/v/bias") -> "blocks.{i}.qkv.bias": "heads k -> (heads k)"
    "head/kernel" -> "head.weight": "i o -> o i"
    "head/bias" -> "head.bias"
    "step" -> none "how long it was trained"
"""


def state(graph: Graph) -> dict[str, torch.Tensor]:
    return {key: torch.randn(weight.shape) for key, weight in graph.weights.items() if weight.saved}


def back(graph: Graph, title: str, theirs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = names_as(graph, title)
    return {
        key: weight_of(origin, *(theirs[k] for k in origin.keys)) for key, origin in names.origins.items()
    }


def test_a_map_gives_the_values_that_the_other_code_computes_with() -> None:
    graph = archspec.read_text(ATTENTION)
    ours = state(graph)
    theirs = archspec.named(ours, graph, "theirs")
    assert {key for key in theirs if key.startswith("l_")} == {
        f"l_{i}/{part}/{kind}" for i in (1, 2, 3) for part in "qkv" for kind in ("kernel", "bias")
    }
    x = torch.randn(5, 6)
    for i in range(3):
        here = torch.nn.functional.linear(x, ours[f"blocks.{i}.qkv.weight"], ours[f"blocks.{i}.qkv.bias"])
        for part, values in zip("qkv", here.chunk(3, -1), strict=True):
            kernel, bias = theirs[f"l_{i + 1}/{part}/kernel"], theirs[f"l_{i + 1}/{part}/bias"]
            there = torch.einsum("nd,dhk->nhk", x, kernel) + bias
            torch.testing.assert_close(values.unflatten(-1, (2, 3)), there)
    torch.testing.assert_close(x[:, :4] @ ours["head.weight"][:, :4].T, x[:, :4] @ theirs["head/kernel"][:4])
    again = back(graph, "theirs", theirs)
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[key], ours[key]) for key in ours)


def test_sizes_of_axes_are_the_models_parameters() -> None:
    for heads in (1, 2, 3):
        names = names_as(archspec.read_text(ATTENTION, heads=heads), "theirs")
        assert names.their_shapes["l_1/q/kernel"] == (6, heads, 6 // heads)


def test_a_fit_tells_what_lacks_what_is_unknown_and_what_has_another_shape() -> None:
    names = names_as(archspec.read_text(ATTENTION), "theirs")
    shapes = dict(names.their_shapes)
    assert names.fit(shapes).is_whole
    fit = names.fit({**shapes, "step": ()})
    assert fit.is_whole
    assert [rule.reason for rule in fit.ignored.values()] == ["how long it was trained"]
    shapes |= {"other": (3,), "head/kernel": (6, 5)}
    del shapes["l_2/k/bias"]
    fit = names.fit(shapes)
    assert (fit.lacking, fit.extra) == (("blocks.1.qkv.bias",), ("other",))
    assert set(fit.misshapen) == {"head.weight"}
    assert not fit.explains
    assert not names.fit({**names.their_shapes, "l_1/q/kernel": (6, 2, 4)}).is_whole
    assert not names.fit({**names.their_shapes, "l_1/q/kernel": (6, 6)}).is_whole


def test_a_map_reaches_what_is_made_from_its_model_and_what_contains_it(tmp_path: Path) -> None:
    (tmp_path / "inner.arch").write_text(
        "model Inner(n: int):\n    input x: [n]\n    return x -> fc: Linear(n)\n\n"
        'names Inner "theirs":\n    "dense.{rest}" -> "fc.{rest}"\n'
    )
    (tmp_path / "outer.arch").write_text(
        "from inner import Inner\n\nmodel One = Inner(4)\nmodel Two = One\n\n"
        "model Outer:\n    input x: [4]\n    return x -> a: Inner(4) -> list: [Inner(4), ReLU, part: Inner(4)] -> fc: Linear(2)\n"
    )
    for model in ("One", "Two"):
        graph = archspec.read(tmp_path / "outer.arch", model=model)
        assert names_as(graph, "theirs").theirs.keys() == {"dense.weight", "dense.bias"}
    names = names_as(archspec.read(tmp_path / "outer.arch"), "theirs")
    assert {key for key in names.theirs if key.endswith("weight")} == {
        "a.dense.weight", "list.0.dense.weight", "list.part.dense.weight", "fc.weight",
    }  # fmt: skip


def test_maps_are_in_the_json_of_a_graph_and_older_json_has_none() -> None:
    graph = archspec.read_text(ATTENTION)
    again = Graph.from_json(graph.to_json())
    assert again.names == graph.names
    assert titles(again) == ("theirs",)
    tree = json.loads(graph.to_json())
    del tree["names"]
    assert Graph.from_json(json.dumps(tree)).names == ()


@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        ("sources", ["a.{j}"]),
        ("sources", []),
        ("sources", ["a.{i}{j}"]),
        ("target", "blocks.{i ** 2}.weight"),
        ("pattern", "a b -> a"),
        ("pattern", "(" * 1000),
        ("target", ""),
        ("target", "x" * 10_000),
        ("target", "{i}." * 50),
    ],
)
def test_a_rule_that_no_spec_could_have_is_refused(rule: str, changed: object) -> None:
    tree = json.loads(archspec.read_text(ATTENTION).to_json())
    tree["names"][0]["rules"][0][rule] = changed
    with pytest.raises(SpecError):
        Graph.from_json(json.dumps(tree))


def test_a_title_that_is_not_there_is_told_with_those_that_are() -> None:
    graph = archspec.read_text(ATTENTION)
    with pytest.raises(SpecError, match="did you mean `theirs`"):
        archspec.named(state(graph), graph, "their")
    with pytest.raises(SpecError, match="no `names`"):
        archspec.named({}, archspec.read("lenet5"), "timm")
    with pytest.raises(SpecError, match=r"lacks `.*has `other` besides"):
        archspec.named({**dict(list(state(graph).items())[1:]), "other": torch.zeros(1)}, graph, "theirs")


def test_what_is_counted_through_is_counted_over_all_keys_there_are() -> None:
    stages = "[[Linear(2)], 2 * [Linear(2)], [Linear(2), Linear(2), ReLU, Linear(2)]]"
    rules = '    "b.{index(i, j) + 1}.w" -> "s.{i}.{j > 0}.weight"\n    "b.{index(i, j) + 1}.x" -> "s.{i}.0.weight"\n'
    text = f'model Net:\n    input x: [2]\n    return x -> s: {stages}\n\nnames Net "n":\n'
    with pytest.raises(SpecError, match="`j` is on the left only"):
        archspec.read_text(text + rules)
    rules = rules.replace("index(i, j) + 1}.x", "index(i, j) + 1}.x.{j}").replace(
        "{i}.0.weight", "{i}.{j == 0}.weight"
    )
    names = names_as(archspec.read_text(text + rules), "n")
    weights = [key for key in names.theirs if not key.endswith("bias")]
    assert weights == ["b.1.x.0", "b.2.x.0", "b.3.w", "b.4.x.0", "b.5.w", "b.6.w"]


def test_axes_of_one_number_are_the_same_in_their_order() -> None:
    tensor = torch.randn(4, 5, 7, 7)
    origin = Origin(("t",), "o c 7 7 -> o (c 7 7)")
    assert torch.equal(weight_of(origin, tensor), tensor.flatten(1))
    assert torch.equal(tensor_of(origin, 0, tensor.flatten(1)), tensor)
    assert origin.shapes((4, 245)) == {"t": (4, 5, 7, 7)}
    with pytest.raises(Mistake, match="divide"):
        origin.shapes((4, 100))


# ------------------------------------------------------------------ templates


@given(st.integers(0, 10**6), st.integers(0, 99))
def test_numbers_are_shifted_there_and_back(value: int, shift: int) -> None:
    there, here = template(f"a.{{i + {shift}}}"), template("b.{i}.c")
    key = there.filled({"i": str(value)})
    assert key == f"a.{value + shift}"
    assert Matcher(there).values(key) == {"i": str(value)}
    assert here.filled({"i": str(value)}) == f"b.{value}.c"


def test_a_hole_stays_within_a_level_and_the_rest_does_not() -> None:
    level = Matcher(template("a.{i}.w"))
    assert level.values("a.b.w") == {"i": "b"}
    assert level.values("a.b.c.w") is None
    assert level.values("a..w") is None
    assert Matcher(template("a.{rest}")).values("a.b.c/d") == {"rest": "b.c/d"}
    assert Matcher(template("{rest}.w")).values("a.b.w") == {"rest": "a.b"}
    assert Matcher(template("n{i}x.{i}")).values("n1x.1") == {"i": "1"}
    assert Matcher(template("n{i}x.{i}")).values("n1x.2") is None
    assert Matcher(template("n{i + 0}")).values("n01") is None


@pytest.mark.parametrize(
    ("test", "numbers"),
    [
        ("i > 2", {3, 4}),
        ("i >= 2", {2, 3, 4}),
        ("i < 2", {0, 1}),
        ("i <= 2", {0, 1, 2}),
        ("i == 2", {2}),
        ("i != 2", {0, 1, 3, 4}),
    ],
)
def test_a_test_says_of_which_numbers_a_hole_is(test: str, numbers: set[int]) -> None:
    matcher = Matcher(template(f"a{{{test}}}"))
    assert {i for i in range(5) if matcher.values(f"a{i}") is not None} == numbers
    assert matcher.values("ab") is None


def test_a_number_cannot_be_shifted_below_zero() -> None:
    text = "model Net:\n    input x: [2]\n    return x -> a: [Linear(2), Linear(2)]\n\n"
    graph = archspec.read_text(text + 'names Net "n":\n    "b.{i - 1}.{rest}" -> "a.{i}.{rest}"\n')
    assert {*names_as(graph, "n").theirs} == {"a.0.weight", "a.0.bias", "b.0.weight", "b.0.bias"}


@pytest.mark.parametrize(
    "text", ["", "{i}{j}", "{i * 2}", "{}", "{i + }", "{rest + 1}", "{i + 1}.{i}", "a}", "{a", "{i > j}"]
)
def test_what_is_no_template_is_told(text: str) -> None:
    with pytest.raises(Mistake):
        template(text)


# ------------------------------------------------------------------ patterns


AXES = "abcd"


@given(st.permutations(AXES), st.lists(st.booleans(), min_size=3, max_size=3))
def test_any_pattern_that_can_be_undone_is(order: list[str], merged: list[bool]) -> None:
    made = order[0]
    for name, joins in zip(order[1:], merged, strict=True):
        made = f"{made[:-1]} {name})" if joins and made.endswith(")") else f"{made} ({name})"
    pattern = f"a b c d -> {made}"
    sizes = {"a": 2, "b": 3, "c": 5, "d": 1}
    origin = Origin(("t",), pattern, tuple(sizes.items()))
    theirs = torch.arange(30.0).reshape(2, 3, 5, 1)
    ours = weight_of(origin, theirs)
    assert tuple(ours.shape) == origin.shape({"t": (2, 3, 5, 1)})
    assert origin.shapes(tuple(ours.shape)) == {"t": (2, 3, 5, 1)}
    assert torch.equal(tensor_of(origin, 0, ours), theirs)


def test_axes_in_any_order_are_einsums() -> None:
    tensor = torch.randn(2, 3, 5)
    for order in permutations("abc"):
        right = "".join(order)
        origin = Origin(("t",), f"a b c -> {' '.join(order)}")
        assert torch.equal(weight_of(origin, tensor), torch.einsum(f"abc->{right}", tensor))
        assert tuple(weight_of(origin, tensor).shape) == origin.shape({"t": (2, 3, 5)})


# ------------------------------------------------------------------ what check says


def problems(text: str) -> list[tuple[str, str]]:
    module = module_from_text(text, "spec.arch")
    graph = archspec.read_text(text)
    return [
        (problem.code, problem.span.text if problem.span else "") for problem in wrong_names(module, [graph])
    ]


NET = "model Net:\n    input x: [8]\n    return x -> blocks: [Linear(8), Linear(8)]\n\n"


def test_rules_that_are_wrong_in_a_network_are_told_at_their_place() -> None:
    two = '    "a.{rest}" -> "blocks.0.{rest}"\n    "b.{i}.{rest}" -> "blocks.{i}.{rest}"\n'
    assert problems(f'{NET}names Net "n":\n{two}') == [("E1605", '"b.{i}.{rest}" -> "blocks.{i}.{rest}"')]
    one = '    "blocks.1.weight" -> "blocks.0.weight"\n'
    assert [code for code, _ in problems(f'{NET}names Net "n":\n{one}')] == ["E1605"]
    none = '    "a" -> "block.0.weight"\n    "b" -> "blocks.0.weight"\n'
    assert problems(f'{NET}names Net "n":\n{none}') == [("E1604", '"a" -> "block.0.weight"')]
    wrong = '    "a.{i}" -> "blocks.{i}.bias": "i o -> o i"\n'
    assert problems(f'{NET}names Net "n":\n{wrong}') == [
        ("E1603", '"a.{i}" -> "blocks.{i}.bias": "i o -> o i"')
    ]
    unknown = '    "a.{i}" -> "blocks.{i}.weight": "i h o -> o (i h)"\n'
    assert [code for code, _ in problems(f'{NET}names Net "n":\n{unknown}')] == ["E1603"]


def test_rules_of_a_swap_are_no_mistake() -> None:
    swap = '    "blocks.1.{rest}" -> "blocks.0.{rest}"\n    "blocks.0.{rest}" -> "blocks.1.{rest}"\n'
    graph = archspec.read_text(f'{NET}names Net "n":\n{swap}')
    assert next(all_names(graph)).theirs["blocks.0.weight"].key == "blocks.1.weight"


def test_a_rule_of_the_model_around_goes_before_one_of_the_model_within() -> None:
    graph = archspec.read_text(
        """
model Inner:
    input x: [4]
    return x -> a: Linear(4) -> b: Linear(4)

names Inner "theirs":
    "first.{rest}" -> "a.{rest}"
    "second.{rest}" -> "b.{rest}"

model Outer:
    input x: [4]
    return x -> body: Inner -> head: Linear(2)

names Outer "theirs":
    "start.{rest}" -> "body.a.{rest}"
""",
        model="Outer",
    )
    keys = {key: origin.keys for key, origin in names_as(graph, "theirs").origins.items()}
    assert keys["body.a.weight"] == ("start.weight",)
    assert keys["body.b.weight"] == ("body.second.weight",)
    assert keys["head.weight"] == ("head.weight",)
