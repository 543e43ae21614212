"""Whatever stands in a text, each question about it has an answer: shipped specs cut off, with letters and lines changed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archspec.editing.analysis import Analysis, analyse
from archspec.editing.completing import completions
from archspec.editing.diagnosing import diagnostics, fixes
from archspec.editing.hints import hints
from archspec.editing.hovering import hover
from archspec.editing.lenses import lenses
from archspec.editing.linking import definition, renameable, target_at, uses
from archspec.editing.outline import folds, outline
from archspec.editing.places import word_at
from archspec.editing.positions import Positions
from archspec.editing.signatures import signature_help
from archspec.editing.tokens import tokens
from archspec.elaboration import shipped_specs

SPECS = shipped_specs()
NAMES = [
    "resnet50",
    "families/mobilenet",
    "families/swin",
    "families/unet",
    "blocks/recurrent",
    "transformer_base",
]
LETTERS = "()[]{}=:,.->\"'# \n\tab1_𝔸模\\*"


def ask_all(analysis: Analysis, offset: int) -> None:
    """Ask everything there is to ask, of a place and of the whole."""
    text = analysis.text
    positions = Positions(text)
    for hint in hints(analysis):
        assert 0 <= hint.offset <= len(text) and hint.label
    found = hover(analysis, offset)
    assert found is None or (found.text and found.span.start <= offset <= found.span.end)
    for completion in completions(analysis, offset):
        assert completion.label
    signature_help(analysis, offset)
    definition(analysis, offset)
    renameable(analysis, offset)
    target = target_at(analysis, offset)
    if target is not None and target.path == analysis.path.resolve():
        start, end = word_at(text, offset)
        spans = {(use.span.start, use.span.end) for use in uses(analysis, target)}
        assert (start, end) in spans
        assert len({analysis.source.text[s:e] for s, e in spans}) == 1
    outline(analysis.file)
    for fold in folds(analysis.file):
        assert 1 <= fold.first < fold.last
    before = 0
    for token in tokens(analysis):
        assert before <= token.start < token.end
        before = token.end
    lenses(analysis)

    def locate(source: object) -> tuple[str, Positions]:
        return "untitled:any", positions

    diagnostics(analysis, positions, locate)
    fixes(analysis, positions, locate, 0, len(text))


def mutated(text: str, chance: random.Random) -> Iterator[tuple[str, int]]:
    """Texts that somebody could have on the way, each with a place in it."""
    while True:
        at = chance.randrange(len(text))
        end = min(len(text), at + chance.randrange(1, 40))
        yield text[:at], at
        yield text[:at] + chance.choice(LETTERS) + text[at:], at + 1
        yield text[:at] + text[end:], at
        yield text[:at] + text[at:end] * 2 + text[end:], end
        lines = text.split("\n")
        number = chance.randrange(len(lines))
        del lines[number]
        yield "\n".join(lines), min(at, len(text) - 50)


@pytest.mark.parametrize("name", NAMES)
def test_every_question_has_an_answer(name: str) -> None:
    path = SPECS / f"{name}.arch"
    chance = random.Random(name)
    texts = mutated(path.read_text(), chance)
    for _ in range(25):
        text, offset = next(texts)
        analysis = analyse(text, path)
        ask_all(analysis, max(0, min(offset, len(analysis.text))))


def test_every_place_of_a_right_spec_has_an_answer() -> None:
    path = SPECS / "families/unet.arch"
    analysis = analyse(path.read_text(), path)
    assert analysis.problems == []
    for offset in range(0, len(analysis.text), 3):
        ask_all(analysis, offset)


EDITED = """
from blocks.attention import SqueezeExcite
from resnet18 import ResNet18

reduction = 16

block Unit:
    defaults:
        "fc" -> act: ReLU
    input x: [4]
    return x -> fc: Linear(4)

model Net:
    defaults:
        "net.layer4.*.relu*" = GELU
        "net.layer*.conv2" -> se: SqueezeExcite(reduction)
        drop: Dropout(0.1) -> "net.fc"
        "net.layer4.1" = []
        "u.fc" = Unit
    input image: [3, 64, 64]
    return image -> net: ResNet18(classes=4) -> u: Unit
"""


def test_rules_by_path_have_answers(tmp_path: Path) -> None:
    path, chance = tmp_path / "edited.arch", random.Random(0)
    analysis = analyse(EDITED, path)
    assert analysis.problems == []
    for offset in range(len(EDITED)):
        ask_all(analysis, offset)
    found = hover(analysis, EDITED.index("SqueezeExcite(reduction)") + 1)
    assert found is not None and "[64, 16, 16]" in found.text and "net.layer1.0.se" in found.text
    texts = mutated(EDITED, chance)
    for _ in range(40):
        text, offset = next(texts)
        changed = analyse(text, path)
        ask_all(changed, max(0, min(offset, len(changed.text))))


@pytest.mark.parametrize(
    "text",
    ["", "\n", "x", "(", "x = " + "1 + " * 3000 + "1\n", "x = " + "[" * 100, "\0", "\ud800", "x = " + "9" * 40 + "\n",
     "block A = A\n", "block A = B\nblock B = A\n", "model A = A(1)\n", "from a import b\n", "model M:\n    input x: [3]\n    return M\n",
     "def f(n):\n    return f(n)\nx = f(1)\n", "x" * 300_000],
)  # fmt: skip
def test_odd_texts(text: str, tmp_path: Path) -> None:
    analysis = analyse(text, tmp_path / "odd.arch")
    ask_all(analysis, len(analysis.text) // 2)


@pytest.mark.parametrize(
    "text",
    ["x" * 200_000, "x" * 200_000 + " (", "=" * 100_000 + ",", "a " * 100_000 + "(", '"""' * 60_000, " " * 200_000 + "(x",
     "a." * 100_000, "model M(" + "x: int, " * 20_000, "((" * 50_000, "#" * 200_000, "x = [" + "Conv(8), " * 20_000 + "]\n"],
)  # fmt: skip
def test_no_question_takes_the_square_of_a_text(text: str, tmp_path: Path) -> None:
    analysis = analyse(text, tmp_path / "long.arch")
    began = time.process_time()
    ask_all(analysis, len(text))
    ask_all(analysis, len(text) // 2)
    assert time.process_time() - began < 60  # the square takes hours
