"""What holds the project together: tables kept in step with the grammar, names told in one place."""

import json
from pathlib import Path

from archspec.graph import Graph
from archspec.op import Op, family, load_ops
from archspec.syntax import tables


def test_the_kept_parser_tables_are_those_of_the_grammar(bless: bool) -> None:
    if bless:
        tables.write()
    kept = json.loads(tables.TABLES.read_text())
    assert kept["made_from"] == json.loads(tables.written())["made_from"], (
        "`pytest tests/project/test_project.py --bless` writes them anew"
    )


def test_ops_are_found_without_importing_them_all() -> None:
    load_ops()
    for name in Op.names():
        assert Op.find(name).__name__ == name
        assert (Path(tables.__file__).parent.parent / "ops" / f"{family(Op.find(name))}.py").is_file()


def test_the_schema_of_graphs_is_written_down(bless: bool) -> None:
    kept = Path(__file__).parents[2] / "docs" / "graph.schema.json"
    schema = Graph.model_json_schema()
    if bless:
        kept.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
    assert json.loads(kept.read_text()) == schema, (
        "`pytest tests/project/test_project.py --bless` writes it anew"
    )
