"""What users of PyTorch do to any module, done to loaded ones: hooks, surgery, pruning, copies, pickles, traces."""

import copy
import io
import keyword
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from nets import batch_of, outputs, randomised, small
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

import archspec
from archspec.ground.errors import SpecError

RESNET: dict[str, Any] = {"width": 0.125, "classes": 5}

CHAINS = """
block Separable(out: int) = [depthwise: Conv(8, 3, groups=8), pointwise: Conv(out), ReLU]

block Swap:
    input a
    input b
    return b -> ReLU, a -> Tanh

model Net:
    input x: [8, 6, 6]
    input y: [8, 6, 6]
    (x, y) = (x, y) -> swaps: 3 * [Swap]
    z = x -> first: Separable(8) -> body: [Conv(8, 3), Permute([0, 2, 1]), GELU, MaxPool(2)]
    return z -> empty: [] -> head: [Flatten, Linear(5)], y
"""


def resnet(**arguments: Any) -> nn.Module:
    return archspec.load("resnet18", seed=0, **RESNET, **arguments)


def images(size: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


# ---------------------------------------------------------------- hooks


def test_every_dict_and_set_of_a_module_is_its_own() -> None:
    networks = [resnet(), archspec.load("resnet34", seed=0, **RESNET), resnet(flat=True)]
    held: dict[int, str] = {}
    for network in networks:
        for name, module in network.named_modules():
            for key, value in vars(module).items():
                if isinstance(value, dict | set | list):
                    assert id(value) not in held, f"{name}.{key} is that of {held[id(value)]}"
                    held[id(value)] = f"{name}.{key}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "register",
    [
        lambda module, hook: module.register_forward_hook(lambda *_: hook()),
        lambda module, hook: module.register_forward_pre_hook(lambda *_: hook()),
        lambda module, hook: module.register_full_backward_hook(lambda *_: hook()),
        lambda module, hook: module.register_full_backward_pre_hook(lambda *_: hook()),
        lambda module, hook: module.register_state_dict_pre_hook(lambda *_: hook()),
        lambda module, hook: module.register_load_state_dict_post_hook(lambda *_: hook()),
    ],
)
@pytest.mark.parametrize("name", ["layer1.0.conv1", "layer2.1.bn2", "max_pool", "layer3", "layer4.0", ""])
def test_a_hook_fires_once_and_for_its_module_alone(
    name: str, register: Callable[[nn.Module, Callable[[], None]], Any]
) -> None:
    module, fired = resnet(), []
    register(module.get_submodule(name), lambda: fired.append(name))
    for network in (module, archspec.load("resnet34", seed=0, **RESNET)):
        x = images().requires_grad_()
        network(x).sum().backward()
        network.load_state_dict(network.state_dict())
    assert fired == [name]


def test_a_hook_sees_what_its_layer_gives() -> None:
    module, seen = resnet().eval(), {}
    for name in ("max_pool", "layer1", "layer2.1.conv2", "global_avg_pool"):
        module.get_submodule(name).register_forward_hook(
            lambda _, inputs, out, name=name: seen.update({name: (inputs[0].shape[1:], out.shape[1:])})
        )
    module(images())
    assert seen == {
        "max_pool": ((64, 32, 32), (64, 16, 16)),
        "layer1": ((64, 16, 16), (8, 16, 16)),
        "layer2.1.conv2": ((16, 8, 8), (16, 8, 8)),
        "global_avg_pool": ((64, 2, 2), (64,)),
    }


# ---------------------------------------------------------------- layers and lists


def test_layers_are_modules_of_pytorchs_classes_in_the_order_in_which_they_run() -> None:
    module = resnet()
    assert [(name, type(child).__name__) for name, child in module.named_children()] == [
        *(("conv1", "Conv2d"), ("bn1", "BatchNorm2d"), ("relu", "ReLU"), ("max_pool", "MaxPool2d")),
        *((f"layer{i}", "Sequential") for i in range(1, 5)),
        *(("global_avg_pool", "GlobalAvgPool"), ("fc", "Linear")),
    ]
    assert sum(isinstance(child, nn.ReLU) for child in module.modules()) == 17
    assert [name for name, _ in module.layer2[0].named_children()] == [
        *("conv1", "bn1", "relu", "conv2", "bn2", "downsample", "relu_1")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "densenet121", "mobilenet_v2", "alexnet"])
def test_the_children_of_a_straight_network_are_the_network(name: str) -> None:
    module = randomised(archspec.load(small(name), seed=0)).eval()
    (x,) = batch_of(archspec.graph_of(module), 2)
    children = list(module.children())
    assert torch.equal(nn.Sequential(*children)(x), module(x))
    assert torch.equal(children[-1](nn.Sequential(*children[:-1])(x)), module(x))


def test_lists_are_sequential() -> None:
    module = archspec.load(archspec.read_text(CHAINS), seed=0)
    assert isinstance(module.body, nn.Sequential) and isinstance(module.first, nn.Sequential)
    assert isinstance(module.body[-1], nn.MaxPool2d) and len(module.body) == 4 and len(module.empty) == 0
    assert type(module.first).__name__ == "Separable" and isinstance(module.first.pointwise, nn.Conv2d)
    x, y = torch.randn(2, 8, 6, 6), torch.randn(2, 8, 6, 6)
    z, other = module(x, y)
    swapped = x, y
    for layer in module.swaps:
        swapped = layer(*swapped)
    assert torch.equal(other, swapped[1])
    body = module.first(swapped[0])
    for layer in module.body:
        body = layer(body)
    assert torch.equal(module.body[2:](module.body[:2](module.first(swapped[0]))), body)
    assert torch.equal(module.head(body), z)
    assert torch.equal(module.swaps(x, y)[0], swapped[0]) and len(module.swaps[1:]) == 2
    module.head.append(nn.Tanh())
    assert torch.equal(module(x, y)[0], z.tanh())


@pytest.mark.parametrize("name", ["resnet18", "vit_ti16", "swin_t", "googlenet", "mixer_s16"])
def test_flat_networks_hold_the_values_of_blocks_at_their_names(name: str) -> None:
    graph = small(name)
    values: list[dict[str, list[torch.Tensor]]] = []
    for flat in (False, True):
        module, seen = archspec.load(graph, seed=0, flat=flat).eval(), {}
        for scope in (scope for i, scope in enumerate(graph.scopes) if i and graph.members[i]):
            module.get_submodule(scope.name).register_forward_hook(
                lambda _, __, out, name=scope.name, seen=seen: seen.update({name: outputs(out)})
            )
        with torch.no_grad():
            module(*(torch.ones_like(x) for x in batch_of(graph, 1)))
        values.append(seen)
    nested, flattened = values
    assert flattened.keys() == nested.keys() and flattened
    for block, expected in nested.items():
        for a, b in zip(flattened[block], expected, strict=False):  # what nobody reads is left out
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


SHARED_BLOCKS = """
block Inner(out: int):
    input x: [C]
    y = x -> fc: Linear(out) -> Tanh
    return x + y

block Outer(layer: layer):
    input x
    return x -> layer -> layer

model M:
    input x: [4]
    shared f = [Inner(4), Linear(4), ReLU]
    shared g = Inner(4)
    return x -> f -> f -> g -> f -> g -> outer: Outer(g)
"""


def test_each_use_of_a_shared_block_calls_its_one_module() -> None:
    module = archspec.load(archspec.read_text(SHARED_BLOCKS), seed=0)
    x, fired = torch.randn(2, 4), []
    f, g = module.f, module.g
    torch.testing.assert_close(module(x), g(g(g(f(g(f(f(x))))))))
    for shared in (f, g):
        shared.register_forward_hook(lambda block, *_: fired.append(block))
    module(x)
    assert fired.count(f) == 3 and fired[:3] == [f, f, g]
    f.append(nn.Tanh())
    torch.testing.assert_close(module(x), g(g(g(f(g(f(f(x))))))))
    flat = archspec.load(archspec.read_text(SHARED_BLOCKS), seed=0, flat=True)
    torch.testing.assert_close(flat(x), archspec.load(archspec.read_text(SHARED_BLOCKS), seed=0)(x))


# ---------------------------------------------------------------- copies


NETS = [
    "resnet18",
    "densenet121",
    "vit_ti16",
    "swin_t",
    "halonet_h1",
    "nasnet_a_6_768_cifar",
    "efficientnet_b0",
]


@pytest.mark.slow
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_a_network_is_pickled_and_copied_whole(name: str, flat: bool) -> None:
    module = archspec.load(small(name), seed=0, flat=flat).eval()
    batch = batch_of(archspec.graph_of(module), 1)
    with torch.no_grad():
        expected = outputs(module(*batch))
        file = io.BytesIO()
        torch.save(module, file)
        file.seek(0)
        for other in (torch.load(file, weights_only=False), copy.deepcopy(module), copy.copy(module)):
            assert type(other).__name__ == type(module).__name__ and not other.training
            assert list(other.state_dict()) == list(module.state_dict())
            assert archspec.graph_of(other) == archspec.graph_of(module)
            for a, b in zip(outputs(other(*batch)), expected, strict=True):
                assert torch.equal(a, b)


def test_what_was_done_to_a_network_is_pickled_with_it() -> None:
    module = resnet(recompute=True)
    module.fc = nn.Linear(64, 3)
    module.layer1[1].conv1 = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    module.layer2.append(nn.Dropout(0.5))
    module.layer3.eval()
    for parameter in module.layer4.parameters():
        parameter.requires_grad_(False)
    other = pickle.loads(pickle.dumps(module))
    assert not other.layer3.training and other.layer2.training and len(other.layer2) == 3
    assert not any(parameter.requires_grad for parameter in other.layer4.parameters())
    assert type(other.layer4[0])._changed == "recomputing"
    module.eval(), other.eval()
    assert torch.equal(other(images()), module(images()))
    again = pickle.loads(pickle.dumps(other))
    assert torch.equal(again(images()), module(images()))
    block = pickle.loads(pickle.dumps(module.layer4[1]))
    x = torch.randn(2, 64, 2, 2)
    assert torch.equal(block(x), module.layer4[1](x))


def test_what_runs_another_program_is_not_pickled() -> None:
    changed = resnet()
    for node in changed.graph.nodes:
        if node.target == "relu":
            node.replace_all_uses_with(node.args[0])
    changed.recompile()
    for module in (changed, resnet(optimize="inference"), resnet(flat=True, optimize="inference")):
        with pytest.raises(SpecError, match="cannot be pickled"):
            pickle.dumps(module)


def test_copies_share_nothing() -> None:
    module = resnet().eval()
    module.layer1.register_forward_hook(lambda _, __, out: out * 0)
    expected = module(images())
    copied = copy.deepcopy(module)
    assert torch.equal(copied(images()), expected)
    for parameter in copied.parameters():
        parameter.data.zero_()
    copied.fc = nn.Identity()
    assert torch.equal(module(images()), expected)


# ---------------------------------------------------------------- surgery


def test_children_can_be_replaced() -> None:
    module, x = resnet().eval(), images()
    module.fc = nn.Linear(64, 3)
    module.max_pool = nn.Identity()
    assert module(x).shape == (2, 3)
    calls = []
    module.relu = nn.GELU()
    module.relu.register_forward_hook(lambda *_: calls.append(1))
    module(x)
    assert calls == [1]


@pytest.mark.parametrize("flat", [False, True])
def test_weights_can_be_pruned_and_normed(flat: bool) -> None:
    module, other = resnet(flat=flat).eval(), resnet(flat=flat).eval()
    expected = other(images())
    prune.l1_unstructured(module.get_submodule("layer1.0.conv1"), "weight", 0.5)
    kept = module.get_submodule("layer1.0.conv1").weight
    assert (kept == 0).sum() == kept.numel() // 2
    assert torch.equal(other(images()), expected)  # and no other network
    assert torch.equal(resnet(flat=flat).eval()(images()), expected)
    parametrizations.weight_norm(other.get_submodule("layer2.0.conv1"))
    nn.utils.weight_norm(other.get_submodule("fc"))
    torch.testing.assert_close(other(images()), expected)
    module.train()
    nn.utils.spectral_norm(module.get_submodule("layer3.0.conv2"))
    parametrizations.spectral_norm(module.get_submodule("layer3.0.conv1"))
    module(images()).sum().backward()
    module.eval()
    weight = module.get_submodule("layer3.0.conv1").weight.flatten(1)
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=0.2)


def test_weights_are_averaged() -> None:
    module = resnet()
    averaged = AveragedModel(module, use_buffers=True)
    first = module.fc.weight.detach().clone()
    for step in range(3):
        averaged.update_parameters(module)
        with torch.no_grad():
            module.fc.weight.add_(1)
        assert torch.allclose(averaged.module.fc.weight, first + step / 2)
    assert averaged(images()).shape == (2, 5)


# ---------------------------------------------------------------- traces


@pytest.mark.slow
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", [*NETS, "t2t_vit_14", "pit_ti", "mixer_s16", "cbam_resnet50", "nfnet_f0"])
def test_networks_can_be_traced_by_fx(name: str, flat: bool) -> None:
    module = archspec.load(small(name), seed=0, flat=flat).eval()
    traced = torch.fx.symbolic_trace(module)
    batch = batch_of(archspec.graph_of(module), 1)
    with torch.no_grad():
        for a, b in zip(outputs(traced(*batch)), outputs(module(*batch)), strict=True):
            assert torch.equal(a, b)


def test_layers_with_weights_of_their_own_kind_stay_layers_when_traced() -> None:
    """Traced into, a standardised weight would become a constant."""
    module = archspec.load(
        archspec.read_text(
            "model M:\n    input x: [4, 8, 8]\n    y = x -> conv: WSConv(8, 3) -> DropPath(0.5)\n"
            "    return y -> norm: LayerNorm(axis=0) -> GlobalAvgPool\n"
        ),
        seed=0,
    )
    traced = torch.fx.symbolic_trace(module)
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == [
        *("conv", "drop_path", "norm", "global_avg_pool")
    ]
    traced(torch.randn(2, 4, 8, 8)).sum().backward()
    assert module.conv.weight.grad is not None


# ---------------------------------------------------------------- names

NAMES = sorted({*keyword.kwlist, "self", "torch", "getattr", "slice", "code", "graph", "meta", "operator"})
WORDS = {
    "from",
    "import",
    "as",
    "if",
    "elif",
    "else",
    "for",
    "in",
    "return",
    "and",
    "or",
    "not",
}  # of the language


@pytest.mark.slow
@pytest.mark.parametrize("flat", [False, True])
def test_steps_and_groups_may_have_any_name_that_a_checkpoint_may(flat: bool) -> None:
    steps = "".join(
        f'    y = y + (x -> "{where}{n}": Linear(4))\n' for where in ("", "group.") for n in NAMES
    )
    steps = f"    y = x\n{steps}    return y"
    graph = archspec.read_text(
        f"block Inner:\n    input x\n{steps}\n\n"
        f'model M:\n    input x: [4]\n{steps} -> class_: Inner -> "code_": Inner\n'
    )
    module = archspec.load(graph, seed=0, flat=flat, dtype="f64").eval()
    assert list(module.state_dict()) == list(graph.weights)
    expected = x = torch.randn(2, 4, dtype=torch.float64)
    state = module.state_dict()
    for block in ("", "class_.", "code_."):
        keys = [f"{block}{where}{name}" for where in ("", "group.") for name in NAMES]
        parts = [nn.functional.linear(expected, state[f"{k}.weight"], state[f"{k}.bias"]) for k in keys]
        expected = expected + sum(parts)
    torch.testing.assert_close(module(x), expected)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(other(x), expected)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(module, backend="eager")(x), expected)
    module.get_submodule("graph").weight.data.zero_()
    assert not torch.allclose(module(x), expected)


@pytest.mark.parametrize("flat", [False, True])
def test_inputs_may_have_any_name(flat: bool) -> None:
    given = [name for name in NAMES if name not in WORDS]
    lines = "".join(f"    input {name}: [4]\n" for name in given)
    total = " + ".join(f"{i + 1} * {name}" for i, name in enumerate(given))
    module = archspec.load(archspec.read_text(f"model M:\n{lines}    return {total}\n"), flat=flat)
    tensors = [torch.randn(2, 4) for _ in given]
    expected = sum((i + 1) * x for i, x in enumerate(tensors))
    torch.testing.assert_close(module(*tensors), expected)
    free = {"code", "graph", "meta", "operator"}
    named = {name if name in free else f"{name}_": x for name, x in zip(given, tensors, strict=True)}
    torch.testing.assert_close(module(**named), expected)


FORMS = [  # of what has the name: a weight of the network and of a block, layers, a block, a member of a group
    "model N:\n    input x: [4]\n    weight {n}: [4] = ones\n    return x * {n}\n",
    "block B:\n    input x\n    buffer {n}: [4] = 2\n    return x * {n}\nmodel N:\n    input x: [4]\n    return x -> a: B -> b: B\n",
    'model N:\n    input x: [4]\n    return x -> "{n}": ReLU -> g: [LayerNorm, "{n}": Linear(4)]\n',
    'block B:\n    input x\n    return x + (x -> Linear(4))\nmodel N:\n    input x: [4]\n    return x -> "a.{n}": B -> "{n}": B\n',
    "model N:\n    input x: [4]\n    constant {n}: [4] = 2\n    return x * {n}\n",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["in", "class", "graph", "code", "meta", "_wrapped_call", "self"])
def test_weights_and_optimised_layers_may_have_such_names(name: str, form: str) -> None:
    graph = archspec.read_text(form.format(n=name))
    x = torch.randn(2, 4)
    modules = [archspec.load(graph, seed=0, **how) for how in ({}, {"flat": True}, {"optimize": "inference"})]
    expected = modules[0](x)
    for module in modules:
        for other in (module, copy.deepcopy(module)):
            torch.testing.assert_close(other(x), expected)
    for module in modules[:2]:
        assert torch.equal(pickle.loads(pickle.dumps(module))(x), expected)


SHARED = """
block Part:
    input x: [C, H, W]
    y = x -> conv: Conv(C, 3) -> drop: Dropout(0.1 if H > 8 else 0.9) -> pool: AdaptiveAvgPool(H // 2)
    if H < 16:
        y = y -> extra: Dropout(0.5) -> MaxPool(2)
    return y

model Net:
    input a: [3, 16, 16]
    input b: [3, 8, 8]
    shared part = Part
    return a -> part, b -> part, a -> part, b -> part
"""


@pytest.mark.parametrize("flat", [False, True])
def test_a_shared_block_runs_each_use_with_its_own_arguments(flat: bool) -> None:
    graph = archspec.read_text(SHARED)
    module = archspec.load(graph, seed=0, flat=flat).eval()
    a, b = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 8, 8)
    shapes = [tuple(output.shape[1:]) for output in module(a, b)]
    assert shapes == [output.type.shape for output in graph.outputs] == [(3, 8, 8), (3, 2, 2)] * 2
    drops = {name: m.p for name, m in module.named_modules() if isinstance(m, nn.Dropout)}
    assert (drops["part.drop"], drops["part@2.drop"], drops["part@2.extra"]) == (0.1, 0.9, 0.5)
    assert set(module.state_dict()) == {"part.conv.weight", "part.conv.bias"}


@pytest.mark.parametrize("layer", ["BatchNorm", "LayerNorm(axis=0)"])
def test_a_layer_that_another_number_of_axes_makes_another_is_not_shared(layer: str) -> None:
    text = f"model M:\n    input a: [3, 8]\n    input b: [3, 8, 3]\n    shared s = [n: {layer}]\n    return a -> s, b -> s\n"
    with pytest.raises(archspec.SpecError, match=r"the shared `s.n` is .* at its first use"):
        archspec.load(archspec.read_text(text))
