"""Networks where others look for them: in timm's registry, and in folders and repositories of Hugging Face."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from nets import randomised

import archspec
from archspec import SpecError
from archspec.api import timm_models

# ------------------------------------------------------------------ Hugging Face


class Mixin:
    """What of huggingface_hub's `ModelHubMixin` is called: it leaves files to the class, and makes the folder."""

    def __init_subclass__(cls, **card: Any) -> None:
        cls.card = card  # type: ignore[attr-defined]

    def save_pretrained(self, path: Path, *, push_to_hub: bool = False, repo_id: str = "") -> str | None:
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").unlink(missing_ok=True)
        self._save_pretrained(path)  # type: ignore[attr-defined]
        return f"https://huggingface.co/{repo_id}" if push_to_hub else None

    @classmethod
    def from_pretrained(cls, name: str, **given: Any) -> Any:
        return cls._from_pretrained(model_id=name, **given)  # type: ignore[attr-defined]


def stand_in() -> tuple[ModuleType, ModuleType]:
    """A huggingface_hub that finds nothing on its hub."""
    hub, errors = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.errors")
    for name in ("HfHubHTTPError", "HFValidationError", "LocalEntryNotFoundError"):
        setattr(errors, name, type(name, (OSError,), {}))

    def download(repo_id: str, filename: str, **given: Any) -> str:
        raise errors.LocalEntryNotFoundError(f"{repo_id} has no {filename}")

    hub.ModelHubMixin, hub.hf_hub_download, hub.errors = Mixin, download, errors  # type: ignore[attr-defined]
    return hub, errors


@pytest.fixture(params=["ours", "theirs"])
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """huggingface_hub: the real one where it is installed, and one that stands for it."""
    from archspec.api.pretrained import _mixin

    if request.param == "theirs":
        pytest.importorskip("huggingface_hub")
    else:
        hub, errors = stand_in()
        monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
        monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    _mixin.cache_clear()
    yield
    _mixin.cache_clear()


SPEC = """
model Net:
    input x: [3, 8, 8]
    constant scale: [8] = ones
    return (x -> conv: Conv(8, 3) -> norm: BatchNorm -> GlobalAvgPool) * scale -> fc: Linear(4)  # allow bias-before-norm: a net
"""


@pytest.mark.parametrize("dtype", [None, "f16", "f64"])
def test_a_network_is_saved_and_found(hub: None, dtype: str | None, tmp_path: Path) -> None:
    net = randomised(archspec.load(archspec.read_text(SPEC), seed=0, dtype=dtype)).eval()
    assert archspec.save_pretrained(net, tmp_path / "net") is None
    names = {path.name for path in (tmp_path / "net").iterdir()}
    assert names - {"README.md"} == {"graph.json", "model.safetensors", "config.json"}
    found = archspec.from_pretrained(tmp_path / "net")
    assert not found.training and archspec.graph_of(found) == archspec.graph_of(net)
    assert found.state_dict().keys() == net.state_dict().keys()
    for name, tensor in net.state_dict().items():
        assert found.state_dict()[name].dtype == tensor.dtype
        assert torch.equal(found.state_dict()[name], tensor)
    wide = archspec.from_pretrained(str(tmp_path / "net"), dtype="f64")
    assert wide.fc.weight.dtype == torch.float64  # type: ignore[union-attr]


def test_what_was_altered_is_refused(hub: None, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    archspec.save_pretrained(archspec.load(archspec.read_text(SPEC), seed=0), folder)
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    other = tmp_path / "other"
    archspec.save_pretrained(archspec.load(archspec.read_text(SPEC), seed=1), other)

    def change(name: str, made: Callable[[bytes], bytes]) -> None:
        for path, data in kept.items():
            path.write_bytes(data)
        (folder / name).write_bytes(made((folder / name).read_bytes()))

    changes: list[tuple[str, Callable[[bytes], bytes], str]] = [
        ("model.safetensors", lambda _: (other / "model.safetensors").read_bytes(), "was altered"),
        ("model.safetensors", lambda data: data[:-4], "was altered"),
        ("model.safetensors", lambda data: b"", "is empty"),
        ("graph.json", lambda data: data.replace(b"BatchNorm", b"LayerNorm", 1), "was altered"),
        ("config.json", lambda data: b"[]", "manifest"),
        ("config.json", lambda data: json.dumps({**json.loads(data), "dtype": "f8"}).encode(), "manifest"),
    ]
    for name, made, said in changes:
        change(name, made)
        with pytest.raises(SpecError, match=said) as caught:
            archspec.from_pretrained(folder)
        assert "save_pretrained" in str(caught.value) or "is empty" in said
    change("graph.json", lambda data: data)
    (folder / "graph.json").unlink()
    with pytest.raises(SpecError, match=r"has no `graph[.]json`"):
        archspec.from_pretrained(folder)


def test_a_network_that_is_no_longer_its_spec_is_not_saved(hub: None, tmp_path: Path) -> None:
    net = archspec.load(archspec.read_text(SPEC), seed=0)
    net.fc = torch.nn.Linear(8, 5)
    with pytest.raises(SpecError, match="cannot be written as its spec has it"):
        archspec.save_pretrained(net, tmp_path / "net")
    assert not list((tmp_path / "net").iterdir())
    with pytest.raises(TypeError, match="archspec"):
        archspec.save_pretrained(torch.nn.Linear(2, 2), tmp_path / "net")


def test_a_name_that_is_nowhere_is_told(hub: None, tmp_path: Path) -> None:
    for name in (str(tmp_path / "none"), "nobody/nothing", "not a name"):
        with pytest.raises(SpecError, match="there is no folder"):
            archspec.from_pretrained(name, local_files_only=True)


def test_without_huggingface_hub_that_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SpecError, match="pip install huggingface_hub"):
        archspec.save_pretrained(archspec.load(archspec.read_text(SPEC)), tmp_path)
    with pytest.raises(SpecError, match="pip install huggingface_hub"):
        archspec.from_pretrained("user/net")


def test_a_network_is_found_in_a_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from archspec.api.pretrained import _mixin

    hub, errors = stand_in()
    hub.hf_hub_download = lambda name, file, **given: tmp_path / name / file  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    _mixin.cache_clear()
    net = archspec.load(archspec.read_text(SPEC), seed=0)
    address = archspec.save_pretrained(net, tmp_path / "user" / "net", push_to_hub=True, repo_id="user/net")
    assert address == "https://huggingface.co/user/net"
    found = archspec.from_pretrained("user/net", revision="main")
    assert all(torch.equal(found.state_dict()[name], tensor) for name, tensor in net.state_dict().items())
    _mixin.cache_clear()


# ------------------------------------------------------------------ timm


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., Any]]:
    """timm's registry, or what stands for it: functions by their names."""
    found: dict[str, Callable[..., Any]] = {}
    timm, models = ModuleType("timm"), ModuleType("timm.models")
    models.register_model = lambda make: found.setdefault(make.__name__, make)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.models", models)
    return found


def test_shipped_networks_are_in_the_registry_of_timm(registry: dict[str, Callable[..., Any]]) -> None:
    names = archspec.register_timm()
    assert names == list(registry)
    assert names == [f"archspec_{entry.name}" for entry in archspec.shipped()]
    assert all(make.__module__ == timm_models.__name__ for make in registry.values())
    net = registry["archspec_resnet18"](
        pretrained_cfg=None, num_classes=7, in_chans=1, drop_rate=0.0, features_only=False, width=0.125
    )
    assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 7) == (2, net.num_classes)
    assert net.state_dict().keys() == archspec.load("resnet18", width=0.125).state_dict().keys()
    assert net.pretrained_cfg["input_size"] == (1, 224, 224) and not net.pretrained_cfg["fixed_input_size"]
    vit = registry["archspec_vit_ti16"](img_size=(32, 48), layers=1)
    assert vit(torch.zeros(1, 3, 32, 48)).shape == (1, 1000) and vit.pretrained_cfg["fixed_input_size"]


def test_features_of_timm_are_the_stages(registry: dict[str, Callable[..., Any]]) -> None:
    archspec.register_timm(["resnet18"])
    make = registry["archspec_resnet18"]
    net = make(features_only=True, out_indices=(1, 3))
    assert net.feature_info.channels() == [64, 256] and net.feature_info.reduction() == [4, 16]
    given = net(torch.zeros(2, 3, 64, 64))
    assert [tuple(one.shape) for one in given] == [(2, 64, 16, 16), (2, 256, 4, 4)]
    assert make(features_only=True, out_indices=2).feature_info.reduction() == [16, 32]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"pretrained": True}, "there are no pretrained weights for archspec_resnet18"),
        ({"out_indices": (1, 2)}, "`out_indices` are of features"),
        ({"features_only": True, "out_indices": (1, 7)}, "numbers of stages from 0 to 4"),
        ({"num_clases": 3}, "`resnet18` has no parameter `num_clases`"),
        ({"num_classes": "many"}, "`classes`"),
    ],
)
def test_what_a_spec_has_no_parameter_for_is_told(
    arguments: dict[str, Any], said: str, registry: dict[str, Callable[..., Any]]
) -> None:
    assert archspec.register_timm(["resnet18"]) == ["archspec_resnet18"]
    with pytest.raises(SpecError, match=said):
        registry["archspec_resnet18"](**arguments)


def test_names_that_are_not_shipped_are_told(registry: dict[str, Callable[..., Any]]) -> None:
    for names in (["resnet19"], "resnet18", 3):
        with pytest.raises(SpecError, match="`names` is names of shipped specs"):
            archspec.register_timm(names)  # type: ignore[arg-type]
    assert not registry


def test_timm_makes_networks_of_archspec() -> None:
    timm = pytest.importorskip("timm")
    archspec.register_timm(["resnet18"])
    net = timm.create_model("archspec_resnet18", num_classes=7, in_chans=1)
    assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 7)
    assert timm.list_models("archspec_*") == ["archspec_resnet18"]
