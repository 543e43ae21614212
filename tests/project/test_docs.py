"""What README and docs show runs and is true: code blocks, links, and the tables made from the classes.

The kinds of code block, by the words after the three backticks:

- `arch`: a whole spec. It is checked, its claims too, and holds a model that stands alone.
- `arch NAME.arch`: a file of that name, checked likewise, for other blocks of the document to import and use.
- `arch fragment`: statements of a model whose input is `x: [16, 32, 32]`, and which returns `x` where the
  fragment itself returns nothing.
- `arch NAME.arch warned`: one that archspec warns of. There is no warning about others, but for fragments.
- `arch error` and `arch fragment error`: a spec that is wrong; the `text` block behind it is the message.
- `python`: runs, after those above it, in one namespace for the document.
- `python NAME.py`: a file of that name, for other blocks to import; specs find the ops in it.
- `sh`: commands that succeed, in the folder where the document's files are. `sh setup` is not run here.
- `console`: commands behind `$ `, each with what it prints; `...` stands for any lines.
- `text`, `json`: only shown.

Specs that are right are formatted, too.

`pytest tests/project/test_docs.py --bless` writes the tables anew.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module, invalidate_caches
from itertools import groupby
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, Literal, NamedTuple, get_args, get_origin
from warnings import catch_warnings, simplefilter

import pytest
from free_sizes import free_size_table
from nets import sized

import archspec
from archspec.analyses.formatting import short
from archspec.analyses.quantities import QUANTITIES, Place
from archspec.analyses.roofline import DEVICES
from archspec.api import check, shipped, shipped_blocks
from archspec.cli.claims import claims_table as table_of_claims
from archspec.cli.tables import as_markdown
from archspec.elaboration import BlockEntry, read_file, shipped_specs
from archspec.elaboration.foreign import FOREIGN, NOTES, OF_TENSORS, meant_by, method
from archspec.elaboration.functions import FUNCTIONS
from archspec.elaboration.values import describe
from archspec.ground.errors import SpecError, SpecWarning
from archspec.op import Op, family
from archspec.op.calling import Called
from archspec.op.initialisation import Initialiser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "benchmarks" / "NOTES.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
CHECKPOINTS = ROOT / "tests" / "checkpoints.json"
INERT = {"text", "json"}


# ---------------------------------------------------------------- code blocks


class Block(NamedTuple):
    """A code block: the document and line it stands in, the words behind its backticks, its text."""

    page: Path
    line: int
    info: tuple[str, ...]
    text: str

    @property
    def language(self) -> str:
        return self.info[0] if self.info else ""

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, if it is one."""
        named = [word for word in self.info[1:] if "." in word]
        return named[0] if named else None


def blocks_of(page: Path) -> list[Block]:
    found = []
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.M | re.S):
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(page, line, tuple(match[1].split()), match[2]))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
SPECS = [block for block in BLOCKS if block.language == "arch" and "error" not in block.info]
MISTAKES = [
    (block, after)
    for block, after in zip(BLOCKS, [*BLOCKS[1:], None], strict=True)
    if block.language == "arch" and "error" in block.info
]


def name_of(value: object) -> str:
    return f"{value.page.name}:{value.line}" if isinstance(value, Block) else ""


def spec_of(block: Block) -> str:
    """The whole spec that a block stands for."""
    if "fragment" not in block.info:
        return block.text
    end = "" if re.search(r"^return\b", block.text, re.M) else "return x\n"
    lines = ["input x: [16, 32, 32]", *block.text.splitlines(), *end.splitlines()]
    return "model Example:\n" + "".join(f"    {line}\n" if line else "\n" for line in lines)


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder, with the files that the test's document shows."""
    monkeypatch.chdir(tmp_path)
    given = next(value for value in request.node.callspec.params.values() if isinstance(value, Block | Path))
    page = given.page if isinstance(given, Block) else given
    for block in blocks_of(page):
        if block.file is not None:
            path = tmp_path / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    return tmp_path


def test_every_block_is_of_a_known_kind() -> None:
    kinds = {"arch", "python", "sh", "console"} | INERT
    assert [name_of(block) for block in BLOCKS if block.language not in kinds] == []
    words = {"fragment", "error", "setup", "warned"}
    assert [name_of(b) for b in BLOCKS if set(b.info[1:]) - words - {b.file}] == []


@pytest.mark.parametrize("block", SPECS, ids=name_of)
def test_specs_are_right(block: Block, folder: Path) -> None:
    path = block.file or "spec.arch"
    (folder / path).write_text(spec_of(block), encoding="utf-8")
    with ops_of(block.page, folder), catch_warnings():
        if not {"fragment", "warned"} & {*block.info}:
            simplefilter("error", SpecWarning)
        checked = check(path)
    assert checked or block.file, "no model stands alone"


@pytest.mark.parametrize("block", SPECS, ids=name_of)
def test_specs_are_formatted(block: Block) -> None:
    assert block.text == formatted(block)


def formatted(block: Block) -> str:
    """The block as `archspec fmt` writes it, a fragment as the lines of a model."""
    if "fragment" not in block.info:
        return archspec.format_text(block.text)
    head = "model Example:\n"
    return dedent(archspec.format_text(head + indent(block.text, "    ")).removeprefix(head))


@pytest.mark.parametrize(("block", "message"), MISTAKES, ids=name_of)
def test_wrong_specs_are_reported_as_shown(block: Block, message: Block | None, folder: Path) -> None:
    (folder / "spec.arch").write_text(spec_of(block), encoding="utf-8")
    with ops_of(block.page, folder), pytest.raises(SpecError) as caught:
        check("spec.arch")
    assert message is not None
    assert message.language == "text"
    assert f"{caught.value}\n" == message.text


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_programs_and_commands_run(page: Path, folder: Path) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    with ops_of(page, folder, imported=False):
        for block in blocks_of(page):
            match block.language:
                case "python" if block.file is None:
                    run_python(block, namespace)
                case "sh" if "setup" not in block.info:
                    done = shell(block.text, folder)
                    assert done.returncode == 0, f"{name_of(block)}\n{done.stdout}"
                case "console":
                    run_console(block, folder)


class ops_of:  # noqa: N801  (reads as what it gives)
    """Python files that a document shows can be imported inside, and are when asked; then their ops are forgotten."""

    def __init__(self, page: Path, folder: Path, *, imported: bool = True) -> None:
        files = [block.file for block in blocks_of(page) if block.language == "python" and block.file]
        self.names = [file.removesuffix(".py") for file in files]
        self.folder = str(folder)
        self.imported = imported

    def __enter__(self) -> None:
        sys.path.insert(0, self.folder)
        invalidate_caches()
        for name in self.names if self.imported else ():
            import_module(name)

    def __exit__(self, *problem: object) -> None:
        sys.path.remove(self.folder)
        for name in self.names:
            sys.modules.pop(name, None)
        for name in [name for name, op in Op.known.items() if not op.__module__.startswith("archspec.")]:
            del Op.known[name]


def run_python(block: Block, namespace: dict[str, object]) -> None:
    # Lines are counted as in the document, so that a traceback points there.
    code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
    exec(code, namespace)


def shell(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    tools = Path(sys.executable).parent
    return subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "110"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def run_console(block: Block, folder: Path) -> None:
    for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        printed = shell(command, folder).stdout
        pattern = re.escape(shown).replace(re.escape("...\n"), "(?:.*\n)*")
        assert re.fullmatch(pattern, printed), f"{name_of(block)}: {command}\n{printed}"


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(page)):
        if re.match(r"\w+:", target):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a document's headings, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ---------------------------------------------------------------- tables


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tables_are_those_of_the_classes(page: Path, bless: bool) -> None:
    text = page.read_text(encoding="utf-8")
    made = with_tables(text)
    if bless:
        page.write_text(made, encoding="utf-8")
    else:
        assert text == made, "`pytest tests/project/test_docs.py --bless` writes the tables anew"


def with_tables(text: str) -> str:
    """A document with the tables that the classes and the shipped specs give."""
    tables = {
        "ops": op_tables,
        "free sizes": free_size_table,
        "functions": function_table,
        "initialisations": initialisation_table,
        "quantities": quantity_table,
        "costs": cost_table,
        "devices": device_table,
        "claims": claims_table,
        "settings": settings_table,
        "zoo": zoo,
        "blocks": block_pages,
        "names": name_table,
    }
    for name, lines in tables.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        if begin in text:
            before, rest = text.split(begin)
            table = "".join(f"{line}\n" for line in lines())
            text = before + begin + "\n" + table + "\n" + end + rest.split(end)[1]
    return text


def name_table() -> Iterator[str]:
    """What the help of messages says of other frameworks' names, those of which it says the same in one row."""
    yield from ("| name | here |", "| --- | --- |")
    said: dict[str, list[str]] = {}
    for name in (*FOREIGN, *NOTES):
        said.setdefault(meant_by(name).removeprefix("write "), []).append(f"`{name}`")
    for name in OF_TENSORS:
        said.setdefault(method(name).removeprefix("write "), []).append(f"`x.{name}`")
    for form, names in said.items():
        yield row(", ".join(sorted(names, key=str.lower)), form)


def quantity_table() -> Iterator[str]:
    """What is counted of networks, and the commands that show it."""
    shows = {"tree": "`cost`", "comparison": "`cost A B`", "sweep": "`--at`", "plot": "`--plot`"}
    yield from ("| in JSON and Python | in tables | | shown by |", "| --- | --- | --- | --- |")
    for quantity in QUANTITIES:
        places = [shows.get(place, f"`{place}`") for place in get_args(Place) if place in quantity.places]
        heading = quantity.heading if places else ""
        yield row(f"`{quantity.key}`", heading, quantity.meaning.removesuffix("."), ", ".join(places))


def cost_table() -> Iterator[str]:
    """What each op counts, from its docstring; those that only move values are named in one row."""
    yield from ("| op | multiply-adds | FLOPs |", "| --- | --- | --- |")
    still = []
    for name in sorted(set(Op.names())):
        op = Op.find(name)
        macs, flops = said(op, "MACs"), said(op, "FLOPs")
        if not macs and flops in ("", "0"):
            still.append(f"`{name}`")
        else:
            yield row(f"`{name}`", macs or "0", flops)
    yield row(", ".join(still), "0", "0: they move values, or are gone at inference")


def said(op: type[Op], heading: str) -> str:
    """What an op's docstring has under a heading; its base's when it has none of its own."""
    for cls in op.__mro__:
        found = re.search(rf"{heading}: (.*?)(?=\n\s*(?:\w+: |$)|\Z)", cls.__doc__ or "", re.S)
        if found:
            return " ".join(found[1].split())
    return ""


def device_table() -> Iterator[str]:
    yield from (
        "| name | device | f32 | bf16 | memory | source |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    )
    for name, device in DEVICES.items():
        rates = [f"{device.flops[kept] / 1e12:,.1f} TFLOP/s" for kept in ("f32", "bf16")]
        yield row(f"`{name}`", device.name, *rates, f"{device.bandwidth / 1e9:,.0f} GB/s", device.source)


claims_of = cache(archspec.claims)


def claims_table() -> Iterator[str]:
    found = [
        (graph.name, verdict)
        for entry in shipped()
        for graph, verdicts in claims_of(entry.name)
        for verdict in verdicts
    ]
    table = table_of_claims(found)
    yield from as_markdown(table).split("\n")
    yield from ("", f"{table.notes[0]}.")


def block_pages() -> Iterator[str]:
    """Every shipped block, by file: its definition, what it says, and an example with what that gives."""
    for home, entries in groupby(shipped_blocks(), lambda entry: entry.name.partition(":")[0]):
        path = shipped_specs().joinpath(*home.split(".")).with_suffix(".arch")
        yield from (f"## `{home}`", "", first_line(read_file(path, shipped_specs()).doc.strip()), "")
        for entry in entries:
            yield from (f"### {entry.name.partition(':')[2]}", "")
            if entry.doc:
                yield from (entry.doc, "")
            yield from ("```text", entry.signature, *(f"    {line}" for line in entry.inputs), "```", "")
            if entry.example:
                yield from (f"`{entry.example} -> {given_by(entry)}`", "")


def given_by(entry: BlockEntry) -> str:
    """The types that a block's example gives."""
    given, _, call = entry.example.rpartition(" -> ")
    home = entry.name.partition(":")[0]
    names = ", ".join(
        other.name.partition(":")[2] for other in shipped_blocks() if other.name.startswith(f"{home}:")
    )
    path = shipped_specs().joinpath(*home.split(".")).with_suffix(".arch")
    values = re.findall(r"^(\w+) = ", path.read_text(encoding="utf-8"), flags=re.M)
    types = re.findall(r"\w+\[[^\]]*\]", given)
    lines = [f"    input x{i}: {type_}" for i, type_ in enumerate(types)]
    taken = ", ".join(f"x{i}" for i in range(len(types)))
    text = "\n".join(
        [
            f"from {home} import {', '.join([names, *values])}",
            "model Example:",
            *lines,
            f"    return {f'({taken})' if len(types) > 1 else taken} -> {call}",
            "",
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", archspec.SpecWarning)  # most of what is imported is not used
        return ", ".join(str(output.type) for output in archspec.read_text(text).outputs)


@pytest.mark.parametrize("entry", shipped_blocks(), ids=lambda entry: entry.name)
def test_every_block_says_what_it_is_for_and_has_an_example(entry: BlockEntry) -> None:
    assert entry.doc
    if entry.signature.startswith("block"):
        assert given_by(entry)


def zoo() -> Iterator[str]:
    """Every shipped spec under its family: picture, cost, claims, whose checkpoints it takes."""
    known = json.loads(CHECKPOINTS.read_text())
    for (title, summary), members in groupby(shipped(), lambda entry: (entry.family, entry.family_summary)):
        yield from (f"### {title}", "", f"{summary[:1].upper()}{summary[1:]}", "")
        yield "| | | parameters | multiply-adds | input | claims | checkpoints of |"
        yield "| --- | --- | ---: | ---: | --- | --- | --- |"
        for entry in members:
            graph, picture = sized(entry.name), f"gallery/{entry.name}.svg"
            verdicts = [verdict for _, found in claims_of(entry.name) for verdict in found]
            findings = Counter("hold" if v.finding == "printed" else "differ" for v in verdicts)
            total = archspec.cost(graph).total
            yield row(
                f'[<img src="{picture}" height="120" alt="{entry.name}">]({picture})',
                f"`{entry.name}`<br>{entry.summary}",
                short(total.params),
                short(total.macs),
                ", ".join(str(given.type) for given in graph.inputs),
                ", ".join(f"{count} {kind}" for kind, count in sorted(findings.items(), reverse=True)),
                taken(known[entry.name]) if entry.name in known else "",
            )
        yield ""


SETTINGS = ("in_channels", "resolution", "classes", "dropout", "drop_path", "norm", "act")


def settings_table() -> Iterator[str]:
    """The settings that families have in common, with their defaults."""
    yield from (row("family", *(f"`{name}`" for name in SETTINGS)), "| --- |" + " --- |" * len(SETTINGS))
    for title, members in groupby(shipped(), lambda entry: entry.family):
        given = [archspec.read(entry.name).arguments for entry in members]
        yield row(title, *(usual([arguments.get(name) for arguments in given]) for name in SETTINGS))


def usual(values: list[Any]) -> str:
    """The value that a setting has in all models of a family; nothing if one has none."""
    if None in values:
        return ""
    alone = [value[0] if isinstance(value, list) and len(set(value)) == 1 else value for value in values]
    shown = {f"{value:g}" if isinstance(value, float) else str(value) for value in alone}
    return f"`{shown.pop()}`" if len(shown) == 1 else "by model"


def taken(known: dict[str, Any]) -> str:
    """The model whose checkpoints a spec takes, and with which settings it does."""
    settings = ", ".join(f"{key}={describe(value)}" for key, value in known.get("settings", {}).items())
    reference = ".".join(filter(None, (known["reference"], known.get("part"))))
    return " with ".join(f"`{text}`" for text in (reference, settings) if text)


def op_tables() -> Iterator[str]:
    """A table for each file of archspec/ops, under what its docstring says of the family."""
    ops = [Op.find(name) for name in sorted(Op.names())]
    # Those of `weights` are not written as ops: `weight`, `buffer`, `constant` and `shared` make them.
    families = sorted({family(op) for op in ops} - {"weights"})
    for i, name in enumerate(families):
        members = [op for op in ops if family(op) == name]
        yield from ("",) * (i > 0)
        yield first_line(sys.modules[members[0].__module__].__doc__)
        yield from ("", "| op | tensors | |", "| --- | --- | --- |")
        for op in members:
            shapes = re.search(r"Shapes: (.*?)(?=\n\s*(?:\w+: |$)|\Z)", op.__doc__ or "", re.S)
            yield row(
                f"`{signature(op)}`",
                code(" ".join(shapes[1].split())) if shapes else "",
                " ".join([first_line(op.__doc__), *choices(op)]),
            )


def signature(called: type[Called]) -> str:
    """`Conv(out, kernel=1, *, stride=1)`: what goes by name alone stands behind the star."""

    def shown(name: str) -> str:
        field = called.model_fields[name]
        return name if field.is_required() else f"{name}={describe(field.default)}"

    first, rest = called.by_position(), getattr(called, "rest", None)
    named = [shown(name) for name in called.model_fields if name not in (*first, rest)]
    arguments = [*map(shown, first), *(["*", *named] if named else []), *([f"**{rest}"] if rest else [])]
    return f"{called.__name__}({', '.join(arguments)})" if arguments else called.__name__


def choices(op: type[Op]) -> Iterator[str]:
    """A sentence for each argument that is one of a few strings."""
    for name, field in op.model_fields.items():
        if get_origin(field.annotation) is Literal:
            listed = ", ".join(f'`"{value}"`' for value in get_args(field.annotation))
            yield f"`{name}` is one of {listed}."


def function_table() -> Iterator[str]:
    yield from ("| function | |", "| --- | --- |")
    for name in sorted(FUNCTIONS):
        function = FUNCTIONS[name].call
        if not function.__doc__:  # `concat` makes a step: it stands with the tensors
            continue
        parameters = inspect.signature(function).parameters.values()
        several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        fields = [(p.name, p.default, p.default is p.empty) for p in parameters]
        shown = f"{name}(...)" if several else call(name, fields)
        yield row(f"`{shown}`", first_line(function.__doc__))


def initialisation_table() -> Iterator[str]:
    yield from ("| initialisation | |", "| --- | --- |")
    for cls in Initialiser.known.values():
        if cls.__module__ != Initialiser.__module__:  # an op's own
            continue
        yield row(f"`{signature(cls)}`", first_line(cls.__doc__))


def call(name: str, fields: Any) -> str:
    """`Conv(out, kernel=1)`, as a spec would write it."""
    shown = [key if required else f"{key}={describe(default)}" for key, default, required in fields]
    return f"{name}({', '.join(shown)})" if shown else name


def code(text: str) -> str:
    """The text as code, which may have backticks in it."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def first_line(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0]


def row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
