"""Swin's blocks against dense attention over the whole map, in which each two places are asked whether they see each other."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import archspec
from archspec.ground.errors import SpecError

HEADS, WIDTH = 2, 8


def block(height: int, width: int, window: tuple[int, int], shifted: bool, borders: str) -> archspec.Graph:
    return archspec.read_text(
        f"from families.swin import SwinBlock\n\nmodel Net:\n    input x: [{height}, {width}, {WIDTH}]\n"
        f'    return x -> part: SwinBlock({HEADS}, {list(window)}, {str(shifted).lower()}, "{borders}")\n'
    )


def seen(size: int, window: int, shifted: bool, borders: str) -> tuple[int, list[int], list[int], list[int]]:
    """Along one axis: the window's size, and for each place of the padded map its window, its side of the seam, its place in the window.

    The seam is where a shifted map, which goes round, has its start behind its end.
    """
    shift = window // 2 if shifted and size > window else 0
    window = window if borders == "torchvision" else min(window, size)
    whole = -(-size // window) * window
    period = (
        whole if borders == "torchvision" else size
    )  # of what goes round: zeros come before the shift, or after it
    moved = [(i - shift) % period if i < period else i for i in range(whole)]
    return window, [i // window for i in moved], [int(i >= whole - shift) for i in moved], moved


def dense(
    x: Tensor, weights: dict[str, Tensor], window: tuple[int, int], shifted: bool, borders: str
) -> Tensor:
    """What a block makes of a map [H, W, C]: attention of each place to all, but for those that it does not see."""
    axes = [seen(size, side, shifted, borders) for size, side in zip(x.shape[:2], window, strict=True)]
    (m, *rows), (n, *columns) = axes
    places = list(product(range(len(rows[0])), range(len(columns[0]))))
    zeros = (0, 0, 0, len(columns[0]) - x.shape[1], 0, len(rows[0]) - x.shape[0])
    normed = functional.layer_norm(x, (WIDTH,), weights["norm1.weight"], weights["norm1.bias"])
    tokens = functional.pad(normed, zeros).flatten(0, 1)
    count = len(places)
    sees, row = torch.zeros(count, count, dtype=torch.bool), torch.zeros(count, count, dtype=torch.int64)
    for (a, (i, j)), (b, (k, o)) in product(enumerate(places), repeat=2):
        sees[a, b] = all(rows[part][i] == rows[part][k] for part in (0, 1)) and all(
            columns[part][j] == columns[part][o] for part in (0, 1)
        )
        if sees[a, b]:
            down, right = rows[2][i] - rows[2][k], columns[2][j] - columns[2][o]
            row[a, b] = (down + m - 1) * (2 * n - 1) + right + n - 1
    q, k_, v = functional.linear(tokens, weights["attn.qkv.weight"], weights["attn.qkv.bias"]).chunk(3, -1)
    found = []
    for head in range(HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        scores = q[:, part] @ k_[:, part].T / (WIDTH // HEADS) ** 0.5
        scores = scores + weights["attn.relative_position_bias_table"][row, head]
        found.append(scores.masked_fill(~sees, float("-inf")).softmax(-1) @ v[:, part])
    y = functional.linear(torch.cat(found, -1), weights["attn.proj.weight"], weights["attn.proj.bias"])
    y = x + y.unflatten(0, (len(rows[0]), len(columns[0])))[: x.shape[0], : x.shape[1]]
    z = functional.layer_norm(y, (WIDTH,), weights["norm2.weight"], weights["norm2.bias"])
    z = functional.gelu(functional.linear(z, weights["mlp.fc1.weight"], weights["mlp.fc1.bias"]))
    return y + functional.linear(z, weights["mlp.fc2.weight"], weights["mlp.fc2.bias"])


@pytest.mark.parametrize("borders", ["torchvision", "timm"])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(
    ("height", "width", "window"),
    [
        (8, 8, (4, 4)),  # windows divide the map
        (9, 11, (4, 4)),
        (10, 8, (3, 4)),
        (4, 9, (4, 4)),  # one window covers an axis
        (3, 9, (4, 4)),  # and more than an axis
        (3, 2, (4, 4)),
        (7, 5, (2, 5)),
        (1, 6, (5, 3)),
    ],
)
def test_a_block_is_dense_attention_between_what_sees_each_other(
    height: int, width: int, window: tuple[int, int], shifted: bool, borders: str
) -> None:
    module = archspec.load(block(height, width, window, shifted, borders), seed=0).double().eval()
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        for name, tensor in module.state_dict().items()
    }
    module.load_state_dict(weights)
    x = torch.randn(height, width, WIDTH, generator=generator, dtype=torch.float64)
    own = {name.removeprefix("part."): tensor for name, tensor in weights.items()}
    torch.testing.assert_close(module(x[None])[0], dense(x, own, window, shifted, borders))


def test_the_two_differ_where_windows_do_not_divide_a_shifted_map() -> None:
    """So a test of one cannot pass with the other."""
    x = torch.randn(1, 9, 11, WIDTH, generator=torch.Generator().manual_seed(0))
    nets = [archspec.load(block(9, 11, (4, 4), True, borders), seed=0) for borders in ("torchvision", "timm")]
    nets[1].load_state_dict(nets[0].state_dict())
    assert (nets[0](x) - nets[1](x)).abs().max() > 1e-4


SMALL = {"dim": 8, "layers": [2, 2, 2, 2], "heads": [1, 1, 2, 2], "classes": 3}


def test_windows_that_keep_their_size_take_weights_at_any_resolution() -> None:
    usual = archspec.load("swin_t", settings=SMALL, seed=0)
    for resolution in ([96, 160], [256, 256]):
        net = archspec.load("swin_t", settings={**SMALL, "resolution": resolution})
        net.load_state_dict(usual.state_dict())
        assert net(torch.zeros(1, 3, *resolution)).shape == (1, 3)


def test_windows_that_shrink_to_a_map_have_tables_of_its_size() -> None:
    graph = archspec.read("swin_t", settings={**SMALL, "resolution": [96, 160], "borders": "timm"})
    shapes = [
        graph.weights[f"layers.{i}.blocks.0.attn.relative_position_bias_table"].shape[0] for i in range(4)
    ]
    assert shapes == [13 * 13, 13 * 13, 11 * 13, 5 * 9]


def test_other_borders_are_refused() -> None:
    with pytest.raises(SpecError, match="borders"):
        archspec.read("swin_t", borders="keras")
