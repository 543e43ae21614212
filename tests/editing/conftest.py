"""One language server for the tests of a module: each test opens documents of its own."""

from __future__ import annotations

import pytest_asyncio
import pytest_lsp
from editor import COMMAND, Editor, make_client
from pytest_lsp import ClientServerConfig, LanguageClient

from archspec.elaboration import shipped_specs


@pytest_lsp.fixture(scope="module", config=ClientServerConfig(COMMAND, client_factory=make_client))
async def client(lsp_client: LanguageClient):
    lsp_client.editor = await Editor.start(lsp_client, shipped_specs())
    yield
    assert lsp_client.editor.faults() == []
    await lsp_client.shutdown_session()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(client: LanguageClient) -> Editor:
    return client.editor
