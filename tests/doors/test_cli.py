"""The command line, as a user meets it: in processes of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import archspec

ROOT = Path(__file__).resolve().parents[2]
SPEC = "model M(width: int = 4):\n    input x: [3, 8, 8]\n    return x -> c: Conv(width, 3)\n"


def run(*arguments: str, cwd: Path = ROOT, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "archspec", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "m.arch").write_text(SPEC)
    (tmp_path / "wrong.arch").write_text(SPEC.replace("Conv", "Konv"))
    return tmp_path


def test_build_writes_a_module_and_says_what_it_built(here: Path) -> None:
    said = run("build", "m.arch", "--set", "width=6", cwd=here).stdout
    assert "f32[3, 8, 8]" in said
    assert "f32[6, 8, 8]" in said
    assert f"parameters     {6 * 27 + 6:,}" in said
    assert f"multiply-adds  {6 * 27 * 64:,}" in said
    module = archspec.load(here / "build" / "m.archmod")
    assert module.c.weight.shape == (6, 3, 3, 3)


@pytest.mark.slow
def test_build_twice_gives_the_same_bytes(here: Path) -> None:
    for name in ("a", "b"):
        run("build", "m.arch", "--seed", "3", "-o", f"{name}.archmod", cwd=here)
    assert (here / "a.archmod").read_bytes() == (here / "b.archmod").read_bytes()
    run("build", "m.arch", "--seed", "4", "-o", "b.archmod", cwd=here)
    assert (here / "a.archmod").read_bytes() != (here / "b.archmod").read_bytes()


@pytest.mark.slow
def test_build_in_another_dtype(here: Path) -> None:
    run("build", "m.arch", "--dtype", "bf16", cwd=here)
    assert str(archspec.load(here / "build" / "m.archmod").c.weight.dtype) == "torch.bfloat16"
    assert "there is no dtype `f99`" in run("build", "m.arch", "--dtype", "f99", cwd=here, status=1).stderr


def test_a_shipped_spec_builds_by_name_from_anywhere(here: Path) -> None:
    run("build", "resnet18", "--set", "classes=7", cwd=here)
    assert archspec.load(here / "build" / "resnet18.archmod").fc.weight.shape == (7, 512)


def test_check_says_what_is_right_and_what_is_wrong(here: Path) -> None:
    assert run("check", "m.arch", cwd=here).stdout == "m.arch: ok (1 node, 112 parameters)\n"
    done = run("check", "wrong.arch", "m.arch", cwd=here, status=1)
    assert "wrong.arch:3:20" in done.stderr
    assert "did you mean `Conv`?" in done.stderr
    assert "m.arch: ok" in done.stdout


def test_check_names_each_of_several_models(here: Path) -> None:
    other = SPEC.replace("model M(width: int = 4)", "model N(width: int = 5)")
    family = SPEC.replace("model M(width: int = 4)", "model Family(width: int)")
    (here / "two.arch").write_text(f"{SPEC}\n{other}\n{family}")
    assert run("check", "two.arch", cwd=here).stdout == (
        "two.arch:M: ok (1 node, 112 parameters)\ntwo.arch:N: ok (1 node, 140 parameters)\n"
    )
    (here / "family.arch").write_text(family)
    assert run("check", "family.arch", cwd=here).stdout == "family.arch: ok (no model to check by itself)\n"


def test_check_tells_of_each_model_whatever_is_wrong_with_the_others(here: Path) -> None:
    models = [
        SPEC.replace("M(width: int = 4)", f"{name}(width: int = 4)").replace("width, 3", layer)
        for name, layer in (
            ("A", "width, -3"),
            ("B", "width, 3"),
            ("C", "width, 3, groups=5"),
            ("D", "width"),
        )
    ]
    claim = '\nclaims D "by hand":\n    params 17\n'  # (3 + 1) * 4 = 16
    (here / "four.arch").write_text("\n".join(models) + claim)
    done = run("check", "four.arch", cwd=here, status=1)
    assert done.stdout == "four.arch:B: ok (1 node, 112 parameters)\n"
    assert re.findall(r"--> four\.arch:(\d+):", done.stderr) == ["3", "11", "18"]
    (record,) = json.loads(run("check", "four.arch", "--format", "json", cwd=here, status=1).stdout)
    assert [model["name"] for model in record["models"]] == ["B"]
    assert [problem["line"] for problem in record["problems"]] == [3, 11, 18]
    assert run("check", "four.arch:B", cwd=here).stdout == "four.arch:B: ok (1 node, 112 parameters)\n"


def test_a_warning_about_a_file_is_printed_once(here: Path) -> None:
    unused = SPEC.replace("    return", "    y = x -> ReLU\n    return")
    (here / "two.arch").write_text(f"{unused}\n{SPEC.replace('M(', 'N(')}")
    done = run("check", "two.arch", "two.arch:M", "two.arch:N", cwd=here)
    assert done.stderr.count("nothing uses `y`") == 1
    assert [line.split(": ")[0] for line in done.stdout.splitlines() if "1 warning)" in line] == [
        "two.arch:N",
        "two.arch:M",
        "two.arch:N",
    ]


def test_usage_names_a_spec_once(here: Path) -> None:
    for command in ("check", "cost", "claims"):
        usage = run(command, "--help", cwd=here).stdout.split("\n\n")[0]
        assert usage.count("SPEC") == 1
        assert usage.count("...") == 1
    said = run("draw", "m.arch", "--view", "table", "-o", "x.svg", cwd=here, status=1).stderr
    assert re.sub(r"E\d{4}", "E", said) == (
        "error[E]: a .svg file cannot show the view `table`\n  = help: these can: .tex, .md\n"
    )


def test_check_measures_claims_to_the_digits_printed(here: Path) -> None:
    claims = '\nclaims M "by hand" at width=8:\n    params {}\n    output [8, 8, 8]\n'
    (here / "m.arch").write_text(SPEC + claims.format("0.22K"))
    assert "112 parameters, 2 claims)" in run("check", "m.arch", cwd=here).stdout
    (here / "m.arch").write_text(SPEC + claims.format("0.23K"))
    wrong = run("check", "m.arch", cwd=here, status=1).stderr
    assert "M: claimed params 0.23K, measured 224" in wrong
    assert "measured: 224" in wrong
    assert "m.arch:6:5" in wrong


def test_list_shows_every_shipped_spec() -> None:
    rows = json.loads(run("list", "--format", "json").stdout)
    assert {row["name"] for row in rows} == {path.stem for path in (ROOT / "specs").glob("*.arch")}
    assert all(row["summary"] for row in rows)
    printed = run("list").stdout
    assert [line.split()[0] for line in printed.splitlines() if line.startswith("  ")] == [
        r["name"] for r in rows
    ]
    years = [row["family_year"] for row in rows]
    assert years == sorted(years)
    assert all(row["year"] >= row["family_year"] > 1990 for row in rows)
    resnets = [row["name"] for row in rows if row["family"] == "ResNet [He et al., 2016]"]
    assert [name for name in resnets if name in ("resnet18", "resnet50", "resnet101")] == [
        "resnet18",
        "resnet50",
        "resnet101",
    ]
    assert "\nResNet [He et al., 2016]: blocks that learn" in printed


def test_show_prints_the_graph(here: Path) -> None:
    assert "c  Conv(4, kernel=3)  f32[4, 8, 8]  112" in run("show", "m.arch", cwd=here).stdout
    graph = archspec.Graph.from_json(run("show", "m.arch", "--format", "json", cwd=here).stdout)
    assert graph.parameters == 112


def test_a_model_is_picked_by_name(here: Path) -> None:
    (here / "two.arch").write_text(SPEC + SPEC.replace("model M", "model N").replace("= 4", "= 5"))
    assert "\nN\n" in run("show", "two.arch", cwd=here).stdout
    assert "Conv(4, " in run("show", "two.arch:M", cwd=here).stdout
    assert "no model `O`" in run("show", "two.arch:O", cwd=here, status=1).stderr


def test_wrong_usage_is_status_two(here: Path) -> None:
    for arguments in (
        (),
        ("build",),
        ("nonsense",),
        ("build", "m.arch", "--set", "width"),
        ("build", "m.arch", "--set", "width=("),
    ):
        run(*arguments, cwd=here, status=2)
    run("check", "none.arch", cwd=here, status=1)


@pytest.mark.slow
def test_a_plugin_brings_an_op(here: Path) -> None:
    (here / "ops.py").write_text(
        "from archspec.op import Op\n"
        "from archspec.ground.tensor import TensorType\n\n"
        "class Cube(Op):\n"
        "    def infer(self, x: TensorType) -> TensorType:\n"
        "        return x\n\n"
        "    def flops(self, x: TensorType) -> int:\n"
        "        return x.values\n\n"
        "    def lower(self, x):\n"
        "        import functools, torch\n"
        "        return functools.partial(torch.pow, exponent=3)\n"
    )
    (here / "cube.arch").write_text("model M:\n    input x: [3]\n    return x -> Cube\n")
    run("check", "cube.arch", cwd=here, status=1)
    run("build", "cube.arch", "--plugin", "ops.py", cwd=here)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "efficientnet_b3"),
        ("list",),
        ("show", "resnet18"),
        ("check", "none"),
        ("--help",),
        ("--version",),
    ],
)
def test_torch_stays_out(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        "from archspec.cli import main\n"
        f"sys.argv = ['archspec', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.splitlines()[-1] == "False"


def test_reading_from_python_keeps_torch_out() -> None:
    code = "import sys, archspec; archspec.read('resnet18').to_json(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"


# ------------------------------------------------------------------ start-up

HEAVY = ("typer", "pydantic", "lark", "torch")


@pytest.mark.parametrize(
    ("code", "out"),
    [
        ("import archspec", HEAVY),
        ("import archspec; archspec.SpecError, archspec.namesake", HEAVY),
        ("from archspec.cli import invoke; invoke(['--help'])", HEAVY),
        ("from archspec.cli import invoke; invoke(['--version'])", HEAVY),
        ("from archspec.cli import invoke; invoke(['draw', '--help'])", ("archspec.graph", "torch")),
        (
            "from archspec.cli.completing import complete; complete(['build', 'resnet18', '--set', ''])",
            ("archspec.graph", "archspec.elaboration", "torch"),
        ),
        ("from archspec.cli import invoke; invoke(['check', 'lenet5'])", ("archspec.cli.cost", "torch")),
    ],
)
def test_only_what_is_asked_for_is_imported(code: str, out: tuple[str, ...]) -> None:
    code = f"import sys; {code}; print([name for name in {out!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.strip() == "[]"


def test_commands_are_found_without_importing_them() -> None:
    from typer.main import get_command

    from archspec.cli.app import load
    from archspec.cli.commands import commands, overview

    registered = get_command(load()).commands  # type: ignore[attr-defined]
    assert sorted(registered) == list(commands())
    for name, command in commands().items():
        assert registered[name].callback.__module__ == command.module
        assert (registered[name].help or "").split("\n\n")[0].split() == command.help.split()
        assert f"\n  {name} " in overview()


def test_help_is_as_wide_as_the_terminal(here: Path) -> None:
    assert run("--help", cwd=here).stdout == run(cwd=here, status=2).stderr
    assert 78 - 10 < max(map(len, run("--help", cwd=here).stdout.splitlines())) <= 78


def test_public_names_are_found_when_asked_for() -> None:
    assert set(archspec.__all__) <= set(dir(archspec))
    for name in archspec.__all__:
        assert getattr(archspec, name) is not None
    assert archspec.elaboration.__name__ == "archspec.elaboration"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        archspec.nothing  # noqa: B018
