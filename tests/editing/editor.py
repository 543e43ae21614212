"""An editor for tests: it speaks to the language server over the standard streams, and counts places by what stands there."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest_lsp
from lsprotocol import types
from pygls import uris

COMMAND = [sys.executable, "-m", "archspec", "lsp"]


def make_client() -> pytest_lsp.LanguageClient:
    """A client that keeps of which version of a text the problems are."""
    client = pytest_lsp.make_test_lsp_client()
    client.problems = {}

    def publish(params: types.PublishDiagnosticsParams) -> None:
        client.problems[params.uri, params.version] = list(params.diagnostics)

    client.protocol.fm.features[types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS] = publish
    client.refreshed = []
    for method in (types.WORKSPACE_INLAY_HINT_REFRESH, types.WORKSPACE_CODE_LENS_REFRESH):
        client.feature(method)(partial(_refreshed, client, method))
    return client


def _refreshed(client: pytest_lsp.LanguageClient, method: str, params: None) -> None:
    client.refreshed.append(method)


class Editor:
    """One window of an editor."""

    def __init__(self, client: pytest_lsp.LanguageClient) -> None:
        self.client = client
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}

    @classmethod
    async def start(cls, client: pytest_lsp.LanguageClient, folder: Path, encoding: str = "utf-16") -> Editor:
        capabilities = pytest_lsp.client_capabilities("visual-studio-code")
        assert capabilities.general is not None and capabilities.workspace is not None
        capabilities.general.position_encodings = [encoding]
        capabilities.workspace.did_change_watched_files = None
        capabilities.workspace.inlay_hint = types.InlayHintWorkspaceClientCapabilities(refresh_support=True)
        uri = folder.as_uri()
        await client.initialize_session(
            types.InitializeParams(
                capabilities=capabilities,
                root_uri=uri,
                workspace_folders=[types.WorkspaceFolder(uri, folder.name)],
            )
        )
        return cls(client)

    # -------------------------------------------------------------- texts

    async def open(self, path: Path | str, text: str | None = None) -> str:
        """Open a file, or a text as if it stood in one, and wait for its problems; gives its URI."""
        uri = path if isinstance(path, str) else path.as_uri()
        if text is None:
            text = Path(uris.to_fs_path(uri) or "").read_text(encoding="utf-8")
        self.texts[uri] = text
        self.versions[uri] = version = self.versions.get(uri, 0) + 1
        document = types.TextDocumentItem(uri, "archspec", version, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(document))
        await self.problems_come(uri)
        return uri

    def edit(self, uri: str, text: str) -> None:
        """Give a document another text, and wait for nothing."""
        self.texts[uri] = text
        self.versions[uri] += 1
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self.versions[uri], uri),
                [types.TextDocumentContentChangeWholeDocument(text)],
            )
        )

    async def write(self, uri: str, text: str) -> list[types.Diagnostic]:
        """Give a document another text, and wait for its problems."""
        self.edit(uri, text)
        return await self.problems_come(uri)

    async def problems_come(self, uri: str) -> list[types.Diagnostic]:
        """The problems of a document's latest text, once they are there."""
        version = self.versions[uri]
        for _ in range(1000):
            if (uri, version) in self.client.problems:
                return self.client.problems[uri, version]
            await asyncio.sleep(0.01)
        raise TimeoutError(f"no problems of version {version} of {uri} in 10 seconds")

    async def problems_come_again(self, uri: str) -> list[types.Diagnostic]:
        """The problems of a document that is analysed anew though its text is as it was: those after the ones known."""
        self.client.problems.pop((uri, self.versions[uri]), None)
        return await self.problems_come(uri)

    def place(self, uri: str, needle: str, into: int = 0) -> dict[str, Any]:
        """The place so many letters into the first `needle`, as a question has it; `|` in it is the place."""
        before, bar, after = needle.partition("|")
        text = self.texts[uri]
        offset = text.index(before + after) + (len(before) if bar else into)
        line = text.count("\n", 0, offset)
        start = text.rfind("\n", 0, offset) + 1
        units = len(text[start:offset].encode("utf-16-le")) // 2
        return {
            "text_document": types.TextDocumentIdentifier(uri),
            "position": types.Position(line, units),
        }

    def under(self, uri: str, range_: types.Range) -> str:
        """The text in a range of columns that count UTF-16 units."""
        lines = self.texts[uri].splitlines(keepends=True)

        def offset(position: types.Position) -> int:
            line = lines[position.line] if position.line < len(lines) else ""
            units = line.encode("utf-16-le")[: 2 * position.character]
            return sum(map(len, lines[: position.line])) + len(units.decode("utf-16-le"))

        return self.texts[uri][offset(range_.start) : offset(range_.end)]

    def applied(self, uri: str, edits: Iterable[types.TextEdit]) -> str:
        """The text of a document after edits that do not meet."""
        lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", self.texts[uri])

        def offset(position: types.Position) -> int:
            line = lines[position.line] if position.line < len(lines) else ""
            units = line.encode("utf-16-le")[: 2 * position.character]
            return sum(map(len, lines[: position.line])) + len(units.decode("utf-16-le"))

        text = self.texts[uri]
        for edit in sorted(edits, key=lambda edit: edit.range.start, reverse=True):
            start, end = offset(edit.range.start), offset(edit.range.end)
            text = text[:start] + edit.new_text + text[end:]
        return text

    # -------------------------------------------------------------- questions

    async def hover(self, uri: str, needle: str) -> str:
        """What is said of the word there; an empty string where nothing is."""
        found = await self.client.text_document_hover_async(types.HoverParams(**self.place(uri, needle)))
        return found.contents.value if found and isinstance(found.contents, types.MarkupContent) else ""

    async def hints(self, uri: str) -> list[types.InlayHint]:
        """All hints of a document."""
        whole = types.Range(types.Position(0, 0), types.Position(100_000, 0))
        found = await self.client.text_document_inlay_hint_async(
            types.InlayHintParams(types.TextDocumentIdentifier(uri), whole)
        )
        return list(found or [])

    async def hinted(self, uri: str) -> str:
        """The text with its hints, in angle brackets."""
        lines = self.texts[uri].split("\n")
        for hint in sorted(
            await self.hints(uri), key=lambda h: (h.position.line, h.position.character), reverse=True
        ):
            line, column = lines[hint.position.line], hint.position.character
            cut = len(line.encode("utf-16-le")[: 2 * column].decode("utf-16-le"))
            lines[hint.position.line] = f"{line[:cut]} ⟨{hint.label}⟩{line[cut:]}"
        return "\n".join(lines)

    async def completions(self, uri: str, needle: str) -> dict[str, types.CompletionItem]:
        """What can come next there, by label."""
        found = await self.client.text_document_completion_async(
            types.CompletionParams(**self.place(uri, needle))
        )
        items = found.items if isinstance(found, types.CompletionList) else found or []
        return {item.label: item for item in items}

    def faults(self) -> list[str]:
        """What the server wrote into the log about itself."""
        return [m.message for m in self.client.log_messages if m.type == types.MessageType.Error]
