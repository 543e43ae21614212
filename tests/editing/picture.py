"""Print what an editor shows of a spec, as a client receives it: `python tests/editing/picture.py families/mobilenet conv_stem`."""

from __future__ import annotations

import asyncio
import re
import sys

from editor import COMMAND, Editor, make_client
from lsprotocol import types

from archspec.elaboration import shipped_specs


async def show(name: str, words: list[str]) -> None:
    """Print a shipped spec with its hints and figures, and what is said of these words where they first stand."""
    client = make_client()
    await client.start_io(*COMMAND)
    editor = await Editor.start(client, shipped_specs())
    uri = await editor.open(shipped_specs() / f"{name}.arch")
    lenses = await client.text_document_code_lens_async(
        types.CodeLensParams(types.TextDocumentIdentifier(uri))
    )
    above: dict[int, list[str]] = {}
    for lens in lenses or []:
        above.setdefault(lens.range.start.line, []).append(lens.command.title if lens.command else "")
    for number, line in enumerate((await editor.hinted(uri)).split("\n")):
        if number in above:
            print(f"        │ {' | '.join(above[number])}")
        print(f"{number + 1:>4}    {line}".rstrip())
    for word in words:
        print(f"\n┌─ hover over `{word}` " + "─" * 80)
        said = await editor.hover(uri, f"{word[:1]}|{word[1:]}")
        print("\n".join(f"│ {line}" for line in re.sub(r"\n{3,}", "\n\n", said).split("\n")))
    await client.shutdown_session()
    await client.stop()


if __name__ == "__main__":
    asyncio.run(show(sys.argv[1], sys.argv[2:]))
