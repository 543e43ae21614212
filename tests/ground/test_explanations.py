"""What docs/errors.md says of each code: its examples give it, and what mends them does."""

import warnings
from pathlib import Path

import pytest

import archspec
from archspec import SpecError, SpecWarning
from archspec.ground import codes
from archspec.ground.explanations import GROUPS, Explanation, explained, explanations

ALL = list(explanations())
PAGE = Path(archspec.__file__).parent.parent / "docs" / "errors.md"
in_specs = pytest.mark.parametrize("each", [e for e in ALL if e.wrong], ids=lambda each: each.code)


def said(folder: Path, text: str) -> tuple[list[str], str]:
    """The codes of what `check` says of a spec, and the message itself."""
    path = folder / "net.arch"
    path.write_text(text, encoding="utf-8")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            archspec.check(path)
        except SpecError as error:
            return [problem.code for problem in error.problems], error.problems[0].render()
    problems = [w.message.problem for w in caught if isinstance(w.message, SpecWarning)]
    return [problem.code for problem in problems], problems[0].render() if problems else ""


def page(folder: Path) -> str:
    """docs/errors.md."""
    parts = [
        "# What messages mean",
        "Every message has a code, which does not change. `archspec explain E0504` prints what stands here. A warning has a name"
        " besides, by which a comment allows it in its place, with the reason: `# allow unused-step: kept for the next stage`.",
        "This page is made from `archspec/ground/codes.toml`; the tests run those of its examples that are specs.",
    ]
    for group, title in GROUPS.items():
        parts.append(f"## {title}")
        for each in ALL:
            if each.code.startswith(group):
                parts.append(f'<a id="{each.code.lower()}"></a>\n\n### {each.code}: {each.title}')
                parts += shown(each, folder)
    return "\n\n".join(parts) + "\n"


def shown(each: Explanation, folder: Path) -> list[str]:
    parts = [each.cause]
    if each.name:
        parts.append(f"Its name is `{each.name}`.")
    if not each.wrong:
        return [*parts, f"```text\n{each.example}\n```", each.advice]
    message = said(folder, each.wrong)[1]
    return [
        *parts,
        f"```text\n{each.wrong}```",
        f"```text\n{message.replace(str(folder) + '/', '')}\n```",
        "Mended:",
        f"```text\n{each.right}```",
    ]


def test_every_code_is_explained() -> None:
    assert {each.code for each in ALL} == set(codes.CODES.values())
    assert {each.code[:3] for each in ALL} == set(GROUPS)


@in_specs
def test_the_example_gives_the_code(each: Explanation, tmp_path: Path) -> None:
    assert said(tmp_path, each.wrong)[0] == [each.code]


@in_specs
def test_what_is_mended_is_right(each: Explanation, tmp_path: Path) -> None:
    assert said(tmp_path, each.right)[0] == []


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.code)
def test_the_text_is_whole(each: Explanation) -> None:
    assert each.title
    assert not each.title.endswith(".")
    assert each.cause.endswith(".")
    assert bool(each.wrong and each.right) != bool(each.example and each.advice)
    assert f"[{each.code}]" in str(each)


def test_the_page_is_made_of_these(tmp_path: Path, bless: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = page(tmp_path)
    if bless:
        PAGE.write_text(made, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == made, (
        "`pytest tests/ground/test_explanations.py --bless` writes it anew"
    )


def test_a_code_is_found_by_its_name_too() -> None:
    assert explained("unused-step") is explained("w0101")
    assert explained("E0504").title


@pytest.mark.parametrize("code", ["E9999", "", "unused-stop", "E05040"])
def test_an_unknown_code_is_told(code: str) -> None:
    with pytest.raises(SpecError) as caught:
        explained(code)
    assert caught.value.problems[0].help
