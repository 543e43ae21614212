"""What can be typed next on the command line: without elaboration, which takes longer to import than a person waits for a Tab."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

from archspec.ground.errors import SpecError
from archspec.ground.shipped import SUFFIX, shipped_names, shipped_specs


class Word(NamedTuple):
    """A word that can be typed, and what it means in a line."""

    text: str
    meaning: str = ""


class Completions(NamedTuple):
    """The words that can be typed, and the files: those with a suffix such as `.arch`, all for `*`, none where it is empty."""

    words: list[Word]
    files: str = ""


def complete(typed: Sequence[str]) -> Completions:
    """What the last of these words, which stand behind `archspec`, can become; it may be empty."""
    *before, word = typed
    at = next((i for i, given in enumerate(before) if not given.startswith("-")), None)
    found = _commands() if at is None else _after(before[at], before[at + 1 :], word)
    return Completions([each for each in found.words if each.text.startswith(word)], found.files)


def _commands() -> Completions:
    from archspec.cli.commands import OPTIONS, commands

    words = [Word(name, _sentence(command.help)) for name, command in commands().items()]
    return Completions([*words, *(Word(option, _sentence(meaning)) for option, meaning in OPTIONS.items())])


def _sentence(text: str) -> str:
    """The first sentence of a help, or what stands before its first colon or semicolon."""
    return re.split(r"[.:;](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]


# ------------------------------------------------------------------ the words of a command


def _after(name: str, given: Sequence[str], word: str) -> Completions:
    """What a word behind a command and the words `given` to it can become."""
    from typer.main import get_command

    from archspec.cli.app import load
    from archspec.cli.commands import commands

    if name not in commands():
        return Completions([])
    command: Any = get_command(load(name)).commands[name]  # type: ignore[attr-defined]
    hints = get_type_hints(command.callback)
    options = {
        opt: parameter for parameter in command.params for opt in parameter.opts if opt.startswith("-")
    }
    positional = [parameter for parameter in command.params if not parameter.opts[0].startswith("-")]
    request = _Request(hints, options, given)
    if request.waiting is not None:
        return request.values(request.waiting, word)
    if not request.only_arguments and word.startswith("-"):
        option, equals, value = word.partition("=")
        if equals and option in options:
            words, files = request.values(options[option], value)
            return Completions([Word(f"{option}={text}", meaning) for text, meaning in words], files)
        shown = {max(parameter.opts, key=len): parameter.help or "" for parameter in options.values()}
        shown["--help"] = "Show this message and exit."
        return Completions([Word(option, _sentence(shown[option])) for option in sorted(shown)])
    place = len(request.arguments)
    if place >= len(positional) and positional and positional[-1].nargs != -1:
        return Completions([])
    return (
        request.values(positional[min(place, len(positional) - 1)], word) if positional else Completions([])
    )


class _Request:
    """The words given to a command: its arguments, the values of its options, and the option that waits for its value."""

    def __init__(self, hints: dict[str, Any], options: dict[str, Any], given: Sequence[str]) -> None:
        self.hints = hints
        self.arguments: list[str] = []
        self.values_of: dict[str, list[str]] = {}
        self.waiting: Any = None
        self.only_arguments = False
        for word in given:
            option, equals, value = word.partition("=")
            if self.waiting is not None:
                self.values_of.setdefault(self.waiting.name, []).append(word)
                self.waiting = None
            elif self.only_arguments or not word.startswith("-"):
                self.arguments.append(word)
            elif word == "--":
                self.only_arguments = True
            elif option in options and equals:
                self.values_of.setdefault(options[option].name, []).append(value)
            elif option in options and not options[option].is_flag:
                self.waiting = options[option]

    def values(self, parameter: Any, word: str) -> Completions:
        """What the value of a parameter of the command can become."""
        name = parameter.name
        if name in _VALUES:
            return _VALUES[name](self, word)
        kinds = [self.hints.get(name), *get_args(self.hints.get(name))]
        kinds = [
            kind
            for kind in (*kinds, *(k for kind in kinds for k in get_args(kind)))
            if isinstance(kind, type)
        ]
        members = [member.value for kind in kinds if issubclass(kind, Enum) for member in kind]
        if members:
            return Completions([Word(str(value)) for value in dict.fromkeys(members)])
        if any(issubclass(kind, Path) for kind in kinds):
            return Completions([], Path(parameter.metavar or "").suffix or "*")
        return Completions([])


# ------------------------------------------------------------------ specs


def _specs(request: _Request, word: str) -> Completions:
    """Shipped specs and files; behind a colon, the models of one."""
    head, colon, _ = word.rpartition(":")
    if not colon:
        names = (found for found in shipped_names() if found[0].startswith(word))
        return Completions([Word(name, _title(path)) for name, path in names], SUFFIX)
    path = _path(head)
    text = _text(path) if path else ""
    models = re.findall(r"^model[ \t]+(\w+)", text, re.M)  # of a text that has mistakes, too
    return Completions([Word(f"{head}:{model}") for model in dict.fromkeys(models)])


def _path(spec: str) -> Path | None:
    """The file that a user means by a path or the name of a shipped spec; None where there is none."""
    if Path(spec).name == spec and not Path(spec).suffix:
        return dict(shipped_names()).get(spec)
    path = Path(spec).expanduser()
    return path if path.suffix == SUFFIX and path.is_file() else None


def _title(path: Path) -> str:
    """The first sentence of a spec's docstring."""
    found = re.match(r'"+\s*(.*)', _text(path))
    return _sentence(found[1].rstrip('"')) if found else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


# ------------------------------------------------------------------ settings


class _Setting(NamedTuple):
    """A parameter of a model: how it is declared, and the values that it is likely to get."""

    declared: str
    values: tuple[str, ...]


def _settings(request: _Request, word: str) -> Completions:
    """`NAME=`, for the parameters of the specs that are not set yet; behind it, their values."""
    return _setting_words(request, request.arguments, word)


def _left(request: _Request, word: str) -> Completions:
    return _setting_words(request, request.arguments[:1], word)


def _right(request: _Request, word: str) -> Completions:
    return _setting_words(request, request.arguments[1:], word)


def _points(request: _Request, word: str) -> Completions:
    """As settings, several of them with commas between; the batch is one, too."""
    done = word[: word.rfind(",") + 1]
    known = {**_parameters(request.arguments), "batch": _Setting("int = 1", ("1",))}
    words = _words(known, done.split(","), word.removeprefix(done))
    return Completions([Word(done + text, meaning) for text, meaning in words])


def _setting_words(request: _Request, specs: Sequence[str], word: str) -> Completions:
    given = [text for name in _SETTINGS for text in request.values_of.get(name, [])]
    return Completions(_words(_parameters(specs), given, word))


def _words(known: dict[str, _Setting], given: Sequence[str], word: str) -> list[Word]:
    name, equals, _ = word.partition("=")
    if equals:
        return [Word(f"{name}={value}") for value in known[name].values] if name in known else []
    taken = {text.partition("=")[0] for text in given}
    return [Word(f"{name}=", setting.declared) for name, setting in known.items() if name not in taken]


def _parameters(specs: Sequence[str]) -> dict[str, _Setting]:
    """The parameters of the models that are meant; none of a spec that is wrong."""
    known: dict[str, _Setting] = {}
    for spec in specs:
        head, colon, model = spec.rpartition(":")
        path = _path(spec) or (_path(head) if colon else None)
        if path is not None:
            for name, setting in _parameters_in(path, model if path != _path(spec) else None):
                known.setdefault(name, setting)
    return known


def _parameters_in(entry: Path, model: str | None) -> Iterator[tuple[str, _Setting]]:
    """The parameters of a model, the last of a file unless named; of a short form, those of what it stands for besides.

    Those that a short form gives itself cannot be set.
    """
    from archspec.syntax import tree as t

    path, name, taken, by_position = entry, model, set[str](), 0
    for _ in range(_MOST_FORMS):
        file = _tree(path)
        found = (
            [d for d in file.definitions if (d.name == name if name else d.kind == "model")] if file else []
        )
        if file is None or not found:
            return
        definition = found[-1]
        for parameter in definition.parameters[by_position:]:
            if parameter.name not in taken:
                yield parameter.name, _setting(parameter)
        taken.update(parameter.name for parameter in definition.parameters)
        form, by_position = definition.layer, 0
        while isinstance(form, t.Call):
            taken.update(argument.name for argument in form.arguments if argument.name)
            by_position += sum(argument.name is None for argument in form.arguments)
            form = form.callee
        if not isinstance(form, t.Name):
            return
        name, path = _definition(file, form.name, path, entry)


_MOST_FORMS = 20  # that stand for each other: a spec whose blocks go round is wrong, but may be typed


def _definition(file: Any, name: str, path: Path, entry: Path) -> tuple[str, Path]:
    """The block that a name of a file stands for, by its own name and the file that defines it."""
    from archspec.syntax import tree as t

    for statement in file.statements:
        if isinstance(statement, t.Import):
            for imported in statement.names:
                if imported.alias == name:
                    relative = Path(*statement.path).with_suffix(SUFFIX)
                    near = (folder / relative for folder in (path.parent, entry.parent))
                    return imported.name, next(filter(Path.is_file, near), shipped_specs() / relative)
    return name, path


def _tree(path: Path) -> Any:
    """The tree of a spec file; None where there is no such file, or something is wrong with it."""
    from archspec.ground.source import Source
    from archspec.syntax.parsing import parse_file

    try:
        return parse_file(Source(str(path), _text(path)))
    except SpecError:
        return None


def _setting(parameter: Any) -> _Setting:
    from archspec.syntax import tree as t

    kind = parameter.type.name if parameter.type else ""
    declared = " ".join(parameter.span.text.split()).removeprefix(parameter.name).lstrip(": ")
    values = [parameter.default.span.text] if _means_the_same_outside(parameter.default) else []
    if isinstance(parameter.domain, t.Choices):
        values += [value.span.text for value in parameter.domain.values]
    elif kind == "bool":
        values += ["true", "false"]
    elif kind == "layer":
        values += _ops()
    return _Setting(declared, tuple(dict.fromkeys(_as_typed(" ".join(value.split())) for value in values)))


def _as_typed(value: str) -> str:
    """A value as the command line takes it, where a bare word is a string."""
    bare = value[1:-1]
    is_text = value[:1] in ("'", '"') and bare.isidentifier()
    return bare if is_text and bare not in ("true", "false", "none", *_ops()) else value


def _means_the_same_outside(default: Any) -> bool:
    """Whether there is a default that names nothing of its file, so that it can be given on the command line."""
    from archspec.syntax import tree as t

    if default is None or (isinstance(default, t.Text) and default.literal is None):
        return False
    names = [node.name for node in (default, *default.below()) if isinstance(node, t.Name)]
    return all(name in _ops() for name in names)


@cache
def _ops() -> list[str]:
    """The ops, read off the text of their files, as `Op.find` finds them."""
    import archspec.ops

    files = sorted(Path(archspec.ops.__path__[0]).glob("*.py"))
    return sorted(
        name for file in files for name in re.findall(r"^class ([A-Z]\w*)\((?!NamedTuple)", _text(file), re.M)
    )


# ------------------------------------------------------------------ which value is completed how


def _one_of(*values: str) -> Callable[[_Request, str], Completions]:
    return lambda request, word: Completions([Word(value) for value in values])


_SETTINGS = {"settings": _settings, "left_settings": _left, "right_settings": _right}

_VALUES: dict[str, Callable[[_Request, str], Completions]] = {
    **dict.fromkeys(("spec", "specs", "left", "right"), _specs),
    **_SETTINGS,
    "at": _points,
    "device": _one_of("h100", "h200", "a100", "cpu"),
    "direction": _one_of("down", "up", "right"),
    "dtype": _one_of("f32", "bf16", "f16", "f64"),
    "shade": _one_of("params", "macs", "memory"),
    "sort": _one_of("params", "buffers", "macs", "flops", "weight_bytes", "activations", "moved"),
    "theme": _one_of("light", "dark", "grey"),
}
"""By the names of parameters of commands. Choices are written out here, since what knows them takes long to import."""
