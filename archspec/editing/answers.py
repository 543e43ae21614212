"""What an editor tells of its documents, and what it asks about the place where somebody writes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from archspec.editing.analysis import Analysis
from archspec.editing.candidates import Completion
from archspec.editing.completing import completions
from archspec.editing.diagnosing import fix_of_all, fixes
from archspec.editing.hints import hints
from archspec.editing.hovering import hover
from archspec.editing.places import word_at
from archspec.editing.positions import Positions
from archspec.editing.server import Server, answering, guarded, server
from archspec.editing.signatures import SignatureHelp, places, signature_help
from archspec.ground.shipped import SUFFIX
from archspec.ground.source import Source

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
    if ls.documents.set(document.uri, ls.path(document.uri), document.text, document.version):
        ls.refresh()


@server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
@guarded
async def changed(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
    """A document has another text."""
    uri = params.text_document.uri
    text = ls.workspace.get_text_document(uri).source
    if ls.documents.set(uri, ls.path(uri), text, params.text_document.version):
        ls.refresh()


@server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
@guarded
async def closed(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
    """A document was closed: its problems are no concern any more."""
    importing = ls.documents.close(params.text_document.uri)
    ls.text_document_publish_diagnostics(types.PublishDiagnosticsParams(params.text_document.uri, []))
    if importing:
        ls.refresh()


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


@answering(types.TEXT_DOCUMENT_HOVER)
async def hovered(
    ls: Server, params: types.HoverParams, analysis: Analysis, positions: Positions
) -> types.Hover | None:
    """What is said of the word under the pointer."""
    found = hover(analysis, positions.offset(params.position))
    if found is None:
        return None
    return types.Hover(
        types.MarkupContent(types.MarkupKind.Markdown, found.text), positions.range(found.span)
    )


@answering(types.TEXT_DOCUMENT_INLAY_HINT)
async def hinted(
    ls: Server, params: types.InlayHintParams, analysis: Analysis, positions: Positions
) -> list[types.InlayHint] | None:
    """The hints in a range."""
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


@answering(
    types.TEXT_DOCUMENT_CODE_ACTION,
    types.CodeActionOptions([types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll]),
)
async def mended(
    ls: Server, params: types.CodeActionParams, analysis: Analysis, positions: Positions
) -> list[types.CodeAction] | None:
    """The edits that fix what is wrong in a range, and those that fix all."""
    start, end = positions.offset(params.range.start), positions.offset(params.range.end)
    only = [str(getattr(kind, "value", kind)) for kind in params.context.only or ()]

    def wanted(kind: types.CodeActionKind) -> bool:
        return not only or any(f"{kind.value}.".startswith(f"{general}.") for general in only)

    def locate(source: Source) -> tuple[str, Positions]:
        return ls.located(analysis, source)

    found = fixes(analysis, positions, locate, start, end) if wanted(types.CodeActionKind.QuickFix) else []
    every = None
    if wanted(types.CodeActionKind.SourceFixAll):
        every = await asyncio.to_thread(fix_of_all, analysis, locate)
    return [*found, every] if every else found


@server.feature(
    types.TEXT_DOCUMENT_SIGNATURE_HELP, types.SignatureHelpOptions(trigger_characters=["(", ",", "="])
)
@guarded
async def signed(ls: Server, params: types.SignatureHelpParams) -> types.SignatureHelp | None:
    """The signature of what is being called."""
    document = ls.documents.open.get(params.text_document.uri)
    analysis = await ls.documents.analysis(params.text_document.uri)
    if analysis is None or document is None:
        return None
    positions = ls.positions(document.text)
    found = signature_help(analysis.as_of(positions.text), positions.offset(params.position))
    if found is None:
        return None
    # A number past the last argument marks none. Both places have it: editors take `null` in the inner one for none.
    active = len(found.arguments) if found.active is None else found.active
    signature = types.SignatureInformation(
        found.label,
        documentation=types.MarkupContent(types.MarkupKind.Markdown, found.documentation),
        parameters=[types.ParameterInformation(place) for place in _labels(ls, found)],
        active_parameter=active,
    )
    return types.SignatureHelp([signature], active_signature=0, active_parameter=active)


def _labels(ls: Server, found: SignatureHelp) -> list[str | tuple[int, int]]:
    """The arguments of a signature as an editor looks for them in its label: by place, or else by their text."""
    signature = ls.client_capabilities.text_document and ls.client_capabilities.text_document.signature_help
    information = signature.signature_information if signature else None
    parameters = information.parameter_information if information else None
    if not (parameters and parameters.label_offset_support):
        return [*found.arguments]

    def units(offset: int) -> int:
        return len(found.label[:offset].encode("utf-16-le")) // 2

    return [(units(start), units(end)) for start, end in places(found.label, found.arguments)]
