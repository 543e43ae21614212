"""Pictures: what is drawn, that it is drawn the same each time, and that no name can break it."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from math import prod
from pathlib import Path
from shutil import copy

import pytest
from nets import NAMES, each_kind_of_network, every_network, shipped

import archspec
from archspec.analyses.diagram import MOST_IN_STAGE, Diagram, diagram, stages_open, to_depth
from archspec.analyses.stages import stages
from archspec.analyses.summary import Summary
from archspec.backends.drawing import Backend, formats
from archspec.backends.palette import THEMES
from archspec.graph import Ref
from archspec.op import Op
from archspec.ops.weights import Own

PICTURES = Path(__file__).parent / "pictures"
GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
DRAWN: dict[str, dict[str, str]] = {
    "residual": {},
    "branches": {"view": "block", "direction": "up"},
    "turns": {"theme": "dark", "shade": "macs"},
}
EXAMPLES = {
    "Conv": {"out": 8, "kernel": 3}, "Linear": {"out": 8}, "Attention": {}, "MaxPool": {"kernel": 2}, "ReLU": {}, "Flatten": {}
}  # fmt: skip


def overview(name: str) -> Diagram:
    return diagram(Summary(shipped(name)), stages_open, shapes=False, most=MOST_IN_STAGE)


def labels(found: Diagram) -> list[tuple[str, int]]:
    return [(box.label, box.count) for box in found.closed]


@every_network
def test_an_overview_fits_a_page_and_leads_from_the_input_to_the_output(name: str) -> None:
    found = overview(name)
    assert len(list(found.closed)) <= 40
    numbers = {box.number for box in (*found.inputs, *found.closed, *found.outputs)}
    assert all({edge.source, edge.target} <= numbers for edge in found.edges)
    reached = {box.number for box in found.inputs}
    for _ in range(len(numbers)):
        reached |= {edge.target for edge in found.edges if edge.source in reached}
    assert {box.number for box in (*found.closed, *found.outputs)} <= reached


@each_kind_of_network
def test_pictures_are_valid_and_the_same_each_time(name: str) -> None:
    again = archspec.read(name)
    for view in ("overview", "block", "blocks", "cost"):
        picture = archspec.draw(shipped(name), view)
        assert picture.dot == archspec.draw(again, view).dot
        assert ET.fromstring(picture.render("svg")).tag.endswith("svg")


def test_repeats_are_folded_and_the_odd_first_one_stands_apart() -> None:
    stages = {box.label: [(b.label, b.count) for b in box.inner] for box in overview("resnet50").boxes}
    assert stages["layer3"] == [("0", 1), ("1-5", 5)]
    assert [label for label, count in labels(overview("nasnet_a_large")) if count == 5] == [
        "cell_1-5",
        "cell_7-11",
        "cell_13-17",
    ]
    # As the paper has it: dense blocks of 6, 12, 24 and 16 layers, of growing width.
    assert [count for _, count in labels(overview("densenet121")) if count > 1] == [6, 12, 24, 16]


def test_folded_blocks_lead_to_what_follows_and_not_to_themselves() -> None:
    found = overview("nasnet_a_large")
    names = {box.number: box.label for box in (*found.inputs, *found.closed, *found.outputs)}
    edges = [(names[edge.source], names[edge.target]) for edge in found.edges]
    assert ("cell_1-5", "reduction_cell_0") in edges
    assert ("cell_1-5", "cell_6") in edges  # the skip of a cell's second input
    assert all(source != target for source, target in edges)


def test_norms_and_activations_stand_with_the_layer_they_follow() -> None:
    found = overview("resnet18")
    first = next(found.closed)
    assert [type(op).__name__ for op in first.ops] == ["Conv", "BatchNorm", "ReLU"]
    assert first.part is not None
    assert first.part.cost.params == 64 * 3 * 7 * 7 + 128


def test_a_full_picture_has_every_node() -> None:
    graph = archspec.read("googlenet")
    found = diagram(Summary(graph), to_depth(1000), join=False, weights=True)
    assert sum(box.count for box in found.closed) == len(graph.nodes)
    assert len(found.edges) == sum(len(set(node.operands)) for node in graph.nodes) + len(graph.outputs)


def test_shapes_stand_on_the_edges_where_they_change() -> None:
    dot = archspec.draw(archspec.read("resnet18")).dot
    assert dot.count("128 × 28 × 28") == 1
    assert dot.count("512 × 7 × 7") == 1


def test_blocks_that_take_turns_are_folded_by_turns() -> None:
    # Liu et al. 2021, Figure 3: pairs of a plain and a shifted block, three in stage 3.
    stage = next(box for box in overview("swin_t").boxes if box.label == "layers.2")
    merging, turns = stage.inner
    assert (merging.part and merging.part.kind, turns.label, turns.count) == ("PatchMerging", "blocks.0-5", 3)
    assert [box.arguments["shifted"] for box in turns.inner] == [False, True]


def test_blocks_that_grow_are_folded_where_a_page_would_not_hold_them() -> None:
    # 54 blocks, each wider than the one before; the first of a stage averages where it strides.
    found = [(box.label, box.count) for box in overview("pyramidnet110_a84_cifar").closed]
    assert [count for _, count in found if count > 1] == [18, 17, 17]


def test_equal_branches_stand_side_by_side() -> None:
    graph = archspec.read_text(
        "block Branch:\n    input x: [C]\n    return x -> Linear(C) -> ReLU -> Linear(C) -> ReLU -> Linear(C)\n"
        "model Net:\n    input x: [4]\n    return (x -> branch1: Branch) + (x -> branch2: Branch)\n"
    )
    assert labels(diagram(Summary(graph), stages_open)) == [("branch1", 1), ("branch2", 1), ("add", 1)]


def test_all_blocks_that_differ_are_on_one_sheet() -> None:
    sheet = archspec.draw(archspec.read("resnet50"), "blocks").dot
    assert re.findall(r"<b>(Bottleneck.*?)</b>", sheet) == ["Bottleneck (layer1.0)", "Bottleneck (layer1.1)"]
    cells = re.findall(r"<b>(Cell.*?)</b>", archspec.draw(archspec.read("nasnet_a_large"), "blocks").dot)
    assert {"Cell (cell_1)", "Cell (reduction_cell_0)"} <= set(cells)


def test_shades_are_shares_of_the_whole() -> None:
    dot = archspec.draw(archspec.read("vit_b16"), shade="params").dot
    encoder = next(line for line in dot.splitlines() if "Encoder" in line)
    assert "98.3%" in encoder  # 12 * 7,087,872 of 86,567,656, by hand
    assert THEMES["light"].shade(1.0) in encoder
    memory = archspec.draw(archspec.read("vit_b16"), "cost", shade="memory").dot
    assert "activation memory" in memory


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read_on_every_ground(theme: str) -> None:
    # WCAG 2.1: a contrast of at least 4.5 to 1.
    colours = THEMES[theme]
    ops = [Op.find(name).of(arguments) for name, arguments in EXAMPLES.items()]
    grounds = [
        colours.paper,
        *(colours.family(op)[0] for op in ops),
        *(colours.shade(i / 4) for i in range(5)),
    ]
    assert min(contrast(colours.text, ground) for ground in grounds) >= 4.5


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("option", ["view", "theme", "shade", "direction"])
def test_what_is_not_there_is_told(option: str) -> None:
    with pytest.raises(archspec.SpecError, match=f"unknown {option} `dwn`"):
        archspec.draw(archspec.read("resnet18"), **{option: "dwn"})  # type: ignore[arg-type]


def test_free_sizes_are_drawn_without_their_costs() -> None:
    graph = archspec.read_text(
        "model Net:\n    input x: [free n, 8]\n    return x -> Linear(4) -> LayerNorm\n"
    )
    assert "n × 8" in archspec.draw(graph).dot
    assert "44" in archspec.draw(graph).dot  # 8 * 4 + 4 + 2 * 4 parameters


@pytest.mark.parametrize("case", sorted(PICTURES.glob("*.arch")), ids=lambda path: path.stem)
def test_the_picture_is_the_one_kept(case: Path, bless: bool) -> None:
    dot = archspec.draw(archspec.read(case), **DRAWN[case.stem]).dot  # type: ignore[arg-type]
    if bless:
        case.with_suffix(".dot").write_text(dot, encoding="utf-8")
    assert dot == case.with_suffix(".dot").read_text(encoding="utf-8")


def test_a_graph_and_a_module_show_their_overview_in_a_notebook() -> None:
    graph = archspec.read("resnet18")
    svg = archspec.draw(graph).render("svg").decode()
    assert graph._repr_svg_() == svg
    assert archspec.load(graph, seed=0)._repr_svg_() == svg


def test_a_notebook_shows_text_where_graphviz_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert archspec.read("resnet18")._repr_svg_() is None


def test_branches_meet_in_a_circle() -> None:
    dot = archspec.draw(archspec.read("googlenet"), focus="Inception").dot
    assert dot.count("shape=circle") == 1
    circle = next(line for line in dot.splitlines() if "shape=circle" in line).split()[0]
    assert sum(f"-> {circle}" in line.replace(";", " ").split("[")[0] + " " for line in dot.splitlines()) == 4


def test_a_part_is_drawn_by_the_name_of_the_step_or_of_the_block() -> None:
    graph = archspec.read("resnet50")
    assert archspec.draw(graph, "block", focus="layer1.0").dot == archspec.draw(graph, "block").dot
    assert archspec.draw(graph, "block", focus="layer1.1").dot != archspec.draw(graph, "block").dot
    with pytest.raises(archspec.SpecError, match="did you mean `Bottleneck`"):
        archspec.draw(graph, focus="Bottlenek")
    with pytest.raises(archspec.SpecError, match="unknown view `nice`"):
        archspec.draw(graph, "nice")


@pytest.mark.parametrize(
    "text", ["</td><script>alert(1)</script>", '"]; evil [label="', "a&b<c>", "back\\slash"]
)
def test_hostile_names_break_neither_dot_nor_svg(text: str) -> None:
    graph = archspec.read_text("model Net:\n    input x: [3, 8, 8]\n    return x -> conv: Conv(4, 3)\n")
    step = graph.model.steps[0].with_changes(name=text)
    model = graph.model.with_changes(steps=(step,), outputs=(Ref(text),))
    # The check of graphs lets fewer names through.
    hostile = graph.model_copy(update={"functions": (model,), "name": text}).known_valid()
    svg = ET.fromstring(archspec.draw(hostile).render("svg"))
    assert not [element for element in svg.iter() if element.tag.endswith("script")]
    assert text in "".join(svg.itertext())


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "archspec", "draw", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("format", formats())
def test_the_command_writes_every_format(format: str, tmp_path: Path) -> None:
    done = command("resnet18", "-o", f"net.{format}", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    start = {
        "svg": b"<?xml",
        "png": b"\x89PNG",
        "pdf": b"%PDF",
        "dot": b"digraph",
        "html": b"<!DOCTYPE",
        "md": b"| stage | name ",
        "tex": b"\\begin{tabular}{rlllrrrr}",
        "mmd": b"flowchart TB",
    }[format]
    assert (tmp_path / f"net.{format}").read_bytes().startswith(start)


def test_an_unknown_format_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    done = command("resnet18", "-o", "net.gif", folder=tmp_path)
    assert done.returncode == 1
    assert f"the formats are {', '.join(formats())}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_backend_is_a_file_and_says_what_it_writes() -> None:
    folder = Path(archspec.backends.drawing.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {backend.render.__module__.rpartition(".")[2] for backend in formats().values()} == files
    for suffix, backend in formats().items():
        assert isinstance(backend, Backend)
        assert backend.formats[suffix]
        assert bool(backend.ignores) == bool(backend.reason)


@pytest.mark.parametrize(
    ("given", "format", "said"),
    [
        ({"theme": "dark"}, "html", "`theme` has no effect on a .html file: the reader"),
        ({"focus": "layer1"}, "md", "`focus` has no effect on a .md file"),
        ({"view": "block"}, "tex", "a .tex file cannot show the view `block`"),
        ({"view": "table"}, "svg", "a .svg file cannot show the view `table`"),
        ({"shade": "macs"}, "mmd", "`shade` has no effect on a .mmd file"),
    ],
)
def test_a_format_refuses_what_it_has_no_use_for(given: dict[str, str], format: str, said: str) -> None:
    drawing = archspec.draw("resnet18", **given)  # type: ignore[arg-type]
    with pytest.raises(archspec.SpecError, match=re.escape(said)):
        drawing.render(format)


# ---------------------------------------------------------------- Mermaid


def flowchart(graph: archspec.Graph, view: str = "overview") -> list[str]:
    return archspec.draw(graph, view).render("mmd").decode().splitlines()


@pytest.mark.parametrize("view", ["overview", "block", "blocks", "full"])
def test_a_flowchart_has_the_boxes_and_edges_of_the_picture(view: str) -> None:
    drawing = archspec.draw("googlenet", view)
    lines = [line.strip() for line in drawing.render("mmd").decode().splitlines()]
    edges = [line for line in lines if "-->" in line]
    assert len(edges) == sum(len(found.edges) for _, found in drawing.diagrams)
    nodes = {line.split("[")[0].split("(")[0] for line in lines if re.match(r"n\d+(_\d+)?[\[(]", line)}
    opened = {line.split()[1].split("[")[0] for line in lines if line.startswith("subgraph")}
    assert {end for edge in edges for end in edge.split(" --> ")} <= nodes | opened
    assert len(opened) == lines.count("end")


def test_no_name_can_break_a_flowchart() -> None:
    graph = archspec.read_text("model Net:\n    input x: [3, 8, 8]\n    return x -> conv: Conv(4, 3)\n")
    text = 'a"]; b --> c\n%% <script>alert(1)</script> `end`'
    step = graph.model.steps[0].with_changes(name=text)
    model = graph.model.with_changes(steps=(step,), outputs=(Ref(text),))
    hostile = graph.model_copy(update={"functions": (model,)}).known_valid()
    usual, lines = flowchart(graph), flowchart(hostile)
    assert len(lines) == len(usual)
    assert not any(letter in line for line in lines for letter in "<`%" if "<br>" not in line)


def test_without_graphviz_the_error_says_how_to_get_it_and_dot_is_still_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    drawing = archspec.draw(archspec.read("resnet18"))
    with pytest.raises(archspec.SpecError, match="apt install graphviz"):
        drawing.render("svg")
    drawing.save(tmp_path / "net.dot")
    assert (tmp_path / "net.dot").read_text(encoding="utf-8") == drawing.dot


def test_torch_stays_out(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom archspec.cli import main\nsys.argv = ['archspec', 'draw', 'resnet18', '-o', 'x.dot']\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "AssertionError" not in done.stderr
    assert done.returncode == 0


def test_the_table_of_stages_is_the_papers() -> None:
    # Tan & Le 2019, Table 1: kernel, resolution, channels, layers.
    table = [
        (3, 224, 32, 1),
        (3, 112, 16, 1),
        (3, 112, 24, 2),
        (5, 56, 40, 2),
        (3, 28, 80, 3),
        (5, 14, 112, 3),
        (5, 14, 192, 4),
        (3, 7, 320, 1),
    ]
    rows = stages(Summary(archspec.read("efficientnet_b0")))
    for (kernel, size, channels, layers), row in zip(table, rows, strict=False):
        assert f"kernel={kernel}" in row.operator or f"{kernel} × {kernel}" in row.operator
        assert (row.resolution, row.channels, row.layers) == (f"{size} × {size}", str(channels), layers)
    assert sum(row.params for row in rows) == 5_288_548


def test_channels_of_grids_of_tokens_stand_last() -> None:
    rows = {row.name: row for row in stages(Summary(archspec.read("swin_t")))}
    names = ["layers.0.blocks", "layers.1.blocks", "layers.2.blocks.0-5", "layers.3.blocks.0-1"]
    assert [rows[name].channels for name in names] == ["96", "192", "384", "768"]
    assert [rows[name].layers for name in names] == [2, 2, 6, 2]  # Liu et al. 2021, Table 7: Swin-T


@every_network
def test_the_stages_are_all_there_is_but_the_models_own_weights(name: str) -> None:
    graph = shipped(name)
    rows = list(stages(Summary(graph)))
    # A model that is a backbone is opened, too.
    opened = {
        i
        for i, scope in enumerate(graph.scopes)
        if i == 0 or any(r.name.startswith(f"{scope.name}.") for r in rows)
    }
    held = {node.name for node in graph.nodes if node.scope in opened and isinstance(node.op, Own)}
    own = sum(prod(w.shape) for key, w in graph.weights.items() if w.trainable and key in held)
    assert sum(row.params for row in rows) == graph.parameters - own


def test_tables_are_markdown_or_latex(tmp_path: Path) -> None:
    assert command("swin_t", "--view", "table", folder=tmp_path).stdout.startswith("| stage | name ")
    command("swin_t", "--view", "table", "-o", "t.tex", folder=tmp_path)
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    assert text.startswith(r"\begin{tabular}{rlllrrrr}")
    assert r"patch\_embed" in text
    assert all(line.count(" & ") == 7 for line in text.splitlines() if line.endswith(r"\\"))


@pytest.mark.slow
def test_all_shipped_specs_are_drawn_into_a_folder(tmp_path: Path, bless: bool) -> None:
    done = command("--all", "-o", "gallery", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.stem for path in (tmp_path / "gallery").iterdir()) == sorted(NAMES)
    # Graphviz of another version sets texts at other places: what the pictures say is what must be up to date.
    stale = [
        name for name in NAMES if said(tmp_path / "gallery" / f"{name}.svg") != said(GALLERY / f"{name}.svg")
    ]
    if bless:
        for name in stale:
            copy(tmp_path / "gallery" / f"{name}.svg", GALLERY)
    else:
        assert stale == [], "draw them anew: archspec draw --all -o docs/gallery"
    assert {path.stem for path in GALLERY.iterdir()} == set(NAMES)


def said(picture: Path) -> list[str] | None:
    """All texts in a picture, sorted."""
    if not picture.exists():
        return None
    return sorted(text for text in ET.parse(picture).getroot().itertext() if text.strip())


def test_a_spec_or_all_of_them(tmp_path: Path) -> None:
    assert "give a spec, or --all" in command(folder=tmp_path).stderr
    assert "give a spec, or --all" in command("resnet18", "--all", folder=tmp_path).stderr
    assert "one at a time" in command("--all", "--view", "table", folder=tmp_path).stderr
