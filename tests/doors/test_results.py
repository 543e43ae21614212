"""What Python prints of results: one short line each; a notebook, a table."""

import html
import inspect
import zipfile
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import archspec
from archspec import api
from archspec.analyses.diff import diff as difference
from archspec.analyses.summary import Summary
from archspec.op.initialisation import Initialiser

LONGEST = 300
SPECS = ("resnet50", "vit_b16")
OTHERS = {"resnet50": "resnet101", "vit_b16": "swin_t"}
TEXT = (
    'model Net(n: int = 4):\n    """A <b>net</b>."""\n    input x: [3, 8, 8]\n    return x -> c: Conv(n, 3)\n'
)


def results(spec: str) -> dict[str, Any]:
    """What each public function returns, by its name."""
    graph = archspec.read(spec)
    net = archspec.load(TEXT_GRAPH, seed=0)
    return {
        "check": archspec.check(spec),
        "claims": archspec.claims(graph),
        "compare_module": archspec.compare_module(LAYERS, *MODULE),
        "cost": archspec.cost(graph),
        "diff": archspec.diff(graph, OTHERS[spec]),
        "draw": archspec.draw(graph),
        "dynamic_shapes": archspec.dynamic_shapes(archspec.read("resnet18", free=True)),
        "export": None,  # a path of Python's
        "features": archspec.features(graph),
        "format_text": archspec.format_text(TEXT),
        "from_pretrained": None,  # as `load`
        "graph_of": archspec.graph_of(net),
        "load": net,
        "load_aot": None,  # a callable of PyTorch's, which takes a compiler to make
        "models": archspec.models(spec),
        "named": archspec.named(net.state_dict(), archspec.read_text(TEXT + NAMES), "elsewhere"),
        "plan_weights": archspec.plan_weights(TEXT_GRAPH, net.state_dict()),
        "profiled": archspec.profiled(net),  # a context manager of Python's
        "propose_names": archspec.propose_names(TEXT_GRAPH, net.state_dict()),
        "read": graph,
        "read_text": TEXT_GRAPH,
        "register_timm": None,  # a list of strings, where timm is there
        "repeated_blocks": archspec.repeated_blocks(net),
        "resize_positions": archspec.resize_positions({}, TEXT_GRAPH),
        "save_pretrained": None,  # an address, where huggingface_hub is there
        "scale": archspec.scale("efficientnet_b0", 1),
        "shipped": archspec.shipped(),
        "shipped_blocks": archspec.shipped_blocks(),
        "spec_of": archspec.spec_of(*MODULE),
    }


MODULE = nn.Sequential(nn.Linear(3, 4)), torch.zeros(1, 3)
LAYERS = 'model Net:\n    input x: [3]\n    return x -> "0": Linear(4)\n'
TEXT_GRAPH = archspec.read_text(TEXT)
NAMES = '\nnames Net "elsewhere":\n    "conv.{rest}" -> "c.{rest}"\n'


def parts(value: Any, depth: int = 3) -> Iterable[Any]:
    """A value with no container around it, and archspec's own objects that it has as attributes."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple | set) or hasattr(value, "_fields"):
        yield value
        if depth and type(value).__module__.startswith("archspec.") and not isinstance(value, nn.Module):
            for name, _ in inspect.getmembers_static(type(value)):
                if not name.startswith(("_", "model_", "diagram")):  # what a drawing is made from
                    found = getattr(value, name)
                    if not callable(found):
                        yield from parts(found, depth - 1)
            for name, found in getattr(value, "__dict__", {}).items():
                if not name.startswith(("_", "diagram")):
                    yield from parts(found, depth - 1)
        return
    for inner in list(value)[:40]:
        yield from parts(inner, depth)


@pytest.mark.parametrize("spec", SPECS)
def test_every_result_shows_itself_in_one_short_line(spec: str) -> None:
    found = results(spec)
    assert set(found) == set(api.__all__)
    seen = set()
    for name, result in found.items():
        for value in parts(result):
            kind = type(value)
            if not kind.__module__.startswith("archspec.") or isinstance(value, nn.Module | Initialiser):
                continue  # the numbers of an initialisation are all that it is
            seen.add(kind.__name__)
            for shown in (repr(value), str(value)):
                assert 0 < len(shown) < LONGEST and "\n" not in shown, (name, kind, shown)
                assert " object at 0x" not in shown, (name, kind)
    assert seen > {
        "Graph",
        "Function",
        "Apply",
        "Call",
        "Node",
        "Scope",
        "Flat",
        "Claim",
        "Verdict",
        "Summary",
    }
    assert seen > {
        "Cost",
        "Part",
        "Peak",
        "Difference",
        "Weights",
        "Drawing",
        "Entry",
        "BlockEntry",
        "WeightPlan",
        "Line",
    }


def test_what_lines_say() -> None:
    assert repr(archspec.read("resnet50")) == (
        "<Graph ResNet50: image: f32[3, 224, 224] -> f32[1000], 25,557,032 parameters>"
    )
    two = archspec.read_text(
        "model M:\n    input t: int [5]\n    input x: [5]\n    return t, x -> Linear(2)\n"
    )
    assert str(two) == "<Graph M: t: i64[5], x: f32[5] -> i64[5], f32[2], 12 parameters>"
    cost = archspec.cost("resnet50")
    assert repr(cost) == "<Summary ResNet50: 25.56M parameters, 4.089G multiply-adds, 8.217G FLOPs, batch 1>"
    assert (
        repr(archspec.diff("resnet18", "resnet18")) == "<Difference ResNet18 -> ResNet18: the same network>"
    )
    (_, verdicts), *_ = archspec.check("lenet5")
    assert f"{verdicts[0].measured}, printed" in repr(verdicts[0])


def test_what_cannot_be_counted_is_shown_all_the_same() -> None:
    free = archspec.read("resnet18", free=True)
    assert "[3, H, W]" in repr(free) and "11.69M parameters, batch 1>" in repr(archspec.cost(free))
    assert "depends on a free size" in archspec.cost(free)._repr_html_()
    assert repr(free.model_copy(update={"functions": ()})) == "<Graph ResNet18>"
    assert repr(archspec.Graph.model_construct()) == "<Graph without a name>"
    long = archspec.read_text(f"model {'N' * 5000}:\n    input x: [5]\n    return x -> Linear(2)\n")
    assert len(repr(long)) < LONGEST
    huge = archspec.analyses.cost.Cost((10**5000,) * 7)
    assert len(repr(huge)) < LONGEST and "e+5000" in repr(huge)


def test_errors_say_what_and_where() -> None:
    with pytest.raises(archspec.SpecError) as caught:
        archspec.read_text("model A:\n    input x: [3, 4]\n    y = x -> Cnov(8)\n    return x -> Liner(3)\n")
    error = caught.value
    assert (
        repr(error.problems[0]) == f"<Problem {error.problems[0].code} at spec.arch:3:14: there is no `Cnov`>"
    )
    assert (
        repr(error)
        == f"<SpecError {error.problems[0].code} at spec.arch:3:14 (and 1 more): there is no `Cnov`>"
    )
    assert "\n" in str(error)  # the whole report, as before


class Table(HTMLParser):
    """The cells of tables, by row; other elements than a table's are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        assert tag in ("table", "caption", "tr", "th", "td") and not attrs
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("th", "td"):
            self.rows[-1][-1] += data


def test_a_cost_is_a_table_in_a_notebook() -> None:
    rows = Table(archspec.cost("resnet50")._repr_html_()).rows
    assert ["parameters", "25.56M"] in rows and ["multiply-adds", "4.089G"] in rows
    heading = next(row for row in rows if row[0] == "name")
    layer1 = next(row for row in rows if row[0] == "layer1")
    assert dict(zip(heading, layer1, strict=True))["output"] == "f32[256, 56, 56]"
    assert dict(zip(heading, layer1, strict=True))["params"] == "215.8K"


def test_a_difference_is_a_table_in_a_notebook() -> None:
    rows = Table(archspec.diff("resnet50", "resnet101")._repr_html_()).rows
    assert rows[0] == ["", "", "ResNet50", "ResNet101"]
    assert ["setting", "depths", "[3, 4, 6, 3]", "[3, 4, 23, 3]"] in rows
    assert ["added", "layer3.6", "", "Bottleneck"] in rows
    assert ["cost", "params", "25.56M", "44.55M"] in rows


def test_tables_escape_what_specs_say() -> None:
    evil = "<script>alert(1)</script>&"
    left, graph = TEXT_GRAPH, TEXT_GRAPH.with_changes(name=evil)  # as no spec could be called
    for text in (Summary(graph)._repr_html_(), difference(left, graph)._repr_html_()):
        assert "<script" not in text and html.escape(evil) in text
        Table(text)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package on Python's path that fails if it is imported, with specs in a folder that is none."""
    folder = tmp_path / "site" / "mypackage_of_specs"
    (folder / "specs").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
    (folder / "specs" / "tiny.arch").write_text(
        "from parts import Part\n\nmodel First:\n    input x: [4]\n    return x -> Linear(2)\n\n"
        "model Last:\n    input x: [4]\n    return x -> Part\n"
    )
    (folder / "specs" / "parts.arch").write_text("block Part:\n    input x: [D]\n    return x -> Linear(3)\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_block_in_a_package_is_imported_without_importing_it(package: Path, tmp_path: Path) -> None:
    (package / "specs" / "parts.arch").write_text(
        "block Unit(n: int):\n    input x: [D]\n    return x -> fc: Linear(n)\n"
    )
    net = tmp_path / "net.arch"
    text = "from mypackage_of_specs.specs.{} import Unit\nmodel Net:\n    input x: [3]\n    return x -> Unit(4)\n"
    net.write_text(text.format("parts"))
    graph = archspec.read(net)
    assert list(graph.weights) == ["unit.fc.weight", "unit.fc.bias"]
    assert graph.nodes[0].location.file.endswith("mypackage_of_specs/specs/parts.arch")
    net.write_text(text.format("prats"))
    with pytest.raises(archspec.SpecError, match=r"there is no spec `mypackage_of_specs\.specs\.prats`"):
        archspec.read(net)
    (tmp_path / "mypackage_of_specs" / "specs").mkdir(parents=True)  # what is beside the spec comes first
    (tmp_path / "mypackage_of_specs" / "specs" / "parts.arch").write_text(
        "block Unit(n: int):\n    input x: [D]\n    return x -> Linear(n, bias=false)\n"
    )
    net.write_text(text.format("parts"))
    assert len(archspec.read(net).weights) == 1


def test_a_spec_in_a_package_is_found_without_importing_it(package: Path) -> None:
    assert archspec.read("mypackage_of_specs.specs:tiny").name == "Last"
    assert archspec.read("mypackage_of_specs.specs:tiny:First").name == "First"
    assert archspec.models("mypackage_of_specs.specs:tiny") == ["First", "Last"]
    assert archspec.cost("mypackage_of_specs.specs:tiny").total.params == 4 * 3 + 3
    (package / "__init__.py").unlink()  # a namespace package
    assert archspec.read("mypackage_of_specs.specs:tiny").name == "Last"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("mypackage_of_specs.specs:tinny", "did you mean `tiny`?"),
        ("mypackage_of_specs:tiny", "the package `mypackage_of_specs` has no spec `tiny`"),
        ("mypackage_of_specs.none:tiny", "looked for tiny.arch in site/mypackage_of_specs/none"),
        ("mypackage_of_specs.specs:../specs/tiny", "there is no file"),
        ("mypackage_of_specs..specs:tiny", "there is no file"),
        ("no_such_package_of_specs:tiny", "there is no file"),
        ("__main__:tiny", "there is no file"),
        ("re.nothing:tiny", "the package `re.nothing` has no spec"),
        ("resnet5O:ResNet", "did you mean `resnet50`?"),
    ],
)
def test_what_is_not_in_a_package_is_told(package: Path, spec: str, said: str) -> None:
    with pytest.raises(archspec.SpecError) as caught:
        archspec.read(spec)
    assert said in str(caught.value)


def test_a_package_in_a_zip_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("zipped_of_specs/__init__.py", "raise SystemExit('imported')\n")
        archive.writestr("zipped_of_specs/tiny.arch", TEXT)
    monkeypatch.syspath_prepend(tmp_path / "zipped.zip")
    with pytest.raises(archspec.SpecError, match="not in a folder"):
        archspec.read("zipped_of_specs:tiny")


def test_a_cost_has_what_its_table_shows() -> None:
    summary = archspec.cost("lenet5")
    assert isinstance(summary, Summary)
    assert [row[0] for row in Table(summary._repr_html_()).rows if len(row) > 2][1:] == [
        part.label for part in summary.parts
    ]
