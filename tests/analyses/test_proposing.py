"""Names proposed for a file: where structure and shapes decide they are right, and what they do not decide is said."""

import random
import warnings

import pytest
from key_sets import KeySet, key_sets
from nets import shipped

import archspec
from archspec.analyses.proposing import propose
from archspec.analyses.renaming import names_as, titles
from archspec.elaboration import shipped_specs
from archspec.graph import Graph

SETS = {(one.spec, one.title): one for one in key_sets() if not one.deployed}
BY_STRUCTURE = [
    one
    for (spec, title), one in SETS.items()
    if spec
    in (
        "densenet121",
        "mixer_s16",
        "mobileone_s4",
        "pit_b",
        "resnet50",
        "swin_t",
        "vit_b16",
        "vit_ti16",
    )
    and title != "transformers"
]
AS_WRITTEN = [
    one
    for one in SETS.values()
    if one.spec in ("bit_resnet152x4", "nfnet_f0", "repvgg_a0")
    or (one.title == "transformers" and one.spec not in ("detr_resnet50", "dpt_vit_b16"))
]
BY_ORDER = [SETS["mobilenet_v2", "torchvision"], SETS["mnasnet_b1", "torchvision"]]
each_structure = pytest.mark.parametrize("one", BY_STRUCTURE, ids=lambda one: f"{one.spec}-{one.title}")


def proposed(one: KeySet, shapes: dict[str, tuple[int, ...]]) -> tuple[str, Graph]:
    """What is proposed for keys, and the network of the spec in which that is written."""
    text = propose(shipped(one.spec), shapes, "proposed").text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return text, archspec.read_text((shipped_specs() / f"{one.spec}.arch").read_text() + "\n" + text)


def wrong(one: KeySet, graph: Graph) -> list[str]:
    """The keys here to which a proposal does not give the keys that they have."""
    mine, right = (names_as(graph, title).origins for title in ("proposed", one.title))
    return [
        key
        for key, origin in right.items()
        if mine[key].keys != origin.keys and all(other in one.shapes for other in origin.keys)
    ]


@each_structure
@pytest.mark.parametrize("order", ["as written", "sorted", "shuffled"])
def test_what_structure_and_shapes_decide_is_right(one: KeySet, order: str) -> None:
    keys = list(one.shapes)
    if order == "sorted":
        keys.sort()
    elif order == "shuffled":
        random.Random(0).shuffle(keys)
    _, graph = proposed(one, {key: one.shapes[key] for key in keys})
    assert wrong(one, graph) == []
    shapes, right = (names_as(graph, title).their_shapes for title in ("proposed", one.title))
    assert {key: shapes[key] for key in one.shapes if key in right} == {
        key: right[key] for key in one.shapes if key in right
    }


@pytest.mark.parametrize("one", BY_ORDER, ids=lambda one: one.spec)
def test_what_order_alone_decides_is_said(one: KeySet) -> None:
    text, graph = proposed(one, dict(sorted(one.shapes.items())))
    assert wrong(one, graph) == []
    lines = [line.strip() for line in text.splitlines()]
    rule = next(i for i, line in enumerate(lines) if line.endswith('-> "blocks.1.1.bn1.{rest}"'))
    assert lines[rule - 1] == "# by their order alone"


@pytest.mark.parametrize("one", AS_WRITTEN, ids=lambda one: f"{one.spec}-{one.title}")
def test_the_order_of_a_file_decides_where_names_do_not(one: KeySet) -> None:
    """No vectors of norms are joined, and the parts of a group are looked for beside groups that are whole in the file."""
    _, graph = proposed(one, one.shapes)
    assert wrong(one, graph) == []


def test_norms_that_names_do_not_tell_apart_are_paired_by_their_order_and_said_so() -> None:
    """Transformers calls the two norms of a layer `before` and `after`, which says nothing of `norm1` and `norm2`."""
    text, _ = proposed(SETS["vit_b16", "transformers"], SETS["vit_b16", "transformers"].shapes)
    lines = [line.strip() for line in text.splitlines()]
    rule = next(i for i, line in enumerate(lines) if line.endswith('-> "blocks.{i}.norm1.{rest}"'))
    assert lines[rule - 1] == "# or from vit.encoder.layer.*.layernorm_after."
    assert lines[rule].startswith('"vit.encoder.layer.{i}.layernorm_before')


def test_what_shapes_do_not_decide_is_said() -> None:
    spec = (
        "model Net:\n    input x: [4]\n    return x -> one: Linear(4) -> two: Linear(4) -> three: Linear(6)\n"
    )
    graph = archspec.read_text(spec)
    text = propose(graph, {"three/kernel": (4, 6), "a/kernel": (4, 4), "b/kernel": (4, 4)}).text
    assert (
        '"three/kernel" -> "three.weight": "i o -> o i"' not in text
    )  # without its bias it is another layer
    shapes = {
        f"{name}/{kind}": shape for name in "ab" for kind, shape in (("kernel", (4, 4)), ("bias", (4,)))
    }
    text = propose(graph, {**shapes, "three/kernel": (4, 6), "three/bias": (6,)}).text
    assert '"three/kernel" -> "three.weight": "i o -> o i"' in text
    assert text.count("# by their order alone") == 4
    assert '"a/kernel" -> "one.weight": "i o -> o i"' in text


def test_keys_without_a_counterpart_are_listed() -> None:
    graph = shipped("lenet5")
    shapes = {key: weight.shape for key, weight in graph.weights.items() if weight.saved}
    assert propose(graph, shapes).text == ""
    missing = next(iter(shapes))
    text = propose(
        graph, {**{key: shape for key, shape in shapes.items() if key != missing}, "other\n": (77,)}
    ).text
    assert text == f"# no key of the file was found for {missing}\n# nothing here was found for other?\n"


def test_keys_of_any_letters_are_written_so_that_they_are_read() -> None:
    graph = archspec.read_text("model Net:\n    input x: [4]\n    return x -> fc: Linear(6)\n")
    keys = {'a"{b}\\c/kernel': (4, 6), 'a"{b}\\c/bias': (6,)}
    text = propose(graph, keys, 'a "title"').text
    again = archspec.read_text("model Net:\n    input x: [4]\n    return x -> fc: Linear(6)\n\n" + text)
    assert titles(again) == ('a "title"',)
    assert names_as(again, 'a "title"').theirs.keys() == keys.keys()


def test_numbers_with_zeros_before_them_are_numbers() -> None:
    one = SETS["bit_resnet152x4", "BiT's files, npz"]
    text = propose(shipped(one.spec), one.shapes).text
    for there, here in (("unit0{j + 1}", "{j < 9}"), ("unit{j + 1}", "{j >= 9}")):
        assert (
            f'"resnet/block{{i + 1}}/{there}/a/group_norm/gamma" -> "stages.{{i}}.blocks.{here}.norm1.weight"'
            in text
        )


@pytest.mark.parametrize("first", [0, 1, 5])
def test_zeros_are_written_where_the_file_has_them(first: int) -> None:
    spec = "model Net:\n    input x: [4]\n    return x -> layers: [Linear(4) for _ in range(12)] -> fc: Linear(6)\n"
    shapes = {
        f"l{i + first:02d}/{kind}": shape for i in range(12) for kind, shape in (("w", (4, 4)), ("b", (4,)))
    }
    text = propose(archspec.read_text(spec), shapes).text
    names = names_as(archspec.read_text(spec + "\n" + text), "a file")
    assert {key: origin.keys for key, origin in names.origins.items() if key.startswith("layers")} == {
        f"layers.{i}.{ours}": (f"l{i + first:02d}/{theirs}",)
        for i in range(12)
        for ours, theirs in (("weight", "w"), ("bias", "b"))
    }
    assert text.count("->") == 4


@pytest.mark.parametrize("name", ["9" * 5000, "0" * 5000 + "1", "l\u00b2", "l\u0663", "l01.x1", "l1.x01"])
def test_odd_numbers_in_keys_are_text(name: str) -> None:
    graph = archspec.read_text("model Net:\n    input x: [4]\n    return x -> fc: Linear(6)\n")
    shapes = {"l1.weight": (4, 4), f"{name}.weight": (6, 4), f"{name}.bias": (6,)}
    assert '-> "fc.{rest}"' in propose(graph, shapes).text or len(name) > 1000


def test_keys_of_many_numbers_are_proposed_as_they_are() -> None:
    graph = archspec.read_text(
        "model Net:\n    input x: [4]\n    return x -> layers: [Linear(4) for _ in range(2)] -> fc: Linear(6)\n"
    )
    keys = {
        f"a{'.'.join(str(i) * 12)}.{kind}": shape
        for i in range(2)
        for kind, shape in (("weight", (4, 4)), ("bias", (4,)))
    }
    text = propose(graph, keys).text
    assert "a1.1.1.1" in text or "a{i}" in text


def test_names_that_the_spec_has_are_told_first() -> None:
    graph = shipped("vgg11")
    state = archspec.load(graph, seed=0).state_dict()
    text = archspec.propose_names(graph, archspec.named(state, graph, "timm"), title="a file")
    assert text.splitlines()[0] == '# the spec has names for these keys: "timm"'
