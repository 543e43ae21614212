"""Other people's tools on loaded networks: ONNX, quantisation, summaries, other processes."""

import io
import logging
import pickle
import warnings
from multiprocessing.reduction import ForkingPickler
from typing import Any

import onnxruntime
import pytest
import torch
import torchinfo
from exports import filled
from nets import batch_of, outputs, small
from torch import nn

import archspec


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "swin_t", "t2t_vit_14"])
def test_networks_are_exported_to_onnx_by_pytorch(name: str) -> None:
    module = filled(archspec.load(small(name), seed=0)).eval()
    batch = batch_of(archspec.graph_of(module), 2)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, tuple(batch), dynamo=True, verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    given = {value.name: x.numpy() for value, x in zip(session.get_inputs(), batch, strict=True)}
    with torch.no_grad():
        expected = outputs(module(*batch))
    for ours, theirs in zip(expected, session.run(None, given), strict=True):
        assert ours.abs().max() > 0
        torch.testing.assert_close(torch.tensor(theirs), ours, rtol=1e-3, atol=1e-4 * float(ours.abs().max()))


def test_a_summary_counts_what_the_spec_says() -> None:
    graph = archspec.read("resnet50")
    found = torchinfo.summary(archspec.load(graph), (1, 3, 64, 64), verbose=0)
    assert found.total_params == found.trainable_params == graph.parameters == 25_557_032


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("flat", [False, True])
def test_networks_are_quantised(flat: bool) -> None:
    from torch.ao.quantization import get_default_qconfig_mapping, quantize_dynamic
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    module, x = archspec.load("resnet18", seed=0, flat=flat).eval(), torch.randn(4, 3, 64, 64)
    expected = module(x)
    prepared = prepare_fx(module, get_default_qconfig_mapping("x86"), (x,))
    prepared(x)
    quantised = convert_fx(prepared)
    assert "torch.ops.quantized.add_relu" in quantised.code
    assert (quantised(x) - expected).abs().max() < 0.1 * expected.abs().max()
    vit, y = archspec.load("vit_ti16", seed=0, resolution=32, flat=flat).eval(), torch.randn(2, 3, 32, 32)
    small_one = quantize_dynamic(vit, {nn.Linear})
    assert (small_one(y) - vit(y)).abs().max() < 0.1 * vit(y).abs().max()


def squared(module: nn.Module, x: torch.Tensor, out: Any) -> None:
    out.put(float(module(x).square().sum()))


@pytest.mark.slow
def test_networks_go_to_other_processes() -> None:
    module, x = archspec.load("resnet18", seed=0, width=0.125, classes=5).eval(), torch.randn(1, 3, 32, 32)
    expected = float(module(x).square().sum())
    other = pickle.loads(ForkingPickler.dumps(module))
    assert float(other(x).square().sum()) == expected
    context = torch.multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=squared, args=(module, x, results))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert results.get() == pytest.approx(expected, rel=1e-5)


def test_a_pickle_holds_data_alone() -> None:
    """What it calls are functions of archspec and torch that rebuild; the text of the network is a graph, which is validated."""
    file = io.BytesIO()
    network = archspec.load("resnet18", seed=0, width=0.125)
    pickle.dump(network, file)
    data = file.getvalue()
    assert b"def forward" not in data and b'"functions"' in data
    broken = data.replace(b'"op":{"name":"ReLU"', b'"op":{"name":"NoLU"', 1)
    assert broken != data
    with pytest.raises(archspec.SpecError, match="NoLU"):
        pickle.loads(broken)


def test_hooks_of_state_dicts_see_all_keys() -> None:
    module = archspec.load("resnet18", seed=0, width=0.125)
    seen: list[set[str]] = []
    module._register_state_dict_hook(lambda _, state, prefix, __: seen.append(set(state)))
    module.register_load_state_dict_pre_hook(lambda _, state, *__: seen.append(set(state)))
    module.load_state_dict(module.state_dict())
    assert seen == [set(archspec.graph_of(module).weights)] * 2
