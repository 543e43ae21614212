"""Weights of one resolution for a network of another."""

import pytest
import torch

import archspec
from archspec.errors import SpecError


def resized(name: str, weights: dict[str, torch.Tensor], **settings: object) -> dict[str, torch.Tensor]:
    graph = archspec.read(name, **settings)
    found = archspec.resize_positions(weights, graph)
    archspec.load(graph, seed=1).load_state_dict(found)
    return found


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vit_ti16", {"resolution": 384}),
        ("vit_ti16", {"resolution": 160}),
        ("pit_ti", {"resolution": 288}),
        ("swin_t", {"resolution": 384, "window": 12}),
    ],
)
def test_other_resolutions_take_the_weights(name: str, settings: dict[str, int]) -> None:
    weights = archspec.load(name, seed=0).state_dict()
    found = resized(name, weights, **settings)
    changed = {key for key in weights if found[key].shape != weights[key].shape}
    assert changed
    assert all("pos" in key for key in changed)
    assert all(found[key] is weights[key] for key in weights if key not in changed)


def test_a_slope_stays_a_slope() -> None:
    """Between places values are interpolated, and the class token's are handed on."""
    weights = archspec.load("vit_ti16", seed=0).state_dict()
    places = torch.linspace(0, 1, 14)
    table = weights["pos_embed"]
    table[0, 1:, 0] = places.repeat_interleave(14)
    table[0, 0] = 7.0
    found = resized("vit_ti16", weights, resolution=448)["pos_embed"]
    grid = found[0, 1:, 0].view(28, 28)
    assert torch.equal(found[0, 0], table[0, 0])
    torch.testing.assert_close(grid[:, 0], grid[:, 27])
    steps = grid[3:-3, 0].diff()
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / 13 / 2), rtol=0.05, atol=0)


def test_the_same_resolution_changes_nothing() -> None:
    weights = archspec.load("swin_t", seed=0).state_dict()
    found = resized("swin_t", weights)
    assert all(found[key] is weights[key] for key in weights)


def test_what_is_no_table_of_positions_is_refused() -> None:
    weights = archspec.load("mixer_s16", seed=0).state_dict()
    with pytest.raises(
        SpecError, match=r"no tables of positions.*blocks.0.mlp_tokens.fc1.weight.*and 19 more"
    ):
        archspec.resize_positions(weights, archspec.read("mixer_s16", resolution=256))
