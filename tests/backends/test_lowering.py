"""The module that a spec becomes: what users of PyTorch expect of any module holds for it."""

import copy
import io
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.fx import GraphModule, Interpreter
from torch.utils._python_dispatch import TorchDispatchMode

import archspec
from archspec.backends.torch_modules import Block
from archspec.ground.errors import SpecError

SMALL = """
block Residual(out: int, stride: int = 1):
    "A residual block."
    input x: [C, H, W]
    y = x -> conv1: Conv(out, 3, stride=stride) -> bn1: BatchNorm -> ReLU
          -> conv2: Conv(out, 3) -> bn2: BatchNorm
    shortcut = x if stride == 1 and C == out else (x -> downsample: [Conv(out, 1, stride=stride), BatchNorm])
    return y + shortcut -> ReLU

model Small(classes: int = 10):
    input image: [3, 16, 16]
    return image -> stem: Conv(8, 3) -> ReLU
        -> layer1: 2 * [Residual(8)]
        -> layer2: [Residual(16, stride=2), Residual(16)]
        -> GlobalAvgPool -> Dropout(0.5) -> fc: Linear(classes)
"""

SHARED = """
block Both:
    "Channel attention: one MLP over two poolings."
    input x: [C, H, W]
    shared mlp = [Linear(C // 2), ReLU, Linear(C)]
    a = x -> GlobalAvgPool -> mlp
    b = x -> GlobalMaxPool -> mlp
    return x * (a + b -> Sigmoid -> Reshape([C, 1, 1]))

model Shared:
    input x: [8, 4, 4]
    return x -> first: Both -> second: Both
"""

TIED = """
model Tied:
    input tokens: int64[free S]
    shared embed = Embedding(50, 8)
    x = tokens -> embed
    weight scale: [8] = ones
    return (x * scale -> proj: Linear(8)) @ (embed.weight -> Permute([1, 0]))
"""


def small(**kwargs: Any) -> GraphModule:
    return archspec.load(archspec.read_text(SMALL), seed=0, **kwargs)


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_names_of_steps_are_keys_of_the_state_dict() -> None:
    module = small()
    assert isinstance(module, GraphModule)
    keys = list(module.state_dict())
    assert keys[:4] == ["stem.weight", "stem.bias", "layer1.0.conv1.weight", "layer1.0.conv1.bias"]
    assert "layer2.0.downsample.1.running_mean" in keys
    assert set(keys) == {name for name, weight in archspec.graph_of(module).weights.items() if weight.saved}


def test_blocks_that_run_the_same_program_share_one_class() -> None:
    module = small()
    blocks = [m for m in module.modules() if type(m).__name__ == "Residual"]
    assert len(blocks) == 4
    assert all(isinstance(block, Block) for block in blocks)
    assert len({type(block) for block in blocks}) == 2  # with a projection, and without
    assert type(module.get_submodule("layer1.0")) is type(module.get_submodule("layer2.1"))


def test_flat_and_nested_lowering_compute_the_same() -> None:
    nested, flat = small().eval(), small(flat=True).eval()
    assert list(nested.state_dict()) == list(flat.state_dict())
    assert torch.equal(nested(images()), flat(images()))
    assert not any(isinstance(module, Block) for module in flat.modules())
    called = [node for node in flat.graph.nodes if node.op == "call_module"]
    assert sum("node" in node.meta for node in called) == 31
    assert [node.target for node in called if "node" not in node.meta] == [
        *("layer1.0", "layer1.1", "layer1", "layer2.0.downsample", "layer2.0", "layer2.1", "layer2")
    ]


def test_activations_write_over_what_only_they_read_and_gradients_stay_the_same() -> None:
    assert any(getattr(module, "inplace", False) for module in small().modules())
    gradients = []
    for flat in (False, True):
        module, batch = small(flat=flat), images()
        torch.manual_seed(0)  # of the dropout
        module(batch).square().sum().backward()
        gradients.append([parameter.grad for parameter in module.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert not any(getattr(module, "inplace", False) for module in small(flat=True).modules())


def test_what_is_read_again_is_not_written_over() -> None:
    module = archspec.load(
        archspec.read_text(
            """
model Net:
    input x: [3, 8, 8]
    y = x -> Conv(4, 3)
    z = x -> Conv(4, 3)
    return (y -> ReLU) + y, z, x -> ReLU, z -> ReLU
"""
        ),
        seed=0,
    )
    x = images()[:, :, :8, :8].contiguous()
    kept = x.clone()
    summed, z, of_x, of_z = module(x)
    assert torch.equal(x, kept)
    assert torch.equal(of_z, z.relu())
    assert (z < 0).any()
    assert torch.equal(of_x, x.relu())
    y = module.conv(x)
    assert torch.equal(summed, y.relu() + y)


def test_flat_graph_is_open_to_fx_interpreters() -> None:
    flat = small(flat=True).eval()
    assert torch.equal(Interpreter(flat).run(images()), flat(images()))


def test_fx_nodes_carry_the_place_in_the_spec() -> None:
    for node in small(flat=True).graph.nodes:
        if node.op in ("call_module", "call_function"):
            assert node.meta["location"].file == "spec.arch"
            assert f'File "spec.arch", line {node.meta["location"].line}' in node.stack_trace
    stem = next(node for node in small().graph.nodes if node.name == "stem")
    assert stem.meta["location"].line == 12


def test_a_failure_at_run_time_names_the_step_in_the_spec() -> None:
    with pytest.raises(RuntimeError) as caught:
        small(check_inputs=False)(torch.randn(2, 4, 16, 16))
    assert "`stem` cannot take f32[4, 16, 16]: its `weight` is" in str(caught.value)
    assert " --> spec.arch:12:27\n" in str(caught.value)


def test_a_failure_inside_a_block_names_every_line_that_led_there() -> None:
    module = small()
    module.get_submodule("layer2.0").conv1 = nn.Conv2d(5, 5, 1)
    with pytest.raises(RuntimeError) as caught:
        module(images())
    assert "`layer2.0.conv1` cannot take" in str(caught.value)
    assert "`layer2.0`, called at spec.arch:" in str(caught.value)


def test_train_and_eval_differ_where_they_should() -> None:
    module = small()
    assert module.training
    assert not torch.equal(module(images()), module(images()))
    module.eval()
    assert torch.equal(module(images()), module(images()))


def test_gradients_reach_every_parameter() -> None:
    module = small()
    module(images(4)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_moves_to_another_dtype() -> None:
    module = small().eval()
    expected = module(images())
    assert torch.allclose(module.to(torch.float64)(images().double()), expected.double(), atol=1e-5)
    assert small(dtype="bf16")(images().bfloat16()).dtype == torch.bfloat16
    with pytest.raises(archspec.SpecError, match="i64"):
        small(dtype="i64")


def test_moves_to_the_meta_device() -> None:
    assert small(device="meta")(images().to("meta")).shape == (2, 10)


def test_deepcopy_keeps_the_shared_classes_and_shares_no_weight() -> None:
    module = small().eval()
    copied = copy.deepcopy(module)
    assert torch.equal(copied(images()), module(images()))
    assert type(copied.get_submodule("layer1.0")) is type(module.get_submodule("layer1.0"))
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert module(images()).abs().sum() > 0
    assert archspec.graph_of(copied) is archspec.graph_of(module)


def test_state_dict_survives_torch_save() -> None:
    module, other = small().eval(), archspec.load(archspec.read_text(SMALL), seed=1).eval()
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    assert not torch.equal(other(images()), module(images()))
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert torch.equal(other(images()), module(images()))


@pytest.mark.slow
def test_compiles_whole_with_any_batch() -> None:
    module = small().eval()
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
    for count in (2, 3, 7):
        assert torch.allclose(compiled(images(count)), module(images(count)), atol=1e-5)


@pytest.mark.slow
def test_compiles_to_machine_code() -> None:
    module = small().eval()
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(module, fullgraph=True)
        assert torch.allclose(compiled(images()), module(images()), atol=1e-5)


@pytest.mark.parametrize("text", [SMALL, SHARED, TIED])
def test_exports_with_a_free_batch(text: str) -> None:
    module = archspec.load(archspec.read_text(text), seed=0).eval()
    given = archspec.graph_of(module).inputs[0].type
    shape = [size if isinstance(size, int) else 6 for size in given.shape]

    def batch(count: int) -> torch.Tensor:
        return torch.randn(count, *shape) if given.floating else torch.randint(50, (count, *shape))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(module, (batch(2),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for count in (2, 5):
        x = batch(count)
        assert torch.allclose(exported.module()(x), module(x), atol=1e-5)


class Called(TorchDispatchMode):
    """Notes the names of what PyTorch calls."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.__name__)
        return func(*args, **kwargs or {})


def test_attention_takes_the_fused_kernel_however_many_axes_there_are_and_however_they_lie() -> None:
    """HaloNet's queries have a place in a block behind block and head, and its keys come out of windows."""
    module = archspec.load(
        archspec.read_text("""
model M:
    input x: [3, 2, 16, 5]
    input bias: [3, 2, 5, 5]
    q = x -> Permute([0, 1, 3, 2])
    return (q, q, q) -> Attention(bias=bias)
""")
    )
    x, bias = torch.randn(4, 3, 2, 16, 5), torch.randn(4, 3, 2, 5, 5)
    with torch.no_grad(), Called() as called:
        made = module(x, bias)
    assert "_scaled_dot_product_flash_attention_for_cpu.default" in called.names
    q = x.transpose(-1, -2)
    torch.testing.assert_close(made, (q @ q.transpose(-1, -2) / 4 + bias).softmax(-1) @ q)


def test_a_sum_that_stretches_both_tensors_is_dense_however_they_lie() -> None:
    """In the order of their axes in memory it would be moved before anything could read it as a row of values."""
    module = archspec.load(
        archspec.read_text("""
model M:
    input across: [7, 3, 5]
    input down: [7, 4, 5]
    return (across -> Permute([0, 2, 1]) -> Reshape([7, 5, 1, 3])) + (down -> Permute([0, 2, 1]) -> Reshape([7, 5, 4, 1]))
""")
    )
    across, down = torch.randn(2, 7, 3, 5), torch.randn(2, 7, 4, 5)
    made = module(across, down)
    assert made.is_contiguous()
    assert torch.equal(made, across.transpose(2, 3)[:, :, :, None] + down.transpose(2, 3)[..., None])


def test_windows_with_a_halo_are_those_that_a_convolution_slides_over() -> None:
    module = archspec.load(
        archspec.read_text(
            "model M:\n    input x: [8, 12, 3]\n    return x -> WindowPartition(4, halo=[1, 2])\n"
        )
    )
    x = torch.randn(2, 8, 12, 3)
    columns = nn.functional.unfold(x.permute(0, 3, 1, 2), (6, 8), stride=4, padding=(1, 2))  # [N, C * 48, 6]
    assert torch.equal(module(x), columns.unflatten(1, (3, 48)).permute(0, 3, 2, 1))


def test_shared_layers_have_their_weights_once() -> None:
    module = archspec.load(archspec.read_text(SHARED), seed=0)
    assert [name for name, _ in module.named_parameters()] == [
        f"{block}.mlp.{layer}.{leaf}"
        for block in ("first", "second")
        for layer in (0, 2)
        for leaf in ("weight", "bias")
    ]
    x = torch.randn(2, 8, 4, 4)
    block, y = module.get_submodule("first"), x
    for name in ("first", "second"):
        mlp = nn.Sequential(*(getattr(module.get_submodule(f"{name}.mlp"), i, nn.ReLU()) for i in "012"))
        y = y * torch.sigmoid(mlp(y.mean((2, 3))) + mlp(y.amax((2, 3))))[:, :, None, None]
    assert torch.allclose(module(x), y, atol=1e-6)
    assert torch.allclose(archspec.load(archspec.read_text(SHARED), seed=0, flat=True)(x), y, atol=1e-6)
    assert block is not None


def test_tied_weights_and_free_sizes() -> None:
    module = archspec.load(archspec.read_text(TIED), seed=0)
    assert set(module.state_dict()) == {"embed.weight", "scale", "proj.weight", "proj.bias"}
    for length in (1, 9):
        tokens = torch.randint(50, (3, length))
        expected = module.proj(module.embed(tokens) * module.scale) @ module.embed.weight.t()
        assert torch.allclose(module(tokens), expected)


def test_first_values_follow_from_seed_and_name_alone() -> None:
    once, again = small().state_dict(), small().state_dict()
    assert all(torch.equal(once[key], again[key]) for key in once)
    other = archspec.load(archspec.read_text(SMALL), seed=1).state_dict()
    assert not torch.equal(once["fc.weight"], other["fc.weight"])
    longer = archspec.read_text(SMALL.replace("2 * [Residual(8)]", "3 * [Residual(8)]"))
    assert torch.equal(archspec.load(longer, seed=0).state_dict()["fc.weight"], once["fc.weight"])


def test_without_a_seed_torchs_own_generator_governs() -> None:
    graph = archspec.read_text(SMALL)
    torch.manual_seed(3)
    first = archspec.load(graph).state_dict()["fc.weight"]
    second = archspec.load(graph).state_dict()["fc.weight"]
    torch.manual_seed(3)
    assert torch.equal(archspec.load(graph).state_dict()["fc.weight"], first)
    assert not torch.equal(first, second)


def test_named_outputs_are_a_dict_and_several_a_tuple() -> None:
    named = archspec.load(archspec.read_text("model M:\n    input x: [4]\n    return a=x -> ReLU, b=-x\n"))
    assert {key: value.shape for key, value in named(torch.ones(2, 4)).items()} == {"a": (2, 4), "b": (2, 4)}
    several = archspec.load(
        archspec.read_text("model M:\n    input x: [4]\n    input y: [4]\n    return x + y, x - y\n")
    )
    total, difference = several(torch.full((2, 4), 3.0), torch.ones(2, 4))
    assert (total[0, 0].item(), difference[0, 0].item()) == (4, 2)


def test_deep_nesting_lowers() -> None:
    blocks = ["block B0 = [Linear(4)]"]
    blocks += [f"block B{i}:\n    input x: [C]\n    return x -> b: B{i - 1}" for i in range(1, 36)]
    module = archspec.load(
        archspec.read_text("\n".join([*blocks, "model M:\n    input x: [4]\n    return x -> b: B35\n"]))
    )
    assert module(torch.ones(2, 4)).shape == (2, 4)
    assert len(module.state_dict()) == 2


def test_constants_are_not_saved_not_even_by_copies() -> None:
    text = "model M:\n    input x: [4]\n    constant two: [1] = 2\n    return x * two -> fc: Linear(4)\n"
    module = archspec.load(archspec.read_text(text))
    assert list(module.state_dict()) == list(copy.deepcopy(module).state_dict()) == ["fc.weight", "fc.bias"]
    assert torch.equal(copy.deepcopy(module)(torch.ones(1, 4)), module.fc(torch.full((1, 4), 2.0)))


def test_runs_at_other_sizes_than_it_was_read_for() -> None:
    assert small()(torch.randn(2, 3, 24, 32)).shape == (2, 10)


def test_blocks_that_differ_by_a_number_and_a_decimal_one_are_of_two_classes() -> None:
    module = archspec.load(
        archspec.read_text(
            "block Times(factor):\n    input x: [N]\n    return x * factor\n"
            "model M:\n    input x: i64[2]\n    return x -> Times(2), x -> Times(2.0)\n"
        )
    )
    whole, decimal = module(torch.tensor([[1, 2]]))
    assert (whole.dtype, decimal.dtype) == (torch.int64, torch.float32)


def test_an_outer_sum_adds_one_number_for_each_axis() -> None:
    module = archspec.load(
        archspec.read_text(
            "model M:\n    input x: f64[2, 3, 1]\n"
            "    constant whole: i64[2, 3, 1] = outer_sum([[2 ** 40, -7], range(3), [100]])\n"
            "    constant decimal: f64[3] = outer_sum([[0.1, 2, -1e9]])\n"
            "    constant single: f64[] = outer_sum([])\n"
            "    return x + whole, x + decimal, x + single\n"
        )
    )
    x = torch.zeros(1, 2, 3, 1, dtype=torch.float64)
    whole, decimal, single = (output[0] for output in module(x))
    rows, columns = torch.tensor([2.0**40, -7.0], dtype=torch.float64), torch.arange(3.0, dtype=torch.float64)
    assert torch.equal(whole[..., 0], rows[:, None] + columns[None] + 100)
    assert torch.equal(decimal[0, 0], torch.tensor([0.1, 2, -1e9], dtype=torch.float64))
    assert not single.any()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            "i64[2, 2] = outer_sum([[1, 2]])",
            r"of shape \[2, 2\] cannot be the outer sum of lists of lengths \[2\]",
        ),
        ("i64[2, 2] = outer_sum([[1, 2], []])", "cannot be the outer sum"),
        ("i64[2] = outer_sum([[1, 0.5]])", "is i64, which cannot hold 0.5"),
        ("u8[2, 2] = outer_sum([[0, 200], [0, 56]])", "is u8, which cannot hold 256: its range is 0 to 255"),
        ("i64[1] = outer_sum([[2 ** 63]])", "is i64, which cannot hold"),
    ],
)
def test_an_outer_sum_that_does_not_fit_is_refused(value: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        archspec.read_text(f"model M:\n    input x: [2]\n    constant c: {value}\n    return x\n")


def test_layers_that_start_as_the_identity_hand_on_what_they_are_given() -> None:
    """[Yu & Koltun, 2016, equation 5]: through layers of more channels too, as the shares add up to one."""
    module = archspec.load(
        archspec.read_text(
            "start = identity(3)\n"
            "model Net:\n"
            "    input x: [3, 8, 8]\n"
            "    return x -> [Conv(6, 3, init=start, bias_init=zeros), ReLU, Conv(12, 3, init=start, bias_init=zeros),"
            " ReLU, Conv(3, init=start, bias_init=zeros)]\n"
        ),
        seed=0,
    )
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(module(x), x)
    with pytest.raises(SpecError, match="cannot be the identity in 4 groups"):
        archspec.read_text(
            "model Net:\n    input x: [3, 8, 8]\n    return x -> Conv(8, 3, init=identity(4))\n"
        )


# ---------------------------------------------------------------- one function, several programs


def agree(text: str, *inputs: torch.Tensor, dtype: str = "f32") -> GraphModule:
    """The network nested, which computes the same as the flat one, for which each step is written by itself."""
    nested, flat = (
        archspec.load(archspec.read_text(text), seed=0, dtype=dtype, flat=flat) for flat in (False, True)
    )
    for found, expected in zip(nested(*inputs), flat(*inputs), strict=True):
        assert torch.equal(found, expected)
    return nested


def test_a_block_that_is_given_one_value_twice_runs_another_program() -> None:
    text = """
block Less:
    input x: [4]
    input y: [4]
    input z: [4]
    return x - 2 * (y -> fc: Linear(4)) + 3 * z

model M:
    input a: [4]
    input b: [4]
    return (a, b, a) -> one: Less, (a, a, b) -> two: Less, (b, a, b) -> three: Less
"""
    module = agree(text, torch.randn(2, 4), torch.randn(2, 4))
    assert type(module.one) is type(module.three) is not type(module.two)


def test_a_block_writes_over_what_only_it_reads_of_its_outputs() -> None:
    text = """
block Both:
    input x: [4]
    y = x -> fc: Linear(4)
    return y, y -> ReLU

model M:
    input x: [4]
    a, b = x -> one: Both
    c, d = x -> two: Both
    return b, c, d
"""
    module = agree(text, torch.randn(2, 4))
    assert module.one.relu.inplace and not module.two.relu.inplace


def test_a_block_rounds_what_is_exact_in_one_of_its_calls() -> None:
    text = """
block Scaled:
    input x: [4]
    return x -> fc: Linear(4)

model M:
    input x: [4]
    constant places: [4] = [0.1, 300.3, 500.5, 900.7]
    return x -> one: Scaled, x -> two: Scaled, (places * x) -> three: Scaled, places -> four: Scaled
"""
    module = agree(text, torch.randn(2, 4).bfloat16(), dtype="bf16")
    assert type(module.one) is type(module.two) is type(module.three) is not type(module.four)


def test_constants_of_each_call_are_restored_in_full_precision() -> None:
    text = """
block Placed:
    input x: [4]
    constant places: [4] = [0.1, 300.3, 500.5, 900.7]
    return x + (places * 3.3 -> Sin)

model M:
    input x: [4]
    return x -> one: Placed, x -> two: Placed
"""
    module = agree(text, torch.randn(2, 4).bfloat16(), dtype="bf16").to(torch.float64)
    assert type(module.one) is type(module.two)
    expected = torch.tensor([0.1, 300.3, 500.5, 900.7], dtype=torch.float64)
    for block in (module.one, module.two):
        assert torch.equal(block.places.value, expected)


def test_calls_of_a_function_have_weights_and_hooks_of_their_own() -> None:
    module, fired = small(), []
    first, second = module.layer1
    assert type(first) is type(second) and first.conv1.weight is not second.conv1.weight
    second.conv1.register_forward_hook(lambda *_: fired.append(2))
    module(images())
    assert fired == [2]


def test_blocks_alike_but_for_where_they_are_written_name_their_own_places() -> None:
    text = """
block Half:
    input x: [N]
    return x -> fc: Linear(N)

model M:
    input x: [4]
    a = x -> one: [Half, ReLU]
    return a -> two: [Half, ReLU]
"""
    for block, line in (("one", 8), ("two", 9)):
        module = archspec.load(archspec.read_text(text), seed=0)
        module.get_submodule(block)[0].fc = nn.Linear(3, 3)
        with pytest.raises(RuntimeError) as caught:
            module(torch.randn(2, 4))
        assert f"in Half `{block}.0`, called at spec.arch:{line}:" in str(caught.value)
        assert " --> spec.arch:4:" in str(caught.value)
