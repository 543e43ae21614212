"""Numbers for people: `25.56M`, `97.7 MiB`, `3.41 ms`."""

from __future__ import annotations

from math import log10
from typing import Any

_MOST_BITS = (
    13_000  # of a number that is written out: Python and readers of JSON refuse more than 4300 digits
)
_UNITS = ((12, "T"), (9, "G"), (6, "M"), (3, "K"))


def short(number: int) -> str:
    """Four digits and a unit, as papers print: `25.56M`, `4.089G`; exact below a thousand; `1e+17` when huge."""
    if number >= 10**15:
        return f"{number:.3e}" if number < 10**300 else power_of_ten(number)
    for exponent, unit in _UNITS:
        if number >= 10**exponent:
            value = number / 10**exponent
            return f"{value:.{max(0, 3 - len(str(int(value))) + 1)}f}{unit}"
    return str(number)


def power_of_ten(number: int) -> str:
    """A number too large for a float: `1.27e+4515`; from its leading bits, as writing out all digits takes long."""
    left_out = max(0, number.bit_length() - 64)
    exponent = log10(number >> left_out) + left_out * log10(2)
    digits = round(10 ** (exponent % 1), 2)
    return f"{digits:.2f}e+{int(exponent)}" if digits < 10 else f"1.00e+{int(exponent) + 1}"


def writable(value: Any) -> Any:
    """A value for JSON, with numbers of more digits than can be written or read as strings: `"1.27e+4515"`."""
    if isinstance(value, dict):
        return {key: writable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [writable(inner) for inner in value]
    return power_of_ten(value) if isinstance(value, int) and value.bit_length() > _MOST_BITS else value


def plural(number: int, noun: str) -> str:
    """The noun as it stands behind a number: `path` behind 1, else `paths`."""
    return noun if number == 1 else f"{noun}s"


def short_bytes(number: int) -> str:
    """A size in bytes, in units of 1024: `97.7 MiB`."""
    if number >= 10**300:
        return f"{power_of_ten(number)} B"
    value, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def short_seconds(seconds: float) -> str:
    """A time to three digits: `3.41 ms`."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def percent(part: float, whole: float) -> str:
    """A share in percent: `12.3%`; empty when the whole is 0."""
    return f"{100 * part / whole:.1f}%" if whole else ""
