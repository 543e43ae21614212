"""Finding and reading spec files: by path, by name among the shipped ones, and by import."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from errno import ENAMETOOLONG
from functools import lru_cache
from pathlib import Path

from archspec.ground import codes
from archspec.ground.errors import SpecError, suggest
from archspec.ground.regular import kind_of, open_regular
from archspec.ground.shipped import SUFFIX, shipped_names, shipped_specs
from archspec.ground.source import Source, Span
from archspec.syntax.parsing import parse_what_can_be
from archspec.syntax.tree import File, Import

LARGEST = 250_000  # bytes of a spec file
_ZIP = b"PK\x03\x04"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def locate(spec: str) -> tuple[Path, str | None]:
    """The file that a user means by `path`, `name` or `package.folder:name`, each perhaps with `:Model`; and the model.

    What has neither folder nor suffix is the name of a shipped spec where there is one: a file or
    folder of that name beside it is meant by `./name`. Raises SpecError when there is no such file, with the nearest shipped name.
    """
    if "\0" in spec:
        raise SpecError.of(codes.UNREADABLE, "a path cannot contain a NUL character")
    candidates: list[tuple[str, str | None]] = [(spec, None)]
    head, colon, tail = spec.rpartition(":")
    if colon and head and tail.isidentifier():
        candidates.append((head, tail))
    for text, model in candidates:
        path = Path(text)
        shipped = shipped_specs() / f"{text}{SUFFIX}"
        if path.name == text and not path.suffix and _is_file(shipped):
            return shipped, model
        if _exists(path):
            return path, model
    for text, model in candidates:
        if found := _packaged(text):
            return found, model
    text = candidates[-1][0]
    help_ = suggest(Path(text).stem, (name for name, _ in shipped_names()))
    named = _IN_PACKAGE.fullmatch(spec)
    if named and not help_:
        package, name = named.groups()
        help_ = f"there is no package `{package.split('.')[0]}` with a spec `{name}` either"
    raise SpecError.of(
        codes.NO_FILE, f"there is no file `{text}`", help=help_ or "`archspec list` shows the shipped specs"
    )


def _packaged(text: str) -> Path | None:
    """The spec `name` in an installed package, `package.folder:name`; None for what names no package.

    The package is found as Python finds it, but none of its code runs: below its own folders, folders are looked up, not modules.
    Raises SpecError when it has no such spec, or is not on disk.
    """
    named = _IN_PACKAGE.fullmatch(text)
    if named is None:
        return None
    package, name = named.groups()
    top, *folders = package.split(".")
    homes = _homes_of(top)
    places = [home.joinpath(*folders) for home in homes]
    for place in places:
        if _is_file(place / f"{name}{SUFFIX}"):
            return place / f"{name}{SUFFIX}"
    if not homes:
        return None
    if not any(map(_exists, homes)):
        raise SpecError.of(
            codes.UNREADABLE,
            f"the package `{top}` is not in a folder, so that its specs cannot be read",
            help="install it unpacked, not as a zip file",
        )
    near = set().union(*map(_specs_in, places))
    help_ = suggest(name, near) or f"looked for {name}{SUFFIX} in {', '.join(map(_shown, places))}"
    raise SpecError.of(codes.NO_FILE, f"the package `{package}` has no spec `{name}`", help=help_)


def _homes_of(package: str) -> list[Path]:
    """The folders of a package, as Python finds them, without running any of its code; none of what is no package."""
    from importlib.util import find_spec  # which few specs need

    try:
        found = find_spec(package)
    except ValueError:  # a module that runs as a program says nothing of where it is
        return []
    return [*map(Path, found.submodule_search_locations or ())] if found is not None else []


_IN_PACKAGE = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([\w-]+)")


def read_file(path: Path, root: Path) -> File:
    """The tree of a spec file; its name is its path below `root`. Raises SpecError when it is none."""
    return _whole(open_file(path, root))


def _whole(file: File) -> File:
    if file.problems:
        raise SpecError(file.problems)
    return file


def open_file(path: Path, root: Path) -> File:
    """As `read_file`, but what is wrong in the text is in the file's problems. Raises SpecError when it is no text of a spec."""
    shown = _shown(path)
    return open_text(text_of(path, shown), shown, _name(path, root))


def text_of(path: Path, shown: str) -> str:
    """What a spec file holds, as it is. Raises SpecError, in which it is called `shown`, when it cannot be read or is no text."""
    try:
        if path.is_dir():
            raise SpecError.of(codes.UNREADABLE, f"`{shown}` is a folder, not a spec")
        with open_regular(path, shown) as file:
            data = file.read(LARGEST + 1)
        if data.startswith(_ZIP) and len(data) <= LARGEST:
            raise SpecError.of(
                codes.NOT_A_SPEC,
                f"`{shown}` is a zip file, not a spec",
                help="if it is a built module, name it .archmod and load it with `archspec.load`",
            )
        return decoded(data, shown)
    except OSError as error:
        raise SpecError.of(codes.UNREADABLE, f"`{shown}` cannot be read: {error.strerror}") from None


def decoded(data: bytes, shown: str) -> str:
    """The text of a spec's bytes. Raises SpecError when they are too many, or no text."""
    if len(data) > LARGEST:
        raise _too_large(shown)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        help_ = "save it as UTF-8; it looks like UTF-16" if data.startswith(_UTF_16) else "save it as UTF-8"
        message = f"`{shown}` is not text: byte {error.start} is not UTF-8"
        raise SpecError.of(codes.NOT_A_SPEC, message, help=help_) from None


def open_text(text: str, shown: str, name: str) -> File:
    """The tree of a spec's text, with its problems. Raises SpecError when it is empty or no text of a spec."""
    require_text(text, shown)
    text = normal(text)
    file = _parsed(shown, text, name)
    if not file.statements and not file.problems:
        said = "holds nothing but comments" if file.comments else "is empty"
        raise SpecError.of(codes.NOT_A_SPEC, f"`{shown}` {said}", help="a spec needs at least one `model`")
    return file


def open_edited(text: str, path: Path, root: Path) -> File:
    """The tree of a text that is being edited, with its problems, as if it stood in the file. Raises SpecError as `open_text` does."""
    return open_text(text, _shown(path), _name(path, root))


def edited(text: str, path: Path, root: Path) -> Source:
    """A text that is being edited, as the source that it would be in the file."""
    return Source(_shown(path), normal(text), _name(path, root))


def normal(text: str) -> str:
    """The text as it is parsed: lines end with a line feed, and the mark of Unicode's byte order, which some editors write, is left out."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def require_text(text: str, shown: str) -> None:
    """SpecError when the text is none that a spec could have, or too much of it."""
    if len(text) > LARGEST:
        raise _too_large(shown)
    if "\0" in text:
        raise SpecError.of(codes.NOT_A_SPEC, f"`{shown}` is not text: it contains NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SpecError.of(
            codes.NOT_A_SPEC, f"`{shown}` is not valid Unicode: lone surrogate at {error.start}"
        ) from None


def _too_large(shown: str) -> SpecError:
    return SpecError.of(codes.TOO_LARGE, f"`{shown}` is larger than {LARGEST:,} bytes, the limit for a spec")


@lru_cache(maxsize=256)
def _parsed(path: str, text: str, name: str) -> File:
    """The tree of a text; families and library files are read again for every spec that imports them."""
    return parse_what_can_be(Source(path, text, name))


def places_of_import(statement: Import, importer: Path, roots: tuple[Path, ...]) -> list[tuple[Path, Path]]:
    """Where the file can be that an import names, each with the root: beside the importing file, then below each root."""
    relative = Path(*statement.path).with_suffix(SUFFIX)
    return [
        (root / relative, root) for root in dict.fromkeys((resolved(importer.parent), *map(resolved, roots)))
    ]


def resolve_import(
    statement: Import, importer: Path, roots: tuple[Path, ...], texts: Collection[Path] = ()
) -> tuple[Path, Path]:
    """The file that an import names, and the root it was found under.

    Looked up beside the importing file, then below each root, then in the Python package of the first name; `texts` are files that are there though the disk may lack them, by
    their resolved paths. Raises SpecError when there is none, or when a link leads out of the folder that it was found in.
    """
    relative, name = Path(*statement.path).with_suffix(SUFFIX), ".".join(statement.path)
    near: set[str] = set()
    for path, root in places_of_import(statement, importer, roots):
        if _is_file(path) or resolved(path) in texts:
            if not resolved(path).is_relative_to(root):
                raise SpecError.of(
                    codes.OUTSIDE,
                    f"`{name}` is a link out of the folder it was found in",
                    statement.span,
                    help="imports stay below the file's own folder and the shipped specs; remove the link",
                )
            return path, root
        if kind := _kind(path):
            raise SpecError.of(
                codes.NOT_A_SPEC, f"`{name}` is {kind}, not a spec", statement.span, label=_shown(path)
            )
        stems = _specs_in(path.parent) - {importer.stem}
        stems |= {text.stem for text in texts if text.parent == path.parent and text != resolved(importer)}
        near |= {".".join((*statement.path[:-1], stem)) for stem in stems}
        near |= {
            f"{folder}.{statement.path[-1]}"
            for folder in ("blocks", "families")
            if _is_file(root / folder / path.name)
        }
    for home in _homes_of(statement.path[0]) if len(statement.path) > 1 else ():
        path = home.joinpath(*statement.path[1:]).with_suffix(SUFFIX)
        if _is_file(path) and resolved(path).is_relative_to(resolved(home)):
            return path, resolved(home.parent)
    help_ = suggest(name, near)
    if not help_:
        help_ = f"looked for {relative.as_posix()} beside the importing file and among the shipped specs"
    raise SpecError.of(codes.NO_SPEC, f"there is no spec `{name}`", statement.span, help=help_)


def resolved(path: Path) -> Path:
    """The path with its links followed; as it is where it cannot be told, as when the present folder was removed."""
    try:
        return Path(os.path.realpath(path))
    except OSError:
        return path


def _kind(path: Path) -> str:
    """What is at a path that is no file; empty where nothing is."""
    try:
        return kind_of(path.lstat().st_mode)
    except OSError:
        return ""


def _specs_in(folder: Path) -> set[str]:
    try:
        return {path.stem for path in folder.glob(f"*{SUFFIX}")}
    except OSError:
        return set()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        # What may not be looked into is there: reading it will say what is wrong.
        return error.errno != ENAMETOOLONG


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def cycle(files: Iterable[Path], span: Span) -> SpecError:
    """The error of files that import each other."""
    return SpecError.of(codes.CIRCULAR, "circular import: " + " -> ".join(map(_shown, files)), span)


def _shown(path: Path) -> str:
    """The path as seen from here when it lies below, else whole."""
    try:
        return _absolute(path).relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return str(path)


def _name(path: Path, root: Path) -> str:
    root = resolved(root)
    for candidate in (_absolute(path), resolved(path)):
        if candidate.is_relative_to(root):
            return candidate.relative_to(root).as_posix()
    return path.name


def _absolute(path: Path) -> Path:
    """The whole path, its links kept; as it is where the present folder was removed."""
    try:
        return Path(os.path.abspath(path))  # noqa: PTH100 (keeps links)
    except OSError:
        return path
