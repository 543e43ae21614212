"""Resized and cropped to the sizes of another tensor: by PyTorch's functions, at sizes that are known only at run time."""

from random import Random

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import archspec
from archspec import SpecError
from archspec.analyses.formulas import formula
from archspec.graph import Graph

AXES = {"nearest": (1, 2, 3), "linear": (1,), "bilinear": (2,), "bicubic": (2,), "trilinear": (3,)}
CASES = [
    (mode, axes, corners, antialias)
    for mode, counts in AXES.items()
    for axes in counts
    for corners in ((False,) if mode == "nearest" else (False, True))
    for antialias in ((False, True) if mode in ("bilinear", "bicubic") else (False,))
]
X, Y = "ABC", "DEF"


def graph_of(axes: int, layer: str) -> Graph:
    """A layer on `x`, whose sizes and those of `y` are free."""
    sizes = [", ".join(f"free {name}" for name in names[:axes]) for names in (X, Y)]
    graph = archspec.read_text(
        f"model Net:\n    input x: [3, {sizes[0]}]\n    input y: i64[2, {sizes[1]}]\n    return x -> {layer}\n"
    )
    assert Graph.from_json(graph.to_json()) == graph
    return graph


def tensors(draw: Random, axes: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    shapes = [[draw.randint(1, 13) for _ in range(axes)] for _ in range(2)]
    generator = torch.Generator().manual_seed(draw.randint(0, 999))
    return torch.randn(batch, 3, *shapes[0], generator=generator), torch.zeros(
        batch, 2, *shapes[1], dtype=torch.int64
    )


def resize(axes: int, mode: str, corners: bool, antialias: bool) -> archspec.Graph:
    settings = f'mode="{mode}"' + ", align_corners=true" * corners + ", antialias=true" * antialias
    return graph_of(axes, f"Upsample({settings}, like=y)")


@pytest.mark.parametrize(("mode", "axes", "corners", "antialias"), CASES)
def test_it_is_resized_as_pytorch_does(mode: str, axes: int, corners: bool, antialias: bool) -> None:
    net = archspec.load(resize(axes, mode, corners, antialias))
    draw = Random(f"{mode} {axes} {corners} {antialias}")
    for batch in (0, 1, 2, 2, 2, 2):
        x, y = tensors(draw, axes, batch)
        settings = {
            "size": y.shape[2:],
            "mode": mode,
            "align_corners": corners if mode != "nearest" else None,
            "antialias": antialias,
        }
        given, wanted = x.clone().requires_grad_(), x.clone().requires_grad_()
        found, expected = net(given, y), functional.interpolate(wanted, **settings)
        assert torch.equal(found, expected)
        by = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
        (found * by).sum().backward(), (expected * by).sum().backward()
        assert torch.equal(given.grad, wanted.grad)
        # In half precision, antialiasing runs in f32 on a CPU, which has no kernel for it.
        half = x.bfloat16()
        expected = functional.interpolate(half.float() if antialias else half, **settings).bfloat16()
        assert torch.equal(net.bfloat16()(half, y), expected)
        net.float()


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_it_is_cropped_to_the_centre(axes: int) -> None:
    draw = Random(axes)
    sizes, more = ", ".join(f"free {n}" for n in "DEF"[:axes]), ", ".join(f"{n} + 3" for n in "DEF"[:axes])
    graph = archspec.read_text(
        f"model Net:\n    input y: [2, {sizes}]\n    input x: [3, {more}]\n    return x -> Crop(like=y)\n"
    )
    assert Graph.from_json(graph.to_json()) == graph
    net = archspec.load(graph)
    for batch in (0, 1, 2):
        shape = [draw.randint(1, 9) for _ in range(axes)]
        y, x = torch.zeros(batch, 2, *shape), torch.randn(batch, 3, *(n + 3 for n in shape))
        assert torch.equal(net(y, x), x[(..., *(slice(1, 1 + n) for n in shape))])


@pytest.mark.parametrize("layer", ['Upsample(mode="bilinear", like=y)', "Upsample(like=y)"])
def test_it_is_exported_and_compiled_at_any_size(layer: str) -> None:
    net = archspec.load(graph_of(2, layer))
    draw = Random(3)
    shapes = tuple(archspec.dynamic_shapes(archspec.graph_of(net)).values())
    x, y = torch.randn(2, 3, 5, 6), torch.zeros(2, 2, 8, 7, dtype=torch.int64)
    exported = torch.export.export(net, (x, y), dynamic_shapes=shapes).module()
    torch._dynamo.reset()  # which compiles a code only so many times
    compiled = torch.compile(net, dynamic=True, backend="aot_eager", fullgraph=True)
    for _ in range(3):
        x, y = tensors(draw, 2)
        assert torch.allclose(exported(x, y), net(x, y), atol=1e-6)
        assert torch.allclose(compiled(x, y), net(x, y), atol=1e-6)


def test_a_crop_is_exported_at_any_size() -> None:
    net = archspec.load(
        archspec.read_text(
            "model Net:\n    input y: [2, free H, free W]\n    input x: [3, H + 2, W + 5]\n    return x -> Crop(like=y)\n"
        )
    )
    y, x = torch.zeros(2, 2, 5, 6), torch.randn(2, 3, 7, 11)
    shapes = tuple(archspec.dynamic_shapes(archspec.graph_of(net)).values())
    exported = torch.export.export(net, (y, x), dynamic_shapes=shapes).module()
    y, x = torch.zeros(3, 2, 4, 8), torch.randn(3, 3, 6, 13)
    assert torch.equal(exported(y, x), x[:, :, 1:5, 2:10])


def test_a_table_of_positions_follows_the_image() -> None:
    """Of weights alone, the result has no batch: it is computed once, whatever the batch."""
    text = (
        "model Net:\n    input image: [3, free H, free W]\n    weight table: [3, 4, 5] = normal\n"
        '    return image + (table -> Upsample(mode="bicubic", like=image))\n'
    )
    graph = archspec.read_text(text)
    (node,) = [node for node in graph.nodes if type(node.op).__name__ == "Upsample"]
    assert not node.types[0].batched and str(node.types[0]) == "f32[3, H, W]"
    known = archspec.read_text(text, settings={"H": 8, "W": 6})
    one, eight = (archspec.cost(known, batch=n).total.flops for n in (1, 8))
    assert eight - one == 7 * 3 * 8 * 6  # the sums alone
    for optimize in (None, "inference"):
        net = archspec.load(graph, seed=0, optimize=optimize)
        table = archspec.load(graph, seed=0).table
        for shape in ((2, 3, 7, 9), (0, 3, 4, 5), (3, 3, 2, 8)):
            x = torch.randn(shape)
            resized = functional.interpolate(table[None], size=shape[2:], mode="bicubic")
            torch.testing.assert_close(net(x), x + resized)


def test_costs_are_formulas() -> None:
    def flops(layer: str, x: str, y: str) -> str:
        graph = archspec.read_text(
            f"model Net:\n    input y: [1, {y}]\n    input x: [3, {x}]\n    return x -> {layer}\n"
        )
        return formula(graph, lambda known: archspec.cost(known).total.flops)

    one, smooth = "free A", 'Upsample(mode="linear", like=y)'
    assert flops("Upsample(like=y)", one, "free D") == "0"
    assert flops(smooth, one, "free D") == "9 * D"
    antialiased = 'Upsample(mode="bilinear", antialias=true, like=y)'
    assert flops(antialiased, "A, B", "free A, free B") == "21 * A * B"  # 2 taps along each axis
    assert flops(antialiased, "2 * A, B", "free A, free B") == "45 * A * B"  # 4 along the one that shrinks


def test_the_sizes_alone_are_taken() -> None:
    """Neither the dtype of `like` nor its gradient is, and no bytes of it are read."""
    graph = archspec.read_text(
        "model Net:\n    input x: [4, 6, 6]\n    y = x -> Conv(4, 3)\n    constant grid: [4, 5, 5] = 0.3\n"
        '    return (y -> Upsample(like=grid)), (y -> Upsample(mode="bilinear", like=x -> Cast("f32"))), x -> Crop(like=y)\n'
    )
    net = archspec.load(graph, dtype="bf16", seed=0)
    out = net(torch.randn(2, 4, 6, 6, dtype=torch.bfloat16))
    assert [x.dtype for x in out] == 3 * [torch.bfloat16] and not out[2].requires_grad


def test_a_net_of_known_sizes_takes_others() -> None:
    graph = archspec.read_text(
        "model Net:\n    input x: [3, 12, 12]\n    y = x -> conv: Conv(4, 3, stride=4)\n"
        '    return (y -> Upsample(mode="bilinear", like=x)), x -> Crop(like=y)\n'
    )
    assert [use.axis for use in graph.inputs[0].uses] == [0]
    net = archspec.load(graph, seed=0)
    x = torch.randn(2, 3, 9, 14)
    resized, cropped = net(x)
    torch.testing.assert_close(resized, functional.interpolate(net.conv(x), size=(9, 14), mode="bilinear"))
    height, width = net.conv(x).shape[2:]
    top, left = (9 - height) // 2, (14 - width) // 2
    assert torch.equal(cropped, x[:, :, top : top + height, left : left + width])


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("Upsample(like=y[0])", "`like` with 3 axes"),
        ("Upsample(scale=2, like=y)", "exactly one of `scale`, `size` and `like`"),
        ("Upsample", "exactly one of `scale`, `size` and `like`"),
        ("Upsample(size=[D, 3])", r"`Upsample\(like=y\)` takes the sizes of the tensor `y`"),
        ("Crop([D, 3])", r"`Crop\(like=y\)` takes the sizes"),
        ("Crop(like=y)", "cannot crop"),
        ("Crop(3, like=y)", "either a size or a tensor"),
        ("Crop", "either a size or a tensor"),
        ("Crop(like=y[0])", "`like` with 3 axes"),
    ],
)
def test_what_does_not_fit_is_refused(layer: str, said: str) -> None:
    layer = layer.replace("D,", "y.height,")
    with pytest.raises(SpecError, match=said):
        graph_of(2, layer)
