"""What fails at run time names the line and the step of the spec, whatever it is; what is no input's fault stays as it is."""

import copy
import io
import pickle
import re
from contextlib import redirect_stderr
from typing import Any

import pytest
import torch
from nets import each_kind_of_network, sized
from test_inputs import EXAMPLES, spec_of, text_of
from torch import nn

import archspec
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import empty
from archspec.graph import Graph
from archspec.ground.errors import InputError, SpecError, StepError
from archspec.ground.tensor import torch_name
from archspec.op import Op

WINDOWS = """
block Stage(width: int):
    input x: [H, W, C]
    return x -> part: WindowPartition(4) -> norm: LayerNorm -> fc: Linear(width)

model Net:
    input image: [16, 8, 3]
    return image -> ReLU -> stage: Stage(4) -> head: [Linear(2)]
"""
RIGHT, WRONG = torch.zeros(2, 16, 8, 3), torch.zeros(2, 15, 8, 3)


def windows(**settings: Any) -> nn.Module:
    return archspec.load(archspec.read_text(WINDOWS), seed=0, **settings).eval()


def said(module: nn.Module, *tensors: Any, **named: Any) -> str:
    """What a network says of inputs that it refuses."""
    with pytest.raises(InputError) as caught:
        module(*tensors, **named)
    return str(caught.value)


MESSAGE = """
error[E1305]: `stage.part` cannot take f32[15, 8, 3]: windows of [4, 4] do not tile [15, 8]
 --> spec.arch:4:23
  |
4 |     return x -> part: WindowPartition(4) -> norm: LayerNorm -> fc: Linear(width)
  |                       ^^^^^^^^^^^^^^^ WindowPartition `stage.part`
  |
  = in Stage `stage`, called at spec.arch:8:36
  = help: axis 0 of `image` must be a multiple of 4, and 15 came
"""


def test_a_size_that_an_op_deep_inside_does_not_take_is_told_of_the_input() -> None:
    assert said(windows(), WRONG) == MESSAGE.strip()


def test_of_a_spec_that_is_no_longer_at_hand_the_place_is_told() -> None:
    graph = Graph.from_json(archspec.read_text(WINDOWS).to_json().replace("spec.arch", "other.arch"))
    other = Graph.from_json(
        re.sub(r'"sources":\{"other.arch":".', '"sources":{"other.arch":"0', graph.to_json())
    )
    found = said(archspec.load(other, seed=0), WRONG)
    assert "\n --> other.arch:4:23\n  = WindowPartition `stage.part`\n" in found
    assert "WindowPartition(4)" not in found


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net,
        copy.deepcopy,
        lambda net: pickle.loads(pickle.dumps(net)),
        nn.DataParallel,
        lambda net: windows(flat=True),
        lambda net: windows(optimize="inference"),
        lambda net: windows(check_inputs=False),
        lambda net: archspec.load(Graph.from_json(archspec.graph_of(net).to_json()), seed=0),
    ],
    ids=["loaded", "copied", "unpickled", "parallel", "flat", "optimised", "unchecked", "read from JSON"],
)
def test_it_is_so_wherever_the_network_goes(change: Any) -> None:
    network = change(windows())
    assert network(RIGHT).shape == (2, 8, 16, 2)
    assert said(network, WRONG) == MESSAGE.strip()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_compiled_networks_say_the_same(backend: str) -> None:
    network = windows()
    network.compile(backend=backend)
    assert said(network, WRONG) == MESSAGE.strip()
    torch.testing.assert_close(network(RIGHT), windows()(RIGHT))
    assert said(network, WRONG) == MESSAGE.strip()
    assert "`image` is f16, and the weights are f32" in said(network, RIGHT.half())


@pytest.mark.slow
def test_nothing_of_it_hinders_compiling_exporting_and_tracing() -> None:
    network, x = windows(), torch.rand(3, 16, 8, 3)
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    exported = torch.export.export(network, (x,)).module()
    for other in (compiled, exported, torch.fx.symbolic_trace(network), torch.jit.trace(network, (x,))):
        assert torch.equal(other(x), network(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(x).dtype == torch.bfloat16
        assert said(network, WRONG) == MESSAGE.strip()


# ------------------------------------------------------------------ what it is

INDEX = "model Net:\n    input words: i64[4]\n    return words -> table: Embedding(10, 3)\n"


def test_it_is_an_error_of_the_class_that_pytorch_raised() -> None:
    with pytest.raises(RuntimeError) as caught:
        windows()(WRONG)
    error = caught.value
    assert isinstance(error, StepError) and isinstance(error, SpecError) and isinstance(error, ValueError)
    assert error.step == "stage.part"
    assert type(error.__cause__) is RuntimeError and "unflatten" in str(error.__cause__)
    table = archspec.load(archspec.read_text(INDEX))
    with pytest.raises(IndexError, match=r"`table` cannot take i64\[1, 4\]: index out of range") as indexed:
        table(torch.full((1, 4), 11))
    assert isinstance(indexed.value, StepError)


def test_it_can_be_pickled() -> None:
    for network, wrong in (
        (windows(), WRONG),
        (archspec.load(archspec.read_text(INDEX)), torch.full((1, 4), 10)),
    ):
        with pytest.raises(StepError) as caught:
            network(wrong)
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is StepError
        assert (str(again), again.step) == (str(caught.value), caught.value.step)


def test_nothing_is_printed_beside_it() -> None:
    printed = io.StringIO()
    text = "model Net:\n    input x: [2, 4]\n    weight w: [4, 2] = zeros\n    return x @ w\n"
    with redirect_stderr(printed):
        said(archspec.load(archspec.read_text(text)), torch.zeros(2, 2, 4).half())
    assert not printed.getvalue()


@pytest.mark.parametrize(
    ("wrong", "message", "help"),
    [
        (RIGHT.half(), "`stage.fc` cannot take f16[2, 8, 16, 3]:", "`image` is f16, and the weights are f32: cast one of them, `image.to(torch.float32)` or `net.to(torch.float16)`"),
        (RIGHT.to("meta"), "cannot take f32[2, 8, 16, 3]:", '`image` is on meta, and the weights on cpu: move one of them, `image.to("cpu")` or `net.to("meta")`'),
    ],
)  # fmt: skip
def test_other_precisions_and_devices_are_told(wrong: torch.Tensor, message: str, help: str) -> None:
    found = said(windows(), wrong)
    assert message in found
    assert f"= help: {help}" in found
    assert " --> spec.arch:4:" in found


TWO = "model Net:\n    input left: [2]\n    input right: i64[3]\n    return left, right\n"


@pytest.mark.parametrize(
    ("given", "named", "message", "help"),
    [
        ((), {}, "Net takes 2 tensors, `left` and `right`, and 0 came", "`net(left, right)` takes f32[2] and i64[3], the batch in front of each"),
        ((1, 2, 3), {}, "Net takes 2 tensors, `left` and `right`, and 3 came", ""),
        ((1,), {"rigth": 2}, "Net has no input `rigth`", "did you mean `right`?"),
        ((1,), {"left": 2}, "`left` is given twice to Net, by position and by name", ""),
        ((torch.zeros(1, 2), [1]), {}, "`right` is a tensor, not of Python's type `list`", "`torch.as_tensor(right)` makes one"),
    ],
)  # fmt: skip
def test_how_it_is_called_is_told(given: Any, named: Any, message: str, help: str) -> None:
    network = archspec.load(archspec.read_text(TWO))
    with pytest.raises((TypeError, ValueError)) as caught:
        network(*given, **named)
    assert isinstance(caught.value, InputError)
    assert message in str(caught.value)
    assert help in str(caught.value)
    assert " --> spec.arch:" in str(caught.value)


def test_the_check_of_an_input_shows_its_declaration() -> None:
    found = said(windows(), torch.zeros(2, 16, 8, 3, dtype=torch.int64))
    assert "7 |     input image: [16, 8, 3]\n  |     ^^^^^ declared here" in found


def test_free_sizes_are_shown_as_they_were_written() -> None:
    text = """
model Net:
    input x: [free S, 4]
    input y: [2 * S + 1, S]
    require S % 4 == 0 and S >= 8 and S <= 64
    return x -> Linear(3), y
"""
    network = archspec.load(archspec.read_text(text))
    network(torch.zeros(1, 8, 4), torch.zeros(1, 17, 8))
    for size, needed in ((4, "a multiple of 4 and at least 8"), (66, "a multiple of 4"), (68, "at most 64")):
        found = said(network, torch.zeros(1, size, 4), torch.zeros(1, 2 * size + 1, size))
        assert "`x` is [S, 4] behind the batch" in found
        assert needed in found
    found = said(network, torch.zeros(1, 8, 4), torch.zeros(1, 16, 8))
    assert "`y` is [2*S + 1, S] behind the batch, and [16, 8] came: axis 0 must be 17, not 16" in found


# ------------------------------------------------------------------ whose fault it is


class Mine(Exception):  # noqa: N818
    """An exception of the user's."""


@pytest.mark.parametrize("error", [Mine("x"), RuntimeError("x"), KeyboardInterrupt(), MemoryError(), torch.OutOfMemoryError("x")])  # fmt: skip
@pytest.mark.parametrize("where", ["stage.fc", "stage", "head.0", ""])
@pytest.mark.parametrize("when", ["register_forward_hook", "register_forward_pre_hook"])
def test_what_a_hook_raises_is_its_own(error: BaseException, where: str, when: str) -> None:
    network = windows()

    def hook(*_: object) -> None:
        raise error

    getattr(network.get_submodule(where), when)(hook)
    with pytest.raises(type(error)) as caught:
        network(RIGHT)
    assert caught.value is error
    assert caught.value.__cause__ is None


def test_what_pytorch_raises_in_a_hook_or_in_a_module_of_the_users_stays_as_it_is() -> None:
    network = windows()
    handle = network.stage.fc.register_forward_hook(lambda module, given, made: made @ made)
    with pytest.raises(RuntimeError) as caught:
        network(RIGHT)
    assert type(caught.value) is RuntimeError
    assert caught.value.__notes__ == [
        "in the spec: spec.arch:8:36, at stage",
        "in the spec: spec.arch:4:68, at fc",
    ]
    handle.remove()

    class Head(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("mine")

    network.head = Head()
    with pytest.raises(ValueError, match="mine") as mine:
        network(RIGHT)
    assert type(mine.value) is ValueError


def test_a_lack_of_memory_stays_one() -> None:
    text = "model Net:\n    input x: [1, 1, 1]\n    return x -> Upsample(scale=10_000_000)\n"
    with pytest.raises(RuntimeError, match=r"memory") as caught:
        archspec.load(archspec.read_text(text))(torch.zeros(1, 1, 1, 1))
    assert type(caught.value) is RuntimeError


def test_what_fails_in_the_ops_of_a_user_is_placed() -> None:
    class Halves(Op):
        def infer(self, x: Any) -> Any:
            return x.with_shape([x.shape[0] // 2])

        def flops(self, x: Any) -> int:
            return int(x.values)

        def lower(self, x: Any) -> Any:
            return lambda value: value.view(value.shape[0], 2, -1).mean(1)

    try:
        network = archspec.load(archspec.read_text("model Net:\n    input x: [4]\n    return x -> Halves\n"))
    finally:
        del Op.known["Halves"]
    assert network(torch.zeros(1, 6)).shape == (1, 3)
    found = said(network, torch.zeros(1, 5))
    assert "`halves` cannot take f32[1, 5]: shape '[1, 2, -1]' is invalid" in found
    assert " --> spec.arch:3:17" in found


# ------------------------------------------------------------------ every op, every network


def tensor(dtype: str, shape: list[int], samples: int = 2) -> torch.Tensor:
    kind = getattr(torch, torch_name(dtype))  # type: ignore[arg-type]
    numbers = (
        torch.rand(samples, *shape) + 0.1
        if dtype in ("f16", "bf16", "f32", "f64")
        else torch.ones(samples, *shape)
    )
    return numbers.to(kind)


def wrong_inputs(inputs: list[tuple[str, list[int]]]) -> Any:
    """Lists of inputs of which one is of another size, dtype, device or rank, or is no tensor, or missing."""
    right = [tensor(*given) for given in inputs]
    for place, (dtype, shape) in enumerate(inputs):
        others: list[Any] = [
            tensor(other, shape) for other in ("f16", "bf16", "f64", "i64", "bool", "u8") if other != dtype
        ]
        others += [
            right[place].to("meta"),
            right[place][0],
            right[place][None],
            None,
            [1.0],
            right[place][:1],
        ]
        if dtype == "i64":
            others += [right[place] + 10**6, right[place] - 10]
        for axis, size in enumerate(shape):
            for other in sorted({0, 1, size - 1, size + 1, 2 * size + 1}):
                others.append(tensor(dtype, [*shape[:axis], other, *shape[axis + 1 :]]))
        yield from ([*right[:place], other, *right[place + 1 :]] for other in others)
    yield [tensor(dtype, shape, 0) for dtype, shape in inputs]
    yield right[:-1]
    yield [*right, right[0]]


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("op", [op if op in ("Rearrange", "Conv", "Einsum") else pytest.param(op, marks=pytest.mark.slow) for op in sorted({op for op, _ in EXAMPLES})])  # fmt: skip
def test_an_op_runs_or_its_place_is_told(op: str, checked: bool) -> None:
    if not checked and op in ("LSTM", "GRU", "RNN"):
        pytest.skip("PyTorch reads beyond states of other sizes")
    refused = 0
    for example in (example for name, example in EXAMPLES if name == op):
        inputs, call = spec_of(example)
        network = archspec.load(archspec.read_text(text_of(inputs, call)), check_inputs=checked)
        for given in wrong_inputs(inputs):
            try:
                with torch.no_grad():
                    network(*given)
            except InputError as error:
                assert " --> spec.arch:" in str(error), (example, given)
                refused += 1
    assert refused


@each_kind_of_network
def test_a_network_at_other_sizes_runs_or_the_place_is_told(name: str) -> None:
    graph = sized(name)
    for checked in (True, False):
        network = lower(graph, lambda graph: empty(graph, "meta"), checked=checked).eval()
        for side in (1, 2, 7, 30):
            given = [
                torch.zeros(
                    (2, *(side if axis else size for axis, size in enumerate(entry.type.shape))),  # type: ignore[arg-type]
                    dtype=getattr(torch, torch_name(entry.type.dtype)),
                    device="meta",
                )
                for entry in graph.inputs
            ]
            try:
                with torch.no_grad():
                    network(*given)
            except InputError as error:
                assert re.search(r" --> .*\.arch:\d+:\d+\n", str(error)), side
