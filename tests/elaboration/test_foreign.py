"""Names of other frameworks: what the help says in their place is a form of the language."""

import re

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

import archspec
from archspec.api.fixing import edited
from archspec.elaboration.foreign import FOREIGN, NOTES, OF_TENSORS, meant_by, method, surely
from archspec.op.initialisation import Initialiser

NET = """
{imported}
model Net:
    input x: [3, 8, 8]
    y = x -> Reduce("mean", [1, 2])
    z = x -> Reshape([8, 24])
    first = ReLU
    second = ReLU
    axis = 0
    layers = [ReLU]
    {declared}
    return {form}
"""


@pytest.mark.filterwarnings("ignore::archspec.SpecWarning")
@pytest.mark.parametrize(
    "form",
    sorted(
        {
            form
            for said in (*map(meant_by, (*FOREIGN, *NOTES)), *map(method, OF_TENSORS))
            for form in re.findall("`(.*?)`", said)
        }
    ),
)
def test_the_form_is_one_that_reads(form: str) -> None:
    imported, declared, applied = "", "", form
    if form.startswith(("weight ", "buffer ", "constant ")):
        declared, applied = form, "x + table"
    elif form.startswith("input "):
        declared, applied = form, "x + z"
    elif form == "MultiheadAttention":
        applied = "(z, z, z) -> MultiheadAttention(8)"
    elif form.startswith("from "):
        imported, applied = form, form.rpartition(" ")[2]
    if applied in ("true", "false", "none", "pi", "sqrt(2)"):
        applied = (
            f"x -> Scale({applied if applied in ('pi', 'sqrt(2)') else f'1 if {applied} == none else 2'})"
        )
    elif re.fullmatch(r"x\.\w+", applied):
        applied = f"x -> Scale({applied if applied == 'x.rank' else f'{applied}[0]'})"
    elif not re.match(r"x\b|-?\(|concat", applied):
        required = {
            "Conv": "Conv(8)",
            "Linear": "Linear(8)",
            "Upsample": "Upsample(scale=2)",
            "Pad": "Pad(1)",
            "AvgPool": "AvgPool(2)",
            "MaxPool": "MaxPool(2)",
            "ConvTranspose": "ConvTranspose(8, 2)",
            "DropPath": "DropPath(0.1)",
            "Mlp": "Mlp(2)",
            "ConvBN": "ConvBN(8)",
        }
        required |= {
            "Permute": "Permute([1, 2, 0])",
            "Reshape": "Reshape([-1])",
            "ChannelDropout": "ChannelDropout(0.1)",
        }
        required |= {
            "Rearrange": 'Rearrange("c h w -> (h w) c")',
            "SqueezeExcite": "SqueezeExcite(1)",
            "GLU": "GLU(axis=1)",
        }
        tensor = "y" if applied.startswith('Rearrange("c ->') else "x"
        applied = f"{tensor} -> {required.get(applied, applied)}"
    archspec.read_text(
        NET.format(imported=imported, declared=declared, form=applied.replace("concat(x, y)", "concat(x, x)"))
    )


def test_a_name_that_is_here_needs_no_other() -> None:
    for name in {
        *FOREIGN,
        *NOTES,
    } - Initialiser.known.keys():  # of which another framework has functions, torch.zeros
        with pytest.raises(archspec.SpecError, match="there is no"):
            archspec.read_text(f"model Net:\n    input x: [3, 8, 8]\n    return x -> {name}\n")


def wrong(text: str) -> archspec.SpecError:
    with pytest.raises(archspec.SpecError) as caught:
        archspec.read_text(text)
    return caught.value


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("x -> Swish", "x -> SiLU"),
        ("x -> Dense(8)", "x -> Linear(8)"),
        ("x -> Conv(8, bias=False)", "x -> Conv(8, bias=false)"),
    ],
)
@pytest.mark.parametrize("place", ["model Net:\n    input x: [3, 8, 8]\n    return {}\n", None])
def test_a_name_that_is_sure_is_a_fix(said: str, meant: str, place: str | None) -> None:
    if place is None:  # at the top, names are looked up when they are used
        said, meant = said.removeprefix("x -> "), meant.removeprefix("x -> ")
        place = "layer = {}\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> layer\n"
    text = place.format(said)
    (problem,) = wrong(text).problems
    assert problem.fix is not None
    assert edited(text, problem.fix.edits) == place.format(meant)
    archspec.read_text(edited(text, problem.fix.edits))


def test_layers_whose_arguments_differ_are_no_fix() -> None:
    (problem,) = wrong("model Net:\n    input x: [3, 8, 8]\n    return x -> Conv2d(3, 64, 3)\n").problems
    assert problem.help == (
        "write `Conv(64, 3, padding=0)`: PyTorch's `in_channels` comes from the input, PyTorch's `padding` is 0 by default"
    )
    assert problem.fix is None
    assert all(surely(name) in (None, FOREIGN[name]) for name in FOREIGN)


@pytest.mark.parametrize(
    ("said", "help"),
    [
        ("x.flatten(1)", "write `x -> Flatten`"),
        ("x.size", "write `x.shape`"),
        ("x.chanels", "did you mean `channels`?"),
        ("x -> 2 * ReLU", "a list is repeated: `2 * [ReLU]`"),
        ("x -> ReLU * 2", "a list is repeated: `2 * [ReLU]`"),
        ("x -> Conv(8) + ReLU", "one after the other they are `[Conv(8), ReLU]`; to add what they give, apply them first"),
        ("x -> Conv(8) * ReLU", "apply the layers first: `(x -> first) * (x -> second)`"),
        ("conv", "`conv` names a step, no value: bind what the step gives, `y = x -> conv: ...`"),
    ],
)  # fmt: skip
def test_what_is_meant_is_told(said: str, help: str) -> None:
    text = f"model Net:\n    input x: [3, 8, 8]\n    y = x -> conv: ReLU\n    return {said}\n"
    assert [problem.help for problem in wrong(text).problems] == [help]


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("block ReLU:\n    input x: [*S]\n    return x -> ReLU\n", "it hides the op `ReLU`: give it another name"),
        ("def round(n):\n    return round(n)\n", "it hides the function `round`: give it another name"),
        ("block Part:\n    input x: [*S]\n    return x -> Part\n", "blocks cannot recur; repeat with a list: `n * [Block]`"),
    ],
)  # fmt: skip
def test_a_definition_that_hides_what_it_uses_is_told(text: str, help: str) -> None:
    assert [problem.help for problem in wrong(text).problems] == [help]


# ------------------------------------------------------------------ the forms compute what the names do

x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
MEANT = {
    "Swish": F.silu(x),
    "Hardtanh": F.hardtanh(x),
    "LogSigmoid": F.logsigmoid(x),
    "SELU": F.selu(x),
    "Softmax2d": x.softmax(1),
    "QuickGELU": x * torch.sigmoid(1.702 * x),
    "Relu6": F.relu6(x),
    "Elu": F.elu(x),
    "Gelu": F.gelu(x),
    "LeakyRelu": F.leaky_relu(x),
    "HardSwish": F.hardswish(x),
    "HardSigmoid": F.hardsigmoid(x),
    "permute": x.permute(0, 2, 3, 1),
    "transpose": x.transpose(2, 3),
    "flatten": x.flatten(1),
    "unsqueeze": x.unsqueeze(1),
    "mean": x.mean((2, 3)),
    "softmax": x.softmax(-1),
    "where": torch.where(x > 0, x, -x),
    "einsum": torch.einsum("nchw,nchv->ncwv", x, x),
    "rearrange": x.flatten(2).transpose(1, 2),
    "view": x.reshape(2, -1),
}


@pytest.mark.parametrize("name", MEANT)
def test_the_form_computes_what_the_name_does(name: str) -> None:
    form = FOREIGN[name] if re.match(r"x\b|-?\(", FOREIGN[name]) else f"x -> {FOREIGN[name]}"
    network = archspec.load(archspec.read_text(f"model Net:\n    input x: [3, 8, 8]\n    return {form}\n"))
    torch.testing.assert_close(network(x), MEANT[name], atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize(
    ("said", "shown", "meant"),
    [
        ("nn.Conv2d(3, 8, 3, padding=1)", "nn.Conv2d", "write `Conv(8, 3, padding=1)`"),
        ("nn.Conv2d(3, 8, 1)", "nn.Conv2d", "write `Conv(8, 1)`"),
        ("nn.Conv2d(3, width, (3, 1))", "nn.Conv2d", "write `Conv(width, [3, 1], padding=0)`"),
        ("torch.nn.MaxPool2d(2)", "torch.nn.MaxPool2d", "write `MaxPool(2)`"),
        ("nn.MaxPool2d(3, 2, -1)", "nn.MaxPool2d", "write `MaxPool`"),
        ("nn.LeakyReLU(0.1, True)", "nn.LeakyReLU", "write `LeakyReLU(0.1)`"),
        (
            "nn.Linear(in_features=8, out_features=4, bias=False)",
            "nn.Linear",
            "write `Linear(4, bias=false)`",
        ),
        ("nn.Softmax(dim=1)", "nn.Softmax", "write `Softmax(axis=0)`"),
        ("keras.layers.Dense(8)", "keras.layers.Dense", "write `Linear`"),
        ("torch.cat([x, x])", "torch.cat", "write `concat(x, y)`"),
        ("F.gelu", "F.gelu", "write `x -> GELU`"),
        ("nn.Novel(8)", "nn.Novel", "layers stand alone"),
        ("self.conv", "self.conv", "names stand alone"),
        ("cell.inner", "cell", ""),
    ],
)
def test_a_dotted_name_is_told_whole_with_its_call(said: str, shown: str, meant: str) -> None:
    text = f"model Net(width: int = 8):\n    input x: [3, 8, 8]\n    return x -> {said}\n"
    problem = wrong(text).problems[0]  # `True` is another
    assert problem.message == f"there is no `{shown}`" and problem.span is not None
    assert problem.span.text == shown
    assert problem.help.startswith(meant)


@pytest.mark.parametrize(
    ("theirs", "module"),
    [
        ("Conv2d(3, 8, 3)", torch.nn.Conv2d(3, 8, 3)),
        ("Conv2d(3, 8, 3, 2, 1)", torch.nn.Conv2d(3, 8, 3, 2, 1)),
        ("Conv2d(3, 8, 2, stride=2)", torch.nn.Conv2d(3, 8, 2, stride=2)),
        ("Conv2d(3, 6, 3, groups=3, dilation=2)", torch.nn.Conv2d(3, 6, 3, groups=3, dilation=2)),
        ("MaxPool2d(3)", torch.nn.MaxPool2d(3)),
        ("MaxPool2d(3, 2)", torch.nn.MaxPool2d(3, 2)),
        ("AvgPool2d(3, 1)", torch.nn.AvgPool2d(3, 1)),
        ("ConvTranspose2d(3, 4, 3, 2)", torch.nn.ConvTranspose2d(3, 4, 3, 2)),
    ],
)
def test_a_call_that_is_translated_computes_the_same(theirs: str, module: torch.nn.Module) -> None:
    spec = "model Net:\n    input x: [3, 9, 9]\n    return x -> layer: {}\n"
    (problem,) = wrong(spec.format(theirs)).problems
    form = re.findall("`(.*?)`", problem.help)[0]
    net = archspec.load(archspec.read_text(spec.format(form)))
    net.load_state_dict({f"layer.{key}": value for key, value in module.state_dict().items()})
    x = torch.randn(2, 3, 9, 9)
    assert torch.equal(net(x), module(x))


@pytest.mark.parametrize(
    ("line", "help"),
    [
        ("y = Attention(x, x, x)", "write `(x, y, z) -> Attention`"),
        ('y = Rearrange("c h w -> (h w) c", x)', 'write `x -> Rearrange("c h w -> (h w) c")`'),
        ("y = Stack([x, x])", "write `(x, y) -> Stack`"),
        ("y = Conv(8)(x)", "write `x -> Conv(8)`"),
        ("y = x -> LayerNorm([8, 8])", "write `LayerNorm(axes=[-2, -1])`: axes are counted without the batch"),
        ("y = x -> Permute(1, 2, 0)", "write `Permute([1, 2, 0])`"),
        ("y = concat([x, x], dim=1)", "PyTorch's `dim` is `axis` here; axes are counted without the batch"),
        ("y = sum(x, axis=0)", 'write `x -> Reduce("sum", 0)`; axes are counted without the batch'),
        ("y = x -> (Conv(8), ReLU)", "layers one after the other are a list: `[Conv(8), ReLU]`"),
        ('y = x -> "ReLU"', "write it without quotes: `ReLU`"),
        ("y = x <- ReLU", "a layer is applied with `->`: `x -> ReLU`"),
        ('y = x -> Linear(8, activation="relu")', "an activation is a layer behind it: `Linear(...) -> ReLU`"),
        ("y = x -> PatchEmbed(8, 8)", "write `from blocks.transformer import PatchEmbed`"),
        ("input z: [None, 3]", "leave it out: every tensor has the batch in front, of any size"),
        ("layers.append(ReLU)", "add a list to it: `layers += [ReLU]`, `layers = [ReLU] + layers`"),
        ('return {"a": x}', "name each: `return a=x, b=y`"),
        ("x[0] = 5", "make the whole anew under a name: `row = [5] + row[1:]`"),
        ("for i in range(2):\n        x = x -> conv: Conv(3)",
         "each name is a key of the state_dict; a loop numbers them: `\"conv{i}\": ...`"),
    ],
)  # fmt: skip
def test_what_people_write_is_told_as_it_is_here(line: str, help: str) -> None:
    text = f"model Net:\n    input x: [3, 8, 8]\n    {line}\n    return x -> ReLU\n"
    assert help in [problem.help for problem in wrong(text).problems]


@pytest.mark.parametrize("name", ["Resid", "Greter_than_all", "tup", "isinstanc", "commnt"])
def test_words_with_some_letters_in_common_are_no_suggestion(name: str) -> None:
    (problem,) = wrong(f"model Net:\n    input x: [3, 8, 8]\n    return x -> {name}\n").problems
    assert problem.help == ""
