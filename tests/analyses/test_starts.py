"""How weights start, as `archspec show --init` prints it: held to what is drawn, and to what the spec says."""

import json
import math
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import torch

import archspec
from archspec.analyses.starts import starts
from archspec.op import initialisation as i
from archspec.op.initialisation import Initialiser

SHAPE = (64, 48, 5, 5)


def some(random: Random) -> list[Initialiser]:
    """An initialisation of each sort, with random arguments."""
    std, mean, low = random.uniform(0.01, 2), random.uniform(-1, 1), random.uniform(-2, 0)
    mode = random.choice(["fan_in", "fan_out"])
    numbers = tuple(random.gauss(0, 1) for _ in range(math.prod(SHAPE)))
    parts = tuple(tuple(random.gauss(0, 1) for _ in range(size)) for size in SHAPE)
    return [
        i.zeros(),
        i.ones(),
        i.constant(value=mean),
        i.values(listed=numbers),
        i.outer_sum(parts=parts),
        i.uniform(low=low, high=low + std),
        i.normal(std=std, mean=mean),
        i.trunc_normal(std=std, mean=mean, low=mean - random.uniform(0, 3), high=mean + random.uniform(0.1, 3)),
        i.trunc_normal(std=0.02),
        i.trunc_normal(std=std, mean=0.0, low=std, high=2 * std),
        i.kaiming_uniform(a=std, mode=mode),
        i.kaiming_normal(a=std, mode=mode),
        i.xavier_uniform(gain=std),
        i.xavier_normal(gain=std),
        i.identity(groups=random.choice([1, 2, 4, 16]), std=std / 10),
        i.zero_row(init=i.normal(std=std, mean=mean), row=3),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_mean_and_deviation_are_those_of_what_is_drawn(seed: int) -> None:
    drawn = some(Random(seed))
    assert {type(init) for init in drawn} == set(Initialiser.known.values())
    for init in drawn:
        tensor = torch.empty(SHAPE, dtype=torch.float64)
        init.fill(tensor, torch.Generator().manual_seed(seed))
        mean, std = init.spread(SHAPE)
        # Five standard errors of a mean of as many values; a deviation has at most about the same here.
        error = 5 * max(std, 1e-12) / math.sqrt(tensor.numel())
        assert float(tensor.mean()) == pytest.approx(mean, abs=error), init
        assert float(tensor.std(correction=0)) == pytest.approx(std, abs=2 * error), init


TEXT = """
defaults:
    Conv(init=zeros)
    "fc.bias": 4

block Unit(out: int):
    input x: [C, H, W]
    return x -> conv: Conv(out, 3) -> norm: BatchNorm(init=ones)

model Net:
    input x: [3, 8, 8]
    weight scale: [] = 0.5
    constant shift: [] = 1
    shared twice = Conv(8)
    return x * scale + shift -> units: 3 * [Unit(3)] -> Conv(8) -> twice -> twice -> GlobalAvgPool -> fc: Linear(2)
"""


def test_each_weight_is_in_one_row_with_the_place_where_its_start_is_said() -> None:
    graph = archspec.read_text(TEXT)
    found = starts(graph)
    names = [name for start in found for name in start.names]
    trained = [name for name, weight in graph.weights.items() if weight.trainable]
    assert sorted(names) == sorted(trained)
    said = {
        start.name: (len(start.names), start.said, start.location.line if start.location else 0)
        for start in found
    }
    assert said == {
        "scale": (1, "at the step", 12),
        "units.*.conv.weight": (3, "in defaults", 3),
        "units.*.conv.bias": (3, "by the op", 0),
        "units.*.norm.weight": (3, "at the step", 8),
        "units.*.norm.bias": (3, "by the op", 0),
        "conv.weight": (1, "in defaults", 3),
        "conv.bias": (1, "by the op", 0),
        "twice.weight": (1, "in defaults", 3),
        "twice.bias": (1, "by the op", 0),
        "fc.weight": (1, "by the op", 0),
        "fc.bias": (1, "in defaults", 4),
    }
    bounds = {start.name: start.bounds for start in found}
    assert bounds["fc.weight"] == pytest.approx((-(8**-0.5), 8**-0.5)) and bounds["fc.bias"] is None


def test_show_prints_the_rows_as_text_and_json(tmp_path: Path) -> None:
    def shown(*arguments: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "archspec", "show", *arguments, "--init"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout

    (tmp_path / "net.arch").write_text(TEXT)
    rows = json.loads(shown("net.arch", "--format", "json"))
    assert [row["init"] for row in rows if row["names"] == ["fc.bias"]] == ["constant(value=4)"]
    lines = shown("net.arch").splitlines()
    (line,) = [line.split() for line in lines if "fc.bias" in line]
    assert line == ["fc.bias", "1", "2", "constant(value=4)", "4", "in", "defaults,", "net.arch:4:5"]
    shown("blocks.attention:SqueezeExcite", status=2)
