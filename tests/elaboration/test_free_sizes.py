"""Free sizes: a formula is the shape that torch gives at every value from 1 on, or the spec is refused."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archspec
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import initial_weights
from archspec.graph import Graph
from archspec.ground.bounds import always_equal, require_place
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.size import Free, Size

S, T = Free.named("S"), Free.named("T")


def net(*lines: str, given: str = "input x: [4, free S]") -> Graph:
    body = [*given.split("; "), *lines]
    return archspec.read_text("\n".join(["model Net:", *(f"    {line}" for line in body), ""]))


def refusal(*lines: str, given: str = "input x: [4, free S]") -> str:
    with pytest.raises(SpecError) as caught:
        net(*lines, given=given)
    (diagnostic,) = caught.value.problems
    assert diagnostic.kind == "free"
    assert diagnostic.help
    return diagnostic.message


# ------------------------------------------------------------------ against torch


bound = st.one_of(st.none(), st.integers(-3, 3))


def written(value: int | None) -> str:
    return "" if value is None else str(value)


slices = st.builds(
    lambda start, stop, step: f"{written(start)}:{written(stop)}:{written(step)}",
    bound,
    bound,
    st.sampled_from([None, None, 1, 2, 3]),
)
small = st.integers(1, 3)

LAYERS = st.one_of(
    st.builds("Pad([[{}, {}]])".format, st.integers(-2, 2), st.integers(-2, 2)),
    st.builds(
        'Pad([[{}, {}]], mode="{}")'.format,
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["reflect", "replicate", "circular"]),
    ),
    st.builds(
        "Conv(4, {}, stride={}, padding={}, dilation={})".format,
        small,
        small,
        st.sampled_from([0, 1, 2, '"same"', '"valid"']),
        small,
    ),
    st.builds(
        "ConvTranspose(4, {}, stride={}, padding={}, dilation={})".format, small, small, st.integers(0, 2), st.integers(1, 2)
    ),
    st.builds(
        "{}({}, {}, {}, ceil={})".format,
        st.sampled_from(["MaxPool", "AvgPool"]),
        small,
        small,
        st.sampled_from([0, 1, '"same"']),
        st.sampled_from(["true", "false"]),
    ),
    st.builds("Crop({})".format, small),
    st.builds("Upsample(scale={})".format, small),
    st.builds("AdaptiveAvgPool({})".format, small),
    st.builds("Roll([{}], [1])".format, st.integers(-3, 3)),
    st.builds("Index([[none, none, none], {}])".format, st.integers(-2, 2)),
    st.builds("Zero(stride={})".format, small),
    st.sampled_from(
        [
            "InstanceNorm(affine=true)", "BatchNorm", "GroupNorm(2)", "Flatten", "Flatten(start=-1)", "Linear(3)",
            'Reduce("max", 1)', "Reduce(\"sum\", 0, keep=true)", "Permute([1, 0])", "Positions(axis=1)",
            "Reshape([-1])", "Reshape([4, -1])", "Reshape([2, -1, 2])", "Reshape([1, -1])", "GlobalMaxPool",
            "Reshape([2, 2, -1]) -> PixelShuffle(1)", "Reshape([4, -1, 1]) -> PixelShuffle(2)",
            "Reshape([4, 1, -1]) -> PixelUnshuffle(1)", "Reshape([1, 2, -1]) -> PixelUnshuffle(2)",
            "Reshape([4, 1, -1]) -> Unfold([1, 2])", "Reshape([-1, 2, 2]) -> WindowPartition(2)",
            "Reshape([2, -1, 2]) -> WindowPartition([2, 1])", "ChannelShuffle(2)",
            "Upsample(scale=1.5)", "Upsample(scale=0.5)", 'Conv(4, 3, stride=2, padding="tf_same")', "Conv(4, 4, stride=4)", 'Upsample(scale=2, mode="linear")', "ArgMax", "ArgMin(axis=0, keep=true)", "CumSum",
            "Flip([0, 1])", "Normalize", "Normalize(axis=0)", "RMSNorm(axis=0)", "Norm(-1)", "Detach", "Floor",
            'Rearrange("c l -> l c")', 'Rearrange("c l -> (l c)")', 'Rearrange("(c p) l -> c (l p)", p=2)',
            'Rearrange("c (l p) -> (p c) l", p=2)', 'Rearrange("c l -> n (l c)", n=3)', 'Rearrange("... l -> (l ...) 1")',
            'Rearrange("c l -> c (l n)", n=2)', 'Reduce("mean", "c l -> l")', 'Reduce("max", "c (l 2) -> l c")',
            'Reduce("sum", "(c p) l -> (l c)", p=2)',
        ]
    ),
)  # fmt: skip
STEPS = st.one_of(
    LAYERS.map(lambda layer: f"x = x -> {layer}"),
    slices.map(lambda part: f"x = x[:, {part}]"),
    slices.map(lambda part: f"x = x[{part}]"),
    st.sampled_from(
        [
            "x = concat(x, x, axis=-1)", "x = concat(x, x, x)", "x = concat(x, x[:, :1], axis=1)",
            "x = x + x[:, -1:]", "x = x @ (x -> Permute([1, 0]))", "a, b = x -> Split(2, axis=-1)\nx = a * b",
            "x = (x -> Sort)[0]", "x = (x -> Sort(axis=0))[0]", "x = (x -> TopK(1))[0]", "x = (x -> TopK(2))[0]",
            "x = x[:, :1] -> Expand(like=x)", "x = x -> Conv(4, 3, stride=2) -> Upsample(like=x)",
            'x = x -> Upsample(mode="linear", like=x[:, 1:])', "x = x -> Crop(like=x[:, ::2])", "x = concat(x, x, axis=-1) -> Crop(like=x)",
            "x = (x, x -> ArgMax(keep=true)) -> TakeAlong", "x = x -> Expand([2, 4, -1])",
            "x = (x, (x -> Sort)[1]) -> Scatter(99)", "x = x // 2 + x % 2",
            "x = (x, x) -> Stack(axis=-1)", 'x = (x, x) -> Einsum("c l, d l -> c d")',
            'x = (x, x) -> Einsum("c l, d l -> d c l")', "x = (x, x, x) -> Attention",
            "x = x -> Reshape([x.length, x.channels])", "x = x -> Reshape([2 * x.length, x.channels // 2])",
            "x = x -> Reshape([x.channels * x.length])", "x = x -> Reshape([x.length - 1, -1])",
        ]
    ),
)  # fmt: skip


@settings(deadline=None, max_examples=400, derandomize=True)
@given(st.lists(STEPS, min_size=1, max_size=4))
def test_a_formula_is_the_shape_that_torch_gives_at_every_value(steps: list[str]) -> None:
    try:
        graph = net(*"\n".join([*steps, "return x"]).split("\n"))
    except SpecError:
        return  # refused: not for every value, or not at all
    module = lower(graph, lambda g: initial_weights(g, 0)).eval()
    for value in range(1, 9):
        for batch in (0, 1, 3):
            out = module(torch.zeros(batch, 4, value))
            shape = tuple(at(size, value) for size in graph.outputs[0].type.shape)
            assert tuple(out.shape) == (batch, *shape), (graph.outputs[0].type, value)
            assert all(size >= 1 for size in shape)


@settings(deadline=None, max_examples=250, derandomize=True)
@given(
    st.lists(STEPS, min_size=1, max_size=4),
    st.sampled_from(
        [
            ("input x: [4, 4 * free S]", range(4, 40, 4)),
            ("input x: [4, free S]; require S >= 6", range(6, 16)),
            ("input x: [4, free S]; require S % 3 == 0", range(3, 25, 3)),
            ("input x: [4, 2 * free S]; require S % 2 == 0 and S > 4", range(12, 36, 4)),
        ]
    ),
)
def test_a_formula_under_an_assumption_is_the_shape_that_torch_gives(
    steps: list[str], assumed: tuple[str, range]
) -> None:
    given, lengths = assumed
    try:
        graph = net(*"\n".join([*steps, "return x"]).split("\n"), given=given)
    except SpecError:
        return
    module = lower(graph, lambda g: initial_weights(g, 0)).eval()
    length = graph.inputs[0].type.shape[1]
    assert isinstance(length, Free)
    (name,) = length.names
    for value in lengths:
        number = next(n for n in range(1, value + 1) if length.substitute({name: n}) == value)
        out = module(torch.zeros(2, 4, value))
        shape = [
            size.substitute({name: number}) if isinstance(size, Free) else size
            for size in graph.outputs[0].type.shape
        ]
        assert list(out.shape) == [2, *shape], (graph.outputs[0].type, value)
    for value in set(range(1, max(lengths))) - set(lengths):
        with pytest.raises(SpecError, match="must be"):
            module(torch.zeros(2, 4, value))


def at(size: Size, value: int, other: int = 1) -> int:
    return size.substitute({"S": value, "T": other}) if isinstance(size, Free) else size


# ------------------------------------------------------------------ what is refused, and what is not


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("return x[:, 1:-1]", "the slice of an axis of size S is empty where S is 1"),
        ("return x[:, -1:0]", "the slice of an axis of size S is empty where S is 1"),
        ("return x[:, 1:]", "the slice of an axis of size S is empty where S is 1"),
        ("return concat(x, x, axis=1)[:, 1:-1]", "the slice of an axis of size 2*S is empty where S is 1"),
        ("return x -> Conv(4, 3, padding=0)", "a window of 3 does not fit into [S] padded by 0 where S is 1"),
        ("require x.shape != [4, 8]\n    return x", "`S == 8` depends on the value of a free size"),
        ("require not (x.shape[1] in [8, 9])\n    return x", "`S == 8` depends on the value of a free size"),
    ],
)
def test_what_does_not_hold_for_every_value_is_refused(line: str, message: str) -> None:
    assert refusal(line) == message


def test_where_a_question_is_answered_differently_is_said() -> None:
    with pytest.raises(SpecError) as caught:
        net("n = 1 if S < 3 else 2", "return x -> Conv(n)")
    assert caught.value.problems[0].label == "true where S is 1, false where S is 3"


def test_an_input_has_a_place_for_every_value() -> None:
    assert refusal("return y", given="input x: [4, free S]; input y: [S - 3]").startswith(
        "an axis cannot have size S - 3"
    )
    assert net("return y", given="input x: [4, free S]; input y: [S + 3]").outputs[0].type.shape == (S + 3,)


def test_lists_that_differ_for_certain_are_not_equal_whatever_is_free() -> None:
    net(
        "require x.shape != [5, 8] and x.shape != [8, 5] and x.shape != [4] and x.shape != [4, 0]", "return x"
    )


@pytest.mark.parametrize(
    ("size", "possible"),
    [
        (S - 1, False),
        (2 * S - 1, True),
        (3 * S - 2, True),
        (S * T - S + 1, True),
        (S * T - S, False),
        (S * S - S + 1, True),
        (-S + 1, False),
        (S - T, False),
        (S * S * T - S * T + T, True),
    ],
)
def test_a_size_is_possible_if_it_is_at_least_1_for_all_values(size: Size, possible: bool) -> None:
    if possible:
        require_place(size)
    else:
        with pytest.raises(Mistake, match="an axis cannot have size"):
            require_place(size)


def combined(parts: tuple[str, Size, Size]) -> Size:
    sign, left, right = parts
    if sign in "/%":
        below = 2 + right % 5 if isinstance(right, int) else 3
        return left // below if sign == "/" else left % below
    return left + right if sign == "+" else left - right if sign == "-" else left * right


names = st.sampled_from([S, T])
polynomials = st.recursive(
    st.one_of(names, st.integers(-3, 3)),
    lambda inner: st.tuples(st.sampled_from("+-*/%"), inner, inner).map(combined),
    max_leaves=6,
)


@settings(deadline=None, max_examples=500, derandomize=True)
@given(polynomials, st.integers(2, 9))
def test_quotients_and_remainders_are_those_of_numbers_at_every_value(size: Size, below: int) -> None:
    quotient, rest = size // below, size % below
    for formula in (size, quotient, rest):
        assert not isinstance(formula, Free) or Free.parse(str(formula)) == formula
    for s, t in product(range(1, 12), (1, 2, 5, 9)):
        value = at(size, s, t)
        assert (at(quotient, s, t), at(rest, s, t)) == divmod(value, below)
        if isinstance(size, Free):
            assert (
                size.replaced({"S": s, "T": t})
                == value
                == at(size.replaced({"S": S + (s - 1), "T": t}), 1, t)
            )


def test_a_product_divided_is_read_as_it_is_printed() -> None:
    for size in (S * T // 2, S * (T // 2), 3 * (S * T // 4) + S):
        assert isinstance(size, Free)
        assert Free.parse(str(size)) == size
        assert Free.parse(str(size)).substitute({"S": 3, "T": 3}) == size.substitute({"S": 3, "T": 3})


@pytest.mark.parametrize(
    ("line", "assumed"),
    [
        ("return x -> Conv(4, 7, padding=0)", "S >= 7"),
        ("return x -> Reshape([-1, 6])", "S % 3 == 0"),
        ("return x[:, 1:] + x[:, :-1]", "S >= 2"),
        ("return x -> Split(2, axis=1) -> Add", "S % 2 == 0"),
        ("return x -> Reshape([2, 2, -1]) -> PixelUnshuffle(2)", "S % 2 == 0"),
        ("return x -> Upsample(scale=0.25)", "S >= 4"),
        ("y = x -> Conv(4, 3, stride=2); return x + (y -> Upsample(scale=2))", "S % 2 == 0"),
    ],
)
def test_the_weakest_assumption_that_decides_is_told_and_does(line: str, assumed: str) -> None:
    with pytest.raises(SpecError) as caught:
        net(*line.split("; "))
    assert f"the model can say so, `require {assumed}`" in caught.value.problems[0].help
    net(f"require {assumed}", *line.split("; "))


def test_what_would_make_it_false_is_not_said_to_make_it_hold() -> None:
    with pytest.raises(SpecError) as caught:
        net("require S % 2 == 1", "return x")
    assert caught.value.problems[0].help.startswith("it is decided if S is a multiple of 2")


def test_several_assumptions_of_one_size_are_met_at_once() -> None:
    graph = net("require S >= 8 and S % 3 == 0 and S % 2 == 0", "return x")
    assert [str(assumption) for assumption in graph.accepts] == ["S is a multiple of 6 and at least 12"]
    again = Graph.from_json(graph.to_json())
    assert again == graph
    assert again.accepts == graph.accepts


@pytest.mark.parametrize("name", ["S_4", "S_4_2", "a_b_1"])
def test_no_size_can_be_named_as_assumptions_name_sizes(name: str) -> None:
    with pytest.raises(SpecError, match="a free size cannot be named"):
        net("require S % 4 == 0", "return x, y", given=f"input x: [4, free S]; input y: [free {name}]")


@settings(deadline=None, max_examples=300, derandomize=True)
@given(polynomials, polynomials)
def test_an_answer_is_that_of_every_value(left: Size, right: Size) -> None:
    questions: list[tuple[Callable[[Size, Size], bool], Callable[[int, int], bool]]] = [
        (lambda a, b: a < b, lambda a, b: a < b),
        (lambda a, b: a >= b, lambda a, b: a >= b),
        (always_equal, lambda a, b: a == b),
    ]
    for ours, theirs in questions:
        try:
            answer = ours(left, right)
        except Mistake as mistake:
            assert mistake.kind == "free"
            continue
        for s in range(1, 6):
            for t in range(1, 6):
                values = [v.substitute({"S": s, "T": t}) if isinstance(v, Free) else v for v in (left, right)]
                assert theirs(values[0], values[1]) is answer


@pytest.mark.parametrize(
    "text",
    [
        "S S",
        "S  T + 1",
        "2 S",
        "2*S 1",
        "1 2*S",
        "S\t+ 1",
        "S\n",
        "S + + T",
        "",
        " ",
        "* S",
        "S *",
        "2**S",
        "2S",
    ],
)
def test_what_str_would_not_print_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        Free.parse(text)
