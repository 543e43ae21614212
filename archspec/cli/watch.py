"""`archspec watch`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import BUDGET, Budget, Plugins, import_plugins
from archspec.cli.printing import print_error
from archspec.ground.errors import SpecError

if TYPE_CHECKING:
    from archspec.graph import Graph

_PAUSE = 0.2  # seconds between looks: a dozen files are looked at in less than a millisecond
_SETTLED = 0.05  # for which nothing changes when an editor is done: many write a file in several steps
_GONE = 1.0  # after which a file is not on its way back: many editors take it away, and put the new one in its place
_CLEAR = "\033[2J\033[H"


@app.command()
def watch(
    specs: Annotated[list[str], typer.Argument(metavar="SPEC", help="Paths or names of specs.")],
    picture: Annotated[
        Path | None,
        typer.Option(
            "--draw", metavar="FILE", help="Also draw the network, into this file.", show_default=False
        ),
    ] = None,
    cost: Annotated[
        bool, typer.Option("--cost", help="Also print memory, depth and receptive fields.")
    ] = False,
    clear: Annotated[
        bool, typer.Option("--clear/--no-clear", help="Clear the terminal before each report.")
    ] = True,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Check specs at each save of their files and those they import, and print how their costs change. Ctrl-C ends it."""
    from archspec.elaboration import locate

    if picture is not None and len(specs) > 1:
        raise typer.BadParameter("only one spec can be drawn into a file", param_hint="--draw")
    if picture is not None:
        from archspec.backends.drawing import find_backend

        find_backend(picture.suffix.removeprefix("."))
    import_plugins(plugins)
    paths = {spec: locate(spec)[0] for spec in specs}
    watcher = _Watcher(paths, picture, cost, budget)
    clears = clear and sys.stdout.isatty()
    changed: list[Path] = []
    while True:
        if clears:
            print(_CLEAR, end="")
        print(f"{time.strftime('%H:%M:%S')}  {_named(changed, paths)}", flush=True)
        state = watcher.state()
        watcher.report()
        changed = watcher.wait(state)


def _named(changed: Sequence[Path], paths: dict[str, Path]) -> str:
    """What is reported on: the files that were saved, or at first the specs."""
    if not changed:
        return f"watching {', '.join(paths)}"
    names = [path.name for path in changed]
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''} saved"


State = dict[Path, tuple[int, int, int] | None]
"""When each file was written, its size and number on the disk; None for one that is not there."""


class _Watcher:
    """Specs, their files, and what they cost when they were last right."""

    def __init__(self, paths: dict[str, Path], picture: Path | None, cost: bool, budget: int) -> None:
        self.paths = paths
        self.picture = picture
        self.cost = cost
        self.budget = budget
        self.imported: dict[Path, list[Path]] = {}  # by each file, when it could last be read
        self.figures: dict[tuple[str, str], tuple[int, int | str]] = {}

    # ------------------------------------------------------------------ files

    def state(self) -> State:
        """The specs and all that they import, as they are on the disk."""
        found: State = {}
        for entry in self.paths.values():
            waiting = [entry]
            while waiting:
                path = waiting.pop()
                if path not in found:
                    found[path] = _stat(path)
                    waiting += self._imports(path, entry)
        return found

    def _imports(self, path: Path, entry: Path) -> list[Path]:
        """The files that a file imports, and those that it would if they were there; as before while it is wrong."""
        from archspec.elaboration import read_file
        from archspec.ground.shipped import SUFFIX, shipped_specs
        from archspec.syntax.tree import Import

        try:
            statements = read_file(path, path.parent).statements
        except SpecError:
            return self.imported.get(path, [])
        folders = dict.fromkeys((path.parent, entry.parent))
        files: list[Path] = []
        for statement in statements:
            if isinstance(statement, Import):
                relative = Path(*statement.path).with_suffix(SUFFIX)
                files += [folder / relative for folder in folders]
                shipped = shipped_specs() / relative
                files += [shipped] if shipped.is_file() else []
        self.imported[path] = files
        return files

    def wait(self, state: State) -> list[Path]:
        """Wait until files are not as they were, and no more change; gives those that are new or were written."""
        known = dict(state)
        while True:
            time.sleep(_PAUSE)
            now = _settled(known)
            for path in _gone(known, now):
                print(f"{path} is gone: waiting for it", flush=True)
                known[path] = None
            changed = [path for path, found in now.items() if found is not None and found != known[path]]
            if changed:
                return changed

    # ------------------------------------------------------------------ reports

    def report(self) -> None:
        """Check each spec, and print what came of it and what it costs."""
        from archspec.api.checking import check_models
        from archspec.cli.checking import report

        told: set[object] = set()
        for spec in self.paths:
            checked = check_models(spec, self.budget)
            report(spec, checked, told)
            for graph, _ in checked.models:
                label = f"{graph.name}: " if len(checked.models) > 1 else ""
                print(f"  {label}{'  '.join(self._costs(spec, graph))}", flush=True)
            if checked.models and checked.error is None:
                graph = checked.models[-1][0]
                if self.cost and graph.is_sized:
                    self._print_cost(graph)
                if self.picture is not None:
                    self._draw(graph)

    def _costs(self, spec: str, graph: Graph) -> Iterator[str]:
        """Parameters and multiply-adds, and what they were when the model was last right."""
        from archspec.cli.outline import multiply_adds

        new = (graph.parameters, multiply_adds(graph))
        old = self.figures.get((spec, graph.name), new)
        self.figures[spec, graph.name] = new
        yield f"params {_change(old[0], new[0])}"
        yield f"macs {_change(old[1], new[1])}"

    def _print_cost(self, graph: Graph) -> None:
        from archspec.analyses.summary import Summary
        from archspec.cli.outline import cost_lines

        print("\n" + "\n".join(cost_lines(Summary(graph))) + "\n", flush=True)

    def _draw(self, graph: Graph) -> None:
        """Write the picture, or say why it cannot be: the next save may mend it."""
        from archspec.api import draw

        assert self.picture is not None
        (path,) = self.paths.values()
        try:
            draw(graph).save(self.picture, folders=[path.parent], sources=self.state())
        except SpecError as error:
            print_error(error)
        else:
            print(f"  written to {self.picture}", flush=True)


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _stats(paths: Iterable[Path]) -> State:
    return {path: _stat(path) for path in paths}


def _settled(known: State) -> State:
    """The files once no more change; one that was there has some time to come back."""
    now, waits = _stats(known), 0
    while True:
        time.sleep(_SETTLED if now != known else 0)
        later = _stats(known)
        waits += 1
        if later == now and (waits > _GONE / _SETTLED or not _gone(known, now)):
            return now
        now = later


def _gone(known: State, now: State) -> list[Path]:
    return [path for path, found in now.items() if found is None and known[path] is not None]


def _change(old: int | str, new: int | str) -> str:
    """A figure, with what it was before and by how much it differs."""
    from archspec.analyses.formatting import short

    shown = new if isinstance(new, str) else short(new)
    if old == new:
        return shown
    if isinstance(old, str) or isinstance(new, str):
        return f"{old if isinstance(old, str) else short(old)} -> {shown}"
    share = f", {(new - old) / old:+.1%}" if old else ""
    return f"{short(old)} -> {shown} ({new - old:+,}{share})"
