"""Numbers for people: `25.56M`, `97.7 MiB`, `3.41 ms`."""

from __future__ import annotations

_UNITS = ((12, "T"), (9, "G"), (6, "M"), (3, "K"))


def short(number: int) -> str:
    """Four digits and a unit, as papers print: `25.56M`, `4.089G`; exact below a thousand; `1e+17` when huge."""
    if number >= 10**15:
        return f"{number:.3e}" if number < 10**300 else f"1e{len(str(number)) - 1}"
    for exponent, unit in _UNITS:
        if number >= 10**exponent:
            value = number / 10**exponent
            return f"{value:.{max(0, 3 - len(str(int(value))) + 1)}f}{unit}"
    return str(number)


def short_bytes(number: int) -> str:
    """A size in bytes, in units of 1024: `97.7 MiB`."""
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
