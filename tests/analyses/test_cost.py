"""What networks cost, against torch's and fvcore's counters, papers' figures and counts by hand."""

import csv
import io
import json
import os
import subprocess
import sys
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import pytest
from nets import each_kind_of_network, sized, small

import archspec
from archspec.analyses.cost import Counts, macs, network_cost, node_costs, total, weights_only
from archspec.analyses.formatting import percent, short, short_bytes, short_seconds
from archspec.analyses.hierarchy import Folding, Part, hierarchy
from archspec.analyses.paths import depth, path_count, path_lengths
from archspec.analyses.quantities import SUMMED
from archspec.analyses.roofline import DEVICES, estimated_seconds
from archspec.backends.torch_counts import compare
from archspec.cli import invoke
from archspec.ground.errors import Mistake, SpecError
from archspec.op import Op
from archspec.ops.pooling import GlobalAvgPool
from archspec.ops.resample import Upsample

# ---------------------------------------------------------------- second opinions


@each_kind_of_network
def test_multiply_adds_are_torchs_and_fvcore_differs_for_known_reasons(name: str) -> None:
    graph = sized(name)
    # fvcore runs each op on the CPU. That torch counts the same of the whole, test_specs holds at full size.
    if archspec.cost(graph).total.macs > 20_000_000_000:
        graph = small(name)
    found = compare(graph)
    assert archspec.cost(graph).total.macs == found.torch_macs
    assert archspec.cost(graph).total.params == found.torch_params
    for opinion in found.opinions:
        assert opinion.macs == opinion.torch_macs
        extra = opinion.fvcore - opinion.macs
        match opinion.op:
            case "BatchNorm" | "LayerNorm" | "GroupNorm":  # 2 a value, or up to 5
                values = sum(n.types[0].values for n in graph.nodes if type(n.op).__name__ == opinion.op)
                assert extra in (2 * values, 5 * values)
            case "AdaptiveAvgPool":  # one sum a value, where torch averages to more than one place
                values = sum(n.types[0].values for n in graph.nodes if type(n.op).__name__ == opinion.op)
                assert extra in (0, values)
            case "GlobalAvgPool":  # one sum a value of the input, where it keeps the axes
                kept = (n for n in graph.nodes if isinstance(n.op, GlobalAvgPool) and n.op.keep)
                assert extra == sum(graph.input_types(n)[0].values for n in kept)
            case "Upsample":  # 4 taps for each value, and 1 for the nearest
                taps = [
                    n.types[0].values * (1 if n.op.mode == "nearest" else 4)
                    for n in graph.nodes
                    if isinstance(n.op, Upsample)
                ]
                assert extra == sum(taps)
            case "Einsum":  # and a few for putting the result together
                assert 0 <= extra < 0.001 * opinion.macs
            case "MultiheadAttention":  # it sees the linear maps only
                assert extra < 0 and "aten::scaled_dot_product_attention" in opinion.left_out
            case "Attention":
                assert opinion.fvcore == 0
                assert "aten::scaled_dot_product_attention" in opinion.left_out
            case "DeformConv":  # it sees the matrix product and the sampling of four pixels
                assert 0 < extra < 0.02 * opinion.macs
            case _:
                assert extra == 0


# ---------------------------------------------------------------- sums


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "swin_t", "nasnet_a_large", ""])
def test_the_parts_of_a_network_cost_what_the_whole_does(name: str) -> None:
    graph = archspec.read(name) if name else shared_in_blocks()
    counts = Counts(graph)
    for fold in (True, False):
        parts = hierarchy(counts, folding=Folding(repeats=fold))
        assert total(part.cost for part in parts) == network_cost(graph)

    def consistent(part: Part) -> bool:
        one = total(inner.cost for inner in part.parts)
        times = all(getattr(part.cost, q.key) == part.count * getattr(one, q.key) for q in SUMMED)
        return not part.parts or (times and all(map(consistent, part.parts)))

    assert all(consistent(part) for part in hierarchy(counts))


def test_what_repeats_is_folded_and_what_differs_is_not() -> None:
    graph = archspec.read("resnet50")
    stages = {part.label: part for part in hierarchy(Counts(graph))}
    assert [(p.label, p.count) for p in stages["layer3"].parts] == [("0", 1), ("1-5", 5)]
    assert {p.kind for p in stages["layer3"].parts} == {"Bottleneck"}


def test_blocks_of_the_same_ops_that_are_connected_otherwise_are_not_folded() -> None:
    graph = archspec.read_text("""
block Odd(swap: bool):
    input x: [C]
    y = x -> Linear(C)
    a, b = (y, x) if swap else (x, y)
    return a - b

model Net:
    input x: [4]
    return x -> [Odd(true), Odd(true), Odd(false)]
""")
    assert [(part.label, part.count) for part in hierarchy(Counts(graph))] == [("0-1", 2), ("2", 1)]


def test_batch_and_dtype_scale_what_they_should() -> None:
    graph = archspec.read("resnet18")
    once, many = network_cost(graph), network_cost(graph, batch=16, dtype="bf16")
    assert (many.params, many.macs, many.flops) == (once.params, 16 * once.macs, 16 * once.flops)
    assert many.activations == 8 * once.activations
    # Counters of batches are whole numbers, which no dtype changes.
    assert many.weight_bytes == (once.weight_bytes - 20 * 8) // 2 + 20 * 8
    assert archspec.cost(graph, dtype="bf16").weight_bytes == {"bf16": many.weight_bytes - 160, "i64": 160}


def test_weights_shared_by_several_steps_count_once() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [8]
    shared twice = Linear(8)
    return x -> twice -> twice
""")
    cost = network_cost(graph)
    assert (cost.params, cost.macs) == (72, 128)
    assert cost.moved == 2 * (72 + 8 + 8) * 4  # but they are read twice


def shared_in_blocks() -> archspec.Graph:
    """Shared layers that are handed to blocks, used first there, and blocks themselves."""
    return archspec.read(Path(__file__).parents[1] / "graph/format_1/shared.arch")


def test_what_functions_cost_adds_up_to_what_nodes_cost() -> None:
    for graph in (shared_in_blocks(), residual(5), archspec.read("densenet121")):
        counts = Counts(graph, batch=3, dtype="bf16")
        assert counts.functions[-1] == total(counts.nodes.values())
        assert counts.weights[-1] == total(weights_only(graph, "bf16").values())
        assert total(counts.each) == counts.passes[-1]


BLOCKS = "".join(
    f"\nblock B{i}:\n    input x: [C]\n    return x -> 10 * [{f'B{i - 1}' if i else 'Layer'}]\n"
    for i in range(13)
)
TOWER = f"""
block Layer:
    input x: [C]
    return x -> Linear(C) -> ReLU
{BLOCKS}
model Tower:
    input x: [4]
    return x -> B12

claims Tower "by hand":
    params 200T
    macs 160T
    depth 10T
    output [4]
"""


def test_a_network_of_twenty_trillion_nodes_is_counted_by_its_functions() -> None:
    graph = archspec.read_text(TOWER)
    summary = archspec.cost(graph, batch=2)
    assert graph.sizes[-1] == 2 * 10**13
    assert summary.total.params == summary.of_weights.params == graph.parameters == 20 * 10**13
    assert summary.total.macs == 2 * 16 * 10**13
    assert macs(graph) == 16 * 10**13
    assert summary.weight_bytes == {"f32": 80 * 10**13}
    assert summary.seconds(DEVICES["h100"]) > 0
    assert depth(graph) == 10**13
    assert path_count(graph) == 1
    assert "flat" not in vars(graph)
    with pytest.raises(SpecError, match="too many to count"):
        path_lengths(graph)


def test_a_network_of_twenty_trillion_nodes_is_checked_with_its_claims(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "tower.arch"
    spec.write_text(TOWER)
    assert invoke(["check", str(spec)]) == 0
    counted = "20,000,000,000,000 nodes, 200,000,000,000,000 parameters, 4 claims"
    assert counted in capsys.readouterr().out
    spec.write_text(TOWER.replace("depth 10T", "depth 11T"))
    assert invoke(["check", str(spec)]) == 1
    assert "measured 10,000,000,000,000" in capsys.readouterr().err


def test_a_free_size_is_a_mistake_not_a_guess() -> None:
    graph = archspec.read_text("model Net:\n    input x: [free S, 4]\n    return x -> Linear(2)\n")
    with pytest.raises(Mistake, match="S is free"):
        network_cost(graph)


def test_an_op_without_a_rule_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="define `flops`"):
        type("Silent", (Op,), {"__module__": __name__})
    assert "Silent" not in Op.known


# ---------------------------------------------------------------- paths and depth


def residual(blocks: int) -> archspec.Graph:
    return archspec.read_text(
        """
block Residual:
    input x: [C]
    return x + (x -> Linear(C) -> ReLU -> Linear(C))

model Net(blocks: int):
    input x: [4]
    return x -> Linear(4) -> blocks * [Residual]
""",
        blocks=blocks,
    )


@pytest.mark.parametrize("blocks", [1, 7, 54])
def test_a_residual_net_is_a_sum_over_2_to_the_n_paths(blocks: int) -> None:
    graph = residual(blocks)
    assert path_count(graph) == 2**blocks
    assert path_lengths(graph) == {1 + 2 * k: comb(blocks, k) for k in range(blocks + 1)}
    assert depth(graph) == 1 + 2 * blocks


def test_paths_stay_exact_when_there_are_more_than_numbers_hold() -> None:
    graph = residual(1500)
    assert path_count(graph) == 2**1500
    assert path_lengths(graph)[1 + 2 * 750] == comb(1500, 750)


def test_paths_of_thousands_of_blocks_are_counted() -> None:
    """With Python's integers, the product of numbers of so many digits would take a minute."""
    lengths = path_lengths(residual(3_000))
    assert lengths[1 + 2 * 1500] == comb(3_000, 1_500)
    assert sum(lengths.values()) == 2**3_000


def test_what_is_too_much_to_count_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("archspec.analyses.paths.MOST_DIGITS", 100)
    figures = archspec.cost(residual(20)).figures()
    assert figures["paths"] == 2**20
    assert "path_lengths" not in figures
    monkeypatch.setattr("archspec.analyses.paths.MOST_BITS", 10)
    assert "paths" not in archspec.cost(residual(20)).figures()
    for arguments in (["lenet5"], ["resnet50"], ["resnet50", "resnet18"], ["resnet50", "--format", "json"]):
        assert invoke(["cost", *arguments]) == 0
    assert "50 weighted layers; too many paths to count from input to output" in capsys.readouterr().out


def test_paths_go_through_blocks_of_several_inputs_and_outputs() -> None:
    """Of `a` and `b` comes `a` and `a + b`, so that what leads to each is what leads to the two before."""
    graph = archspec.read_text("""
block Swap:
    input a: [C]
    input b: [C]
    return b -> Linear(C), a + b

model Net:
    input a: [4]
    input b: [4]
    x, y = (a, b) -> 10 * [Swap]
    return x + y
""")
    ways: list[dict[int, int]] = [{0: 1}, {0: 1}]
    for _ in range(10):
        left, right = ways
        ways = [
            {length + 1: count for length, count in right.items()},
            {k: left.get(k, 0) + right.get(k, 0) for k in left.keys() | right.keys()},
        ]
    left, right = ways
    lengths = {k: left.get(k, 0) + right.get(k, 0) for k in sorted(left.keys() | right.keys())}
    assert path_lengths(graph) == lengths
    assert path_count(graph) == sum(lengths.values())
    assert depth(graph) == max(lengths)


def test_every_edge_is_a_way_and_dead_ends_are_none() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [4]
    unused = x + x + x + x
    y = x + x
    return concat(y, y, x)
""")
    assert path_count(graph) == 5


@pytest.mark.parametrize(
    ("name", "layers"), [("resnet18", 18), ("resnet50", 50), ("densenet121", 121), ("googlenet", 22)]
)
def test_depth_is_what_names_and_papers_say(name: str, layers: int) -> None:
    assert depth(archspec.read(name)) == layers


# ---------------------------------------------------------------- time


def test_each_node_takes_as_long_as_the_slower_of_arithmetic_and_traffic() -> None:
    graph = archspec.read_text(
        "model Net:\n    input x: [1000]\n    return x -> Linear(1000, bias=false) -> ReLU\n"
    )
    costs = list(node_costs(graph, batch=10**6).values())
    device = DEVICES["a100"]
    arithmetic = 2 * 10**12 / 19.5e12  # the matrix product is bound by its arithmetic
    traffic = 2 * 4 * 10**9 / 2.039e12  # the activation by what it reads and writes
    assert estimated_seconds(costs, device) == pytest.approx(arithmetic + traffic)


def test_devices_know_all_floating_dtypes_and_where_their_rates_come_from() -> None:
    for device in DEVICES.values():
        assert set(device.flops) == {"f64", "f32", "f16", "bf16"}
        assert device.source


# ---------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.000K"), (25_557_032, "25.56M"), (4_089_184_256, "4.089G"),
     (148_800_000_000, "148.8G"), (2**60, "1.153e+18"), (10**400, "1.00e+400")],
)  # fmt: skip
def test_numbers_print_with_four_digits(number: int, shown: str) -> None:
    assert short(number) == shown


def test_sizes_times_and_shares_print_with_their_units() -> None:
    assert [short_bytes(n) for n in (0, 1023, 1024, 102_400_000)] == ["0 B", "1023 B", "1.0 KiB", "97.7 MiB"]
    assert [short_seconds(s) for s in (2.5, 0.00341, 7e-5, 3e-8)] == ["2.5 s", "3.41 ms", "70 us", "30 ns"]
    assert [percent(1, 8), percent(1, 0)] == ["12.5%", ""]


# ---------------------------------------------------------------- the command


def command(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "archspec", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "110"},
    )


def test_json_has_the_totals_and_the_rows() -> None:
    printed = json.loads(command("cost", "resnet18", "--format", "json", "--device", "h100").stdout)
    assert printed["model"] == "ResNet18"
    assert printed["total"]["params"] == 11_689_512
    assert printed["total"]["macs"] == 1_814_073_344
    assert printed["total"]["flops"] > 2 * printed["total"]["macs"]
    assert printed["total"]["estimated_seconds"] > 0
    top = [row for row in printed["rows"] if row["level"] == 0]
    assert sum(row["macs"] for row in top) == printed["total"]["macs"]


@pytest.mark.parametrize("by", ["tree", "stage", "op", "node"])
def test_every_cut_adds_up_to_the_same_totals(by: str) -> None:
    printed = json.loads(command("cost", "swin_t", "--by", by, "--format", "json").stdout)
    for quantity in ("params", "macs", "flops", "activations"):
        rows = [row for row in printed["rows"] if row["level"] == 0]
        assert sum(row[quantity] for row in rows) == printed["total"][quantity]


def test_nodes_say_what_they_see() -> None:
    printed = json.loads(command("cost", "resnet18", "--by", "node", "--format", "json").stdout)
    seen = {row["name"]: row["receptive_field"]["image"][0] for row in printed["rows"]}
    assert seen["max_pool"] == {"smallest": 11, "largest": 11, "whole": False, "stride": 4.0, "padding": 5}
    assert seen["layer1.0.add"]["smallest"] == 11  # through the shortcut
    assert seen["layer1.0.add"]["largest"] == 11 + 2 * 2 * 4
    assert seen["fc"]["whole"]
    lengths = {int(length): count for length, count in printed["total"]["path_lengths"].items()}
    assert sum(lengths.values()) == printed["total"]["paths"] == 2**8


def test_rows_by_block_count_each_block_with_what_is_in_it() -> None:
    printed = json.loads(command("cost", "efficientnet_b0", "--by", "block", "--format", "json").stdout)
    rows = {row["name"]: row for row in printed["rows"]}
    assert rows["SqueezeExcite"]["count"] == 16
    assert rows["MBConv"]["macs"] > rows["SqueezeExcite"]["macs"] > 0


def test_sorting_puts_the_most_expensive_first() -> None:
    printed = json.loads(
        command("cost", "resnet18", "--by", "node", "--sort", "macs", "--format", "json").stdout
    )
    counts = [row["macs"] for row in printed["rows"]]
    assert counts == sorted(counts, reverse=True)


def test_csv_and_markdown_hold_the_same_rows() -> None:
    as_csv = list(csv.DictReader(io.StringIO(command("cost", "resnet18", "--format", "csv").stdout)))
    as_json = json.loads(command("cost", "resnet18", "--format", "json").stdout)["rows"]
    assert [row["name"] for row in as_csv] == [row["name"] for row in as_json]
    assert [int(row["macs"]) for row in as_csv] == [row["macs"] for row in as_json]
    markdown = command("cost", "resnet18", "--format", "markdown").stdout.splitlines()
    assert len(markdown) == len(as_json) + 3  # headings, rule, total
    assert all(line.startswith("| ") and line.endswith(" |") for line in markdown)


def test_several_specs_stand_side_by_side() -> None:
    printed = json.loads(command("cost", "efficientnet_b0", "efficientnet_b3", "--format", "json").stdout)
    assert [row["total"]["params"] for row in printed] == [5_288_548, 12_233_232]


@pytest.mark.slow
def test_ranges_give_a_row_for_each_value_and_a_plot(tmp_path: Path) -> None:
    at = "resolution=224:320:32,batch=4"
    done = command(
        "cost", "efficientnet_b0", "--at", at, "--format", "json", "--plot", "grow.svg", folder=tmp_path
    )
    rows = json.loads(done.stdout)
    assert [row["at"] for row in rows] == [{"resolution": r, "batch": 4} for r in (224, 256, 288, 320)]
    assert rows[0]["total"]["macs"] == 4 * 385_814_752
    first = (tmp_path / "grow.svg").read_bytes()
    assert b"resolution" in first
    command("cost", "efficientnet_b0", "--at", at, "--plot", "grow.svg", folder=tmp_path)
    assert (tmp_path / "grow.svg").read_bytes() == first


def test_convolutions_grow_with_the_square_of_the_resolution() -> None:
    small, large = (archspec.cost(archspec.read("resnet50", resolution=r)).nodes["conv1"] for r in (224, 448))
    assert Fraction(large.macs, small.macs) == 4
    assert large.params == small.params


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--at", "resolution"], "is not NAME=VALUE"),
        (["--at", "resolution=320:224"], "is an empty range"),
        (["--at", "resolution=1:100000:1"], "the limit is 1,000"),
        (["--at", "batch=0"], "a batch must be a positive integer"),
        (["--at", "batch=1,batch=2"], "given twice"),
        (["--at", "resolution=[1"], "in `resolution=[1`"),
        (["--plot", "x.svg"], "only one point"),
        (["--device", "h100x"], "there is no device"),
        (["--dtype", "i8"], "is not a floating-point dtype"),
        (["--dtype", "f31"], "there is no dtype"),
        (["--batch", "0"], "batch"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], says: str) -> None:
    done = command("cost", "resnet18", *arguments)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_what_is_not_a_parameter_of_the_model_is_a_mistake_of_the_spec() -> None:
    done = command("cost", "resnet18", "--at", "resolutoin=64")
    assert done.returncode == 1
    assert "resolution" in done.stderr
    assert "Traceback" not in done.stderr


def test_costs_of_free_sizes_are_formulas(tmp_path: Path) -> None:
    (tmp_path / "free.arch").write_text("model Net:\n    input x: [free S, 4]\n    return x -> Linear(2)\n")
    done = command("cost", "free.arch", folder=tmp_path)
    assert done.returncode == 0
    assert "multiply-adds  8 * S\n" in done.stdout
    assert "FLOPs          18 * S\n" in done.stdout
    assert '"macs": "8 * S"' in command("cost", "free.arch", "--format", "json", folder=tmp_path).stdout
    assert "multiply-adds    80;" in command("cost", "free.arch", "--set", "S=10", folder=tmp_path).stdout
    idle = command("cost", "free.arch", "--by", "op", folder=tmp_path)
    assert idle.returncode == 2 and "no effect" in idle.stderr
    assert command("cost", "free.arch", "--format", "csv", folder=tmp_path).returncode == 2


def test_a_plot_in_another_format_is_refused(tmp_path: Path) -> None:
    done = command("cost", "resnet18", "--at", "batch=1:2", "--plot", "x.gif", folder=tmp_path)
    assert done.returncode == 1
    assert ".svg, .png or .pdf" in done.stderr


@pytest.mark.slow
def test_verify_prints_three_counts() -> None:
    done = command("cost", "resnet18", "--verify", "--format", "json")
    printed = json.loads(done.stdout)
    assert done.returncode == 0
    assert printed["macs"] == printed["torch_macs"] == 1_814_073_344
    assert printed["params"] == printed["torch_params"]
    assert printed["fvcore"] == 1_814_073_344 + 4_967_424  # its batch norms


@pytest.mark.parametrize("arguments", [["cost", "resnet18"], ["claims", "resnet18"]])
def test_torch_stays_out(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom archspec.cli import main\n"
        f"sys.argv = ['archspec', *{arguments}]\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AssertionError" not in done.stderr
    assert done.returncode == 0


# ---------------------------------------------------------------- claims

CLAIMED = """
model Net:
    input x: [3, 8, 8]
    return x -> Conv(4)

claims Net "by hand":
    params 16
    flops {flops}
    params {params}
"""


def verdicts(tmp_path: Path, flops: str, params: str) -> list[Any]:
    (tmp_path / "net.arch").write_text(CLAIMED.format(flops=flops, params=params))
    return archspec.claims(tmp_path / "net.arch")[0][1]


def test_a_known_difference_holds_as_long_as_it_is_the_one_written_down(tmp_path: Path) -> None:
    # 3 x 4 weights on 8 x 8 places, and a bias for each of the 4 x 8 x 8 values.
    flops = str(2 * 12 * 64 + 256)
    found = verdicts(tmp_path, flops, '12 but 16 "without biases"')
    assert [verdict.finding for verdict in found] == ["printed", "printed", "differs"]
    archspec.check(tmp_path / "net.arch")
    assert verdicts(tmp_path, flops, '12 but 15 "no"')[-1].finding == "wrong"
    gone = verdicts(tmp_path, flops, '16 but 15 "no"')[-1]
    assert gone.finding == "wrong"
    assert "leave out" in gone.mend
    with pytest.raises(archspec.SpecError, match="the published figure holds"):
        archspec.check(tmp_path / "net.arch")


def test_the_command_prints_claims_and_fails_when_one_is_wrong(tmp_path: Path) -> None:
    verdicts(tmp_path, "1_792", "17")
    done = command("claims", "net.arch", "--format", "json", folder=tmp_path)
    assert done.returncode == 1
    assert [row["verdict"] for row in json.loads(done.stdout)] == ["printed", "printed", "wrong"]
    shown = command("claims", "resnet50")
    assert shown.returncode == 0
    assert "known difference" in shown.stdout
