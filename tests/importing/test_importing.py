"""Modules imported as specs are the modules: keys, values in both modes, parameters; and what cannot be imported is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import more_imported_modules  # noqa: F401
import pytest
import torch
from imported_modules import MODULES, built
from torch import Tensor, nn

import archspec

LINES = {
    "Residuals": 20,
    "Dense": 16,
    "Tokens": 26,
    "Windows": 40,
    "Positions": 50,
    "Inverteds": 24,
    "Repeats": 10,
}
"""How long the specs of some may be: what a person would write, and half as much again."""


@pytest.mark.parametrize("name", MODULES)
def test_a_module_and_its_spec_are_one_network(name: str) -> None:
    module, inputs = built(name)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    text = archspec.spec_of(module, *inputs)
    compared = archspec.compare_module(text, module, *inputs)
    assert compared.equal, (compared, text)
    assert archspec.format_text(text) == text
    assert text.count("\n") <= LINES.get(name, 40)
    after = module.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items()) and not module.training


def test_blocks_are_the_classes_with_what_differs_as_parameters() -> None:
    module, inputs = built("Residuals")
    text = archspec.spec_of(module, *inputs)
    assert text.count("block ") == 1 and "block Residual(width: int" in text
    assert "downsample: layer = []" in text and "2 * [Residual(8)]" in text
    assert "layer2: [Residual(16, stride=2, downsample=[Conv(16, stride=2, bias=false), BatchNorm])]" in text


def test_what_means_one_of_our_ops_is_that_op() -> None:
    texts = {
        name: archspec.spec_of(built(name)[0], *built(name)[1]) for name in ("TokensByHand", "NormOfChannels")
    }
    assert "Attention" in texts["TokensByHand"] and "Softmax" not in texts["TokensByHand"]
    assert "LayerNorm(axis=0)" in texts["NormOfChannels"] and "Permute" not in texts["NormOfChannels"]
    assert 'padding="tf_same"' in archspec.spec_of(*_flat("PaddedLikeTensorFlow"))
    assert "WSConv(8, 3, eps=1e-6)" in archspec.spec_of(*_flat("Standardised"))
    assert "outer_sum" in archspec.spec_of(*_flat("Windows"))


def _flat(name: str) -> tuple[nn.Module, *tuple[Tensor, ...]]:
    module, inputs = built(name)
    return (module, *inputs)


def test_a_module_stays_in_the_modes_that_it_is_in() -> None:
    module, inputs = built("Residuals")
    module.layer1.train()  # type: ignore[operator, union-attr]
    before = [inner.training for inner in module.modules()]
    archspec.spec_of(module, *inputs)
    assert [inner.training for inner in module.modules()] == before


def test_outputs_keep_their_names() -> None:
    assert "return found=" in archspec.spec_of(*_flat("Translation"))


def test_a_difference_is_found_and_its_place_told() -> None:
    module, inputs = built("Residuals")
    text = archspec.spec_of(module, *inputs).replace(
        "stride=stride, bias=false", "stride=stride, dilation=2, bias=false", 1
    )
    found = archspec.compare_module(text, module, *inputs)
    assert not found.equal and found.difference > 1e-3 and found.first == "layer1.0.conv1"
    other = archspec.compare_module(text.replace("bn1:", "norm1:"), module, *inputs)
    assert (
        not other.equal
        and "layer1.0.bn1.weight" in other.missing
        and "layer1.0.norm1.weight" in other.unknown
    )


class Inverse(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.inv(x)


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Samples(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0, keepdim=True)


class Infinite(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.pad(x, (1, 1), value=float("-inf"))


class Twins(nn.Module):
    """Two lists that hold one norm, whose statistics one layer alone can have."""

    def __init__(self) -> None:
        super().__init__()
        one = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU())
        two = nn.Sequential(one[0], nn.Tanh())
        self.one, self.two = one, two

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x))


class TwoForms(nn.Module):
    """A layer that is called with and without a second tensor."""

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return self.fc(x).relu() if y is None else self.fc(x).tanh() * y

    def __init__(self) -> None:
        super().__init__()
        self.inner = self.Inner()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.inner(x), x)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Inverse(), r"linalg_inv.* has no op"),
        (Branches(), r"cannot capture Branches"),
        (Samples(), r"mean.*along the batch"),
        (Infinite(), r"minus infinity"),
        (Twins(), r"running_mean` is used by modules in several places"),
        (TwoForms(), r"called in two forms"),
    ],
)
def test_what_has_no_form_is_told(module: nn.Module, said: str) -> None:
    with pytest.raises(archspec.SpecError, match=said) as error:
        archspec.spec_of(module, torch.zeros(1, 4, 4))
    assert error.value.problems[0].code == "E1012"
    if isinstance(module, Inverse | Samples):
        assert "test_importing.py:" in str(error.value)


def test_infinities_that_differ_are_a_difference() -> None:
    text = "model Net:\n    input x: [3]\n    return x -> Pad([1], value=-3.4e38)\n"
    assert not archspec.compare_module(text, Infinite(), torch.zeros(1, 3)).equal


@pytest.mark.parametrize("inputs", [(), (3,), (torch.tensor(1.0),)])
def test_inputs_are_tensors_with_a_batch(inputs: tuple[Tensor, ...]) -> None:
    with pytest.raises(archspec.InputError):
        archspec.spec_of(nn.ReLU(), *inputs)


NETS = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, width: int = 4):
        super().__init__(nn.Conv2d(3, width, 3), nn.ReLU())

def number():
    return 3
"""


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "archspec", "import", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_writes_a_spec_and_proves_it(tmp_path: Path) -> None:
    (tmp_path / "my_nets.py").write_text(NETS)
    made = _run(tmp_path, "my_nets:Net(width=6)", "--input", "3,8,8", "-o", "net.arch")
    assert made.returncode == 0, made.stderr
    assert "same keys" in made.stdout and "168 parameters, as the module" in made.stdout
    assert len(archspec.read(str(tmp_path / "net.arch")).weights) == 2
    printed = _run(tmp_path, "my_nets:Net(width=6)", "--input", "3,8,8", "--no-verify")
    assert printed.stdout == (tmp_path / "net.arch").read_text() and not printed.stderr


def test_a_source_may_hold_any_text(tmp_path: Path) -> None:
    (tmp_path / "my_nets.py").write_text(
        "from torch import nn\n\nclass Net(nn.Module):\n    def __init__(self, name, more):\n        super().__init__()\n"
        "        self.fc, self.unread = nn.Linear(4, 4), nn.Linear(2, 2)\n\n    def forward(self, x):\n        return self.fc(x)\n"
    )
    source = """my_nets:Net(name="b{i}\\\\n'", more={"k": [1]})"""
    made = _run(tmp_path, source, "--input", "4", "-o", "net.arch")
    assert made.returncode == 0, made.stderr
    assert archspec.read(str(tmp_path / "net.arch")).names[0].title == source


def test_programs_of_torch_export_are_imported(tmp_path: Path) -> None:
    module, inputs = built("Residuals")
    free = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(module, (torch.zeros(2, 3, 16, 16),), dynamic_shapes=free, strict=False)
    torch.export.save(program, tmp_path / "net.pt2")
    made = _run(tmp_path, "net.pt2", "-o", "net.arch")
    assert made.returncode == 0, made.stderr
    text = (tmp_path / "net.arch").read_text()
    assert "block Residual(" in text and archspec.compare_module(text, module, *inputs).equal
    fixed = torch.export.export(module, inputs, strict=False)
    torch.export.save(fixed, tmp_path / "fixed.pt2")
    assert "is fixed" in _run(tmp_path, "fixed.pt2").stderr


def test_traced_modules_are_imported() -> None:
    module, inputs = built("Residuals")
    traced = torch.fx.symbolic_trace(module)
    text = archspec.spec_of(traced, *inputs)
    assert archspec.compare_module(text, module, *inputs).equal


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "names no module"),
        (("no_such_module_here:Net", "--input", "3"), "no Python module"),
        (("my_nets:Nat", "--input", "3"), "did you mean `Net`"),
        (("my_nets:Net",), "--input"),
        (("my_nets:Net(width=3 + open('x'))", "--input", "3,8,8"), "must be literals"),
        (("my_nets:Net(depth=3)", "--input", "3,8,8"), "raised TypeError"),
        (("my_nets:Net", "--input", "3,8,8", "--input", "4"), "cannot be called with 2 inputs"),
        (("my_nets:Net", "--input", "5,8,8"), "stands for the batch"),
        (("my_nets:number()", "--input", "3"), "not a module"),
        (("my_nets:Net", "--input", "3,a"), "is no input"),
        (("my_nets:Net", "--input", "f99[3]"), "is no input"),
        (("no_such.pt2",), "there is no file"),
        (("my_nets.pt2",), "no program of torch.export"),
    ],
)
def test_wrong_sources_are_told(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "my_nets.py").write_text(NETS)
    (tmp_path / "my_nets.pt2").write_bytes(b"no archive")
    made = _run(tmp_path, *arguments, "-o", "net.arch")
    assert made.returncode == 1 and said in made.stderr and "Traceback" not in made.stderr, made.stderr
    assert not (tmp_path / "net.arch").exists()


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny", "swin_tiny_patch4_window7_224", "densenet121"])
def test_models_of_timm_where_it_is_installed(name: str) -> None:
    timm = pytest.importorskip("timm")
    module = timm.create_model(name).eval()
    inputs = torch.zeros(1, *module.default_cfg["input_size"])
    assert archspec.compare_module(archspec.spec_of(module, inputs), module, inputs).equal
