"""What an editor asks across files: where a name comes from, where it is used, what it can be called instead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from lsprotocol import types
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams

from archspec.editing.analysis import Analysis, analyse
from archspec.editing.linking import (
    Refused,
    Target,
    definition,
    file_imported_at,
    imports_of,
    renameable,
    require_possible,
    target_at,
    uses,
)
from archspec.editing.outline import Entry, outline
from archspec.editing.positions import Positions
from archspec.editing.server import Server, answering, guarded, server
from archspec.editing.stepping import mentions, step_meant, step_named
from archspec.elaboration.files import read_file
from archspec.ground.errors import SpecError
from archspec.ground.shipped import SUFFIX
from archspec.ground.source import Source, Span
from archspec.syntax import tree as t

_MOST_FILES = 2000
_MOST_SYMBOLS = 500
_UNREAD = {"node_modules", "__pycache__", "site-packages"}


class Files:
    """The specs in the folders that are open in an editor, as far as names and imports go, those being edited as they are."""

    def __init__(self, ls: Server) -> None:
        self.open = {
            document.path.resolve(): document.analysis
            for document in ls.documents.open.values()
            if document.analysis is not None
        }
        self._texts = {document.path.resolve(): document.text for document in ls.documents.open.values()}
        self._folders = [Path(path) for folder in ls.workspace.folders if (path := uris.to_fs_path(folder))]
        if not self._folders and ls.workspace.root_path:
            self._folders = [Path(ls.workspace.root_path)]

    def paths(self) -> Iterator[Path]:
        """The resolved paths of the specs, those being edited first."""
        seen = set(self.open)
        yield from self.open
        for folder in self._folders:
            for path in _specs_below(folder):
                resolved = path.resolve()
                if resolved not in seen:
                    seen.add(resolved)
                    yield resolved
                if len(seen) >= _MOST_FILES:
                    return

    def tree(self, path: Path) -> t.File | None:
        """The tree of a file; None where it cannot be read."""
        if path in self.open:
            return self.open[path].file
        try:
            return read_file(path, path.parent)
        except SpecError:
            return None

    def analysis(self, path: Path, text: str) -> Analysis:
        """What is known of a file with this text."""
        return self.open.get(path) or analyse(text, path, texts=self._texts, shallow=True)

    def holds(self, path: Path) -> bool:
        """Whether a file is one of the editor's own: in its folders, or open."""
        return path in self.open or any(path.is_relative_to(folder.resolve()) for folder in self._folders)

    def naming(self, word: str) -> Iterator[Analysis]:
        """The files in which a word stands."""
        for path in self.paths():
            file = self.tree(path)
            if file is not None and word in file.source.text:
                yield self.analysis(path, file.source.text)

    def of(self, target: Target) -> Iterator[Analysis]:
        """The files in which a target may stand: its own, and those that name it, as what imports call it elsewhere, too."""
        names = {target.name}
        trees = {path: self.tree(path) for path in ([target.path] if target.symbol else self.paths())}
        trees = {target.path: self.tree(target.path)} | trees
        while trees:
            found = [p for p, file in trees.items() if file and any(n in file.source.text for n in names)]
            if not found:
                return
            for path in found:
                file = trees.pop(path)
                assert file is not None
                analysis = self.analysis(path, file.source.text)
                names |= {i.imported.alias for i in analysis.names.imported if i.imported.name in names}
                yield analysis


def _specs_below(folder: Path) -> Iterator[Path]:
    """The specs below a folder, without those in hidden folders and in those of packages."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            found = sorted(here.iterdir())
        except OSError:
            continue
        for path in found:
            if path.suffix == SUFFIX and path.is_file():
                yield path
            elif path.is_dir() and not path.is_symlink() and path.name[0] != "." and path.name not in _UNREAD:
                waiting.append(path)


def _location(ls: Server, path: Path, span: Span, text: str | None = None) -> types.Location:
    for document in ls.documents.open.values():
        if document.path.resolve() == path.resolve():
            return types.Location(document.uri, ls.positions(document.text).range(span))
    positions = Positions(span.source.text if text is None else text, ls.encoding)
    return types.Location(uris.from_fs_path(str(path)) or "", positions.range(span))


@answering(types.TEXT_DOCUMENT_DEFINITION)
async def defined(
    ls: Server, params: types.DefinitionParams, analysis: Analysis, positions: Positions
) -> types.Location | None:
    """Where a name comes from."""
    offset = positions.offset(params.position)
    found = definition(analysis, offset) or step_meant(analysis, offset)
    return _location(ls, found.path, found.span) if found else None


@answering(types.TEXT_DOCUMENT_REFERENCES)
async def referred(
    ls: Server, params: types.ReferenceParams, analysis: Analysis, positions: Positions
) -> list[types.Location] | None:
    """Where a name is used, in its file and those of the folder."""
    offset = positions.offset(params.position)
    target = target_at(analysis, offset)
    files = Files(ls)
    if target is None:
        return await asyncio.to_thread(_others, ls, files, analysis, offset)
    analyses = await asyncio.to_thread(lambda: list(files.of(target)))
    return [
        _location(ls, each.path, use.span, each.text)
        for each in analyses
        for use in uses(each, target)
        if params.context.include_declaration or not use.binds
    ]


def _others(ls: Server, files: Files, analysis: Analysis, offset: int) -> list[types.Location] | None:
    """Where a step is spoken of, in the files that are open; where a file is imported, in all."""
    step = step_named(analysis, offset) or step_meant(analysis, offset)
    if step is not None:
        open_ = [*files.open.values()]
        return [_location(ls, each.path, span, each.text) for each in open_ for span in mentions(each, step)]
    imported = file_imported_at(analysis, offset)
    if imported is None:
        return None
    return [
        _location(ls, each.path, span, each.text)
        for each in files.naming(imported.stem)
        for span in imports_of(each, imported)
    ]


@answering(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
async def highlighted(
    ls: Server, params: types.DocumentHighlightParams, analysis: Analysis, positions: Positions
) -> list[types.DocumentHighlight] | None:
    """Where the name stands elsewhere in the document."""
    occurrence = analysis.names.at(positions.offset(params.position))
    if occurrence is None or occurrence.of:
        return None
    return [
        types.DocumentHighlight(
            positions.range(other.span),
            types.DocumentHighlightKind.Write if other.binds else types.DocumentHighlightKind.Read,
        )
        for other in analysis.names.of(occurrence.symbol)
    ]


# ------------------------------------------------------------------ rename


@answering(types.TEXT_DOCUMENT_PREPARE_RENAME)
async def prepared(
    ls: Server, params: types.PrepareRenameParams, analysis: Analysis, positions: Positions
) -> types.Range | None:
    """The name that can be called otherwise."""
    span = renameable(analysis, positions.offset(params.position))
    return positions.range(span) if span else None


@server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
async def renamed(ls: Server, params: types.RenameParams) -> types.WorkspaceEdit | None:
    """The edits that give something another name, in all files of the folder. Refuses what would mean something else."""
    asked = await ls.asked(params.text_document.uri)
    if asked is None:
        return None
    analysis, positions = asked
    try:
        target = target_at(analysis, positions.offset(params.position), alias=True)
        if target is None:
            raise Refused("only names that specs define can be renamed")
        files = Files(ls)
        if not files.holds(target.path):
            raise Refused(
                f"`{target.name}` is defined in {target.path.name}, outside of this folder: import it `as` another name"
            )
        analyses = await asyncio.to_thread(lambda: list(files.of(target)))
        require_possible(target, analyses, params.new_name)
    except Refused as refused:
        raise JsonRpcInvalidParams(str(refused)) from None
    changes: dict[str, list[types.TextEdit]] = {}
    for each in analyses:
        for use in uses(each, target):
            if not use.aliased:
                place = _location(ls, each.path, use.span, each.text)
                changes.setdefault(place.uri, []).append(types.TextEdit(place.range, params.new_name))
    return types.WorkspaceEdit(changes=changes)


# ------------------------------------------------------------------ symbols of the workspace


@server.feature(types.WORKSPACE_SYMBOL)
@guarded
async def symbols(ls: Server, params: types.WorkspaceSymbolParams) -> list[types.WorkspaceSymbol]:
    """The blocks, models, functions and values of all specs whose name holds the letters asked for, in their order."""
    files = Files(ls)
    wanted = params.query.lower()

    def found() -> list[tuple[Path, Entry, Source]]:
        entries = []
        for path in files.paths():
            file = files.tree(path)
            for entry in outline(file) if file else ():
                if (
                    file
                    and entry.kind not in ("claims", "names")
                    and _has_letters(entry.name.lower(), wanted)
                ):
                    entries.append((path, entry, file.source))
        return entries

    kinds = {
        "model": types.SymbolKind.Class,
        "block": types.SymbolKind.Struct,
        "function": types.SymbolKind.Function,
        "value": types.SymbolKind.Variable,
    }
    matching = await asyncio.to_thread(found)
    matching.sort(key=lambda each: (not each[1].name.lower().startswith(wanted), each[1].name))
    return [
        types.WorkspaceSymbol(
            _location(ls, path, entry.place), entry.name, kinds[entry.kind], container_name=source.name
        )
        for path, entry, source in matching[:_MOST_SYMBOLS]
    ]


def _has_letters(name: str, letters: str) -> bool:
    rest = iter(name)
    return all(letter in rest for letter in letters)
