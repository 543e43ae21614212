"""To format changes no meaning, loses no comment and is done once, whatever the text looks like."""

import random
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import program

import archspec
from archspec import SpecError
from archspec.ground.source import Source
from archspec.syntax import automaton
from archspec.syntax.parsing import parse_file

ROOT = Path(__file__).parents[2]
SPECS = [
    path.read_text(encoding="utf-8")
    for folder in (
        ROOT / "specs" / "families",
        ROOT / "specs" / "blocks",
        ROOT / "tests" / "elaboration" / "errors",
    )
    for path in sorted(folder.glob("*.arch"))
    if path.stat().st_size < 20_000
]
OPENING, CLOSING = {"LPAR", "LSQB", "LBRACE"}, {"RPAR", "RSQB", "RBRACE"}
CONTINUING = re.compile(r"[-+*/%@<>]|[=!]=|(?:and|or)\b")
NASTY = [
    " ",
    "",
    "\n",
    "\n    ",
    "# c\n",
    "\n\n",
    "\\\n",
    "\t",
    ",",
    "->",
    "(",
    ")",
    "]",
    "=",
    ":",
    "x",
    "*",
    "'",
    "1",
    "if",
    "for",
]


def tree(text: str) -> str:
    """What a text says, without places: told by how its tree is shown, and not by the formatter."""
    return repr(parse_file(Source("spec.arch", text)).statements)


def comments(text: str) -> list[str]:
    """The comments of a text, in order, blanks left out."""
    return ["".join(comment.text.split()) for comment in parse_file(Source("spec.arch", text)).comments]


def require_formatted(text: str) -> str:
    """The text formatted; the claims of this file hold of it."""
    formatted = archspec.format_text(text)
    assert tree(formatted) == tree(text)
    assert comments(formatted) == comments(text)
    assert archspec.format_text(formatted) == formatted
    return formatted


def relaid(text: str, draw: Random, chance: float, *, breaks: bool) -> str:
    """The same spec with other blanks between its tokens; with `breaks`, other line breaks and comments too."""
    made, end, depth, before = [], 0, 0, ""
    for kind, start, stop in automaton.tokens(text, "file"):
        gap = text[end:start]
        if kind in ("_NL", "_INDENT", "_DEDENT", "$END") or start < end:
            made.append(gap)
            made.append(text[max(start, end) : stop])
            end = max(end, stop)
            continue
        depth -= kind in CLOSING
        if "\n" not in gap and made and made[-1][-1:] not in ("", "\n", " ") and draw.random() < chance:
            words = gap and re.match(r"\w", text[start:])
            others = [" ", "   ", "\t", gap] if words else [" ", "   ", gap]
            if before == "FREE":  # `free S` is on one line
                others = [" ", "   "]
            elif breaks and depth:
                others += ["\n", "\n\n\n  ", " # said\n", "\n   #one\n\n  # two\n ", "\\\n"]
            elif breaks and CONTINUING.match(text, start):
                others += ["\n  ", "  #said\n", "\n# one\n\n    "]
            elif breaks:
                others += [" \\\n"]
            gap = draw.choice(others)
        made += [gap, text[start:stop]]
        before = kind
        depth += kind in OPENING
        end = stop
    return "".join(made) + text[end:]


@given(st.sampled_from(SPECS), st.randoms(use_true_random=False), st.sampled_from([0.02, 0.2, 0.7]))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_layout_is_formatted_to_the_same_meaning(text: str, draw: Random, chance: float) -> None:
    try:
        before = tree(text)
    except SpecError:
        return
    changed = relaid(text, draw, chance, breaks=True)
    assert tree(changed) == before
    require_formatted(changed)


@given(st.sampled_from(SPECS), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_blanks_between_tokens_make_no_difference(text: str, draw: Random) -> None:
    try:
        formatted = archspec.format_text(text)
    except SpecError:
        return
    assert archspec.format_text(relaid(text, draw, 0.5, breaks=False)) == formatted


@given(st.randoms(use_true_random=False), st.integers(0, 4), st.integers(1, 12))
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_graph_of_a_program_stays(draw: Random, blocks: int, statements: int) -> None:
    text = program(draw, blocks, statements).text
    formatted = require_formatted(relaid(text, draw, 0.2, breaks=True))
    assert meaning(formatted) == meaning(text)


def meaning(text: str) -> str:
    """The graph of a text, apart from places and the digest of the text."""
    return re.sub(r'\["[^"]*",\d+,\d+\]|"[0-9a-f]{64}"', "", archspec.read_text(text).to_json())


@pytest.mark.parametrize("seed", range(8))
def test_a_mutated_spec_is_told_or_formatted(seed: int) -> None:
    draw = random.Random(seed)
    formatted = 0
    for _ in range(60):
        text = draw.choice(SPECS)
        words = re.findall(r"\w+|\s+|[^\w\s]", text)
        start = draw.randrange(max(1, len(words) - 300))
        words = words[start : start + 300]
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(words))
            match draw.randrange(4):
                case 0:
                    words[at] = draw.choice(NASTY)
                case 1:
                    words.insert(at, draw.choice(NASTY))
                case 2:
                    words[at] *= 2
                case 3:
                    words[at] = words[at][1:]
        changed = "".join(words)
        try:
            archspec.format_text(changed)
        except SpecError as error:
            assert "cannot be formatted" not in str(error), changed
            continue
        require_formatted(changed)
        formatted += 1
    assert formatted
