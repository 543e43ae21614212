"""The doors through which strangers' bytes come in: for each, seeds, changes that get past its first checks, and what holds.

Nothing here needs atheris; `run.py` drives it.
"""

from __future__ import annotations

import io
import json
import os
import random
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import hostile
from mutations import MUTATIONS, WORDS

import archspec
from archspec import Graph, SpecError
from archspec.api.archive import GRAPH, MANIFEST, WEIGHTS, digest
from archspec.graph.validation import validate
from archspec.ground.errors import Mistake

TESTS = Path(__file__).parents[1]
ERRORS = TESTS / "elaboration" / "errors"
SPECS = TESTS.parent / "specs"
MOST_NODES = 200  # what is drawn and counted after it was read: more inputs find more than larger ones


@dataclass(frozen=True)
class Door:
    """`attempt` puts bytes through the door, and says whether they were taken: whatever it raises is a finding.

    `change` makes other bytes of some, by chance; `plain` changes bytes without knowing what they are.
    """

    attempt: Callable[[bytes], bool]
    seeds: Callable[[], Iterator[bytes]]
    change: Callable[[bytes, random.Random, Callable[[bytes], bytes]], bytes]
    longest: int
    words: tuple[str, ...] = ()


def hold(graph: Graph) -> None:
    """What holds of every graph."""
    validate(graph)
    again = Graph.from_json(graph.to_json())
    assert again == graph, "JSON reads back as another graph"
    for view in ("overview", "full"):
        try:
            assert archspec.draw(graph, view).dot
        except SpecError as error:  # too large a picture
            assert error.problems
    cost = archspec.cost(graph)
    assert set(cost.receptive_fields) == set(graph.types)
    try:
        cost.figures()
    except Mistake:
        assert not graph.is_sized


# ------------------------------------------------------------------ text


def _read_text(data: bytes) -> bool:
    try:
        graph = archspec.read_text(data.decode(errors="surrogateescape"), budget=MOST_NODES)
    except SpecError as error:
        assert error.problems and str(error)
        return False
    hold(graph)
    return True


def _specs() -> Iterator[bytes]:
    """Wrong specs and shipped ones, but for those that are there to take all time."""
    for path in sorted(ERRORS.glob("*.arch")):
        if not path.stem.startswith("bomb_"):
            yield path.read_bytes()
    for path in sorted(SPECS.glob("*.arch")):
        yield path.read_bytes()


def _changed_text(data: bytes, draw: random.Random, plain: Callable[[bytes], bytes]) -> bytes:
    kind = draw.choice(["token"] * 5 + ["character", "line", "line", "plain", "plain"])
    if kind == "plain":
        return plain(data)
    return MUTATIONS[kind](data.decode(errors="replace"), draw).encode(errors="replace")


# ------------------------------------------------------------------ the graph as JSON


def _read_json(data: bytes) -> bool:
    try:
        graph = Graph.from_json(data)
    except SpecError as error:
        assert error.problems and str(error)
        return False
    if len(graph.nodes) <= MOST_NODES:
        hold(graph)
    return True


SMALL = {
    "plain": "model M(width: int = 8):\n    input x: [3, 8, 8]\n    constant factor: [1] = 0.5\n"
    "    return (x -> c: Conv(width, 3) -> BatchNorm -> GlobalAvgPool) * factor\n",
    "blocks": """
block Unit(out: int, stride: int = 1):
    input x: [C, H, W]
    y = x -> conv: Conv(out, 3, stride=stride, bias=false) -> norm: BatchNorm -> ReLU
    return y if stride > 1 or C != out else x + y

model Net(width: int = 4):
    "A few blocks."
    input image: [3, 8, 8]
    x = image -> stem: [Conv(width, 3), act: GELU] -> stage: [Unit(width), Unit(width), Unit(2 * width, 2)]
    return x -> GlobalAvgPool -> Dropout(0.1) -> head: Linear(5)

claims Net "by hand" at width=4:
    params 1.2K but 1_073 "counted"
    output [5]
""",
    "weights": """
model Net:
    input x: [4, 6]
    shared fc = [proj: Linear(6), Tanh]
    weight cls: [1, 6] = normal(0.02)
    buffer scale: [] = 2.0
    constant order: i64[3] = [i for i in range(3)]
    y = x -> fc -> fc
    z = (concat(cls, cls, y), order) -> Gather
    return out=z * scale, other=y -> "heads.a": Linear(2)
""",
    "free": """
model Net(words: int = 7):
    input tokens: i64[free S]
    input mask: bool[S, S]
    x = tokens -> embed: Embedding(words, 8)
    (a, b) = x -> Split(2, axis=-1)
    z = (x, x, x) -> attend: Attention(mask=mask)
    return (a + b -> Reduce("mean", 0)), z
""",
}  # fmt: skip


def _graphs() -> Iterator[bytes]:
    for text in SMALL.values():
        yield archspec.read_text(text).to_json().encode()
    for name in ("lenet5", "resnet20_cifar"):
        yield archspec.read(name).to_json().encode()
    for path in sorted((TESTS / "graph" / "format_1").glob("*.json")):
        if path.stat().st_size < 50_000:
            yield path.read_bytes()


def _tree(data: bytes) -> Any:
    """What JSON says; None where it is none, or nests so deeply that changing it would be the harder part."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _changed_json(data: bytes, draw: random.Random, plain: Callable[[bytes], bytes]) -> bytes:
    tree = _tree(data)
    if not isinstance(tree, dict | list) or draw.randrange(8) == 0:
        return plain(data)
    try:
        return json.dumps(hostile.mutate(tree, draw)).encode()
    except (ValueError, RecursionError):  # a number too long to be written
        return plain(data)


# ------------------------------------------------------------------ built modules


def _load_built(data: bytes) -> bool:
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "m.archmod"
        path.write_bytes(data)
        try:
            module = archspec.load(path, compile=False, optimize=None)
        except SpecError as error:
            assert error.problems and str(error)
            return False
        hold(archspec.graph_of(module))
        return True


def _built() -> Iterator[bytes]:
    from archspec.api.artifact import save_artifact

    with tempfile.TemporaryDirectory() as place:
        for name, text in SMALL.items():
            for dtype in ("f32", "f16")[: 2 if name == "plain" else 1]:
                path = Path(place) / "m.archmod"
                save_artifact(archspec.load(archspec.read_text(text), seed=0, dtype=dtype), path, seed=0)
                yield path.read_bytes()


def _changed_archive(data: bytes, draw: random.Random, plain: Callable[[bytes], bytes]) -> bytes:
    """Another archive: of a changed member, mostly with hashes that fit, or with changes to the zip itself."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [info for info in archive.infolist() if info.file_size < 1 << 20]
            members = [(info.filename, archive.read(info), info.compress_type) for info in infos]
    except Exception:  # whatever zipfile says of what was changed before
        return plain(data)
    if not members or draw.randrange(8) == 0:
        return plain(data)
    at = draw.randrange(len(members))
    name, content, how = members[at]
    match draw.randrange(12):
        case 0:
            del members[at]
        case 1:
            members.append(
                draw.choice(
                    [
                        (name, content, how),
                        ("../../evil", b"x", 0),
                        ("/etc/evil", b"", 8),
                        ("graph.json/", b"", 0),
                    ]
                )
            )
        case 2:
            members[at] = (name, content, draw.choice([0, 8, 12, 14]))
        case 3:
            members[at] = (draw.choice([n for n, _, _ in members]), content, how)
        case _ if name == WEIGHTS:
            members[at] = (name, _changed_weights(content, draw, plain), how)
        case _:
            members[at] = (name, _changed_json(content, draw, plain), how)
    return _packed(members, draw)


def _changed_weights(data: bytes, draw: random.Random, plain: Callable[[bytes], bytes]) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header = _tree(data[8 : 8 + length])
    if not isinstance(header, dict) or draw.randrange(6) == 0:
        return plain(data)
    text = _changed_json(data[8 : 8 + length], draw, plain).rstrip()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def _packed(members: list[tuple[str, bytes, int]], draw: random.Random) -> bytes:
    contents = {name: content for name, content, _ in members}
    said = _tree(contents.get(MANIFEST, b""))
    if isinstance(said, dict) and draw.randrange(10):  # or else the hashes are wrong
        graph = _tree(contents.get(GRAPH, b""))
        said["hashes"] = {name: digest(contents.get(name, b"")) for name in (GRAPH, WEIGHTS)}
        if isinstance(graph, dict) and draw.randrange(4):
            said["name"], said["sources"] = graph.get("name"), graph.get("sources")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content, how in members:
            info = zipfile.ZipInfo(name or "x", (1980, 1, 1, 0, 0, 0))
            info.compress_type = how if how in (0, 8, 12, 14) else 0
            text = json.dumps(said).encode() if name == MANIFEST and isinstance(said, dict) else content
            archive.writestr(info, text)
    return file.getvalue()


# ------------------------------------------------------------------ settings

SETTABLE = """
model Net(n: int = 4, p: float = 0.5, flag: bool = true, name: str = "a", act: layer = ReLU, sizes = [2, 3], kernel: int in 1 .. 7 = 3, any = none):
    input x: [3, n + 4, 8]
    require n >= 1
    c = len(sizes) if flag else 2
    y = x -> c: Conv(n, kernel) -> act -> Dropout(p) -> [Conv(size, 1) for size in sizes]
    return y if any == none or name == "b" else y * any
"""


def _set(data: bytes) -> bool:
    name, _, text = data.decode(errors="surrogateescape").partition("=")
    try:
        value = archspec.api.parse_value(text)
        graph = archspec.read_text(SETTABLE, settings={name: value}, budget=MOST_NODES)
    except SpecError as error:
        assert error.problems and str(error)
        return False
    hold(graph)
    return True


VALUES = (
    "3", "-1", "0.5", "1e308", "true", "none", '"a"', "word", "[2, 3]", "[[1, 2], [3]]", "(1, 2)", "ReLU", "GELU", "Conv(8, bias=false)",
    "[Conv(8), ReLU]", "2 * [Conv(8)]", "range(3)", "[i * 2 for i in range(3)]", "len([1, 2])", "2 ** 10", "7 // 2", "1 if true else 2",
    '"{1 + 2}"', "max(1, 2)", "-(3)", "not false", "1 < 2 and 3 in [3]", "zeros", "normal(0.02)", "[]", "floor(2.5)", "pi",
)  # fmt: skip


def _settings() -> Iterator[bytes]:
    for name in ("n", "p", "flag", "name", "act", "sizes", "kernel", "any", "none_such"):
        for value in VALUES:
            yield f"{name}={value}".encode()


DOORS = {
    "text": Door(_read_text, _specs, _changed_text, 8_000, tuple(WORDS)),
    "graph": Door(_read_json, _graphs, _changed_json, 60_000, hostile.STRINGS),
    "archmod": Door(_load_built, _built, _changed_archive, 60_000),
    "set": Door(_set, _settings, _changed_text, 500, tuple(WORDS)),
}


if __name__ == "__main__":
    import time

    for name in sys.argv[2:]:
        begun = time.process_time()
        taken = DOORS[sys.argv[1]].attempt(Path(name).read_bytes())
        print(f"{name}: {'taken' if taken else 'told'} in {time.process_time() - begun:.1f} s")
