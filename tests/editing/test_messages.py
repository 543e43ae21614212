"""Messages as the protocol has them and not: each request is answered, and what is sent says no more than it knows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from editor import COMMAND

URI = "untitled:net"
NET = "model Net:\n    input x: [3, 8, 8]\n    return x -> Conv(4)\n"
NO_PARAMS, INVALID, NOT_READY, NO_METHOD, NO_JSON = -32602, -32600, -32002, -32601, -32700


class Raw:
    """A client that sends whatever it is told to."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen([*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.others: list[dict[str, Any]] = []

    def write(self, body: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def send(self, **message: Any) -> None:
        self.write(json.dumps({"jsonrpc": "2.0"} | message).encode())

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return json.loads(self.process.stdout.read(length))

    def answer(self, id_: int | str | None) -> dict[str, Any]:
        """The answer to a request; what comes before it is kept."""
        while True:
            message = self.read()
            if "method" not in message and message.get("id") == id_:
                return message
            self.others.append(message)

    def told(self, method: str) -> dict[str, Any]:
        """What the next notification of a sort says."""
        while True:
            for message in self.others:
                if message.get("method") == method:
                    self.others.remove(message)
                    return message["params"]
            self.others.append(self.read())

    def ask(self, id_: int, method: str, params: Any) -> dict[str, Any]:
        self.send(id=id_, method=method, params=params)
        return self.answer(id_)

    def open(self, text: str, uri: str = URI) -> None:
        document = {"uri": uri, "languageId": "archspec", "version": 1, "text": text}
        self.send(method="textDocument/didOpen", params={"textDocument": document})


@pytest.fixture
def raw() -> Iterator[Raw]:
    client = Raw()
    assert "error" not in client.ask(
        0, "initialize", {"processId": None, "rootUri": None, "capabilities": {}}
    )
    client.send(method="initialized", params={})
    yield client
    client.process.kill()
    client.process.wait()


PLACE = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 7}}


@pytest.mark.parametrize(
    "params",
    [{}, None, 5, [], {"textDocument": {"uri": URI}}, PLACE | {"position": {"line": 0, "character": -1}},
     PLACE | {"position": {"line": 2**40, "character": 0}}, PLACE | {"textDocument": 5}],
)  # fmt: skip
def test_a_request_with_wrong_parameters_is_answered(raw: Raw, params: Any) -> None:
    raw.open(NET)
    answer = raw.ask(1, "textDocument/hover", params)
    assert answer["error"]["code"] == NO_PARAMS
    assert "params" in answer["error"]["message"]
    assert "Net" in json.dumps(raw.ask(2, "textDocument/hover", PLACE)["result"])


def test_a_message_that_is_none_is_answered(raw: Raw) -> None:
    for body in (
        b'{"id": 1, "method": "textDocument/hover", "params": {}}',
        b'{"jsonrpc": "1.0", "id": 1, "method": "shutdown"}',
        b'{"jsonrpc": "2.0", "id": 1}',
        b'{"jsonrpc": "2.0", "id": 1, "method": 5}',
    ):
        raw.write(body)
        assert raw.answer(1)["error"]["code"] == INVALID
    for body in (b"[]", b"5", b'{"jsonrpc": "2.0", "id": [], "method": "shutdown"}'):
        raw.write(body)
        assert raw.answer(None)["error"]["code"] == INVALID
    for body in (b"{", b"\xff", b"[" * 100_000):
        raw.write(body)
        assert raw.answer(None)["error"]["code"] == NO_JSON
    raw.send(id=2, method="textDocument/moniker/none")
    assert raw.answer(2)["error"]["code"] == NO_METHOD
    raw.send(id="three", method="shutdown")
    assert raw.answer("three")["result"] is None


def test_a_request_out_of_turn_is_answered() -> None:
    raw = Raw()
    assert raw.ask(1, "textDocument/hover", PLACE)["error"]["code"] == NOT_READY
    raw.ask(2, "initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    assert raw.ask(3, "shutdown", None)["result"] is None
    assert raw.ask(4, "textDocument/hover", PLACE)["error"]["code"] == INVALID
    assert raw.ask(5, "shutdown", None)["error"]["code"] == INVALID
    raw.send(method="exit")
    assert raw.process.wait(20) == 0


def test_a_change_of_a_document_that_was_never_opened_is_told(raw: Raw) -> None:
    changed = {"textDocument": {"uri": "untitled:other", "version": 2}, "contentChanges": [{"text": NET}]}
    raw.send(method="textDocument/didChange", params=changed)
    said = raw.told("window/logMessage")
    assert said["message"] == "archspec: untitled:other was changed, but is not open"
    raw.send(method="textDocument/didChange", params={})
    assert "textDocument/didChange: Invalid Params" in raw.told("window/logMessage")["message"]


FAILS = """import archspec.editing.documents as documents

analyse = documents.analyse

def failing(text, *arguments, **options):
    if "Bad" in text:
        raise IndexError("out of order")
    return analyse(text, *arguments, **options)

documents.analyse = failing
"""


def test_where_the_analysis_fails_old_problems_do_not_stay(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(FAILS)
    raw = Raw("--plugin", str(tmp_path / "fails.py"))
    raw.ask(0, "initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    raw.send(method="initialized", params={})
    raw.open(NET.replace("Conv", "Con"))
    (problem,) = raw.told("textDocument/publishDiagnostics")["diagnostics"]
    assert problem["code"] == "E0201"
    for text, count in ((NET + "# Bad\n", 1), (NET, 0)):
        changed = {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [{"text": text}]}
        raw.send(method="textDocument/didChange", params=changed)
        found = raw.told("textDocument/publishDiagnostics")["diagnostics"]
        assert [d["message"].partition(",")[0] for d in found] == ["archspec failed on this text"] * count
    assert "IndexError: out of order" in raw.told("window/logMessage")["message"]
    raw.process.kill()
    raw.process.wait()
