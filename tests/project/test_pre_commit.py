"""The hooks for pre-commit, run by it in a repository of someone who uses them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from archspec.cli.commands import commands

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / ".pre-commit-hooks.yaml"
HOOKS = yaml.safe_load(MANIFEST.read_text())
RIGHT = "model Net:\n    input x: [4]\n    return x -> ReLU\n"
WRONG = {"archspec-check": RIGHT.replace("ReLU", "ReLO"), "archspec-fmt": RIGHT.replace(" -> ", "->")}


def git(*arguments: str, folder: Path) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_hooks_are_valid_and_run_commands() -> None:
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-manifest", str(MANIFEST)], check=True)
    for hook in HOOKS:
        program, command = hook["entry"].split()
        assert program == "archspec"
        assert command in commands()


@pytest.mark.slow
@pytest.mark.parametrize("hook", [hook["id"] for hook in HOOKS])
def test_a_hook_lets_right_specs_pass_and_stops_others(hook: str, tmp_path: Path) -> None:
    # The environment that pre-commit would make for the hook is the one at hand: language `system`.
    hooks, work = tmp_path / "hooks", tmp_path / "work"
    for folder in (hooks, work):
        folder.mkdir()
        git("init", "-q", folder=folder)
    shutil.copy(MANIFEST, hooks)
    git("add", "-A", folder=hooks)
    git("commit", "-qm", "hooks", folder=hooks)
    (work / ".pre-commit-config.yaml").write_text(
        f"repos:\n  - repo: {hooks}\n    rev: {git('rev-parse', 'HEAD', folder=hooks)}\n"
        f"    hooks: [{{id: {hook}, language: system}}]\n"
    )
    program = tmp_path / "bin" / "archspec"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m archspec "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PRE_COMMIT_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT)),
    }

    def run() -> tuple[int, str]:
        git("add", "-A", folder=work)
        done = subprocess.run(
            [sys.executable, "-m", "pre_commit", "run"],
            cwd=work, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    (work / "notes.txt").write_text(WRONG[hook])
    assert "no files to check" in run()[1]
    (work / "net.arch").write_text(RIGHT)
    assert run()[0] == 0
    (work / "folder").mkdir()
    (work / "folder" / "other.arch").write_text(WRONG[hook])
    status, said = run()
    assert status == 1
    assert "folder/other.arch" in said
    assert "Traceback" not in said
