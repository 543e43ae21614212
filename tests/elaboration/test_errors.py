"""Wrong input: every mistake ends in a SpecError that says where it is, what it is and how to mend it.

A case is two files in `errors/`: a wrong spec, and the message that it gives. `pytest --bless` writes the
messages anew; review them by reading.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import archspec
from archspec import SpecError
from archspec.graph import Graph

ERRORS = Path(__file__).parent / "errors"
CASES = sorted(path.stem for path in ERRORS.glob("*.arch"))

MOST_CALLS = 20_000_000
MOST_MEGABYTES = 500

HEAD = "model Net:\n    input x: [3, 32, 32]\n"


def net(*lines: str) -> str:
    return HEAD + "".join(f"    {line}\n" for line in lines)


def message(text: str, **settings: object) -> str:
    with pytest.raises(SpecError) as caught:
        archspec.read_text(text, **settings)
    return str(caught.value)


# ------------------------------------------------------------------ specs beside their messages

# Bombs are small texts that take long.
every_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow) if case.startswith("bomb_") else case for case in CASES],
)


@cache
def error_of(case: str) -> SpecError:
    """The error of a wrong spec, in whose folder the test is."""
    with pytest.raises(SpecError) as caught:
        archspec.read(f"{case}.arch")
    return caught.value.with_traceback(None)


@every_case
def test_the_message_is_the_one_kept(case: str, bless: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS)
    found, kept = f"{error_of(case)}\n", ERRORS / f"{case}.err"
    if bless:
        kept.write_text(found, encoding="utf-8")
    assert found == kept.read_text(encoding="utf-8")


def test_every_message_has_its_case() -> None:
    assert sorted(path.stem for path in ERRORS.glob("*.err")) == CASES


@every_case
def test_every_mistake_in_a_file_has_its_place_and_its_line(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ERRORS)
    for problem in error_of(case).problems:
        assert problem.kind.isidentifier()
        assert problem.message
        if problem.span is None:
            assert case in ("no_model", "nothing_but_comments", "syntax_comment_only")
            continue
        report = problem.render()
        place = re.search(r"^ *--> (.+):(\d+):(\d+)$", report, re.M)
        assert place is not None
        lines = (ERRORS / place[1]).read_text(encoding="utf-8").split("\n")
        line = lines[int(place[2]) - 1]
        assert 1 <= int(place[3]) <= len(line) + 1
        numbered, underline = re.search(r"^(\d+ \|.*)\n *\| +(\^+)", report, re.M).groups()  # type: ignore[union-attr]
        assert numbered.split(" ")[0] == place[2]
        assert len(underline) <= 2 * len(line) + 1


def test_no_two_mistakes_are_reported_for_one_place() -> None:
    text = "block B(n: int):\n    input x: [*S]\n    return x -> Conv(n, strid=2)\n" + net(
        "a = x -> B(1)", "b = x -> B(2)", "return a + b"
    )
    assert message(text).count("error[") == 1


# ------------------------------------------------------------------ specs that would take all time or memory

BOMBS = [case for case in CASES if case.startswith("bomb_")]
MEASURE = """
import json, sys
import archspec
from work import calls
most, *paths = sys.argv[1:]
for path in paths:
    found = "none"
    def read():
        global found
        try:
            archspec.read(path)
        except archspec.SpecError as error:
            found = error.problems[0].kind
    made = calls(read, int(most))
    # Of this program alone; ru_maxrss would start at what the parent has.
    peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
    print(json.dumps([path, found, made, peak]), flush=True)
"""


def measured(folder: Path, paths: list[str]) -> dict[str, tuple[str, int, float]]:
    """For each spec the kind of its first mistake, the calls it took to find, and the peak of memory until then."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(MOST_CALLS), *paths],
        cwd=folder,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": f"{Path(archspec.__file__).parent.parent}{os.pathsep}{Path(__file__).parents[1]}",
        },
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return {path: (kind, *rest) for path, kind, *rest in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def bombs() -> dict[str, tuple[str, int, float]]:
    return measured(ERRORS, [f"{case}.arch" for case in BOMBS])


@pytest.mark.slow
@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_is_told_soon_and_takes_little_memory(
    case: str, bombs: dict[str, tuple[str, int, float]]
) -> None:
    kind, made, megabytes = bombs[f"{case}.arch"]
    assert kind in ("budget", "recursion", "value", "shape", "free")
    assert made < MOST_CALLS
    assert megabytes < MOST_MEGABYTES


def nested_blocks(depth: int, body: str) -> str:
    blocks = ["block B0:\n    input x: [*S]\n    return x -> ReLU\n"]
    blocks += [body.format(this=i + 1, below=i) for i in range(depth)]
    return "\n".join([*blocks, net(f"return x -> B{depth}")])


LARGE = {
    "deep brackets": (
        net("y = " + "(" * 10_000 + "1" + ")" * 10_000, "return x"),
        "brackets are nested more than",
    ),
    "deep lists": (net("y = " + "[" * 120 + "1" + "]" * 120, "return x"), "brackets are nested more than"),
    "many nots": (net("y = " + "not " * 50_000 + "true", "return x"), "nested too deeply"),
    "many signs": (net("y = " + "- " * 50_000 + "1", "return x"), "nested too deeply"),
    "many powers": (net("y = " + "1 ** " * 40_000 + "1", "return x"), "nested too deeply"),
    "many conditionals": (net("y = " + "1 if true else " * 10_000 + "1", "return x"), "nested too deeply"),
    "many calls": (net("y = Conv" + "()" * 50_000, "return x"), "nested too deeply"),
    "many attributes": (net("y = x" + ".shape" * 30_000, "return x"), "nested too deeply"),
    "many subscripts": (net("y = x" + "[0]" * 20_000, "return x"), "nested too deeply"),
    "many terms": (net("y = " + "1 + " * 100_000 + "1", "return x"), "larger than 250,000 bytes"),
    "deep indentation": (
        HEAD + "".join(" " * (4 + i) + "if true:\n" for i in range(300)) + " " * 310 + "y = 1\n",
        "nested too deeply",
    ),
    "many wrong lines": (
        "".join(f"y{i} = zzz{i}\n" for i in range(10_000)) + net("return x"),
        "There may be more",
    ),
    "many wrong lines in a block": (
        net(*(f"y{i} = zzz{i}" for i in range(5_000)), "return x"),
        "There may be more",
    ),
    "many unclosed quotes": (net('y = "' + '\\"' * 100_000, "return x"), "unterminated string"),
    "blocks in blocks": (
        nested_blocks(100, "block B{this}:\n    input x: [*S]\n    return x -> B{below}\n"),
        "nested more than",
    ),
    "blocks in branches": (
        nested_blocks(
            100,
            "block B{this}:\n    input x: [*S]\n    for i in [0]:\n        if true:\n            return x -> B{below}\n",
        ),
        "nested more than",
    ),
    "a long name": (net(f'return x -> "{"a" * 100_000}": ReLU'), "more than 1,000 characters"),
    "a long word": (net("return x -> " + "a" * 100_000), "there is no `aaaa"),
}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int, float]]:
    folder = tmp_path_factory.mktemp("large")
    for name, (text, _) in LARGE.items():
        (folder / f"{name}.arch").write_text(text, encoding="utf-8")
    return measured(folder, [f"{name}.arch" for name in LARGE])


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_large_wrong_text_is_told_soon(name: str, large: dict[str, tuple[str, int, float]]) -> None:
    _, made, megabytes = large[f"{name}.arch"]
    assert made < MOST_CALLS
    assert megabytes < MOST_MEGABYTES


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_the_report_of_a_large_text_is_short(name: str) -> None:
    text, said = LARGE[name]
    report = message(text)
    assert said in report
    assert max(map(len, report.splitlines())) < 1500
    assert report.count("\n") < 200


def test_long_sums_have_a_value() -> None:
    graph = archspec.read_text(net("y = " + "1 + " * 5_000 + "1", "return x -> Linear(y)"))
    assert graph.outputs[0].type.shape == (3, 32, 5_001)


def test_a_graph_just_within_the_budget_is_read() -> None:
    assert len(archspec.read_text(net("return x -> [7 * [ReLU]]"), budget=7).nodes) == 7


def test_a_graph_just_past_the_budget_is_not_read() -> None:
    assert "more than 6 nodes" in message(net("return x -> [7 * [ReLU]]"), budget=6)


def test_a_larger_budget_lets_more_nodes_pass() -> None:
    text = net("for i in range(30):", "    x = x -> ReLU", "return x")
    assert "more than 20 nodes" in message(text, budget=20)
    assert len(archspec.read_text(text, budget=30).nodes) == 30


# ------------------------------------------------------------------ paths


def test_a_missing_file_names_the_nearest_shipped_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"there is no file `resnet51`\n.*did you mean `resnet5?1?0?8?`\?"):
        archspec.read("resnet51")


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is a folder, not a spec"):
        archspec.read(tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x7fELF\x02\x01\xff\xfe", "is not text: byte 6 is not UTF-8"),
        (b"model Net:\0", "is not text: it contains NUL characters"),
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\xef\xbb\xbf\n", "is empty"),
        (b"# x\n" * 100_000, "is larger than 250,000 bytes"),
    ],
)
def test_a_file_that_is_no_text_is_told(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "net.arch").write_bytes(data)
    with pytest.raises(SpecError, match=said):
        archspec.read(tmp_path / "net.arch")


@pytest.mark.parametrize("text", ["", "  \n", "a\0b", "\ud800", "# x\n" * 100_000])
def test_a_string_that_is_no_text_is_told(text: str) -> None:
    assert "spec.arch" in message(text)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "net.arch").write_text(net("return x -> ReLU"), encoding="utf-8-sig")
    assert len(archspec.read(tmp_path / "net.arch").nodes) == 1


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_other_line_endings_are_no_mistake(ending: str, tmp_path: Path) -> None:
    (tmp_path / "net.arch").write_text(net("return x", "    -> Cnov(8)"), newline=ending)
    with pytest.raises(SpecError, match=r"net\.arch:4:12"):
        archspec.read(tmp_path / "net.arch")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.arch")
    with pytest.raises(SpecError, match="is a FIFO, not a regular file"):
        archspec.read(tmp_path / "net.arch")


def test_an_endless_device_is_not_read() -> None:
    with pytest.raises(SpecError, match="is a device, not a regular file"):
        archspec.read("/dev/zero")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
def test_a_file_that_cannot_be_read_is_told() -> None:
    with pytest.raises(SpecError, match="`/proc/self/mem` cannot be read: "):
        archspec.read("/proc/self/mem")


def test_a_file_without_permission_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.arch"
    path.write_text(net("return x"))

    def refuse(path: str, *arguments: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)  # a superuser may read everything
    with pytest.raises(SpecError, match="cannot be read: Permission denied"):
        archspec.read(path)


@pytest.mark.parametrize(
    "path", ["net\0.arch", "a" * 5000, "a/" * 3000 + "net", "\ud800", "", ":", "net:", ":Net", "~", "."]
)
def test_a_strange_path_is_told(path: str) -> None:
    with pytest.raises(SpecError):
        archspec.read(path)


def test_a_spec_names_one_of_its_models(tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(net("return x -> ReLU") + net("return x -> GELU").replace("Net", "Other"))
    assert [str(node.op) for node in archspec.read(f"{path}:Net").nodes] == ["ReLU"]
    assert [str(node.op) for node in archspec.read(path).nodes] == ["GELU"]


def test_an_unknown_model_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(net("return x -> ReLU"))
    with pytest.raises(SpecError, match=r"net\.arch has no model `Nett`\n.*did you mean `Net`\?"):
        archspec.read(f"{path}:Nett")
    with pytest.raises(SpecError, match=r"net\.arch has no model `Quux`\n.*it has Net"):
        archspec.read(path, model="Quux")


# ------------------------------------------------------------------ settings from Python

CHOOSES = """
model Net(width: int in 1..64 = 8, act: layer = ReLU, kernels: list[int] = [3]):
    input x: [3, 32, 32]
    return x -> [Conv(width, k) for k in kernels] -> act
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"nonsense": 3}, "Net has no argument `nonsense`"),
        ({"widht": 3}, "did you mean `width`?"),
        ({"width": 8.0}, "`width` of Net must be a whole number, not the number 8.0"),
        ({"width": True}, "`width` of Net must be a whole number, not the boolean true"),
        ({"width": "8"}, '`width` of Net must be a whole number, not the string "8"'),
        ({"width": None}, "`width` of Net must be a whole number, not none"),
        ({"width": 65}, "`width` of Net must be in 1..64, not 65"),
        ({"width": float("nan")}, "the setting `width` is not finite, or has more than 30 digits"),
        ({"width": 10**40}, "the setting `width` is not finite, or has more than 30 digits"),
        ({"act": "relu"}, "`act` of Net must be a layer"),
        ({"act": object()}, "the setting `act` cannot be a Python `object`"),
        ({"act": {1: 2}}, "the setting `act` cannot be a Python `dict`"),
        ({"kernels": [3, "a"]}, "`kernels` of Net must be a list, each item a whole number"),
        ({"kernels": {3}}, "the setting `kernels` cannot be a Python `set`"),
        ({"kernels": [0]}, "`kernel` of Conv must be at least 1 or a list, not 0"),
    ],
)
def test_a_wrong_setting_is_told(given: dict[str, object], said: str) -> None:
    assert said in message(CHOOSES, **given)


def test_a_wrong_setting_of_a_file_is_told() -> None:
    with pytest.raises(SpecError, match="has no argument `nonsense`"):
        archspec.read("resnet18", nonsense=3)


def test_an_endless_setting_is_told() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert "nested" in message(CHOOSES, kernels=endless)


def test_settings_of_every_type_are_taken() -> None:
    from archspec.op import Op

    graph = archspec.read_text(CHOOSES, width=4, act=Op.find("GELU"), kernels=(1, 5))
    assert [str(node.op) for node in graph.nodes] == ["Conv(4)", "Conv(4, kernel=5)", "GELU"]


# ------------------------------------------------------------------ imports


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec that imports `parts.stem`, which lies elsewhere."""
    inside = tmp_path / "project"
    (inside / "parts").mkdir(parents=True)
    (tmp_path / "stem.arch").write_text("block Stem = Conv(8)\n")
    (inside / "net.arch").write_text("from parts.stem import Stem\n\n" + net("return x -> Stem"))
    monkeypatch.chdir(inside)
    return inside


def test_an_import_through_a_link_that_leads_out_is_refused(project: Path) -> None:
    (project / "parts" / "stem.arch").symlink_to(project.parent / "stem.arch")
    with pytest.raises(
        SpecError, match=r"`parts\.stem` is a link out of the folder it was found in\n --> net\.arch:1:1"
    ):
        archspec.read("net.arch")


def test_an_import_through_a_folder_that_leads_out_is_refused(project: Path) -> None:
    (project / "parts").rmdir()
    (project / "parts").symlink_to(project.parent)
    with pytest.raises(SpecError, match="is a link out of the folder"):
        archspec.read("net.arch")


def test_an_import_through_a_link_within_the_folder_is_read(project: Path) -> None:
    (project / "stem.arch").write_text("block Stem = Conv(8)\n")
    (project / "parts" / "stem.arch").symlink_to(project / "stem.arch")
    assert archspec.read("net.arch").outputs[0].type.shape == (8, 32, 32)


@pytest.mark.parametrize("path", ["..stem", ".stem", "/stem", "parts/stem", '"parts.stem"', "parts..stem"])
def test_an_import_is_a_path_of_names(project: Path, path: str) -> None:
    (project / "net.arch").write_text(f"from {path} import Stem\n")
    with pytest.raises(SpecError, match="unexpected"):
        archspec.read("net.arch")


def test_an_import_of_a_pipe_is_not_waited_for(project: Path) -> None:
    os.mkfifo(project / "parts" / "stem.arch")
    with pytest.raises(SpecError, match=r"`parts\.stem` is a FIFO, not a spec"):
        archspec.read("net.arch")


def test_an_import_of_a_long_name_is_told(project: Path) -> None:
    (project / "net.arch").write_text(f"from {'a' * 5000} import Stem\n")
    with pytest.raises(SpecError, match="there is no spec `aaa"):
        archspec.read("net.arch")


def test_imports_of_imports_end(project: Path) -> None:
    for i in range(200):
        (project / f"part{i}.arch").write_text(f"from part{i + 1} import Stem\n")
    (project / "net.arch").write_text("from part0 import Stem\n")
    with pytest.raises(SpecError, match="imports are nested more than 40 deep"):
        archspec.read("net.arch")


def test_a_file_imported_along_many_ways_is_read_once(project: Path) -> None:
    for i in range(30):
        lines = f"from part{i + 1} import Stem\nfrom part{i + 1} import Stem as Again\n"
        (project / f"part{i}.arch").write_text(lines)
    (project / "part30.arch").write_text("block Stem = Conv(8)\n")
    (project / "net.arch").write_text("from part0 import Stem\n\n" + net("return x -> Stem"))
    assert len(archspec.read("net.arch").sources) == 32
    (project / "part30.arch").write_text("block Stem = Cnov(8)\n")
    with pytest.raises(SpecError, match=r"part30\.arch:1:14") as caught:
        archspec.read("net.arch")
    assert len(caught.value.problems) == 1


def test_an_import_beside_the_file_comes_before_the_shipped_one(project: Path) -> None:
    (project / "blocks").mkdir()
    (project / "blocks" / "attention.arch").write_text("block SqueezeExcite(hidden: int) = Conv(5)\n")
    (project / "net.arch").write_text(
        "from blocks.attention import SqueezeExcite\n\n" + net("return x -> SqueezeExcite(8)")
    )
    assert archspec.read("net.arch").outputs[0].type.shape == (5, 32, 32)


# ------------------------------------------------------------------ what else reads specs


@pytest.mark.parametrize(
    "text",
    ["3 +", "(", "[1, 2", "Conv(", "1 / 0", "10 ** 10 ** 10", "foo(3)", "", "a b", "not " * 5000 + "x"],
)
def test_a_wrong_value_is_told(text: str) -> None:
    with pytest.raises(SpecError):
        archspec.api.parse_value(text)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "nonsense", '{"format": 2}', "[" * 100_000, '"\\ud800"']
)
def test_a_wrong_graph_is_told(text: str) -> None:
    with pytest.raises(SpecError, match="not a graph"):
        Graph.from_json(text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("functions", 0, "steps", 0, "op", "name"), "Nonsense"),
        (("functions", 0, "steps", 0, "op", "arguments"), {"out": 0}),
        (("functions", 0, "steps", 0, "op"), "Conv"),
        (("functions", 0, "steps", 0, "layer"), "a"),
        (("functions", 0, "steps", 0, "types", 0, "dtype"), "f33"),
        (("functions", 0, "steps", 0, "op", "arguments", "init"), {"name": "nonsense"}),
        (("functions", 0, "given"), [-1, "a"]),
        (("inputs", 0, "type", "shape"), ["2*"]),
        (("format",), 3),
        (("surprise",), 1),
    ],
)
def test_a_graph_changed_by_hand_is_told(path: tuple[str | int, ...], value: object) -> None:
    graph = json.loads(archspec.read_text(net("return x -> conv: Conv(8)")).to_json())
    *parents, last = path
    place = graph
    for step in parents:
        place = place[step]
    place[last] = value
    with pytest.raises(SpecError, match="graph"):
        Graph.from_json(json.dumps(graph))


# ------------------------------------------------------------------ any text at all

VISIBLE = """
    ( ) [ ] { } , : = == != < <= > >= + - * / // % ** @ -> .. . # " ' \\ 0 1 -1 10**30 1e999 3.5 x C free
    input return if else elif for in not and or block model weight buffer constant shared require claims at
    from import as true false none int layer list range len Conv ReLU Add concat zeros $ é
"""
BLANK = ["\n", "\n    ", "\n        ", "\t", "\x00", "\u202e", "\U0001f600", ""]
WORDS = st.sampled_from([*VISIBLE.split(), *BLANK])
FUZZ = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def reads_or_says_why(text: str) -> Graph | None:
    """Anything but a graph or a SpecError fails the test."""
    try:
        return archspec.read_text(text, budget=20_000)
    except SpecError as error:
        assert str(error)
        return None


@FUZZ
@given(st.text())
@example("\ud800")
@example('"""')
@example("model")
@example("claims A:\n b 1\n")
def test_any_text_reads_or_is_told(text: str) -> None:
    reads_or_says_why(text)


@FUZZ
@given(st.lists(WORDS, max_size=30))
def test_any_words_of_the_language_read_or_are_told(words: list[str]) -> None:
    reads_or_says_why(net(" ".join(words), "return x"))
    reads_or_says_why(net("return x -> " + " ".join(words)))


def layers() -> st.SearchStrategy[str]:
    """Layers that an image [C, 32, 32] may go through, many at a time."""
    size = st.integers(1, 9)
    alone = st.one_of(
        st.builds(
            "Conv({}, {}, stride={}, bias={})".format,
            size,
            st.sampled_from([1, 3, 5]),
            st.integers(1, 2),
            st.sampled_from(["true", "false"]),
        ),
        st.sampled_from(
            ["ReLU", "GELU", "BatchNorm", "Dropout(0.5)", "MaxPool(2)", "Identity", "Upsample(scale=2)"]
        ),
    )
    return st.recursive(
        alone,
        lambda inner: st.lists(inner, min_size=1, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        max_leaves=12,
    )


@FUZZ
@given(layers(), st.booleans())
def test_any_graph_reads_back_from_json(layer: str, free: bool) -> None:
    size = "free S" if free else "32"
    text = f"model Net:\n    input x: [3, {size}, 32]\n    return x -> body: [{layer}]\n"
    graph = reads_or_says_why(text)
    if graph is not None:
        again = Graph.from_json(graph.to_json())
        assert again == graph
        assert again.to_json() == graph.to_json()


def hostile_lines() -> Iterator[tuple[str, str]]:
    """Names that a hostile spec could give, and what must not come out raw in a terminal."""
    for character in ("\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\r"):
        yield f'return x -> "a{character}b": Conv(8)', character
        yield f'require false, "a{character}b"', character
        yield f"return x -> Cnov(8) # {character}", character


@pytest.mark.parametrize(("line", "character"), list(hostile_lines()))
def test_no_message_carries_control_characters(line: str, character: str) -> None:
    assert character not in message(net(line))
