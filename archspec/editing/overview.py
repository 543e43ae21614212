"""What an editor asks about a document as a whole: its outline, what can be folded, what words are, what models cost."""

from __future__ import annotations

from lsprotocol import types

from archspec.editing.analysis import Analysis
from archspec.editing.changes import changes
from archspec.editing.lenses import lenses
from archspec.editing.outline import Entry, folds, outline
from archspec.editing.positions import MARK, Positions
from archspec.editing.server import Server, answering, guarded, server
from archspec.editing.tokens import MODIFIERS, TYPES, tokens
from archspec.elaboration.files import normal
from archspec.ground.errors import SpecError
from archspec.syntax.formatting import format_text

_SYMBOLS = {
    "model": types.SymbolKind.Class,
    "block": types.SymbolKind.Struct,
    "function": types.SymbolKind.Function,
    "value": types.SymbolKind.Variable,
    "input": types.SymbolKind.Interface,
    "weight": types.SymbolKind.Array,
    "step": types.SymbolKind.Field,
    "claims": types.SymbolKind.Event,
    "names": types.SymbolKind.Key,
}


@answering(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
async def outlined(
    ls: Server, params: types.DocumentSymbolParams, analysis: Analysis, positions: Positions
) -> list[types.DocumentSymbol] | None:
    """The outline of a document."""

    def symbol(entry: Entry) -> types.DocumentSymbol:
        return types.DocumentSymbol(
            entry.name or "_",
            _SYMBOLS[entry.kind],
            positions.range(entry.whole),
            positions.range(entry.place),
            detail=entry.detail,
            children=[symbol(inner) for inner in entry.inner],
        )

    return [symbol(entry) for entry in outline(analysis.file)]


_FOLDS = {
    "comment": types.FoldingRangeKind.Comment,
    "imports": types.FoldingRangeKind.Imports,
    "region": types.FoldingRangeKind.Region,
}


@answering(types.TEXT_DOCUMENT_FOLDING_RANGE)
async def folded(
    ls: Server, params: types.FoldingRangeParams, analysis: Analysis, positions: Positions
) -> list[types.FoldingRange] | None:
    """What can be folded."""
    return [
        types.FoldingRange(fold.first - 1, fold.last - 1, kind=_FOLDS[fold.kind])
        for fold in folds(analysis.file)
    ]


@answering(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, types.SemanticTokensLegend([*TYPES], [*MODIFIERS]))
async def coloured(
    ls: Server, params: types.SemanticTokensParams, analysis: Analysis, positions: Positions
) -> types.SemanticTokens | None:
    """What the words are, each by its distance from the one before."""
    data: list[int] = []
    line = column = 0
    for token in tokens(analysis):
        place = positions.position(token.start)
        data += [place.line - line, place.character - (column if place.line == line else 0)]
        data += [positions.length(token.start, token.end), TYPES.index(token.type)]
        data.append(sum(1 << MODIFIERS.index(modifier) for modifier in set(token.modifiers)))
        line, column = place.line, place.character
    return types.SemanticTokens(data)


@server.feature(types.TEXT_DOCUMENT_FORMATTING)
@guarded
async def formatted(ls: Server, params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
    """The edits that bring a document into the canonical style; none of a text that is wrong."""
    document = ls.documents.open.get(params.text_document.uri)
    if document is None:
        return None
    positions = ls.positions(document.text)
    try:
        after = format_text(document.text, document.path.name)
    except SpecError:
        return None
    before = document.text.removeprefix(MARK)

    def offset(of: int) -> int:
        """An offset of the editor's text in that whose lines end with a line feed."""
        return len(normal(before[:of]))

    return [
        types.TextEdit(positions.between(offset(change.start), offset(change.end)), change.text)
        for change in changes(before, after.removeprefix(MARK))
    ]


@answering(types.TEXT_DOCUMENT_CODE_LENS)
async def measured(
    ls: Server, params: types.CodeLensParams, analysis: Analysis, positions: Positions
) -> list[types.CodeLens] | None:
    """What models cost, and whether what is claimed holds."""
    return [
        types.CodeLens(positions.range(lens.span), types.Command(lens.title, "")) for lens in lenses(analysis)
    ]
