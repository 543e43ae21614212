"""Arguments of the API: whatever is given, the function works or a SpecError names the argument."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import archspec
from archspec import SpecError, api
from archspec.analyses.summary import Summary
from archspec.graph import Graph

SPEC = """
model Net(n: int = 4, depth: float = 1.0, width: float = 1.0, resolution: int = 8, act: layer = ReLU):
    input x: [3, resolution, resolution]
    require n >= 1
    return x -> c: Conv(n, 3) -> act
"""
GRAPH = archspec.read_text(SPEC)
NOTHING_OF_USE: list[Any] = [
    None, 123, 1.5, -1, 0, True, float("nan"), float("inf"), 10**400, "", "x", "\ud800", "a\0b", b"x", [], [1], {},
    {1: 2}, object(), int, print, 1j, Path("no such file"), np.array([1, 2]), np.float32(0.5), np.bool_(True),
    torch.tensor(3), torch.int64, torch.nn.ReLU(), GRAPH, "cuda:99", ("a",), b"\xff", np.array(["a"]), ...,
    "a" * 300, "a" * 300 + ".archmod", Path("a" * 300 + ".arch"), "a" * 300 + "/b.safetensors",
]  # fmt: skip
FUNCTIONS: list[Callable[..., Any]] = [
    *(getattr(api, name) for name in api.__all__ if name != "shipped"),
    api.parse_value,
    api.torch_dtype,
]
OF_MODULES = archspec.graph_of, archspec.profiled, archspec.repeated_blocks, archspec.save_pretrained
CASES = [
    (function, parameter.name)
    for function in FUNCTIONS
    for parameter in inspect.signature(function).parameters.values()
    if parameter.kind is not parameter.VAR_KEYWORD
]


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Arguments that are right, by name."""
    (tmp_path / "net.arch").write_text(SPEC)
    archspec.load(GRAPH)
    right = {"spec": tmp_path / "net.arch", "text": SPEC, "graph": GRAPH, "left": GRAPH, "right": GRAPH}
    return {
        **right,
        "weights": dict(archspec.load(GRAPH).state_dict()),
        "title": "none",
        "path": tmp_path / "net.pt2",
        "module": archspec.load(GRAPH),
        "name": "f32",
        "inputs": torch.zeros(1, 3, 8, 8),
    }


def needed(function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: given[p.name] for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}


def called(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """The result of a function for arguments by name, what is a row of them by position."""
    parameters = inspect.signature(function).parameters.values()
    if not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return function(**arguments)
    rest = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    return function(
        *(value for name, value in arguments.items() if name not in rest),
        **{name: value for name, value in arguments.items() if name in rest},
    )


def used(result: Any) -> None:
    """Ask for what is computed when it is asked for."""
    if isinstance(result, Summary):
        result.figures()


@pytest.mark.parametrize(
    ("function", "name"), CASES, ids=[f"{function.__name__}-{name}" for function, name in CASES]
)
def test_any_argument_is_taken_or_told(
    function: Callable[..., Any],
    name: str,
    given: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in NOTHING_OF_USE:
        if name == "compile" and (value is True or isinstance(value, str | np.bool_)):
            continue  # takes a compiler
        try:
            used(called(function, {**needed(function, given), name: value}))
        except SpecError as error:
            assert error.problems[0].message
        except TypeError as error:
            # As documented: these take modules, not specs.
            assert function in OF_MODULES, value
            assert "was not loaded by archspec" in str(error)


@pytest.mark.parametrize("value", NOTHING_OF_USE, ids=lambda value: re.sub(" at 0x\\w+", "", repr(value)))
@pytest.mark.parametrize("setting", ["n", "width", "act", "nonsense"])
def test_any_setting_is_taken_or_told(setting: str, value: Any) -> None:
    for settings in ({setting: value}, {setting: [value]}, {setting: {"a": value}}):
        try:
            graph = archspec.read_text(SPEC, settings=settings)
        except SpecError as error:
            assert setting in str(error)
        else:
            assert Graph.from_json(graph.to_json()) == graph


@pytest.mark.parametrize("value", [-1, 0, 1.5, True, None, "2", 2**63, np.bool_(True), np.float64(2), [2]])
def test_a_batch_is_a_positive_whole_number(value: Any) -> None:
    with pytest.raises(SpecError, match="`batch` is a whole number of at least 1"):
        archspec.cost(GRAPH, batch=value)


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint64, int])
def test_numbers_of_numpy_are_numbers(kind: type) -> None:
    assert archspec.read_text(SPEC, n=kind(6)) == archspec.read_text(SPEC, n=6)
    assert archspec.read_text(SPEC, budget=kind(50)) == GRAPH
    assert archspec.cost(GRAPH, batch=kind(3)).figures() == archspec.cost(GRAPH, batch=3).figures()
    first, second = (archspec.load(GRAPH, seed=seed).state_dict() for seed in (kind(3), 3))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_values_of_numpy_are_values() -> None:
    spec = "model Net(sizes: list[int], rate: float, keep: bool):\n    input x: [3]\n    return x -> ReLU\n"
    graph = archspec.read_text(spec, sizes=np.array([1, 2]), rate=np.float32(0.5), keep=np.bool_(False))
    assert graph.settings == {"sizes": [1, 2], "rate": 0.5, "keep": False}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: archspec.read_text(123), "`text` is a string, not 123"),
        (lambda: archspec.read(None), "`spec` is the path or name of a spec, not None"),
        (lambda: archspec.read(GRAPH), "a graph cannot be read again"),
        (lambda: archspec.resize_positions({}, "resnet18"), "`archspec.read` gives the graph of a spec"),
        (
            lambda: archspec.cost(archspec.load(GRAPH)),
            "`archspec.graph_of` gives the graph of a loaded module",
        ),
        (lambda: archspec.diff(GRAPH, None), "`right` is a graph, or the path or name of a spec, not None"),
        (lambda: archspec.draw(GRAPH, depth=-1), "`depth` is a whole number of at least 1, not -1"),
        (lambda: archspec.load(GRAPH, flat=1), "`flat` is True or False, not 1"),
        (lambda: archspec.read("resnet18", budget=0), "`budget` is a whole number of at least 1, not 0"),
        (lambda: archspec.read_text(SPEC, act="\ud800"), "lone surrogate"),
        (lambda: archspec.read("lenet5", ""), "`model` is the name of a model, not ''"),
        (lambda: archspec.read_text(SPEC, model=""), "`model` is the name of a model, not ''"),
        (lambda: archspec.load("lenet5", model=""), "`model` is the name of a model, not ''"),
        (lambda: archspec.read(""), "`spec` is a path, not ''"),
    ],
)
def test_the_message_names_the_argument(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        call()
    assert said in str(caught.value)
