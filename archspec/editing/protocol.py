"""The messages of an editor: each request has an answer, also one that is none as the protocol has it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from urllib.parse import unquote

from cattrs import transform_error
from lsprotocol import types
from pygls.exceptions import (
    FeatureNotificationError,
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcParseError,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.language_server import lsp_method


class Protocol(LanguageServerProtocol):
    """The protocol, whose every request is answered: what is wrong with one, with an error that says so."""

    def structure_message(self, data: dict[str, Any]) -> Any:
        """An object of a message as it is: whole messages are given their types once they are known to be messages."""
        return data

    def handle_message(self, message: Any) -> None:
        """Answer a message as it was read, or say what is wrong with it."""
        fields = message if isinstance(message, dict) else {}
        is_answer = "method" not in fields and ("result" in fields or "error" in fields)
        try:
            if not is_answer:
                self._require_possible(fields)
            structured = self._structured(fields)
        except JsonRpcException as error:
            self._refuse(fields, error, is_answer=is_answer)
        else:
            super().handle_message(structured)

    def _require_possible(self, fields: dict[str, Any]) -> None:
        """Raises JsonRpcException where a message is none that can be sent now."""
        if not isinstance(fields.get("method"), str):
            raise JsonRpcInvalidRequest('Invalid Request: "method" must be a string')
        if "id" in fields and (not isinstance(fields["id"], str | int) or isinstance(fields["id"], bool)):
            raise JsonRpcInvalidRequest('Invalid Request: "id" must be a whole number or a string')
        if fields["method"] == types.EXIT:
            return
        if self._shutdown:
            raise JsonRpcInvalidRequest("Invalid Request: the server was shut down")
        if self._workspace is None and fields["method"] != types.INITIALIZE:
            raise JsonRpcServerNotInitialized("the server was not initialized")

    def _structured(self, fields: dict[str, Any]) -> Any:
        """A message with its types. Raises JsonRpcInvalidParams that says where it has others."""
        if "method" in fields and self.get_message_type(fields["method"]) is None:
            fields = {"params": None} | fields
        if fields.get("jsonrpc") != self.VERSION:
            raise JsonRpcInvalidRequest('Invalid Request: "jsonrpc" must be "2.0"')
        try:
            return super().structure_message(fields)
        except JsonRpcException as error:
            cause = error.__cause__
            said = "; ".join(transform_error(cause)[:_MOST_SAID]) if cause is not None else ""
            raise JsonRpcInvalidParams(f"Invalid Params: {said}" if said else None) from None

    def _refuse(self, fields: dict[str, Any], error: JsonRpcException, *, is_answer: bool) -> None:
        """Answer a request with an error; of a notification, which has no answer, write it into the editor's log."""
        id_, method = fields.get("id"), fields.get("method")
        known = id_ if isinstance(id_, str | int) else None
        if is_answer:  # whoever waits for it is told, and nobody else
            future = self._request_futures.pop(known, None) if known is not None else None
            if future is not None:
                future.set_exception(error)
        elif "id" in fields or not isinstance(method, str):
            self._send_data(types.ResponseErrorMessage(id=known, error=error.to_response_error()))
        elif not self._shutdown:
            self._server._report_server_error(
                type(error)(f"{method}: {error.message}"), FeatureNotificationError
            )

    def answer_unread(self) -> None:
        """Answer a message that is no JSON."""
        self._send_data(types.ResponseErrorMessage(error=JsonRpcParseError().to_response_error()))

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(
        self, params: types.DidChangeTextDocumentParams
    ) -> Generator[Any, Any, None]:
        """A document has another text; of one that was never opened, the editor's log says so."""
        uri = params.text_document.uri
        if unquote(uri) not in self.workspace.text_documents:
            error = JsonRpcInvalidParams(f"{uri} was changed, but is not open")
            self._server._report_server_error(error, FeatureNotificationError)
            return
        yield from super().lsp_text_document__did_change(params)


_MOST_SAID = 3  # places of a message that are told
