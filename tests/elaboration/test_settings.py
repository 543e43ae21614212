"""Whatever is given has an effect or is refused: arguments, a model's parameters, names that two things have."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import archspec
from archspec.analyses.diff import Difference
from archspec.elaboration import shipped_names
from archspec.ground.errors import SpecError
from archspec.op import Op

CLASH = """
model Net(seed: int = 1, flat: bool = true, dtype: int = 2, model: int = 3, settings: int = 2, spec: int = 4,
          budget: int = 1, phi: int = 5, compile: int = 6, weights: int = 7, device: int = 8, text: int = 9,
          recompute: bool = false, optimize: str = "no", function: int = 1, given: int = 1, more: int = 1):
    input x: [seed, 8]
    return x -> Linear(model)

model Short = Net(flat=false)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(SpecError) as caught:
        call()
    assert [problem.kind for problem in caught.value.problems] == ["argument"]
    return str(caught.value)


def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "archspec", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


# ---------------------------------------------------------------- what comes too late


@pytest.mark.parametrize(
    "given",
    [
        {"classes": 10},
        {"clases": 10},
        {"settings": {"classes": 10}},
        {"model": "Nope"},
        {"budget": 5},
        {"budget": 1_000_000},
    ],
)
@pytest.mark.parametrize("function", [archspec.load, archspec.cost, archspec.draw])
def test_a_graph_takes_no_settings(given: dict[str, Any], function: Callable[..., Any]) -> None:
    graph = archspec.read("lenet5")
    said = refused(lambda: function(graph, **given))
    name = "classes" if "settings" in given else next(iter(given))
    assert f"`{name}` would have no effect" in said
    function(graph, settings={})


def test_graphs_that_are_compared_or_checked_take_no_settings() -> None:
    graph = archspec.read("lenet5")
    assert "`classes` would have no effect" in refused(lambda: archspec.diff(graph, "lenet5", classes=10))
    for function in (archspec.check, archspec.claims):
        assert "`budget` would have no effect" in refused(lambda f=function: f(graph, budget=9))


def test_a_spec_is_taken_wherever_a_graph_is() -> None:
    graph = archspec.read("lenet5", classes=7)
    assert archspec.cost("lenet5", classes=7).figures() == archspec.cost(graph).figures()
    assert archspec.cost("lenet5", settings={"classes": 7}, batch=2).batch == 2
    assert archspec.draw("lenet5", "full", classes=7).dot == archspec.draw(graph, "full").dot
    assert archspec.diff("lenet5", "lenet5").same
    assert not archspec.diff("lenet5", graph).same
    assert archspec.diff("lenet5", "lenet5", classes=7).right == graph


def test_names_of_before_are_taken_for_one_version() -> None:
    graph = archspec.read("lenet5")
    with pytest.warns(DeprecationWarning, match="`graph` of `archspec.cost` is `spec` now"):
        assert archspec.cost(graph=graph).figures() == archspec.cost(graph).figures()
    with pytest.warns(DeprecationWarning, match=r"`archspec\.parse` is `archspec\.read_text` now"):
        parsed = archspec.parse(CLASH, settings={"model": 4})
    assert parsed == archspec.read_text(CLASH, settings={"model": 4})
    module = archspec.load("resnet18")
    with pytest.warns(DeprecationWarning, match="repeated_blocks"):
        assert archspec.blocks(module) == archspec.repeated_blocks(module)


def test_a_model_by_position_is_refused_as_well() -> None:
    assert "`model` would have no effect" in refused(lambda: archspec.load(archspec.read("lenet5"), "Nope"))


def test_a_built_module_takes_no_settings(here: Path) -> None:
    run("build", "lenet5", "-o", "lenet.archmod")
    for given in (
        {"classes": 10},
        {"settings": {"classes": 10}},
        {"seed": 0},
        {"budget": 9},
        {"weights": "w"},
    ):
        assert "would have no effect" in refused(lambda given=given: archspec.load("lenet.archmod", **given))


def test_how_a_built_module_was_to_be_loaded_can_be_changed(here: Path) -> None:
    run("build", "lenet5", "-o", "lenet.archmod", "--optimize", "inference")
    assert not archspec.load("lenet.archmod").training
    trains = archspec.load("lenet.archmod", optimize=None)
    assert trains.training
    assert [name for name, _ in trains.named_parameters()] == [
        name for name, _ in archspec.load("lenet5").named_parameters()
    ]
    assert "does not train" in refused(lambda: archspec.load("lenet.archmod", recompute=True))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"flat": True, "recompute": True}, "a flat network has no blocks"),
        ({"optimize": "inference", "recompute": True}, "an optimised network does not train"),
        ({"recompute": True}, "no block repeats in LeNet5"),
        ({"seed": 3, "weights": "w.safetensors"}, "weights from a file need no seed"),
        ({"seed": 1.5}, "`seed` is a 64-bit integer"),
        ({"seed": "1"}, "`seed` is a 64-bit integer"),
        ({"seed": 2**63}, "`seed` is a 64-bit integer"),
        ({"dtype": torch.int8}, "weights cannot be int8"),
        ({"dtype": 16}, "`dtype` is a dtype of PyTorch or its name"),
        ({"device": "nowhere"}, "there is no device `nowhere`"),
        ({"optimize": "training"}, "`optimize` is None or `inference`"),
        ({"settings": [("classes", 10)]}, "`settings` is a mapping"),
        ({"settings": {3: 10}}, "`settings` is a mapping"),
    ],
)
def test_arguments_that_do_nothing_together_are_refused(given: dict[str, Any], said: str) -> None:
    assert said in refused(lambda: archspec.load("lenet5", **given))


# ---------------------------------------------------------------- names that two things have


RESERVED = {
    function: [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty and name != "settings"
    ]
    for function in (
        archspec.read,
        archspec.load,
        archspec.scale,
        archspec.cost,
        archspec.draw,
        archspec.diff,
    )
}


@pytest.mark.parametrize(("function", "name"), [(f, n) for f, names in RESERVED.items() for n in names])
def test_an_argument_that_the_model_has_too_is_refused(
    function: Callable[..., Any], name: str, here: Path
) -> None:
    """Also where its value is the default, and where a model in the short form passes it on."""
    scaled = ("depth: float = 1.0", "width: float = 1.0", "resolution: int = 32")
    parameters = ", ".join(one for one in scaled if not one.startswith(f"{name}:"))
    Path("net.arch").write_text(
        f"model Net({parameters}{'' if name == 'model' else ', model: int = 1'}, {name}: int = 3):\n"
        f"    input x: [resolution]\n    return x -> Linear({name})\nmodel Short = Net()\n"
    )
    default = inspect.signature(function).parameters[name].default
    spec = "net.arch" if name == "model" else "net.arch:Net"
    sides = (spec, spec) if function is archspec.diff else (spec,)
    said = refused(lambda: function(*sides, **{name: default}))
    assert f"`{name}` is an argument of `archspec.{function.__name__}` and a parameter of " in said
    assert refused(lambda: function(*["net.arch"] * len(sides), **{name: default}))
    made = function(*sides, settings={name: 5})
    assert graph_behind(made).outputs[0].type.shape == (5,)
    if name != "model":
        made = function(*sides, settings={}, **{name: default})
        assert graph_behind(made).outputs[0].type.shape == (3,)


def graph_behind(made: Any) -> archspec.Graph:
    """The graph of what a function of the API gives."""
    if isinstance(made, archspec.Graph | torch.nn.Module):
        return made if isinstance(made, archspec.Graph) else archspec.graph_of(made)
    found: archspec.Graph = made.right if isinstance(made, Difference) else made.graph
    return found


def test_every_name_can_be_set_by_the_mapping(here: Path) -> None:
    Path("net.arch").write_text(CLASH)
    given = {
        "seed": 2,
        "flat": False,
        "model": 7,
        "settings": 9,
        "spec": 1,
        "budget": 4,
        "given": 2,
        "function": 3,
    }
    graph = archspec.read("net.arch", settings=given)
    assert graph.scopes[0].arguments.items() >= given.items()
    assert archspec.read_text(CLASH, settings=given).scopes[0].arguments == graph.scopes[0].arguments
    module = archspec.load("net.arch", seed=11, settings=given)
    again = archspec.load(graph, seed=11)
    assert torch.equal(module.linear.weight, again.linear.weight)


def test_a_setting_given_twice_is_refused(here: Path) -> None:
    with pytest.raises(SpecError, match="`classes` is given twice"):
        archspec.read("lenet5", settings={"classes": 5}, classes=6)
    assert (
        "`classes` is given twice"
        in run("show", "lenet5", "--set", "classes=5", "--set", "classes=6", status=2).stderr
    )
    assert (
        "--left"
        in run("diff", "lenet5", "lenet5", "--left", "classes=5", "--left", "classes=6", status=2).stderr
    )


def test_a_model_is_a_name() -> None:
    assert "is the name of a model, not 3" in refused(lambda: archspec.read("lenet5", model=3))  # type: ignore[arg-type]


@pytest.mark.parametrize("command", ["show", "cost", "draw", "build", "scale", "diff"])
def test_the_shell_sets_any_parameter(command: str, here: Path) -> None:
    Path("net.arch").write_text(
        "model Net(model: int = 2, spec: int = 2, budget: int = 2, phi: int = 2, settings: int = 1,\n"
        "          depth: float = 1.0, width: float = 1.0, resolution: int = 8):\n"
        "    input x: [resolution]\n    return x -> Linear(model)\n"
    )
    names = ("model", "spec", "budget", "phi", "settings")
    settings = [word for name in names for word in ("--set", f"{name}=3")]
    specs = ["net.arch"] * (2 if command == "diff" else 1)
    output = {"draw": ["-o", "n.dot"], "build": ["-o", "n.archmod"]}.get(command, [])
    run(command, *specs, *settings, *output)
    if command == "build":
        assert archspec.load("n.archmod")(torch.zeros(1, 8)).shape == (1, 3)


# ---------------------------------------------------------------- files and specs of one name


def test_a_folder_or_file_does_not_hide_a_shipped_spec(here: Path) -> None:
    names = [name for name, _ in shipped_names()][:3]
    Path(names[0]).mkdir()
    Path(names[1]).write_text("no spec")
    for name in names:
        assert archspec.read(name).nodes
    with pytest.raises(SpecError, match="is a folder"):
        archspec.read(f"./{names[0]}")
    Path("mine").write_text("model Mine:\n    input x: [3]\n    return x -> ReLU\n")
    assert archspec.read("mine").name == "Mine"
    assert archspec.read(f"{names[0]}:{archspec.models(names[0])[-1]}").nodes


# ---------------------------------------------------------------- scaled models as specs


@pytest.mark.parametrize(
    "settings",
    [
        {"classes": "10"},
        {"stem": '"deep"'},
        {"act": "GELU", "classes": "12"},
        {"layers": "[1, 2, 1, 1]", "width": "1.123456"},
    ],
)
def test_a_scaled_spec_is_the_network_that_was_scaled(settings: dict[str, str], here: Path) -> None:
    Path("net.arch").write_text(
        "model Net(classes: int = 5, stem: str = 'plain', act: layer = ReLU, layers: list[int] = [1],\n"
        "          depth: float = 1.0, width: float = 1.0, resolution: int = 16):\n"
        "    input x: [3, resolution, resolution]\n"
        "    x = x -> body: [[Conv(round(100000 * width), 3), act] for n in layers for i in range(n)]\n"
        "    if stem == 'deep':\n        x = x -> ReLU\n"
        "    return x -> GlobalAvgPool -> fc: Linear(classes)\n"
    )
    given = [word for name, text in settings.items() for word in ("--set", f"{name}={text}")]
    run("scale", "net.arch", "--phi", "2.5", *given, "-o", "scaled.arch")
    values = {name: archspec.api.parse_value(text) for name, text in settings.items()}
    expected, found = archspec.scale("net.arch", 2.5, settings=values), archspec.read("scaled.arch")
    assert [(n.name, n.op, n.types) for n in found.nodes] == [(n.name, n.op, n.types) for n in expected.nodes]
    assert found.weights == expected.weights


def test_a_scaled_spec_that_would_be_another_network_is_not_written(here: Path) -> None:
    Path("mobilenet_v1.arch").write_text(
        "model MobileNetV1(depth: float = 1.0, width: float = 1.0, resolution: int = 8):\n"
        "    input x: [resolution]\n    return x -> ReLU\n"
    )
    done = run("scale", "mobilenet_v1", "-o", "scaled.arch", status=1)
    assert "would be a different network" in done.stderr
    assert "no multiply-adds" in run("scale", "./mobilenet_v1.arch", status=1).stderr
    Path("my-net.arch").write_text(Path("mobilenet_v1.arch").read_text().replace("ReLU", "Linear(3)"))
    assert "specs cannot import `my-net.arch`" in run("scale", "my-net.arch", "-o", "s.arch", status=1).stderr
    assert "-o" in run("scale", "mobilenet_v1", "--search", "-o", "s.arch", status=2).stderr
    assert sorted(path.name for path in here.iterdir()) == ["mobilenet_v1.arch", "my-net.arch"]


# ---------------------------------------------------------------- ops of one name


OP = """
from archspec import Op
class {name}(Op):
    def infer(self, x): return x
    def flops(self, x): return {flops}
    def lower(self, x): return abs
"""


@pytest.fixture
def forgotten() -> Any:
    before = set(Op.names())
    yield
    for name in set(Op.known) - before:
        del Op.known[name]


@pytest.mark.parametrize("name", ["Conv", "ReLU", "Gather"])
def test_an_op_cannot_take_the_name_of_a_shipped_one(name: str, here: Path, forgotten: None) -> None:
    """In whichever order they are imported."""
    Path("ops.py").write_text(OP.format(name=name, flops=0))
    for first in ("", "from archspec.ops import conv, activation, gather\n"):
        program = f"{first}import ops"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert f"TypeError: an op named {name} comes with archspec: rename this one" in done.stderr


def test_two_ops_of_one_name_are_refused(here: Path) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "ops.py").write_text(OP.format(name="Mine", flops=0))
    done = run("check", "lenet5", "--plugin", "a/ops.py", "--plugin", "b/ops.py", status=1)
    assert "an op named Mine is already defined in" in done.stderr
    assert "ops.py" in done.stderr
    run("check", "lenet5", "--plugin", "a/ops.py", "--plugin", "a/ops.py")


def test_an_op_that_is_run_again_replaces_the_old_one(
    here: Path, forgotten: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `importlib.reload` does, and a notebook whose cell runs again."""
    import importlib

    monkeypatch.syspath_prepend(here)
    Path("reloaded_ops.py").write_text(OP.format(name="Again", flops=1))
    module = importlib.import_module("reloaded_ops")
    Path("reloaded_ops.py").write_text(OP.format(name="Again", flops=200))
    importlib.reload(module)
    assert Op.find("Again")().flops(None) == 200
    cell: dict[str, Any] = {"__name__": "a_notebook"}
    for flops in (1, 2):
        exec(OP.format(name="Cell", flops=flops), cell)
        assert Op.find("Cell")().flops(None) == flops


def test_names_of_ops_begin_with_a_capital_letter() -> None:
    """Functions and initialisations of the language have the others, and would hide them."""
    with pytest.raises(TypeError, match="must start with a capital letter"):
        exec(OP.format(name="concat", flops=0), {"__name__": __name__})
    assert "concat" not in Op.known


# ---------------------------------------------------------------- options that do nothing


@pytest.mark.parametrize(
    "arguments",
    [
        "build lenet5 --batch 4",
        "build lenet5 --batch 1",
        "scale mobilenet_v1 --search --phi 1",
        "scale mobilenet_v1 --search --alpha 1.2",
        "scale mobilenet_v1 --top 3",
        "scale mobilenet_v1 --times 2",
        "draw lenet5 --view table --theme dark",
        "draw lenet5 --view table --depth 1",
        "draw lenet5 --view html --direction up",
        "draw lenet5 -o lenet.html --theme light",
        "draw --all --focus layer1",
        "draw --all --set classes=10",
        "cost lenet5 resnet18 --depth 3",
        "cost lenet5 --by op --depth 2",
        "cost lenet5 --at classes=10:12 --sort macs",
        "cost lenet5 --at batch=3 --batch 2",
        "cost lenet5 --verify --batch 3",
        "cost lenet5 --verify --at classes=10:12",
        "cost lenet5 --at classes=10 --set classes=11",
    ],
)
def test_options_that_would_do_nothing_are_refused(arguments: str, here: Path) -> None:
    """Also at their default."""
    done = run(*arguments.split(), status=2)
    assert "Invalid value for" in done.stderr
    assert list(here.iterdir()) == []


def test_pictures_refuse_what_would_do_nothing() -> None:
    graph = archspec.read("lenet5")
    for given in (
        {"view": "blocks", "depth": 2},
        {"view": "blocks", "focus": "Net"},
        {"depth": 0},
        {"depth": 1.5},
    ):
        refused(lambda given=given: archspec.draw(graph, **given))
