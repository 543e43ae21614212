"""Recurrent layers: a state that is carried along a sequence."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from archspec.ground import codes
from archspec.ground.bounds import always_equal, require_place
from archspec.ground.declared import use_unless_same
from archspec.ground.errors import Mistake
from archspec.ground.tensor import Shape, TensorType, fixed, show
from archspec.op import Op, PositiveInt, Weight
from archspec.op.calling import FROM_INPUT, arguments
from archspec.op.dependence import WHOLE, Along, Reach, everything
from archspec.op.initialisation import Init, torch_default
from archspec.op.inputs import require_rank, require_real

if TYPE_CHECKING:
    from torch import nn

_BATCH_FIRST = "is always true here: the batch comes first"


class Cell(NamedTuple):
    """One layer in one direction: what its weights are called after, and how many numbers each of its steps takes."""

    name: str
    inputs: int


class _Recurrent(Op):
    """A state that is carried along a sequence, once for each layer and direction."""

    hidden: PositiveInt
    layers: Annotated[int, Field(ge=1, le=1000)] = 1
    bidirectional: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    state: bool = False
    bias: bool = True
    init: Init | None = None
    bias_init: Init | None = None

    gates: ClassVar[int]
    """How many vectors are computed of each input and state."""
    flops_per_unit: ClassVar[int]
    """What is computed of these for each number of the state, but for products with weights and biases."""

    pytorch = arguments(
        input_size=FROM_INPUT,
        hidden_size="hidden",
        num_layers="layers",
        bias="bias",
        batch_first=_BATCH_FIRST,
        dropout="dropout",
        bidirectional="bidirectional",
    )

    def infer(self, x: TensorType, *, h: TensorType | None = None) -> TensorType | tuple[TensorType, ...]:
        """[*S, L, in] -> [*S, L, out], and the last h [layers * directions, out] if `state`."""
        return self._types(x, {"h": h})

    def _types(
        self, x: TensorType, states: Mapping[str, TensorType | None]
    ) -> TensorType | tuple[TensorType, ...]:
        require_real(x, self)
        if x.rank < 3:
            require_rank(x, 2, self, "[L, in]")
        elif self.state or any(states.values()):
            raise Mistake(
                f"{type(self).__name__} takes and gives states of one sequence, [L, in], not of {show(x.shape)}",
                codes.RANK,
            )
        require_place(x.shape[-2])
        fixed(x.shape[-1], "the width of a sequence")
        if self.dropout and self.layers == 1:
            raise Mistake(
                "`dropout` acts between layers, of which there is one",
                codes.NO_EFFECT,
                help="add a Dropout after it, or give `layers`",
            )
        if not x.batched:
            raise Mistake(
                f"{type(self).__name__} takes what depends on the input, not weights alone", codes.NO_BATCH
            )
        for name, given in states.items():
            if given is not None:
                self._require_state(name, given, x)
        outputs = x.with_shape((*x.shape[:-1], self._out * self._directions))
        if not self.state:
            return outputs
        return outputs, *(x.with_shape((self._rows, self._width(name))) for name in states)

    def _require_state(self, name: str, given: TensorType, x: TensorType) -> None:
        wanted = (self._rows, self._width(name))
        if given.rank != 2 or not all(map(always_equal, given.shape, wanted)):
            raise Mistake(
                f"`{name}` must be {show(wanted)}, one row for each layer and direction, not {show(given.shape)}",
                codes.SHAPES,
            )
        for pair in zip(given.shape, wanted, strict=True):
            use_unless_same(*pair)
        if given.dtype != x.dtype:
            raise Mistake(f"`{name}` must be {x.dtype} like the sequence, not {given.dtype}", codes.DTYPES)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _rows(self) -> int:
        """How many states there are: one for each layer and direction."""
        return self.layers * self._directions

    @property
    def _out(self) -> int:
        """How many numbers one direction gives at each step."""
        return self.hidden

    def _width(self, state: str) -> int:
        """How many numbers a state has."""
        return self._out

    def _by_layer(self, x: TensorType) -> Iterator[tuple[int, tuple[Cell, ...]]]:
        """The layers in order, each in all its directions."""
        width = fixed(x.shape[-1], "the width of a sequence")
        for layer in range(self.layers):
            inputs = width if layer == 0 else self._out * self._directions
            directions = ("", "_reverse")[: self._directions]
            yield layer, tuple(Cell(f"l{layer}{direction}", inputs) for direction in directions)

    def weights(self, x: TensorType, **states: TensorType | None) -> Mapping[str, Weight]:
        """`weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0` ..., as PyTorch names, orders and initialises them."""
        found: dict[str, Weight] = {}
        default = torch_default(self.hidden)
        rows = self.gates * self.hidden
        for cell in (cell for _, cells in self._by_layer(x) for cell in cells):
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (rows, cell.inputs),
                "weight_hh": (rows, self._out),
            }
            if self.bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if self._out != self.hidden:
                shapes["weight_hr"] = (self._out, self.hidden)
            for name, shape in shapes.items():
                given = self.bias_init if name.startswith("bias") else self.init
                found[f"{name}_{cell.name}"] = Weight(shape=shape, init=given or default, dtype=x.dtype)
        return found

    def macs(self, x: TensorType, **states: TensorType | None) -> int:
        """At each step, for each layer and direction, a product of each weight with the input or the state."""
        steps = self._steps(x)
        sizes = (weight.size for weight in self.weights(x).values() if len(weight.shape) == 2)
        return steps * sum(sizes)

    @staticmethod
    def _steps(x: TensorType) -> int:
        """How many steps there are, of all sequences."""
        return prod(fixed(size, "the length of a sequence") for size in x.shape[:-1])

    def flops(self, x: TensorType, **states: TensorType | None) -> int:
        """2 MACs; at each step, 1 for each bias, and what the gates do with each number of the state."""
        steps = self._steps(x)
        biases = sum(weight.size for weight in self.weights(x).values() if len(weight.shape) == 1)
        return 2 * self.macs(x) + steps * (biases + self._rows * self.hidden * self.flops_per_unit)

    def saved(self, x: TensorType, **states: TensorType | None) -> tuple[str | TensorType, ...]:
        """At each step what goes into a layer, in, behind and after its gates; masks of `dropout`.

        oneDNN, which runs an LSTM in single precision on a CPU, keeps a workspace of its own instead.
        """
        kept: list[str | TensorType] = []
        steps = x.shape[:-1]
        for layer, cells in self._by_layer(x):
            # Of the first layer's input, each direction lays out a copy.
            copies = cells if layer == 0 else cells[:1]
            kept += [x.with_shape((*steps, cell.inputs)) for cell in copies]
            if layer and self.dropout:
                kept.append(x.with_shape((*steps, cells[0].inputs)))
            kept += [x.with_shape(shape) for _ in cells for shape in self._kept(steps)]
        return tuple(kept)

    def _kept(self, steps: Shape) -> tuple[Shape, ...]:
        """What the backward pass of one layer in one direction needs besides its input."""
        return ((*steps, 7 * self.hidden),)

    def reach(self, x: TensorType, **states: TensorType | None) -> tuple[Reach, ...]:
        """Each value depends on whole vectors; what comes after its step is not told from what comes before."""
        stack = tuple(Along((axis,)) for axis in range(x.rank - 2))
        return (
            (*stack, WHOLE, WHOLE),
            *(everything(state) for state in states.values() if state is not None),
        )

    def _settings(self, x: TensorType) -> dict[str, Any]:
        """The arguments that PyTorch's modules have in common."""
        return {
            "state": self.state,
            "stacked": x.rank > 2,
            "input_size": fixed(x.shape[-1], "the width of a sequence"),
            "hidden_size": self.hidden,
            "num_layers": self.layers,
            "bias": self.bias,
            "batch_first": True,
            "dropout": self.dropout,
            "bidirectional": self.bidirectional,
            "device": "meta",
        }


class LSTM(_Recurrent):
    """Long short-term memory: a state with gates that write to it, forget and read it [Hochreiter & Schmidhuber, 1997].

    `projection` maps each output to fewer numbers, which are also what returns to the next step [Sak et al., 2014].
    With `state`, it also gives the last outputs and memories of each layer and direction, which another may start from as `h` and `c`.
    `dropout` zeroes outputs between layers in training.

    Shapes: x [*S, L, in] -> [*S, L, directions * hidden]; with `state`, of one sequence, also h and c [layers * directions, hidden];
            `projection` takes the place of `hidden` but in c
    MACs:   at each step 4 hidden (in + hidden) for each layer and direction, and hidden * projection
    FLOPs:  2 MACs; at each step and for each number of the state 22, and 8 with a bias
    Raises: when x has no sequences, or several with states, `dropout` is given for one layer, `projection` is not below `hidden`, or h or c have
            other shapes or dtypes
    """

    projection: PositiveInt | None = None

    gates = 4
    flops_per_unit = (
        4 + 3 * 4 + 1 + 3 + 2
    )  # sums of both products; three sigmoids, tanh; the memory; the output
    pytorch = arguments(**_Recurrent.pytorch, proj_size="projection")

    examples = (
        "f32[5, 3] -> LSTM(4) -> f32[5, 4]",
        "f32[2, 3, 5, 3] -> LSTM(4, bidirectional=true) -> f32[2, 3, 5, 8]",
        "f32[5, 3] -> LSTM(4, bidirectional=true) -> f32[5, 8]",
        "f32[5, 3] -> LSTM(4, layers=2, state=true) -> (f32[5, 4], f32[2, 4], f32[2, 4])",
        "f32[5, 3] -> LSTM(4, projection=2, bias=false, h=f32[1, 2], c=f32[1, 4]) -> f32[5, 2]",
        "f32[5, 3] -> LSTM(4, layers=2, bidirectional=true, dropout=0.5, state=true, c=f32[4, 4])"
        " -> (f32[5, 8], f32[4, 4], f32[4, 4])",
    )

    def infer(
        self, x: TensorType, *, h: TensorType | None = None, c: TensorType | None = None
    ) -> TensorType | tuple[TensorType, ...]:
        """[*S, L, in] -> [*S, L, out], and the last h and c if `state`."""
        if self.projection is not None and self.projection >= self.hidden:
            raise Mistake(f"`projection` must be less than `hidden`, which is {self.hidden}", codes.ARGUMENT)
        return self._types(x, {"h": h, "c": c})

    @property
    def _out(self) -> int:
        """How many numbers one direction gives at each step."""
        return self.projection or self.hidden

    def _width(self, state: str) -> int:
        """How many numbers a state has."""
        return self.hidden if state == "c" else self._out

    def _kept(self, steps: Shape) -> tuple[Shape, ...]:
        """What the backward pass needs: what any has, and what is projected."""
        projected = ((*steps, self.projection),) if self.projection else ()
        return (*super()._kept(steps), *projected)

    def lower(self, x: TensorType, **states: TensorType | None) -> "nn.Module":
        """`nn.LSTM`, batch first."""
        from archspec.op.recurrent_layers import LSTM

        return LSTM(**self._settings(x), proj_size=self.projection or 0)


class GRU(_Recurrent):
    """A gated recurrent unit: a state with gates that renew and reset it [Cho et al., 2014].

    With `state`, it also gives the last state of each layer and direction, which another may start from as `h`. `dropout` zeroes
    outputs between layers in training. The reset gate acts after the product with the state, as in PyTorch.

    Shapes: x [*S, L, in] -> [*S, L, directions * hidden]; with `state`, of one sequence, also h [layers * directions, hidden]
    MACs:   at each step 3 hidden (in + hidden) for each layer and direction
    FLOPs:  2 MACs; at each step and for each number of the state 17, and 6 with a bias
    Raises: when x has no sequences, or several with states, `dropout` is given for one layer, or h has another shape or dtype
    """

    gates = 3
    flops_per_unit = (
        2 + 2 * 4 + 3 + 4
    )  # sums of both products, two sigmoids; product, sum and tanh; the mean of old and new

    examples = (
        "f32[5, 3] -> GRU(4) -> f32[5, 4]",
        "f32[6, 5, 3] -> GRU(4, layers=2) -> f32[6, 5, 4]",
        "f32[5, 3] -> GRU(4, layers=2, dropout=0.5, state=true, h=f32[2, 4]) -> (f32[5, 4], f32[2, 4])",
        "f32[5, 3] -> GRU(4, bidirectional=true, bias=false, init=normal(0.1)) -> f32[5, 8]",
    )

    def lower(self, x: TensorType, **states: TensorType | None) -> "nn.Module":
        """`nn.GRU`, batch first."""
        from archspec.op.recurrent_layers import GRU

        return GRU(**self._settings(x))


class RNN(_Recurrent):
    """A plain recurrent layer: act(W x + V h), whose output is the next state [Elman, 1990].

    With `state`, it also gives the last state of each layer and direction, which another may start from as `h`. `dropout` zeroes
    outputs between layers in training.

    Shapes: x [*S, L, in] -> [*S, L, directions * hidden]; with `state`, of one sequence, also h [layers * directions, hidden]
    MACs:   at each step hidden (in + hidden) for each layer and direction
    FLOPs:  2 MACs; at each step and for each number of the state 2, and 2 with a bias
    Raises: when x has no sequences, or several with states, `dropout` is given for one layer, or h has another shape or dtype
    """

    act: Literal["tanh", "relu"] = "tanh"

    gates = 1
    flops_per_unit = 2
    pytorch = arguments(
        input_size=FROM_INPUT,
        hidden_size="hidden",
        num_layers="layers",
        nonlinearity="act",
        bias="bias",
        batch_first=_BATCH_FIRST,
        dropout="dropout",
        bidirectional="bidirectional",
    )

    examples = (
        "f32[5, 3] -> RNN(4) -> f32[5, 4]",
        "f32[6, 5, 3] -> RNN(4, bidirectional=true) -> f32[6, 5, 8]",
        'f32[5, 3] -> RNN(4, act="relu", bidirectional=true, state=true) -> (f32[5, 8], f32[2, 4])',
        "f32[5, 3] -> RNN(4, layers=3, dropout=0.5, bias_init=zeros, h=f32[3, 4]) -> f32[5, 4]",
    )

    def _kept(self, steps: Shape) -> tuple[Shape, ...]:
        """What the backward pass needs: the states, with the first."""
        return (*steps, self.hidden), (*steps[:-1], 1, self.hidden)

    def lower(self, x: TensorType, **states: TensorType | None) -> "nn.Module":
        """`nn.RNN`, batch first."""
        from archspec.op.recurrent_layers import RNN

        return RNN(**self._settings(x), nonlinearity=self.act)
