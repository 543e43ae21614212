"""Print every ratio beside its goal, on whatever machine this runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks import compiling, editing, every, front_end, gpu, importing, inference, modules, training
from benchmarks.measuring import Row, machine

BENCHMARKS: dict[str, Callable[[], Iterator[Row]]] = {
    name: function
    for module in (front_end, editing, modules, inference, compiling, training, gpu, every, importing)
    for name, function in vars(module).items()
    if callable(function)
    and getattr(function, "__module__", "") == module.__name__
    and not name.startswith("_")
}


def main() -> None:
    """Run all benchmarks, or those whose names are given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    rows: list[Row] = []
    hardware = machine()
    print(f"{hardware}\n")
    print(f"{'':<58} {'measured':>9} {'goal':>7} {'spread':>15}")
    for name in options.names or BENCHMARKS:
        for row in BENCHMARKS[name]():
            rows.append(row)
            verdict = "" if row.measured <= row.goal else "  MISSED"
            spread = f"{row.spread[0]:.3f}..{row.spread[1]:.3f}"
            print(f"{row.claim:<58} {row.measured:>9.3f} {row.goal:>7.2f} {spread:>15}{verdict}")
            print(f"    {row.detail}", flush=True)
        if options.json:  # after each, since all take hours
            record = {"machine": hardware, "rows": [asdict(row) for row in rows]}
            options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
