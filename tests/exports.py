"""Networks and what is exported of them, compared: one of each family of the zoo, at small sizes.

python tests/exports.py            # a table of all families
python tests/exports.py swin_t     # of some networks
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime
import torch
from nets import outputs, shipped, small
from torch import Tensor, nn

import archspec
from archspec.backends.torch_export import examples, save_program
from archspec.backends.torch_onnx import save_onnx
from archspec.graph import Graph
from archspec.ground.errors import SpecError
from archspec.ground.size import Free

FAMILIES = {
    "alexnet": "alexnet",
    "amoebanet": "amoebanet_a_36_cifar",
    "bn_inception": "bn_inception",
    "context": "context_basic",
    "darts": "darts_v2_cifar",
    "deeplab": "deeplabv3_resnet50",
    "densenet": "densenet_bc100_k12_cifar",
    "detr": "detr_resnet50",
    "dpn": "dpn92",
    "dpt": "dpt_vit_b16",
    "efficientnet": "efficientnet_b0",
    "enas": "enas_cifar",
    "fcn": "fcn8s_vgg16",
    "fpn": "fpn_resnet50",
    "googlenet": "googlenet",
    "halonet": "halonet_h1",
    "igpt": "igpt_s",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "lenet": "lenet5",
    "mixer": "mixer_s16",
    "mnasnet": "mnasnet_a1",
    "mobilenet": "mobilenet_v2",
    "mobileone": "mobileone_s1",
    "nao": "naonet_36_cifar",
    "nasnet": "nasnet_a_mobile",
    "nfnet": "nfnet_f0",
    "pit": "pit_ti",
    "pnasnet": "pnasnet5_cifar",
    "polynet": "polynet",
    "preact_resnet": "preact_resnet50",
    "pyramidnet": "pyramidnet110_a48_cifar",
    "repvgg": "repvgg_a0",
    "resnet": "resnet50_mdconv",  # with deformable convolutions
    "resnet_cifar": "resnet20_cifar",
    "rir": "rir18_cifar",
    "senet": "seresnet18",
    "shake_shake": "shake_shake26_2x32d_cifar",
    "swin": "swin_t",
    "t2t_vit": "t2t_vit_14",
    "transformer": "transformer_base",
    "unet": "unet",
    "vgg": "vgg11",
    "vit": "vit_ti16",
    "xception": "xception",
}
"""A network of each family of `specs/families`."""


def free_or_small(name: str) -> Graph:
    """A shipped network with free sizes, where it can be read so, or at the smallest resolution of a few."""
    graph = shipped(name)
    if not graph.is_sized:
        return graph
    try:
        return archspec.read(name, free=True)
    except SpecError:  # position tables, connected layers on maps
        return small(name)


def filled(module: nn.Module) -> nn.Module:
    """The module with no weight left at 0, as many first ones are, which would hide what is wrong behind it."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.02, generator=generator)
    return module


def network(graph: Graph, *, flat: bool = False) -> Any:
    """A network in eval mode with weights that are not 0."""
    return filled(archspec.load(graph, seed=0, flat=flat)).eval()


def batches(graph: Graph, net: Any) -> list[list[Tensor]]:
    """Random inputs of two samples, one and three, at other sizes each where these are free."""
    sizes: dict[str, int] = {}
    least = examples(net)
    found = []
    for samples, more in ((2, 0), (1, 1), (3, 5)):
        batch = []
        for given, example in zip(graph.inputs, least, strict=True):
            shape = [samples]
            for size, side in zip(given.type.shape, example.shape[1:], strict=True):
                if isinstance(size, Free):
                    (name,) = size.names
                    start = next(n for n in range(1, side + 1) if size.substitute({name: n}) == side)
                    number = sizes.setdefault(
                        f"{name} {samples}", start + more + 2 * (len(batch) + len(shape)) * (more > 0)
                    )
                    shape.append(size.substitute({name: number}))
                else:
                    shape.append(size)
            batch.append(
                torch.randint(2, shape) if given.type.dtype.startswith("i") else torch.randn(shape)  # type: ignore[arg-type]
            )
        found.append(batch)
    return found


Run = Callable[[Sequence[Tensor]], Iterable[Tensor]]


def by_onnx(path: Path) -> Run:
    """What onnxruntime computes with a file."""
    session = onnxruntime.InferenceSession(path)

    def run(batch: Sequence[Tensor]) -> list[Tensor]:
        given = {value.name: x.numpy() for value, x in zip(session.get_inputs(), batch, strict=True)}
        return list(map(torch.tensor, session.run(None, given)))

    return run


def by_program(path: Path) -> Run:
    """What a program of `torch.export` computes."""
    module = torch.export.load(path).module()
    return lambda batch: outputs(module(*batch))


@torch.no_grad()
def difference(net: Any, run: Run, tried: Iterable[Sequence[Tensor]]) -> float:
    """The largest difference of what is computed, relative to the largest number of an output. Shapes must be equal."""
    worst = 0.0
    for batch in tried:
        for ours, theirs in zip(outputs(net(*batch)), run(batch), strict=True):
            assert ours.shape == theirs.shape and ours.abs().max() > 0
            worst = max(worst, float((ours - theirs).abs().max() / ours.abs().max()))
    return worst


FORMATS = {"onnx": (save_onnx, by_onnx, True), "pt2": (save_program, by_program, False)}
"""What writes each format, what runs it, and whether it takes flat networks."""


def compared(graph: Graph, format: str, folder: Path) -> float:
    """How far apart a network and its export are, for batches of several sizes and free sizes."""
    save, run, flat = FORMATS[format]
    net, path = network(graph, flat=flat), folder / f"{graph.name}.{format}"
    save(net, path)
    return difference(net, run(path), batches(graph, net))


def main(names: Sequence[str]) -> None:
    """Print a table of networks."""
    torch.manual_seed(0)
    print(f"{'network':<28} {'free sizes':<12} {'onnx':>9} {'pt2':>9} {'seconds':>8}")
    for name in names or FAMILIES.values():
        started, graph = time.perf_counter(), free_or_small(name)
        free = sorted(
            {
                n
                for given in graph.inputs
                for size in given.type.shape
                if isinstance(size, Free)
                for n in size.names
            }
        )
        found, notes = [], []
        for format in FORMATS:
            try:
                with TemporaryDirectory() as folder:
                    found.append(f"{compared(graph, format, Path(folder)):.1e}")
            except Exception as error:
                found.append("fails")
                notes.append(f"    {format}: {type(error).__name__}: {str(error)[:400]}")
        seconds = time.perf_counter() - started
        print(f"{name:<28} {', '.join(free) or '-':<12} {found[0]:>9} {found[1]:>9} {seconds:>8.0f}")
        print(*notes, sep="\n", end="\n" if notes else "", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
