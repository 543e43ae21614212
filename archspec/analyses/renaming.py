"""What other code calls each weight of a network, and the way back: the maps of its spec, followed key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from archspec.graph import Call, Graph, NameMap, Renaming
from archspec.graph.name_maps import by_title, rearranged
from archspec.graph.templates import Matcher
from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import Mistake, SpecError, suggest
from archspec.ground.tensor import TensorType
from archspec.op.axes import Fitted, fitted

Sizes = tuple[int, ...]
Shapes = Mapping[str, Sizes]

COUNTED = "num_batches_tracked"
"""What norms call the number of batches they have seen, which files older than PyTorch 0.4.1 lack."""


class Origin(NamedTuple):
    """Where the values of a weight come from: the keys of the other code, whose tensors are joined along the first axis.

    Each is rearranged by `pattern` before, in einops' notation, with the sizes of some axes; empty for as it is. `rule` is what
    says so, None for a key that is called alike.
    """

    keys: tuple[str, ...]
    pattern: str = ""
    sizes: tuple[tuple[str, int], ...] = ()
    rule: Renaming | None = None

    @property
    def changes_values(self) -> bool:
        """Whether the tensor is not the other's as it is."""
        return bool(self.pattern) or len(self.keys) > 1

    def __str__(self) -> str:
        """`q, k, v joined, "d h k -> (h k) d"`."""
        said = ", ".join(self.keys) + (" joined" if len(self.keys) > 1 else "")
        return f'{said}, "{self.pattern}"' if self.pattern else said

    def shape(self, given: Shapes) -> Sizes:
        """The shape of the weight if the others' tensors have these. Raises Mistake where the pattern does not fit them."""
        parts = [self._shape(given[key]) for key in self.keys]
        if any(part[1:] != parts[0][1:] or not part for part in parts[1:]):
            raise Mistake(f"{self} differ in more than the first axis", codes.MAP_PATTERN)
        return (sum(part[0] for part in parts), *parts[0][1:]) if len(parts) > 1 else parts[0]

    def shapes(self, ours: Sizes) -> Shapes:
        """The shapes of the other's tensors, of a weight of this shape. Raises Mistake where they cannot be told."""
        parts = len(self.keys)
        if parts > 1:
            if not ours or ours[0] % parts:
                raise Mistake(f"{ours[:1]} cannot be parted into {parts} of one size", codes.MAP_PATTERN)
            ours = (ours[0] // parts, *ours[1:])
        return dict.fromkeys(self.keys, self._shape(ours, back=True))

    def fitted(self, shape: Sizes, *, back: bool = False) -> Fitted:
        """The pattern on a tensor of this shape; `back` is from ours to the other's. Raises Mistake where it does not fit."""
        there, again, sizes = rearranged(self.pattern)
        return fitted(again if back else there, TensorType(shape=shape), (*sizes, *self.sizes))

    def _shape(self, shape: Sizes, *, back: bool = False) -> Sizes:
        if not self.pattern:
            return shape
        return tuple(int(size) for size in self.fitted(shape, back=back).shape if isinstance(size, int))


class Theirs(NamedTuple):
    """What a key of the other code holds: a part of the weight that has this key here."""

    key: str
    part: int = 0


class Misfit(NamedTuple):
    """What is wrong with rules of a map in a network: two of one key, or a pattern that does not fit a weight."""

    code: str
    message: str
    help: str
    rules: tuple[Renaming, ...]

    def error(self) -> SpecError:
        """The error of it."""
        places = ", ".join(str(rule.location) for rule in self.rules)
        return SpecError.of(self.code, f"{self.message} (in the spec: {places})", help=self.help)


class Names:
    """What the code of a title calls every saved weight of a network.

    `origins` has them by the keys here. `misfits` are the rules that are wrong in it, `unused` those that are of no key of it.
    """

    def __init__(self, graph: Graph, title: str, maps: list[NameMap]) -> None:
        self.graph, self.title, self.maps = graph, title, maps
        self.shapes: dict[str, Sizes] = {
            key: weight.shape for key, weight in graph.weights.items() if weight.saved
        }
        self.unused: list[Renaming] = []
        self.misfits: list[Misfit] = []
        self.origins = {key: Origin((key,)) for key in self.shapes}
        claimed: dict[str, tuple[Renaming, str]] = {}
        used: list[set[int]] = [set() for _ in maps]
        places = [(path, i) for i, one in enumerate(maps) for path in one.paths]
        for path, i in sorted(places, key=lambda place: len(place[0])):  # what contains others comes first
            self._follow(maps[i], path, claimed, used[i])
        for one, met in zip(maps, used, strict=True):
            self.unused += [rule for i, rule in enumerate(one.rules) if rule.target and i not in met]
        self._find_misfits()

    def __repr__(self) -> str:
        renamed = sum(origin.keys != (key,) for key, origin in self.origins.items())
        return brief(
            self, f"{self.graph.name} as in {self.title}: {renamed} of {len(self.origins)} keys renamed"
        )

    def _follow(
        self, one: NameMap, path: str, claimed: dict[str, tuple[Renaming, str]], used: set[int]
    ) -> None:
        """Give the keys below a path their origins by a map's rules, but those that a model around it has a rule of."""
        sizes = _sizes(self.graph, path)
        keys = [key for key in self.shapes if key.startswith(path)]
        for index, rule in enumerate(one.rules):
            if not rule.target:
                continue
            counts = {names: _numbered(rule, names, path, keys) for names in rule.counted}
            for key in keys:
                values = rule.ours.values(key[len(path) :])
                if values is None:
                    continue
                used.add(index)
                for holes, numbers in counts.items():
                    values[f"index({', '.join(holes)})"] = str(
                        numbers[tuple(int(values[name]) for name in holes)]
                    )
                first, where = claimed.setdefault(key, (rule, path))
                if where != path:
                    continue
                if first is not rule:
                    self._misfit(f'two rules of "{self.title}" are of `{key}`', first, rule)
                    continue
                theirs = tuple(path + source.filled(values) for source in rule.templates)
                names = rearranged(rule.pattern).there.names() if rule.pattern else ()
                known = tuple((name, sizes[name]) for name in sorted(names) if name in sizes)
                self.origins[key] = Origin(theirs, rule.pattern, known, rule)

    def _misfit(
        self, message: str, *rules: Renaming | None, code: str = codes.CLAIMED_TWICE, help: str = ""
    ) -> None:
        help_ = help or "narrow one: a hole can say of which numbers it is, `{i > 0}`"
        known = tuple(rule for rule in rules if rule is not None)
        if not any(misfit.rules == known for misfit in self.misfits):  # once is enough
            self.misfits.append(Misfit(code, message, help_, known))

    def _find_misfits(self) -> None:
        found: dict[str, str] = {}
        for key, origin in self.origins.items():
            for other in origin.keys:
                first = found.setdefault(other, key)
                if first != key or origin.keys.count(other) > 1:
                    message = f'`{other}` of "{self.title}" would be both `{first}` and `{key}`'
                    self._misfit(message, self.origins[first].rule, origin.rule)
            try:
                origin.shapes(self.shapes[key])
            except Mistake as mistake:
                message, help_ = f"`{key}`: {mistake.message}", mistake.help
                self._misfit(message, origin.rule, code=codes.MAP_PATTERN, help=help_)

    def require_right(self) -> Names:
        """The same. Raises SpecError with what is wrong with its rules."""
        if self.misfits:
            raise SpecError([problem for misfit in self.misfits for problem in misfit.error().problems])
        return self

    @cached_property
    def theirs(self) -> dict[str, Theirs]:
        """What every key of the other code holds."""
        return {
            other: Theirs(key, part)
            for key, origin in self.origins.items()
            for part, other in enumerate(origin.keys)
        }

    @cached_property
    def their_shapes(self) -> Shapes:
        """The shapes of the other's tensors. Raises Mistake where they do not follow from ours."""
        found: dict[str, Sizes] = {}
        for key, origin in self.origins.items():
            found.update(origin.shapes(self.shapes[key]))
        return found

    def ignored(self, key: str) -> Renaming | None:
        """The rule by which a key of the other code has none here."""
        for one in self.maps:
            for rule in one.rules:
                if rule.target:
                    continue
                for path in one.paths:
                    if key.startswith(path) and rule.ignored.values(key[len(path) :]) is not None:
                        return rule
        return None

    def meant(self, key: str) -> str:
        """What a rule says that a key of the other code is here, with its place; empty where no rule does."""
        for one in self.maps:
            for rule in one.rules:
                if not rule.target or rule.counted:
                    continue
                for path, source in ((path, source) for path in one.paths for source in rule.templates):
                    values = Matcher(source).values(key[len(path) :]) if key.startswith(path) else None
                    if values is not None and rule.ours.template.names <= values.keys():
                        return f"`{path}{rule.ours.template.filled(values)}` ({rule.location})"
        return ""

    def fit(self, shapes: Shapes) -> Fit:
        """How these keys of the other code, with their shapes, fit the network."""
        lacking = [
            key for key, origin in self.origins.items() if not all(other in shapes for other in origin.keys)
        ]
        extra, ignored = list[str](), dict[str, Renaming]()
        for key in shapes.keys() - self.theirs.keys():
            rule = self.ignored(key)
            if rule is None:
                extra.append(key)
            else:
                ignored[key] = rule
        misshapen: dict[str, str] = {}
        gone = set(lacking)
        for key, origin in self.origins.items():
            if key in gone:
                continue
            try:
                found = origin.shape(shapes)
            except Mistake as mistake:
                misshapen[key] = mistake.message
            else:
                if found != self.shapes[key]:
                    misshapen[key] = f"{list(found)}, not {list(self.shapes[key])}"
        return Fit(self, tuple(lacking), tuple(sorted(extra)), ignored, misshapen)


class Fit(NamedTuple):
    """How a set of keys fits what a network's keys are called elsewhere.

    `lacking` are our keys without all of their tensors, `extra` keys that nothing knows, `ignored` those that have no weight here,
    by rule, `misshapen` our keys whose tensors are of other shapes, with these.
    """

    names: Names
    lacking: tuple[str, ...]
    extra: tuple[str, ...]
    ignored: Mapping[str, Renaming]
    misshapen: Mapping[str, str]

    @property
    def is_whole(self) -> bool:
        """Whether every key is known and of the right shape, and none lacks but counts of batches."""
        return self.explains and not self.misshapen

    @property
    def explains(self) -> bool:
        """Whether every key is known, and none lacks but counts of batches; the shapes may be of other sizes."""
        return not self.extra and all(key.endswith(f".{COUNTED}") for key in self.lacking)


def titles(graph: Graph) -> tuple[str, ...]:
    """Whose names the spec of a network has."""
    return tuple(by_title(graph.names))


def names_as(graph: Graph, title: str) -> Names:
    """What the code of that title calls the weights of a network. Raises SpecError where its spec does not say."""
    maps = by_title(graph.names)
    if title not in maps:
        known = ", ".join(f'"{name}"' for name in maps)
        help_ = suggest(title, maps) or (f"there are {known}" if maps else "its spec has no `names`")
        raise SpecError.of(codes.NO_MAP, f'{graph.name} has no names "{title}"', help=help_)
    return Names(graph, title, maps[title]).require_right()


def all_names(graph: Graph) -> Iterator[Names]:
    """What a network's weights are called, of each title. Raises SpecError where rules are wrong."""
    for title in by_title(graph.names):
        yield names_as(graph, title)


def _numbered(rule: Renaming, names: tuple[str, ...], path: str, keys: list[str]) -> dict[Sizes, int]:
    """The number of each combination of these holes among the keys below a path."""
    matcher = rule.ours.counts(names)
    found = (matcher.values(key[len(path) :]) for key in keys)
    met = {tuple(int(values[name]) for name in names) for values in found if values is not None}
    return {numbers: index for index, numbers in enumerate(sorted(met))}


def _sizes(graph: Graph, path: str) -> dict[str, int]:
    """The whole numbers among the parameters of the model that stands at a path, by their names."""
    arguments = graph.arguments
    if path:
        _, step = graph.find(path.rstrip("."))
        arguments = graph.functions[step.function].arguments if isinstance(step, Call) else {}
    return {name: value for name, value in arguments.items() if type(value) is int}
