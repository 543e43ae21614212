"""The colours of pictures: a hue for each family of ops, shades for shares of a cost, in themes."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.ground import codes
from archspec.ground.errors import SpecError, suggest
from archspec.op import Op, family

# The palette of Okabe & Ito [2008], which the colour-blind tell apart, and what each stands for.
_SKY, _YELLOW, _GREEN, _VERMILLION, _GREY = "#56b4e9", "#f0e442", "#009e73", "#d55e00", "#c0c0c0"
_CONVOLUTION, _POOLING, _NORM = (_SKY, "convolution"), (_GREEN, "pooling"), (_GREY, "norm, activation")
_FAMILIES = {
    "conv": _CONVOLUTION,
    "deform": _CONVOLUTION,
    "linear": (_YELLOW, "linear map"),
    "attention": (_VERMILLION, "attention"),
    "pooling": _POOLING,
    "resample": _POOLING,
    "norm": _NORM,
    "activation": _NORM,
    "regularisation": _NORM,
    "identity": _NORM,
}
_SHADE = _VERMILLION
_SIGNS = {"Add": "+", "Sub": "−", "Mul": "×", "Div": "÷", "Concat": "‖", "MatMul": "@"}


@dataclass(frozen=True)
class Theme:
    """The colours of a picture: of the paper, of text and less important text, of lines; how strong hues are."""

    name: str
    paper: str
    text: str
    faint: str
    line: str
    strength: float
    grey: bool = False

    def tint(self, hue: str, strength: float | None = None) -> str:
        """A hue as the ground of text: mixed with the paper, and without colour in a grey theme."""
        tint = _mixed(hue, self.paper, self.strength if strength is None else strength)
        if not self.grey:
            return tint
        red, green, blue = _channels(tint)
        level = round(0.299 * red + 0.587 * green + 0.114 * blue)
        return f"#{level:02x}{level:02x}{level:02x}"

    def family(self, op: Op) -> tuple[str, str]:
        """The colour of an op and what it stands for."""
        hue, name = _FAMILIES.get(family(type(op)), (None, "other"))
        return (self.tint(hue) if hue else self.tint(_GREY, 0.15)), name

    def shade(self, share: float) -> str:
        """The colour of a share between 0 and 1 of the largest there is: the paper's, up to the strongest."""
        return self.tint(_SHADE, 0.75 * share**0.5)


THEMES = {
    theme.name: theme
    for theme in (
        Theme("light", "#ffffff", "#000000", "#444444", "#666666", 0.5),
        Theme("dark", "#16191d", "#eeeeee", "#c6ccd2", "#8b929a", 0.3),
        Theme("grey", "#ffffff", "#000000", "#444444", "#666666", 0.35, grey=True),
    )
}


def find_theme(name: str) -> Theme:
    """The theme of that name. Raises SpecError when there is none."""
    if name not in THEMES:
        raise SpecError.of(
            codes.CHOICE,
            f"unknown theme `{name}`",
            help=suggest(name, THEMES) or f"there are {', '.join(THEMES)}",
        )
    return THEMES[name]


def sign(op: Op) -> str:
    """The sign of an op that is drawn as a small circle, such as + for a sum; empty for others."""
    return _SIGNS.get(type(op).__name__, "")


def _mixed(colour: str, ground: str, share: float) -> str:
    pairs = zip(_channels(colour), _channels(ground), strict=True)
    return "#" + "".join(f"{round(share * one + (1 - share) * other):02x}" for one, other in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue
