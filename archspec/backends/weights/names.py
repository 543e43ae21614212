"""Which tensor of a file is which weight of a network, by their names: as they are, behind a prefix, or by a map of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from archspec.analyses.renaming import all_names, names_as
from archspec.backends.weights.plan import Change, Made, Renaming, Shapes, renamed, renamed_as
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ops.norm import BatchNorm

_DEEPEST = 4  # names before the network's own
_INNER = frozenset(("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
"""Names that PyTorch puts into keys, at any place, for modules that it wraps."""


@dataclass(frozen=True)
class Origin:
    """The tensors that a weight is made of, by their keys in the file, and what its name has to do with theirs."""

    keys: tuple[str, ...]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Match:
    """The origins of weights by name; the keys that are left over, or that a map of names drops; and what is to be told."""

    origins: Mapping[str, Origin]
    left: tuple[str, ...]
    dropped: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    meant: Mapping[str, str] = field(default_factory=dict)
    """What keys that are left over would be by a map of names, where there is no such weight."""
    nearly: str = ""
    """The map of names that knows more of the keys than the network does, though not all."""


def match(graph: Graph, shapes: Shapes, others: Collection[str] = (), *, title: str | None = None) -> Match:
    """The origins of a network's weights in a file with tensors of these shapes, and of `others` that it may have besides.

    `title` is that of the map of names that the file's keys are to be read with.

    Raises SpecError when prefixes or maps of names give two answers, and when there is no map of that title.
    """
    if title is not None:
        return _by_title(graph, title, shapes)
    names = {name for name, weight in graph.weights.items() if weight.saved}
    return match_names(graph, names - batch_counts(graph), {*names, *others}, shapes)


def match_names(graph: Graph, needed: Collection[str], known: Collection[str], shapes: Shapes) -> Match:
    """`match`, of the names that are known; maps of names are tried unless all are found that are needed, and nothing is left."""
    plain = _stripped(known, shapes)
    if set(needed) <= plain.origins.keys() and not plain.left:
        return plain
    by_map = _by_map(graph, needed, shapes)
    return by_map or replace(plain, nearly=_nearly(graph, plain, shapes))


def batch_counts(graph: Graph) -> set[str]:
    """The names under which batch norms count their batches, which files older than PyTorch 0.4.1 do not have."""
    counts = {f"{node.name}.num_batches_tracked" for node in graph.nodes if isinstance(node.op, BatchNorm)}
    return counts & graph.weights.keys()


# -------------------------------------------------------------- prefixes


def _stripped(names: Collection[str], shapes: Shapes) -> Match:
    """The match of names behind the prefix that leaves more known than none does, and half of the network's or of the file's at least.

    Before that, keys lose the names that PyTorch puts into them for modules that it wraps. SpecError when two prefixes do equally.
    """
    known = frozenset(names)
    plain = {key: key for key in shapes}
    inner = {key: ".".join(part for part in key.split(".") if part not in _INNER) for key in shapes}
    counts = _counts(known, plain)
    unwrapped = _counts(known, inner) if len(set(inner.values())) == len(inner) else counts
    if max(unwrapped.values(), default=0) > max(counts.values(), default=0):
        counts = unwrapped
    else:
        inner = plain
    most = max(counts.values(), default=0)
    best = [prefix for prefix, count in counts.items() if count == most]
    if counts[""] == most or 2 * most < min(len(known), len(shapes)):
        best = [""]
    if len(best) > 1:
        raise SpecError.of(
            codes.CHECKPOINT,
            f"the file has the weights twice: under {' and under '.join(f'`{prefix}`' for prefix in best[:2])}",
            help="give a mapping of those that are meant",
        )
    origins: dict[str, Origin] = {}
    for key, short in inner.items():
        name = short.removeprefix(best[0])
        if short.startswith(best[0]) and name in known:
            origins[name] = Origin((key,), tuple(_without(key, short, best[0])))
    used = {origin.keys[0] for origin in origins.values()}
    return Match(origins, tuple(key for key in shapes if key not in used))


def _counts(known: Collection[str], shorts: Mapping[str, str]) -> Counter[str]:
    """How many known names there are behind each prefix of the keys, which are given as they are without what wraps modules."""
    counts: Counter[str] = Counter()
    for short in shorts.values():
        parts = short.split(".")
        for i in range(min(len(parts), _DEEPEST + 1)):
            if ".".join(parts[i:]) in known:
                counts["".join(f"{part}." for part in parts[:i])] += 1
    return counts


def _without(key: str, short: str, prefix: str) -> Iterator[Change]:
    """What was left out of a key."""
    for part in sorted(_INNER.intersection(key.split(".")) if key != short else ()):
        yield Change(f"`{part}.` removed")
    if prefix:
        yield Change(f"prefix `{prefix}` removed")


# -------------------------------------------------------------- maps of names


def _by_map(graph: Graph, needed: Collection[str], shapes: Shapes) -> Match | None:
    """The match by the one map of names that explains the whole file; None when there is none.

    Names may stand behind a prefix of all keys.
    """
    explains: dict[str, Match] = {}
    for short in _behind_common(shapes):
        given = {name: shapes[key] for name, key in short.items()}
        for renaming in renamed(graph, given):
            if renaming.name not in explains and _whole(renaming, graph, needed, given):
                explains[renaming.name] = _renamed(renaming, short)
    if len(explains) > 1:
        said = " and ".join(f"`{name}`" for name in explains)
        raise SpecError.of(
            codes.CHECKPOINT,
            f"the keys of the file are explained by two maps of names: {said}",
            help="choose one by its title: `names=`, or `--names`",
        )
    return next(iter(explains.values()), None)


def _by_title(graph: Graph, title: str, shapes: Shapes) -> Match:
    """The match by the map of names of that title, behind the prefix of all keys with which it finds most weights."""
    found = []
    for short in _behind_common(shapes):
        given = {name: shapes[key] for name, key in short.items()}
        found.append((_renamed(renamed_as(graph, title, given), short), short))
    best, short = max(found, key=lambda match: len(match[0].origins))
    names, left = names_as(graph, title), set(best.left) - best.dropped
    return replace(best, meant={key: names.meant(name) for name, key in short.items() if key in left})


def _nearly(graph: Graph, plain: Match, shapes: Shapes) -> str:
    """What is to be told of the map of names that knows more of a file's keys than the network does; empty where none does."""
    known = {
        names.title: sum(key in names.theirs or names.ignored(key) is not None for key in shapes)
        for names in all_names(graph)
    }
    title = max(known, key=lambda title: known[title], default="")
    if not title or known[title] <= len(plain.origins):
        return ""
    return f'names "{title}" know {known[title]} of its {len(shapes)} keys: `names="{title}"`, or `--names`, reads these'


def _behind_common(shapes: Shapes) -> Iterator[dict[str, str]]:
    """The keys as they are, and without the names that all of them begin with, by what they are then."""
    yield {key: key for key in shapes}
    first = next(iter(shapes), "").split(".")
    for i in range(1, min(len(first), _DEEPEST + 1)):
        prefix = ".".join(first[:i]) + "."
        if not all(key.startswith(prefix) for key in shapes):
            return
        yield {key.removeprefix(prefix): key for key in shapes}


def _whole(renaming: Renaming, graph: Graph, needed: Collection[str], given: Shapes) -> bool:
    """Whether a map gives every weight that is needed its tensors, and every tensor its weight or its leave."""
    used = {key for made in renaming.weights.values() for key in made.keys}
    return (
        set(needed) <= renaming.weights.keys() <= graph.weights.keys()
        and used <= given.keys()
        and given.keys() <= used | renaming.dropped
    )


def _renamed(renaming: Renaming, short: Mapping[str, str]) -> Match:
    origins = {
        name: Origin(tuple(short[key] for key in made.keys), tuple(_changes(renaming, name, made)))
        for name, made in renaming.weights.items()
    }
    used = {key for origin in origins.values() for key in origin.keys}
    return Match(
        origins,
        tuple(key for key in short.values() if key not in used),
        frozenset(short[key] for key in renaming.dropped if key in short),
        (f"keys as in {renaming.name}",),
    )


def _changes(renaming: Renaming, name: str, made: Made) -> Iterator[Change]:
    """What a map does to the tensors of a weight."""
    if made.how or len(made.keys) != 1:
        yield Change(made.how or "joined", made.make)
    if made.keys != (name,):
        yield Change("renamed", told=f"from {', '.join(made.keys)}")
