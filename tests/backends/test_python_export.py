"""Networks as Python files: plain PyTorch that has the same keys and computes the same."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec.backends.python import python_source
from archspec.graph import Graph

SMALL: dict[str, dict[str, Any]] = {
    "resnet18": {"resolution": 64},
    "resnet50": {"resolution": 64},
    "vgg11_bn": {"resolution": 32},
    "vit_ti16": {"resolution": 32},
    "mixer_s16": {"resolution": 32},
}


def module_of(text: str) -> ModuleType:
    """The module that the text of a file is."""
    module = ModuleType("exported")
    exec(compile(text, "exported.py", "exec"), module.__dict__)
    return module


def exported(graph: Graph) -> nn.Module:
    """An instance of the network that a graph is exported to."""
    made: nn.Module = getattr(module_of(python_source(graph)), graph.name)()
    return made


def inputs_of(graph: Graph, batch: int = 2, free: int = 32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    found = []
    for given in graph.inputs:
        shape = (batch, *(size if isinstance(size, int) else free for size in given.type.shape))
        if given.type.floating:
            found.append(torch.randn(shape, generator=generator, dtype=torch.float64))
        else:
            found.append(torch.randint(0, 2, shape, generator=generator))
            if given.type.dtype == "bool":
                found[-1] = found[-1] > 0
    return found


def tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    values = result.values() if isinstance(result, dict) else result
    return [tensor for value in values for tensor in tensors(value)]


def require_same(graph: Graph, *, batch: int = 2, free: int = 32, train: bool = False) -> None:
    """Fail unless the exported network has the keys of the loaded one, and computes the same of the same weights."""
    ours, theirs = exported(graph), archspec.load(graph, seed=0)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    given = inputs_of(graph, batch, free)
    with torch.no_grad():
        for mode in (False, True) if train else (False,):
            results = [tensors(net.double().train(mode)(*given)) for net in (ours, theirs)]
            for mine, other in zip(*results, strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SMALL)
def test_it_has_the_keys_and_the_outputs_of_the_network(name: str) -> None:
    require_same(archspec.read(name, settings=SMALL[name]))


def test_it_runs_without_archspec(tmp_path: Path) -> None:
    path = archspec.export("vit_ti16", tmp_path / "vit.py", resolution=32)
    script = "\n".join(
        [
            "import sys",
            "sys.modules['archspec'] = None",
            "import torch, vit",
            "net = vit.ViTTi16()",
            "print(tuple(net(torch.zeros(2, 3, 32, 32)).shape))",
        ]
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=path.parent, capture_output=True, text=True)
    assert done.stdout == "(2, 1000)\n", done.stderr


@pytest.mark.parametrize("name", SMALL)
def test_it_is_laid_out_as_formatters_do(name: str) -> None:
    text = python_source(archspec.read(name, settings=SMALL[name]))
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "100", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if "No module named ruff" in done.stderr:
        pytest.skip("ruff is not installed")
    assert done.stdout == text
