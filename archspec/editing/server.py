"""The language server: what an editor asks over the Language Server Protocol, answered from the analyses of its documents."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls import uris
from pygls.exceptions import FeatureRequestError
from pygls.lsp.server import LanguageServer

from archspec.editing.analysis import Analysis
from archspec.editing.diagnosing import SOURCE, diagnostics
from archspec.editing.documents import Document, Documents
from archspec.editing.looking_up import path_of
from archspec.editing.positions import Positions
from archspec.editing.protocol import Protocol
from archspec.ground.shipped import SUFFIX
from archspec.ground.source import Source
from archspec.version import __version__

Answer = TypeVar("Answer")
Handler = Callable[..., Awaitable[Answer | None]]


class Server(LanguageServer):
    """The server, and the documents that are open in its editor."""

    def __init__(self) -> None:
        # Whole texts are sent: they are small, and what counts as a line is then one question less.
        super().__init__(
            "archspec",
            __version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Full,
            protocol_cls=Protocol,
        )
        self.documents = Documents(self.publish, self.not_analysed)

    # -------------------------------------------------------------- texts and places

    @property
    def encoding(self) -> str:
        """What columns count."""
        return str(getattr(self.workspace.position_encoding, "value", self.workspace.position_encoding))

    def positions(self, text: str) -> Positions:
        """The positions of a text as the editor has it."""
        return Positions.of(text, self.encoding)

    async def asked(self, uri: str) -> tuple[Analysis, Positions] | None:
        """The analysis of a document, and the positions of its text; None where there is none of the text as it is."""
        analysis = await self.documents.analysis(uri)
        document = self.documents.open.get(uri)
        if analysis is None or document is None or not document.current:
            return None
        return analysis, self.positions(document.text)

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
            self.not_analysed(document, error)
            return
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(document.uri, found, document.version)
        )

    def not_analysed(self, document: Document, error: BaseException) -> None:
        """Tell the editor that archspec failed on a document: what was known of an earlier text does not hold of this one."""
        self.failed(f"analysing {document.path.name}", error)
        problem = types.Diagnostic(
            types.Range(types.Position(0, 0), types.Position(0, 1)),
            f"archspec failed on this text, which is a bug of its own ({type(error).__name__}); its log says more",
            severity=types.DiagnosticSeverity.Error,
            source=SOURCE,
        )
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(document.uri, [problem], document.version)
        )

    def failed(self, what: str, error: BaseException) -> None:
        """Write a fault of archspec's own into the editor's log, where it disturbs nobody who writes."""
        said = "".join(traceback.format_exception(error))
        message = f"archspec {__version__}: {what} failed, which is a bug:\n{said}"
        self.window_log_message(types.LogMessageParams(types.MessageType.Error, message))

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Write what the server could not do into the editor's log; the answer to a question says itself why there is none."""
        if source is FeatureRequestError:
            return
        if isinstance(error, ValueError | RecursionError) and isinstance(self.protocol, Protocol):
            self.protocol.answer_unread()  # a message that is no JSON
        self.window_log_message(types.LogMessageParams(types.MessageType.Warning, f"archspec: {error}"))

    def refresh(self) -> None:
        """Let the editor ask again for hints and figures, which files beside the document may have changed."""
        capabilities = self.client_capabilities.workspace
        if capabilities and capabilities.inlay_hint and capabilities.inlay_hint.refresh_support:
            self.workspace_inlay_hint_refresh(None)
        if capabilities and capabilities.code_lens and capabilities.code_lens.refresh_support:
            self.workspace_code_lens_refresh(None)


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


def answering(feature: str, *options: Any) -> Callable[[Handler[Answer]], Handler[Answer]]:
    """Register what answers a question about a document: it gets the analysis of the text as it is, and the positions in it.

    Where there is no such analysis, nothing is answered.
    """

    def registered(answer: Handler[Answer]) -> Handler[Answer]:
        async def asked(ls: Server, params: Any) -> Answer | None:
            found = await ls.asked(params.text_document.uri)
            return None if found is None else await answer(ls, params, *found)

        asked.__name__ = answer.__name__
        server.feature(feature, *options)(guarded(asked))
        return answer

    return registered
