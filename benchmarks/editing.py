"""The language server, as an editor waits for it: over the standard streams, from the key press to the answer."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Row

_EDITS = 40


def typing_a_spec() -> Iterator[Row]:
    """Milliseconds from an edit to its problems, and to the shapes of all steps, each the median of forty edits after the first."""
    for name, goal in (("efficientnet_b3", 100.0), ("families/mobilenet", 200.0), ("nasnet_a_large", 250.0)):
        path = Path("specs", f"{name}.arch").resolve()
        first, problems, hints, lines = asyncio.run(_typed(path))
        for what, found in (("problems", problems), ("shapes", hints)):
            quartiles = statistics.quantiles(found, n=4)
            detail = f"{lines} lines; with the 20 ms that the next letter is waited for; the first took {first:.0f} ms"
            spread = quartiles[0], quartiles[2]
            yield Row(f"an edit of {name} to its {what}, ms", statistics.median(found), goal, spread, detail)


async def _typed(path: Path) -> tuple[float, list[float], list[float], int]:
    """Milliseconds of the first analysis of a file, and of each edit to its problems and hints; and how many lines it has."""
    from lsprotocol import types
    from pygls.lsp.client import LanguageClient

    client, came = LanguageClient("benchmark", "1"), asyncio.Event()

    @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def published(params: types.PublishDiagnosticsParams) -> None:
        if params.diagnostics:
            raise ValueError(f"{path.name} has problems: {params.diagnostics[0].message}")
        came.set()

    await client.start_io(sys.executable, "-m", "archspec", "lsp")
    await client.initialize_async(types.InitializeParams(types.ClientCapabilities(), root_uri=None))
    client.initialized(types.InitializedParams())
    uri, text = path.as_uri(), path.read_text()
    started = time.perf_counter()
    client.text_document_did_open(
        types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, "archspec", 0, text))
    )
    await came.wait()
    first = 1000 * (time.perf_counter() - started)
    problems, hints = [], []
    whole = types.Range(types.Position(0, 0), types.Position(10_000, 0))
    for version in range(1, _EDITS + 1):
        came.clear()
        changed = types.TextDocumentContentChangeWholeDocument(f"{text}# {'x' * version}\n")
        document = types.VersionedTextDocumentIdentifier(version, uri)
        started = time.perf_counter()
        client.text_document_did_change(types.DidChangeTextDocumentParams(document, [changed]))
        await came.wait()
        problems.append(1000 * (time.perf_counter() - started))
        await client.text_document_inlay_hint_async(
            types.InlayHintParams(types.TextDocumentIdentifier(uri), whole)
        )
        hints.append(1000 * (time.perf_counter() - started))
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    return first, problems, hints, text.count("\n")
