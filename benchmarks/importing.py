"""`archspec import` over other people's models, where timm and torchvision are installed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from benchmarks.measuring import Row

_SMALL = (
    "nano",
    "pico",
    "femto",
    "atto",
    "tiny",
    "_t",
    "xxs",
    "_xs",
    "small",
    "_s",
    "_b0",
    "18",
    "_0",
    "base",
)
_KNOWN = {
    "resnet": "resnet50", "convnext": "convnext_tiny", "swin_transformer": "swin_tiny_patch4_window7_224",
    "efficientnet": "efficientnet_b0", "vision_transformer": "vit_base_patch16_224", "maxxvit": "maxvit_tiny_rw_224",
    "densenet": "densenet121", "mobilenetv3": "mobilenetv3_large_100", "regnet": "regnety_004",
}  # fmt: skip


def imports_of_timm() -> Iterator[Row]:
    """One model of each of timm's files: how far the network of its spec is from it, and how long the spec is."""
    if find_spec("timm") is None:
        return
    import timm

    for file in timm.list_modules():
        names = timm.list_models(module=file)
        if names:
            small = (name for part in _SMALL for name in names if part in name)
            yield from _imported(f"timm:{_KNOWN.get(file) or next(small, names[0])}")


def imports_of_torchvision() -> Iterator[Row]:
    """Each model of torchvision for classification and segmentation."""
    if find_spec("torchvision") is None:
        return
    from torchvision import models

    for module in (models, models.segmentation):
        for name in models.list_models(module=module):
            yield from _imported(f"torchvision:{name}")


def import_against_export() -> Iterator[Row]:
    """A ResNet-50: the whole import, without its proof, against `torch.export` alone."""
    if find_spec("torchvision") is None:
        return
    import torch
    from torchvision import models

    from archspec.importing.capture import Given
    from archspec.importing.spec import imported

    module = models.resnet50().eval()
    image = torch.zeros(2, 3, 224, 224)
    times: dict[str, list[float]] = {"import": [], "export": []}
    for _ in range(5):
        for name, run in (
            ("import", lambda: imported(module, [Given((3, 224, 224))])),
            ("export", lambda: torch.export.export(module, (image,), strict=False)),
        ):
            before = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - before)
    ratios = sorted(a / b for a, b in zip(times["import"], times["export"], strict=True))
    yield Row("import / torch.export, ResNet-50", ratios[2], 4.0, (ratios[0], ratios[-1]), "pairs of 5")


def _imported(source: str) -> Iterator[Row]:
    """One model; what cannot be imported is infinitely far."""
    from archspec import SpecError
    from archspec.api.importing import comparison_of
    from archspec.importing.sources import source as found
    from archspec.importing.spec import Asked, imported

    before = time.perf_counter()
    try:
        given = found(source)
        asked = Asked(type(given.module).__name__, kinds=given.kinds)
        text = imported(given.module, given.inputs, asked).text
        seconds = time.perf_counter() - before
        compared: Any = comparison_of(text, given.module, given.inputs)
    except SpecError as error:
        yield Row(source, float("inf"), 1e-6, (0.0, 0.0), str(error).splitlines()[0])
        return
    worst = max(compared.difference, compared.difference_in_training or 0.0)
    keys = "keys equal" if not compared.missing and not compared.unknown else "other keys"
    macs = f"{compared.macs[0]:,} multiply-adds, PyTorch counts {compared.macs[1]:,}"
    detail = (
        f"{text.count(chr(10))} lines, {seconds:.1f} s, {keys}, {macs} {compared.refused or compared.first}"
    )
    yield Row(source, worst, 1e-6, (0.0, worst), detail)
