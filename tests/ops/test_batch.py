"""The samples of a batch as an axis: similarities of each with all, losses of a batch, as PyTorch computes them."""

import pytest
import torch
from torch.nn import functional

import archspec
from archspec import SpecError
from archspec.graph import Graph

CLIP = """
model Clip(width: int = 8):
    "Similarities of each image with all texts, and the loss of the pairs [Radford et al., 2021]."
    input image: [16]
    input text: [12]
    weight scale: [] = 2.66
    i = image -> visual: Linear(width) -> Normalize
    t = text -> textual: Linear(width) -> Normalize
    logits = (scale -> Exp) * (i -> Rearrange("d -> 1 d")) @ (t -> Batch -> Permute([1, 0]))
    shares = logits[0] -> LogSoftmax -> Batch
    return logits=logits[0], loss=shares -> Reduce("mean", [0, 1]), each=i
"""


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("optimize", [None, "inference"])
@pytest.mark.parametrize("samples", [1, 2, 7])
def test_each_sample_meets_all(flat: bool, optimize: str | None, samples: int) -> None:
    settings = {"optimize": optimize} if optimize else {"flat": flat}
    net = archspec.load(archspec.read_text(CLIP), seed=0, **settings)
    plain = archspec.load(archspec.read_text(CLIP), seed=0)
    image, text = torch.randn(samples, 16), torch.randn(samples, 12)
    i = functional.normalize(plain.visual(image), dim=-1)
    t = functional.normalize(plain.textual(text), dim=-1)
    expected = plain.scale.exp() * i @ t.T
    found = net(image, text)
    torch.testing.assert_close(found["logits"], expected)
    torch.testing.assert_close(found["loss"], expected.log_softmax(-1).mean())
    assert found["loss"].shape == ()


def test_it_is_a_graph_like_others() -> None:
    graph = archspec.read_text(CLIP)
    assert Graph.from_json(graph.to_json()) == graph
    assert [str(output.type) for output in graph.outputs] == ["f32[batch]", "f32[]", "f32[8]"]
    linears = 16 * 8 + 12 * 8
    for batch in (1, 5):
        # The samples meet in pairs.
        assert archspec.cost(graph, batch=batch).total.macs == batch * linears + 8 * batch**2
    assert "Batch" in archspec.draw(graph).dot
    net = archspec.load(graph, seed=0)
    net(torch.randn(3, 16), torch.randn(3, 12))["loss"].backward()
    assert net.visual.weight.grad.abs().sum() > 0


def test_it_runs_compiled_for_any_batch() -> None:
    net = archspec.load(archspec.read_text(CLIP), seed=0)
    run = torch.compile(net, backend="aot_eager", fullgraph=True, dynamic=True)
    for samples in (3, 5):
        image, text = torch.randn(samples, 16), torch.randn(samples, 12)
        torch.testing.assert_close(run(image, text)["logits"], net(image, text)["logits"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("weight w: [3] = ones\n    return x + (w -> Batch)", "not one without a batch"),
        ("return x -> Batch -> Batch", "not one without a batch"),
        ("y = x -> Batch\n    return x + y[0:3, 0]", "slice|free"),
        (
            "return x -> Batch -> Linear(4) -> Permute([1, 0]) -> Linear(2)",
            "must be known, but batch is free",
        ),
    ],
)
def test_what_depends_on_the_number_of_samples_is_refused(body: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        archspec.read_text(f"model Net:\n    input x: [3]\n    {body}\n")


def test_its_name_is_taken() -> None:
    with pytest.raises(SpecError, match="`batch` is the number of samples"):
        archspec.read_text("model Net:\n    input x: [free batch]\n    return x -> ReLU\n")


def test_what_mixes_samples_loads_for_inference_beside_convolutions() -> None:
    text = """
model Net:
    input x: [1, 16, 16]
    h = x -> conv: Conv(4, 3, stride=2) -> ReLU -> Flatten
    return y=h -> fc: Linear(4), kl=h -> Reduce("sum", 0) -> Batch -> Reduce("mean", 0)
"""
    graph, x = archspec.read_text(text), torch.randn(3, 1, 16, 16)
    usual = archspec.load(graph, seed=0).eval()(x)
    fast = archspec.load(graph, seed=0, optimize="inference").eval()(x)
    assert all(torch.allclose(usual[name], fast[name], atol=1e-5) for name in usual)
