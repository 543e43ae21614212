"""The texts that an editor has open, each with its latest analysis: made in a thread, called off by the next edit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from archspec.editing.analysis import Analysis, analyse
from archspec.editing.seeing import Cancellation, Cancelled
from archspec.elaboration.files import normal

_PAUSE = 0.02  # seconds for which the next letter is waited for, unless something is asked meanwhile
_PATIENCE = 3.0  # seconds for which a question waits for an analysis


@dataclass
class Document:
    """A text that is open, and what is known of it.

    `analysis` is the latest, perhaps of an earlier text; `seconds` is how long it took. `wanted` says that somebody waits for
    the next one, which then begins at once.
    """

    uri: str
    path: Path
    text: str
    version: int | None
    analysis: Analysis | None = None
    seconds: float = 0.0
    task: asyncio.Task[None] | None = None
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    cancellation: Cancellation = field(default_factory=Cancellation)

    def end(self) -> None:
        """End the work on it."""
        self.cancellation.call_off()
        if self.task is not None:
            self.task.cancel()

    @property
    def current(self) -> bool:
        """Whether the latest analysis is of the text as it is."""
        return self.analysis is not None and self.analysis.text == normal(self.text)


class Documents:
    """The open documents, by URI.

    `publish` is called with each one whose analysis is new, `failed` with one that archspec itself failed on.
    """

    def __init__(
        self, publish: Callable[[Document], None], failed: Callable[[Document, BaseException], None]
    ) -> None:
        self.open: dict[str, Document] = {}
        self._publish = publish
        self._failed = failed
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="analysis")

    def set(self, uri: str, path: Path, text: str, version: int | None) -> bool:
        """A document was opened, or has another text: it is analysed, and so are those that import it; whether there are any."""
        document = self.open.get(uri)
        if document is None or document.path != path:
            document = self.open[uri] = Document(uri, path, text, version)
        else:
            document.text, document.version = text, version
        self.study(document, pause=_PAUSE if document.analysis is not None else 0)
        return self._study_importing(document, 10 * _PAUSE)

    def close(self, uri: str) -> bool:
        """A document was closed, so that what is on the disk counts: those that import it are analysed; whether there are any."""
        document = self.open.pop(uri, None)
        if document is None:
            return False
        document.end()
        return self._study_importing(document)

    def _study_importing(self, document: Document, pause: float = 0) -> bool:
        """Analyse the documents that import one, or would if it were there; whether there are any."""
        path = document.path.resolve()
        importing = [
            other
            for other in self.open.values()
            if other is not document and other.analysis and path in other.analysis.imports
        ]
        for other in importing:
            self.study(other, pause=pause)
        return bool(importing)

    def study(self, document: Document, pause: float = 0) -> None:
        """Analyse a document after a pause, or at once when it is asked about, unless it is changed meanwhile."""
        document.end()
        document.cancellation = Cancellation()
        document.wanted.clear()
        document.task = asyncio.ensure_future(self._study(document, document.cancellation, pause))

    def study_all(self) -> None:
        """Analyse all open documents anew, since files on the disk have changed."""
        for document in self.open.values():
            self.study(document)

    async def _study(self, document: Document, cancellation: Cancellation, pause: float) -> None:
        if pause:
            with suppress(TimeoutError):
                await asyncio.wait_for(document.wanted.wait(), pause)
        texts = {other.path.resolve(): other.text for other in self.open.values() if other is not document}
        began = time.perf_counter()
        try:
            analysis = await asyncio.get_running_loop().run_in_executor(
                self._worker, _analysed, document.text, document.path, texts, cancellation
            )
        except Exception as error:
            if not cancellation.called_off:
                self._failed(document, error)
            return
        if analysis is not None and not cancellation.called_off:
            document.analysis, document.seconds = analysis, time.perf_counter() - began
            self._publish(document)

    async def analysis(self, uri: str) -> Analysis | None:
        """The analysis of a document as it is; of an earlier text, where that takes long. None where there is none."""
        document = self.open.get(uri)
        if document is None:
            return None
        document.wanted.set()
        end = time.monotonic() + _PATIENCE
        while document.task is not None and not document.task.done() and time.monotonic() < end:
            await asyncio.wait([document.task], timeout=max(0.0, end - time.monotonic()))
        return document.analysis

    def shut(self) -> None:
        """End all work."""
        for document in self.open.values():
            document.end()
        self.open.clear()
        self._worker.shutdown(wait=False, cancel_futures=True)


def _analysed(text: str, path: Path, texts: dict[Path, str], cancellation: Cancellation) -> Analysis | None:
    """The analysis of a text; None when it was called off."""
    try:
        cancellation.require()
        return analyse(text, path, texts=texts, cancellation=cancellation)
    except Cancelled:
        return None
