"""`archspec check --format`: JSON, GitHub's annotations and SARIF, read as their readers do."""

import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import jsonschema
import pytest

from archspec.cli import invoke
from archspec.cli.annotations import github, sarif
from archspec.ground import codes
from archspec.ground.errors import Edit, Fix, Problem, replaced
from archspec.ground.source import Source, Span

SCHEMA = "@microsoft/jest-sarif@1.0.0-beta.0"  # has the standard's schema in it
NET = "model Net:\n    input x: [3, 8, 8]\n    y = x -> ReLU\n    return x -> Konv(4)\n"
WARNED = "from parts import Part\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> Part\n"
PARTS = "block Part:\n    input x: [C, H, W]\n    y = x -> ReLU\n    return x\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a folder").mkdir()
    monkeypatch.chdir(tmp_path / "a folder")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    for name, text in (
        ("wrong.arch", NET),
        ("one.arch", WARNED),
        ("two.arch", WARNED),
        ("parts.arch", PARTS),
    ):
        Path(name).write_text(text)
    return tmp_path


def checked(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert invoke(["check", *arguments]) == status
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


# ------------------------------------------------------------------ GitHub


def read_command(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command as GitHub's runner reads it: its name, its properties, its message."""
    match = re.fullmatch(r"::(\w+) ([^\n]*?)::([^\r\n]*)", line)
    assert match is not None, line
    properties = dict(pair.split("=", 1) for pair in match[2].split(","))
    return match[1], {name: unquote(value) for name, value in properties.items()}, unquote(match[3])


def test_problems_are_annotations_on_github(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = checked(capsys, "wrong.arch", "one.arch", "two.arch", "--format", "github", status=1)
    found = [read_command(line) for line in said.splitlines()]
    assert [(name, properties["title"]) for name, properties, _ in found] == [
        ("error", f"{codes.UNKNOWN_NAME} name"),
        ("warning", f"{codes.UNUSED_STEP} unused-step"),  # once, though both specs import it
    ]
    error, warning = (properties for _, properties, _ in found)
    place = {"file": "wrong.arch", "line": "4", "endLine": "4", "col": "17", "endColumn": "20"}
    assert {**error, "title": ""} == {**place, "title": ""}
    assert (warning["file"], warning["line"], warning["col"]) == ("parts.arch", "3", "5")
    assert "Konv" in found[0][2]
    assert "\nhelp: " in found[0][2]

    monkeypatch.setenv("GITHUB_WORKSPACE", str(here))
    said = checked(capsys, "wrong.arch", "--format", "github", status=1)
    assert read_command(said.strip())[1]["file"] == "a folder/wrong.arch"


def test_an_annotation_is_one_line_that_commands_nothing() -> None:
    source = Source("a,b:c%.arch", "first\nsecond\n")
    problem = Problem(codes.RANK, "50% of\n::error::x\r\033[1m", Span(source, 0, 8), help="a\nb")
    line = github(problem)
    name, properties, message = read_command(line)
    assert name == "error"
    assert properties["file"] == "a,b:c%.arch"
    assert (properties["line"], properties["endLine"]) == ("1", "2")
    assert not {"col", "endColumn"} & set(properties)  # which GitHub takes of one line only
    assert message == "50% of\n::error::x\\r\\x1b[1m\nhelp: a\nb"
    assert read_command(github(Problem(codes.NO_FILE, "no file")))[1] == {"title": f"{codes.NO_FILE} file"}


def test_strict_decides_about_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    for format in ("github", "sarif", "json"):
        checked(capsys, "one.arch", "--format", format)
        checked(capsys, "one.arch", "--format", format, "--strict", status=1)
    assert checked(capsys, "lenet5", "--format", "github") == ""


# ------------------------------------------------------------------ SARIF


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The schema of SARIF 2.1.0, from a package of npm; without npm, tests are skipped on a desk and fail in CI."""
    npm = shutil.which("npm")
    if npm is None:
        if "CI" in os.environ:
            pytest.fail("npm is missing")
        pytest.skip("npm is missing")
    folder = tmp_path_factory.mktemp("schema")
    done = subprocess.run([npm, "pack", SCHEMA], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"npm gives no {SCHEMA}")
    with tarfile.open(next(folder.glob("*.tgz"))) as package:
        (name,) = (name for name in package.getnames() if name.endswith(".json") and "/schemas/" in name)
        member = package.extractfile(name)
        assert member is not None
        return json.load(member)


def text_of(location: dict[str, Any], log: dict[str, Any]) -> str:
    """The text that a location of a log means, read from the disk."""
    artifact = location["physicalLocation"]["artifactLocation"]
    uri = artifact["uri"]
    if "uriBaseId" in artifact:
        uri = log["runs"][0]["originalUriBaseIds"][artifact["uriBaseId"]]["uri"] + uri
    lines = Path(unquote(urlparse(uri).path)).read_text().splitlines()
    region = location["physicalLocation"]["region"]
    assert region["startLine"] == region["endLine"]
    return lines[region["startLine"] - 1][region["startColumn"] - 1 : region["endColumn"] - 1]


def test_a_sarif_log_says_what_is_wrong_and_where(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = here / "outside.arch"
    outside.write_text(NET)
    said = checked(capsys, "wrong.arch", "one.arch", "two.arch", str(outside), "--format", "sarif", status=1)
    log = json.loads(said)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [(result["ruleId"], result["level"]) for result in run["results"]] == [
        (codes.UNKNOWN_NAME, "error"),
        (codes.UNUSED_STEP, "warning"),
        (codes.UNKNOWN_NAME, "error"),
    ]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert [text_of(result["locations"][0], log) for result in run["results"]] == ["Konv", "y", "Konv"]


def test_a_sarif_log_has_places_the_chain_of_blocks_and_fixes(here: Path) -> None:
    path = Path("wrong.arch")
    source = Source(str(path), NET)
    span = Span(source, NET.index("Konv"), NET.index("Konv") + 4)
    second = Span(source, NET.index("y ="), NET.index("y =") + 1)
    places = (("`x` is here", second),)
    log = sarif(
        [
            Problem(
                codes.RANK, "wrong", span, "label", "help", (("Net", second),), places, replaced(span, "Conv")
            )
        ]
    )
    (result,) = log["runs"][0]["results"]
    related = [(text_of(place, log), place["message"]["text"]) for place in result["relatedLocations"]]
    assert related == [("y", "`x` is here"), ("y", "in Net, called here")]
    assert [place["id"] for place in result["relatedLocations"]] == [0, 1]
    assert text_of(result["locations"][0], log) == "Konv"
    assert result["locations"][0]["message"] == {"text": "label"}
    ((change,),) = (fix["artifactChanges"] for fix in result["fixes"])
    (replacement,) = change["replacements"]
    region = {"physicalLocation": {**change, "region": replacement["deletedRegion"]}}
    assert (text_of(region, log), replacement["insertedContent"]) == ("Konv", {"text": "Conv"})


@pytest.mark.slow
def test_a_sarif_log_is_valid(schema: Any, capsys: pytest.CaptureFixture[str]) -> None:
    validator = jsonschema.validators.validator_for(schema)(schema)
    for specs, status in ((["lenet5"], 0), (["one.arch"], 0), (["wrong.arch", "one.arch", "none.arch"], 1)):
        log = json.loads(checked(capsys, *specs, "--format", "sarif", status=status))
        validator.validate(log)
    source = Source("no such ünicode.arch", NET)
    span = Span(source, 5, 30)
    fix = Fix("write", (Edit(span, "a"), Edit(Span(source, 0, 0), "b")))
    whole = Problem(codes.RANK, "wrong", span, "label", "help", (("Net", span),), (("x", span),), fix)
    log = sarif([whole, Problem(codes.NO_FILE, "no file")])
    validator.validate(log)
    assert [len(result["locations"]) for result in log["runs"][0]["results"]] == [1, 0]
    log["runs"][0]["results"][0]["level"] = "wrong"
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(log)


# ------------------------------------------------------------------ JSON


def test_json_has_a_record_for_each_spec(capsys: pytest.CaptureFixture[str]) -> None:
    records = json.loads(checked(capsys, "wrong.arch", "one.arch", "--format", "json", status=1))
    assert [record["spec"] for record in records] == ["wrong.arch", "one.arch"]
    (error,), (warning,) = (record["problems"] for record in records)
    assert (error["code"], error["kind"], error["file"], error["line"]) == (
        codes.UNKNOWN_NAME,
        "name",
        "wrong.arch",
        4,
    )
    assert (warning["code"], warning["kind"], warning["level"]) == (
        codes.UNUSED_STEP,
        "unused-step",
        "warning",
    )
    assert {"places", "trail", "fix", "help", "end_line", "end_column"} <= set(error)
