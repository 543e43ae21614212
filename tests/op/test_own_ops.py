"""Ops of a user's own are held to what they say: what is wrong in one is told with its name and the spec's line."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import archspec
from archspec.ground.errors import Mistake, SpecError
from archspec.op import Op

RIGHT = """
from functools import partial
import torch
from torch import nn
from archspec import Op
from archspec.op.initialisation import ones, zeros
from archspec.op import Weight
from archspec.ground.tensor import TensorType

class Gain(Op):
    times: int = 2
    examples = ("f32[3, 4] -> Gain -> f32[3, 4]",)
    overwritable = {overwritable}
    view = {view}
    overwrites = {overwrites}
    def infer(self, x, *, shift=None):
        {infer}
    def weights(self, x, *, shift=None):
        {weights}
    def macs(self, x, *, shift=None):
        {macs}
    def flops(self, x, *, shift=None):
        {flops}
    def saved(self, x, *, shift=None):
        {saved}
    def reach(self, x, *, shift=None):
        {reach}
    def lower(self, x, *, shift=None):
        {lower}

class Scaled(nn.Module):
    def __init__(self, shape, dtype=torch.float32, run=lambda x: x):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape, dtype=dtype, device="meta"))
        self.run = run
    def forward(self, x, shift=0):
        return self.run(x * self.weight + shift)

class Buffered(nn.Module):
    def __init__(self, persistent=True):
        super().__init__()
        self.register_buffer("weight", torch.empty(4, device="meta"), persistent=persistent)
    def forward(self, x):
        return x * self.weight
"""
PARTS = {
    "overwritable": "False",
    "view": "False",
    "overwrites": "False",
    "infer": "return x",
    "weights": "return {'weight': Weight(shape=(4,), init=ones())}",
    "macs": "return 0",
    "flops": "return x.values",
    "saved": "return ('inputs',)",
    "reach": "return super().reach(x, **({'shift': shift} if shift else {}))",
    "lower": "return Scaled((4,))",
}
SPEC = """model Net:
    input x: [3, 4]
    y = x -> ReLU
    return y -> gain: Gain(times=3)
"""
PLACE = "spec.arch:4:"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    Op.known.pop("Gain", None)


def define(**parts: str) -> None:
    """An op that is right but for the parts given."""
    exec(RIGHT.format(**PARTS | parts), {"__name__": "ops_of_mine"})


def told(call: object) -> str:
    with pytest.raises((SpecError, Mistake)) as caught:
        call()  # type: ignore[operator]
    error = caught.value
    said = str(error)
    assert "Gain" in said
    assert PLACE in said
    return said


def test_an_op_that_is_right_runs() -> None:
    define()
    net = archspec.load(archspec.read_text(SPEC), seed=0)
    assert net(torch.ones(2, 3, 4)).shape == (2, 3, 4)
    archspec.cost(archspec.read_text(SPEC))


@pytest.mark.parametrize(
    ("part", "code", "said"),
    [
        ("infer", "return x.shape", "not a TensorType"),
        ("infer", "return None", "not a TensorType"),
        ("infer", "return ()", "not a TensorType"),
        ("infer", "return [x]", "not a TensorType"),
        ("infer", "return x.with_shape((3, 2.5))", "not a tuple of integers"),
        ("infer", "return x.with_shape((3, -1))", "not a tuple of integers"),
        ("infer", "return TensorType((3, 4), 'float32')", "returns the dtype 'float32'"),
        ("infer", "return x.nothing", "`infer` of Gain fails with AttributeError"),
        ("infer", "return {}[self]", "`infer` of Gain fails with KeyError"),
        ("infer", "return 1 / 0", "`infer` of Gain fails with ZeroDivisionError: division by zero"),
        ("infer", "return self.infer(x)", "`infer` of Gain fails with RecursionError"),
        ("infer", "assert x.rank == 9", "`infer` of Gain fails with AssertionError"),
        ("weights", "return [3]", "not a mapping from names to `Weight`s"),
        ("weights", "return {'weight': (4,)}", "not a mapping from names to `Weight`s"),
        ("weights", "return {'a b': Weight(shape=(4,), init=ones())}", "a weight named 'a b'"),
        ("weights", "return {'': Weight(shape=(4,), init=ones())}", "a weight named ''"),
        ("weights", "return Weight(shape='four')", "`weights` of Gain fails with ValidationError"),
        ("weights", "raise OSError", "`weights` of Gain fails with OSError"),
    ],
)
def test_what_is_wrong_is_told_when_the_spec_is_read(part: str, code: str, said: str) -> None:
    define(**{part: code})
    assert said in told(lambda: archspec.read_text(SPEC))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"lower": "raise ValueError('no such thing')"},
            "`lower` of Gain fails with ValueError: no such thing",
        ),
        ({"lower": "return None"}, "gives None, not a module or a function"),
        ({"lower": "return Scaled"}, "not a module or a function"),
        ({"lower": "return partial(torch.mul, 3)", "weights": "return {}"}, "arguments by position"),
        ({"weights": "return {}"}, "owns `weight`, which its `weights` does not declare"),
        ({"lower": "return torch.relu"}, "declares `weight`, which what it runs does not own"),
        (
            {"weights": "return {'gain': Weight(shape=(4,), init=ones())}"},
            "which its `weights` does not declare",
        ),
        ({"lower": "return Scaled((3, 4))"}, "of shape [4], and what it runs owns it of shape [3, 4]"),
        ({"lower": "return Scaled((4,), torch.float64)"}, "as f32, and what it runs owns it as float64"),
        ({"lower": "return Buffered()"}, "as a parameter, and what it runs owns it as a buffer"),
        (
            {
                "lower": "return Buffered(persistent=False)",
                "weights": "return {'weight': Weight(shape=(4,), init=ones(), trainable=False)}",
            },
            "as saved, and what it runs does not save it",
        ),
        (
            {"infer": "return x.with_shape((4, 3))"},
            "says f32[4, 3], and what it runs gives, for a batch of 2,",
        ),
        ({"infer": "return TensorType(x.shape, 'f64')"}, "says f64[3, 4], and what it runs gives"),
        ({"infer": "return x, x"}, "says 2 tensors"),
        (
            {"lower": "return Scaled((4,), run=lambda x: x.sum(0))"},
            "what it runs gives, for a batch of 2, float32 [3, 4]",
        ),
        ({"lower": "return Scaled((4,), run=lambda x: [x, x])"}, "says 1 tensor"),
        ({"lower": "return Scaled((4,), run=lambda x: None)"}, "gives (NoneType)"),
        (
            {"lower": "return Scaled((4,), run=lambda x: x @ x)"},
            "what Gain runs fails on f32[3, 4] with RuntimeError",
        ),
        ({"lower": "return Scaled((4,), run=lambda x: x.nothing)"}, "with AttributeError"),
        ({"lower": "return lambda x: x.view(-1, 3, 4)", "weights": "return {}"}, "does not say `view`"),
        (
            {
                "lower": "return lambda x: x.view(-1, 3, 4)",
                "weights": "return {}",
                "view": "True",
                "overwritable": "True",
            },
            "says `overwritable`",
        ),
        ({"lower": "return torch.relu", "weights": "return {}", "overwrites": "True"}, "takes no `inplace`"),
    ],
)
@pytest.mark.parametrize("flat", [False, True])
def test_what_is_wrong_is_told_when_it_is_built(parts: dict[str, str], said: str, flat: bool) -> None:
    define(**parts)
    graph = archspec.read_text(SPEC)
    assert said in told(lambda: archspec.load(graph, flat=flat))


@pytest.mark.parametrize(
    ("part", "code", "said"),
    [
        ("macs", "return 0.5", "`macs` of Gain returns 0.5, not a non-negative integer"),
        ("macs", "return -1", "`macs` of Gain returns -1, not a non-negative integer"),
        ("flops", "return None", "`flops` of Gain returns None"),
        ("flops", "return True", "`flops` of Gain returns True"),
        ("flops", "return x.value", "`flops` of Gain fails with AttributeError"),
        ("saved", "return 'inputs'", "not a tuple of names and TensorTypes"),
        ("saved", "return ('weights',)", "returns 'weights', which is not a parameter of `infer`"),
        ("saved", "return (3,)", "not a tuple of names and TensorTypes"),
        ("saved", "raise KeyError('x')", "`saved` of Gain fails with KeyError"),
        ("reach", "return None", "not a tuple with one item per tensor"),
        ("reach", "return (None, None)", "not a tuple with one item per tensor"),
        ("reach", "return ((),)", "for a tensor of 2 axes"),
        ("reach", "return self.reaches", "`reach` of Gain fails with AttributeError"),
    ],
)
def test_what_is_wrong_is_told_when_it_is_counted(part: str, code: str, said: str) -> None:
    define(**{part: code})
    graph = archspec.read_text(SPEC)
    summary = archspec.cost(graph)
    count = {"saved": lambda: summary.saved, "reach": lambda: summary.receptive_fields}
    assert said in told(count.get(part, lambda: summary.total))


def test_a_size_that_is_free_is_given_one_to_try_it(tmp_path: Path) -> None:
    define(infer="return x.with_shape((x.shape[0] + 1, x.shape[1]))", lower="return Scaled((4,))")
    graph = archspec.read_text(SPEC.replace("[3, 4]", "[free S, 4]"))
    assert "says f32[17, 4], and what it runs gives" in told(lambda: archspec.load(graph))


def test_an_optional_tensor_is_given_by_name() -> None:
    define()
    spec = SPEC.replace("Gain(times=3)", "Gain(times=3, shift=y)")
    archspec.load(archspec.read_text(spec))
    define(lower="return lambda x: x + 1", weights="return {}")
    assert "fails on f32[3, 4], f32[3, 4] with TypeError" in told(
        lambda: archspec.load(archspec.read_text(spec))
    )


def test_what_cannot_run_without_numbers_runs_on_the_cpu() -> None:
    define(lower="return Scaled((4,), run=lambda x: x if float(x.sum()) > 0 else x)")
    archspec.load(archspec.read_text(SPEC))
    define(lower="return Scaled((4,), run=lambda x: x if float(x.sum()) > 0 and x.nothing else x)")
    assert "with AttributeError" in told(lambda: archspec.load(archspec.read_text(SPEC)))


def test_a_mistake_of_an_op_is_told_as_it_is() -> None:
    define(
        infer="from archspec.ground.errors import Mistake; raise Mistake('too thin', 'E0502', help='use more')"
    )
    with pytest.raises(SpecError, match=r"error\[E0502\]: too thin") as caught:
        archspec.read_text(SPEC)
    assert caught.value.problems[0].help == "use more"


def test_a_validator_that_fails_is_told() -> None:
    text = RIGHT.format(**PARTS).replace(
        "    times: int = 2\n",
        "    times: int = 2\n"
        "    @__import__('pydantic').field_validator('times')\n"
        "    def known(cls, value):\n        return {2: 2}[value]\n",
    )
    exec(text, {"__name__": "ops_of_mine"})
    assert "checking the arguments of Gain fails with KeyError: 3" in told(lambda: archspec.read_text(SPEC))


def test_it_is_tried_once_for_each_kind_of_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """And ops that come with archspec are never tried."""
    from archspec.backends import torch_conformance

    tried = []
    run = torch_conformance.require_results
    monkeypatch.setattr(
        torch_conformance, "require_results", lambda op, *rest: (tried.append(op), run(op, *rest))
    )
    define()
    spec = SPEC.replace("Gain(times=3)", "[ReLU] + 5 * [Gain(times=3)]")
    for _ in range(2):
        archspec.load(archspec.read_text(spec))
    archspec.load("lenet5")
    assert [type(op).__name__ for op in tried] == ["Gain"]


@pytest.mark.slow
def test_the_shell_tells_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "net.arch").write_text(SPEC)
    wrong = {
        "a": RIGHT.format(**PARTS | {"infer": "return 1 / 0"}),
        "b": RIGHT.format(**PARTS | {"lower": "return Scaled((5,))"}),
        "c": "import nothing_of_that_name\n",
        "d": "class Gain(\n",
        "e": "from archspec import Op\nclass Gain(Op):\n    pass\n",
    }
    for name, text in wrong.items():
        (tmp_path / f"{name}.py").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "archspec", "build", "net.arch", "--plugin", f"{name}.py"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("error[")
        assert ("net.arch:4" in done.stderr) == (name in "ab")
    assert "line 1" in done.stderr or "Gain" in done.stderr


# ---------------------------------------------------------------- what an author tests with


@pytest.mark.parametrize(
    ("parts", "check", "said"),
    [
        ({"infer": "return x.with_shape(x.shape[::-1])"}, "types", "`infer` returns f32[4, 3]"),
        ({"lower": "return Scaled((4,), run=lambda x: x.double())"}, "types", "what it runs gives"),
        ({"weights": "return {'weight': Weight(shape=(3, 4), init=ones())}"}, "weights", "of shape [3, 4]"),
        ({"macs": "return 12"}, "counts", "`macs` returns 12, but torch counts 0"),
        ({"lower": "return Scaled((4,), run=lambda x: (x.mT @ x).sum(1, keepdim=True) + x)"}, "counts", "torch counts 48"),
        ({"macs": "return 0", "flops": "return -1"}, "counts", "`flops` of Gain returns -1"),
        ({"lower": "return Scaled((4,), run=lambda x: x / 0)"}, "run", "numbers that are not finite"),
        ({"saved": "return ()"}, "saved", "`saved` adds up to 0 bytes for a batch of 2, but autograd keeps 96"),
        ({"saved": "return ('inputs', x)"}, "saved", "`saved` adds up to 192 bytes"),
        ({"view": "True"}, "view", "`view` is True, but the output does not share its input's memory"),
        (
            {"lower": "return Scaled((4,), run=torch.exp)", "overwritable": "True", "saved": "return 'inputs', 'outputs'"},
            "overwritable",
            "its backward pass reads its output",
        ),
        ({"reach": "return (None,)"}, "reach", "depends on [0, 0] of `x0`"),
        ({"reach": "from archspec.op.dependence import points; return (points(x),)", "lower": "return Scaled((4,), run=lambda x: x.cumsum(1))"}, "reach", "the output at [1, 0] depends on [0, 0]"),
    ],
)  # fmt: skip
def test_each_check_finds_what_is_not_so(parts: dict[str, str], check: str, said: str) -> None:
    """And what comes before it finds nothing."""
    from archspec.testing import CHECKS, check_op

    define(**parts)
    op = Op.known["Gain"]
    with pytest.raises((AssertionError, Mistake)) as caught:
        check_op(op, leave_out=list(CHECKS)[: list(CHECKS).index(check)])
    assert said in str(caught.value)


def test_an_op_that_is_right_passes_all_checks() -> None:
    from archspec.testing import check_op

    define()
    check_op(Op.known["Gain"])
    for name in ("Conv", "Attention", "Dropout"):
        check_op(Op.find(name))
    with pytest.raises(ValueError, match="there is no check"):
        check_op(Op.known["Gain"], leave_out=["speed"])
    with pytest.raises(AssertionError, match="has no examples"):
        check_op(Op.find("Own"))


@pytest.mark.parametrize("op", [int, None, "Conv", "None of these", 3, Op.find("ReLU")()], ids=repr)
def test_only_classes_of_ops_are_checked(op: Any) -> None:
    from archspec.testing import check_op

    with pytest.raises(TypeError, match=r"`op` must be a subclass of archspec\.Op"):
        check_op(op)


@pytest.mark.parametrize("left_out", ["reach", "", None, 3, [3], [None]], ids=repr)
def test_checks_are_left_out_by_a_collection_of_their_names(left_out: Any) -> None:
    from archspec.testing import check_op

    with pytest.raises(TypeError, match="`leave_out`"):
        check_op(Op.find("ReLU"), leave_out=left_out)


@pytest.mark.parametrize("part", ["infer", "weights", "lower", "flops"])
@pytest.mark.parametrize("leaves", ["raise SystemExit", "raise SystemExit(3)", "import sys; sys.exit('no')"])
def test_an_op_that_leaves_the_process_is_told(part: str, leaves: str) -> None:
    define(**{part: leaves})
    said = told(lambda: (archspec.load(g := archspec.read_text(SPEC), seed=0), archspec.cost(g).total))
    assert f"`{part}` of Gain fails with SystemExit" in said


def test_what_an_op_runs_may_not_leave_the_process() -> None:
    define(lower="import sys; return Scaled((4,), run=lambda x: sys.exit(3))")
    assert "with SystemExit: 3" in told(lambda: archspec.load(archspec.read_text(SPEC), seed=0))


def test_an_example_of_another_op_is_found() -> None:
    from archspec.testing import check_op

    define()
    Op.known["Gain"].examples = ("f32[3] -> ReLU -> f32[3]",)
    with pytest.raises(AssertionError, match="is not an example of Gain"):
        check_op(Op.known["Gain"])


def test_an_op_that_derives_from_a_shipped_one_is_not_optimised_as_that() -> None:
    """oneDNN computes a ReLU in the kernel of the convolution before it; what derives from ReLU computes something else."""
    from archspec.ops.activation import ReLU

    class Doubled(ReLU):
        overwrites = False

        def lower(self, x: Any) -> Any:
            return lambda x: 2 * torch.relu(x)

    graph = archspec.read_text("model Net:\n    input x: [3, 8, 8]\n    return x -> Conv(4, 3) -> Doubled\n")
    x = torch.randn(2, 3, 8, 8)
    plain, optimised = (archspec.load(graph, seed=0, optimize=how) for how in (None, "inference"))
    torch.testing.assert_close(optimised(x), plain.eval()(x))
    Op.known.pop("Doubled")
