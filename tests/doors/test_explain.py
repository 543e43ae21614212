"""`archspec explain`."""

import subprocess
import sys

from archspec.ground import codes


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "archspec", "explain", *arguments], capture_output=True, text=True, check=False
    )


def test_a_code_is_explained_by_example() -> None:
    done = run("E0504", "unused-step")
    assert done.returncode == 0
    assert "error[E0504]: shapes that do not go together" in done.stdout
    assert "return x + y" in done.stdout
    assert "# allow unused-step: why" in done.stdout


def test_all_codes_are_listed() -> None:
    done = run("--list")
    assert [line.split()[0] for line in done.stdout.splitlines()] == sorted(codes.CODES.values())


def test_what_is_no_code_is_told() -> None:
    done = run("E9999")
    assert done.returncode == 1
    assert "error[E1402]: there is no code `E9999`" in done.stderr
    assert run().returncode == 2
