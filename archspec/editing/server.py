"""The language server: what an editor asks over the Language Server Protocol, answered from the analyses of its documents."""

from __future__ import annotations

import gc
import logging
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls import uris
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from archspec.editing.analysis import Analysis
from archspec.editing.completing import Completion, completions
from archspec.editing.diagnosing import diagnostics, fixes
from archspec.editing.documents import Document, Documents
from archspec.editing.hints import hints
from archspec.editing.hovering import hover
from archspec.editing.looking_up import path_of
from archspec.editing.places import word_at
from archspec.editing.positions import Positions
from archspec.elaboration.files import normal
from archspec.ground.shipped import SUFFIX
from archspec.ground.source import Source
from archspec.version import __version__

Answer = TypeVar("Answer")
Handler = Callable[..., Awaitable[Answer | None]]

_LANGUAGE = "archspec"
_KINDS = {
    "op": types.CompletionItemKind.Class,
    "block": types.CompletionItemKind.Struct,
    "function": types.CompletionItemKind.Function,
    "value": types.CompletionItemKind.Value,
    "tensor": types.CompletionItemKind.Variable,
    "argument": types.CompletionItemKind.Property,
    "keyword": types.CompletionItemKind.Keyword,
    "module": types.CompletionItemKind.Module,
    "step": types.CompletionItemKind.Field,
    "type": types.CompletionItemKind.TypeParameter,
    "snippet": types.CompletionItemKind.Snippet,
}


class Server(LanguageServer):
    """The server, and the documents that are open in its editor."""

    def __init__(self) -> None:
        # Whole texts are sent: they are small, and what counts as a line is then one question less.
        super().__init__("archspec", __version__, text_document_sync_kind=types.TextDocumentSyncKind.Full)
        self.documents = Documents(self.publish, self.failed)

    # -------------------------------------------------------------- texts and places

    @property
    def encoding(self) -> str:
        """What columns count."""
        return str(getattr(self.workspace.position_encoding, "value", self.workspace.position_encoding))

    def positions(self, text: str) -> Positions:
        """The positions of a text as the editor has it."""
        return Positions(normal(text), self.encoding, marked=text.startswith("\ufeff"))

    async def asked(self, uri: str) -> tuple[Analysis, Positions] | None:
        """The analysis of a document, and the positions of its text; None where there is none."""
        analysis = await self.documents.analysis(uri)
        document = self.documents.open.get(uri)
        if analysis is None or document is None:
            return None
        return analysis, Positions(analysis.text, self.encoding, marked=document.text.startswith("\ufeff"))

    def located(self, analysis: Analysis, source: Source) -> tuple[str, Positions]:
        """The URI of the file that a source is of, and its positions."""
        path = path_of(analysis, source.path)
        for document in self.documents.open.values():
            if document.path == path or document.path.resolve() == path.resolve():
                return document.uri, self.positions(document.text)
        return uris.from_fs_path(str(path)) or "", Positions(source.text, self.encoding)

    def path(self, uri: str) -> Path:
        """The path of a document; one without a file is as if it stood in the folder that is open."""
        path = uris.to_fs_path(uri)
        if path:
            return Path(path)
        folders = [uris.to_fs_path(folder) for folder in self.workspace.folders]
        root = next((Path(folder) for folder in folders if folder), None)
        if root is None and self.workspace.root_path:
            root = Path(self.workspace.root_path)
        name = Path(unquote(urlsplit(uri).path)).name or "untitled"
        return (root or Path.cwd()) / (name if name.endswith(SUFFIX) else f"{name}{SUFFIX}")

    # -------------------------------------------------------------- what the editor is told

    def publish(self, document: Document) -> None:
        """Tell the editor of a document's problems, and that hints may have changed which did not wait for them."""
        analysis = document.analysis
        if analysis is None:
            return
        try:
            found = diagnostics(
                analysis, self.positions(document.text), lambda source: self.located(analysis, source)
            )
        except Exception as error:
            self.failed("diagnostics", error)
            return
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(document.uri, found, document.version)
        )

    def failed(self, what: str, error: BaseException) -> None:
        """Write a fault of archspec's own into the editor's log, where it disturbs nobody who writes."""
        said = "".join(traceback.format_exception(error))
        message = f"archspec {__version__}: {what} failed, which is a bug:\n{said}"
        self.window_log_message(types.LogMessageParams(types.MessageType.Error, message))

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Write what the server could not do into the editor's log."""
        self.window_log_message(types.LogMessageParams(types.MessageType.Warning, f"archspec: {error}"))

    def refresh(self) -> None:
        """Let the editor ask again for hints and figures, which files beside the document may have changed."""
        capabilities = self.client_capabilities.workspace
        if capabilities and capabilities.inlay_hint and capabilities.inlay_hint.refresh_support:
            self.workspace_inlay_hint_refresh(None)


def guarded(handler: Handler[Answer]) -> Handler[Answer]:
    """A handler that answers nothing where archspec itself fails, which is written into the editor's log."""

    @wraps(handler)
    async def answered(server: Server, params: Any) -> Answer | None:
        try:
            return await handler(server, params)
        except Exception as error:
            server.failed(handler.__name__, error)
            return None

    return answered


server = Server()


# ------------------------------------------------------------------ documents


@server.feature(types.INITIALIZED)
@guarded
async def initialized(ls: Server, params: types.InitializedParams) -> None:
    """Ask to be told of specs that change on the disk."""
    workspace = ls.client_capabilities.workspace
    watched = workspace.did_change_watched_files if workspace else None
    if watched and watched.dynamic_registration:
        options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher(f"**/*{SUFFIX}")])
        registration = types.Registration("specs", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
        with suppress(JsonRpcException):  # an editor that cannot after all
            await ls.client_register_capability_async(types.RegistrationParams([registration]))


@server.feature(types.TEXT_DOCUMENT_DID_OPEN)
@guarded
async def opened(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
    """A document was opened."""
    document = params.text_document
    ls.documents.set(document.uri, ls.path(document.uri), document.text, document.version)


@server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
@guarded
async def changed(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
    """A document has another text."""
    uri = params.text_document.uri
    text = ls.workspace.get_text_document(uri).source
    ls.documents.set(uri, ls.path(uri), text, params.text_document.version)


@server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
@guarded
async def closed(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
    """A document was closed: its problems are no concern any more."""
    ls.documents.close(params.text_document.uri)
    ls.text_document_publish_diagnostics(types.PublishDiagnosticsParams(params.text_document.uri, []))


@server.feature(types.TEXT_DOCUMENT_DID_SAVE)
@server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
@guarded
async def files_changed(ls: Server, params: Any) -> None:
    """Files were written that documents may import."""
    ls.documents.study_all()
    ls.refresh()


@server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
@guarded
async def configured(ls: Server, params: types.DidChangeConfigurationParams) -> None:
    """There is nothing to set."""


# ------------------------------------------------------------------ questions


@server.feature(types.TEXT_DOCUMENT_HOVER)
@guarded
async def hovered(ls: Server, params: types.HoverParams) -> types.Hover | None:
    """What is said of the word under the pointer."""
    asked = await ls.asked(params.text_document.uri)
    if asked is None:
        return None
    analysis, positions = asked
    found = hover(analysis, positions.offset(params.position))
    if found is None:
        return None
    return types.Hover(
        types.MarkupContent(types.MarkupKind.Markdown, found.text), positions.range(found.span)
    )


@server.feature(types.TEXT_DOCUMENT_INLAY_HINT)
@guarded
async def hinted(ls: Server, params: types.InlayHintParams) -> list[types.InlayHint] | None:
    """The hints in a range."""
    asked = await ls.asked(params.text_document.uri)
    if asked is None:
        return None
    analysis, positions = asked
    start, end = positions.offset(params.range.start), positions.offset(params.range.end)
    return [
        types.InlayHint(
            positions.position(hint.offset),
            hint.label,
            kind=types.InlayHintKind.Type,
            padding_left=True,
            tooltip=types.MarkupContent(types.MarkupKind.Markdown, hint.tooltip) if hint.tooltip else None,
        )
        for hint in hints(analysis, start, end)
    ]


@server.feature(
    types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[".", "(", "=", " ", '"'])
)
@guarded
async def completed(ls: Server, params: types.CompletionParams) -> types.CompletionList | None:
    """What can come next."""
    document = ls.documents.open.get(params.text_document.uri)
    analysis = await ls.documents.analysis(params.text_document.uri)
    if analysis is None or document is None:
        return None
    positions = ls.positions(document.text)
    offset = positions.offset(params.position)
    analysis = analysis.as_of(positions.text)
    if (
        params.context
        and params.context.trigger_character == " "
        and not _wanted_behind_space(positions.text, offset)
    ):
        return None
    start, _ = word_at(positions.text, offset)
    word = positions.between(min(start, offset), offset)
    items = [_item(found, word) for found in completions(analysis, offset)]
    return types.CompletionList(is_incomplete=False, items=items)


def _wanted_behind_space(text: str, offset: int) -> bool:
    """Whether a blank was typed behind what asks for a certain kind of word: `->`, `import`, `from`, `:`."""
    before = text[max(0, offset - 12) : offset].rstrip()
    return before.endswith(("->", "import", "from", ":", "(", ",")) and text[offset - 1 : offset] == " "


def _item(found: Completion, word: types.Range) -> types.CompletionItem:
    snippet = "$" in found.insert
    return types.CompletionItem(
        found.label,
        kind=_KINDS[found.kind],
        detail=found.detail or None,
        documentation=types.MarkupContent(types.MarkupKind.Markdown, found.documentation)
        if found.documentation
        else None,
        sort_text=f"{found.rank}{found.label}",
        filter_text=found.label,
        insert_text_format=types.InsertTextFormat.Snippet if snippet else types.InsertTextFormat.PlainText,
        text_edit=types.TextEdit(word, found.insert or found.label),
    )


@server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions([types.CodeActionKind.QuickFix]))
@guarded
async def mended(ls: Server, params: types.CodeActionParams) -> list[types.CodeAction] | None:
    """The edits that fix what is wrong in a range."""
    asked = await ls.asked(params.text_document.uri)
    if asked is None:
        return None
    analysis, positions = asked
    start, end = positions.offset(params.range.start), positions.offset(params.range.end)
    return fixes(analysis, positions, lambda source: ls.located(analysis, source), start, end)


# ------------------------------------------------------------------ running


def serve() -> None:
    """Answer an editor over the standard streams until it leaves."""
    gc.enable()  # the command line does without, for what is short
    logging.disable(logging.CRITICAL)
    output = sys.stdout.buffer
    sys.stdout = sys.stderr  # what an op of the user's own prints is no message
    try:
        server.start_io(sys.stdin.buffer, output)
    finally:
        server.documents.shut()
