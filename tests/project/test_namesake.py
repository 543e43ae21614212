"""Beside the other distribution named archspec, in either order, it is said what is wrong and what to do."""

import base64
import hashlib
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import archspec

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "[console_scripts]\narchspec = archspec.cli:main\n"
OTHER = {  # the layout of archspec 0.2.7 on PyPI
    "archspec/__init__.py": '"""Init file to avoid namespace packages"""\n\n__version__ = "0.2.7"\n',
    "archspec/__main__.py": "import sys\n\nfrom .cli import main\n\nsys.exit(main())\n",
    "archspec/cli.py": "def main():\n    return 0\n",
    "archspec/cpu/__init__.py": "def host():\n    return 'zen'\n",
    "archspec/json/cpu/microarchitectures.json": "{}",
}
OURS = {
    f"archspec/{path.relative_to(Path(archspec.__file__).parent).as_posix()}": path.read_text(
        encoding="utf-8"
    )
    for path in Path(archspec.__file__).parent.rglob("*")
    if path.suffix in (".py", ".lark", ".json", ".html", ".css", ".js")
} | {
    f"archspec/specs/{path.relative_to(ROOT / 'specs').as_posix()}": path.read_text(encoding="utf-8")
    for path in (ROOT / "specs").rglob("*.arch")
}


def wheel(folder: Path, name: str, files: Mapping[str, str]) -> Path:
    """A wheel as pip takes it, with the command that both distributions have."""
    stem = f"{name.replace('-', '_')}-9.9"
    described = {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/entry_points.txt": SCRIPT,
    }
    path = folder / f"{stem}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in {**files, **described}.items():
            archive.writestr(inside, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record.append(f"{inside},sha256={digest},{len(text.encode())}\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "".join([*record, f"{stem}.dist-info/RECORD,,\n"]))
    return path


class Environment:
    """A fresh virtual environment, in which the present one's other packages can be imported."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "env", with_pip=False)
        self.wheels = {
            "ours": wheel(folder, "archspec-nn", OURS),
            "other": wheel(folder, "archspec", OTHER),
        }
        self.python = str(folder / "env" / "bin" / "python")
        site = self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
        Path(site, "zz_dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        self.folder = folder

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [self.python, *arguments],
            capture_output=True,
            text=True,
            cwd=Path(self.python).parent,
            env=own,
            check=False,
        )

    def pip(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "-q", "--python", self.python, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def install(self, *names: str) -> None:
        for name in names:
            self.pip("install", "--no-deps", "--no-index", str(self.wheels[name]))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def named(text: str) -> bool:
    return "the distribution `archspec` (CPU" in text and "pip uninstall archspec archspec-nn" in text


@pytest.mark.slow
def test_alone_it_says_nothing(environment: Environment) -> None:
    environment.install("ours")
    done = environment.run("-W", "error", "-c", "import archspec; print(archspec.read('lenet5').name)")
    assert (done.stdout, done.stderr) == ("LeNet5\n", "")


@pytest.mark.slow
def test_installed_over_the_other_it_warns_and_both_work(environment: Environment) -> None:
    environment.install("other", "ours")
    done = environment.run(
        "-c", "import archspec.cpu; print(archspec.cpu.host(), archspec.read('lenet5').name)"
    )
    assert done.stdout == "zen LeNet5\n"
    assert "RuntimeWarning" in done.stderr and named(done.stderr)
    done = environment.run("-m", "archspec", "check", "lenet5")
    assert done.returncode == 0 and named(done.stderr)


@pytest.mark.slow
def test_where_the_other_was_installed_over_it_its_modules_refuse(environment: Environment) -> None:
    environment.install("ours", "other")
    for module in ("archspec.op", "archspec.api", "archspec.cli", "archspec.graph"):
        done = environment.run("-c", f"import {module}")
        assert done.returncode == 1
        assert "ImportError" in done.stderr and named(done.stderr)
    for command in (["-m", "archspec", "check", "lenet5"], ["archspec", "check", "lenet5"]):
        done = environment.run(*command)
        assert done.returncode == 1 and named(done.stderr)


@pytest.mark.slow
def test_where_the_other_was_removed_again_it_is_told_too(environment: Environment) -> None:
    environment.install("ours", "other")
    environment.pip("uninstall", "-y", "archspec")
    done = environment.run("-c", "import archspec.api")
    assert done.returncode == 1 and named(done.stderr)


def test_it_says_its_own_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == archspec.__distribution__
    assert list(project["scripts"]) == ["archspec"]
