"""Networks exported as Python files, compared with the loaded ones."""

import subprocess
import sys
from types import ModuleType

import pytest
import torch
from nets import outputs, randomised
from torch import Tensor, nn

import archspec
from archspec.backends.python import python_source
from archspec.graph import Graph


def module_of(text: str) -> ModuleType:
    """The module that the text of a file is."""
    module = ModuleType("exported")
    exec(compile(text, "exported.py", "exec", dont_inherit=True), module.__dict__)
    return module


def exported(graph: Graph, text: str = "") -> nn.Module:
    """An instance of the network that a graph is exported to."""
    made: nn.Module = getattr(module_of(text or python_source(graph)), graph.name)()
    return made


def require_same(graph: Graph, given: list[Tensor], *, train: bool = False, double: bool = True) -> None:
    """Fail unless the exported network has the keys of the loaded one, and computes the same of the same weights."""
    ours, theirs = exported(graph), randomised(archspec.load(graph, seed=0))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    if double:
        given = [x.double() if x.is_floating_point() else x for x in given]
        ours, theirs = ours.double(), theirs.double()
    for mode in (False, True) if train else (False,):
        results = []
        for net in (ours, theirs):
            torch.manual_seed(0)
            with torch.no_grad():
                results.append(outputs(net.train(mode)(*given)))
        for mine, other in zip(*results, strict=True):
            # Real constants are cast with the file's network, and restored with archspec's.
            close = {"rtol": 1e-6, "atol": 1e-7} if double else {"rtol": 1e-4, "atol": 1e-6}
            torch.testing.assert_close(mine, other, **close, equal_nan=True)
    held = theirs.state_dict()
    for key, tensor in ours.state_dict().items():  # statistics, after training
        torch.testing.assert_close(tensor, held[key], rtol=1e-6, atol=1e-7)


def require_same_shapes(graph: Graph) -> None:
    """Fail unless the exported network can be made without memory, and has the keys and the shapes of the loaded one."""
    text = python_source(graph)
    with torch.device("meta"):
        assert python_source(graph) == text  # as long as it is written
        state = exported(graph, text).state_dict()
    saved = {key: weight.shape for key, weight in graph.weights.items() if weight.saved}
    assert all(tensor.is_meta for tensor in state.values())
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == saved


def formatted(text: str) -> str:
    """Text as ruff lays it out."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "100", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if "No module named ruff" in done.stderr:
        pytest.skip("ruff is not installed")
    assert not done.returncode, done.stderr
    return done.stdout
