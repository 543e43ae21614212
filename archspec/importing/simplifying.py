"""Steps that together are one of ours, written as that one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.importing.arranging import reads
from archspec.importing.elementwise import LEAST
from archspec.importing.values import Layout, Region, Step, Value
from archspec.op import Op
from archspec.op.window import per_axis
from archspec.ops.activation import Softmax
from archspec.ops.arithmetic import Add
from archspec.ops.attention import Attention
from archspec.ops.conv import Conv, WSConv
from archspec.ops.functions import Scale
from archspec.ops.matmul import MatMul
from archspec.ops.norm import LayerNorm
from archspec.ops.padding import Pad
from archspec.ops.pooling import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from archspec.ops.rearrange import Rearrange
from archspec.ops.regularisation import Dropout
from archspec.ops.reshape import Flatten, Permute, Reshape
from archspec.ops.slicing import Index


def simplify(region: Region, kept: set[Value]) -> None:
    """Simplify the steps of a call. Values in `kept` are needed as they are: other calls take them, or they are returned."""
    for rule in (_padded, _norm_of_channels, _pooled, _attention, _indexed, _moved):
        _Uses(region, kept).apply(rule)
    for item in region.items:
        if isinstance(item, Step) and isinstance(item.op, Pad) and item.op.value == LEAST:
            raise Mistake(
                "it pads with minus infinity, which no spec can write, before something else than a pool",
                codes.NOT_IMPORTED,
            )


class _Uses:
    """The steps of a call, with who makes and who uses each value in it."""

    def __init__(self, region: Region, kept: set[Value]) -> None:
        self.region, self.kept = region, kept

    def steps(self) -> list[Step]:
        return [item for item in self.region.items if isinstance(item, Step)]

    def index(self) -> None:
        self.maker: dict[Value, Step] = {}
        self.users: dict[Value, list[Step]] = {}
        for step in self.steps():
            for value in step.outputs:
                self.maker[value] = step
            for value in reads(step):
                self.users.setdefault(value, []).append(step)

    def apply(self, rule: Callable[[_Uses, Step], bool]) -> None:
        """Apply a rule wherever it fits, until it fits nowhere."""
        again = True
        while again:
            again = False
            self.index()
            for step in self.steps():
                if step in self.region.items and rule(self, step):
                    again = True
                    self.index()

    def only_user(self, value: Value) -> Step | None:
        """The only step that uses a value, if nothing else does."""
        users = self.users.get(value, [])
        return users[0] if len(users) == 1 and value not in self.kept else None

    def inner(self, value: Value) -> Step | None:
        """The step that makes a value that only one step uses."""
        return self.maker.get(value) if self.only_user(value) is not None else None

    def replace(self, old: Sequence[Step], new: Step) -> None:
        """Put a step in the place of several, which stand before the last of them."""
        items = self.region.items
        items[items.index(old[-1])] = new
        for step in old[:-1]:
            items.remove(step)


def _with(step: Step, op: Op, inputs: Sequence[Value], outputs: Sequence[Value], **options: Value) -> Step:
    return Step(op, list(inputs), list(outputs), step.region, dict(options), step.key, step.path, step.place)


def _padded(uses: _Uses, window: Step) -> bool:
    """Zeros around an image before a layer that pads nothing are its padding; TensorFlow's, where they are as many as that adds."""
    if not isinstance(window.op, Conv | WSConv | MaxPool | AvgPool) or window.op.padding != 0:
        return False
    before = uses.inner(window.inputs[0])
    wanted = LEAST if isinstance(window.op, MaxPool) else 0
    if (
        before is None
        or not isinstance(before.op, Pad)
        or before.op.mode != "constant"
        or before.op.value != wanted
    ):
        return False
    x, axes = before.inputs[0], window.inputs[0].type.rank - 1
    amounts = before.op.amounts
    if (
        not isinstance(amounts, tuple)
        or len(amounts) > axes
        or (isinstance(window.op, AvgPool) and window.op.ceil)
    ):
        return False
    sides = [a if isinstance(a, tuple) else (a, a) for a in amounts]
    sides = [(0, 0)] * (axes - len(sides)) + sides
    for padding in ("tf_same", tuple(a if a == b else (a, b) for a, b in sides)):
        made = window.op.model_copy(update={"padding": padding})
        try:
            if made.infer(x.type) != window.outputs[0].type or (
                padding == "tf_same" and _of_tensorflow(made, x) != sides
            ):
                continue
        except Mistake:
            continue
        uses.replace([before, window], _with(window, made, [x], window.outputs))
        return True
    return False


def _of_tensorflow(op: Op, x: Value) -> list[tuple[int, int]]:
    """What TensorFlow's SAME adds before and after each axis."""
    axes = x.type.rank - 1
    stride = getattr(op, "stride", None)
    kernel = op.kernel  # type: ignore[attr-defined]
    each = [
        per_axis(v, axes, "kernel")
        for v in (kernel, kernel if stride is None else stride, getattr(op, "dilation", 1))
    ]
    found = []
    for size, k, s, d in zip(x.type.shape[1:], *each, strict=True):
        assert isinstance(size, int)
        total = max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
        found.append((total // 2, total - total // 2))
    return found


def _norm_of_channels(uses: _Uses, norm: Step) -> bool:
    """A LayerNorm of the last axis between two moves of the axes is one of another axis."""
    if not isinstance(norm.op, LayerNorm) or norm.op.axes is not None or norm.op.axis != -1:
        return False
    before = uses.inner(norm.inputs[0])
    after = uses.only_user(norm.outputs[0])
    if (
        before is None
        or after is None
        or not isinstance(before.op, Permute)
        or not isinstance(after.op, Permute)
    ):
        return False
    there, back = before.op.axes, after.op.axes
    if [there[axis] for axis in back] != list(range(len(there))):
        return False
    made = norm.op.model_copy(update={"axis": there[-1]})
    uses.replace([before, norm, after], _with(norm, made, before.inputs, after.outputs))
    return True


def _pooled(uses: _Uses, pool: Step) -> bool:
    """A global pool that keeps its axes, which then are taken away, keeps none."""
    if not isinstance(pool.op, GlobalAvgPool | GlobalMaxPool) or not pool.op.keep:
        return False
    after = uses.only_user(pool.outputs[0])
    if after is None or not isinstance(after.op, Reshape) or len(after.op.shape) != 1:
        return False
    uses.replace([pool, after], _with(pool, type(pool.op)(keep=False), pool.inputs, after.outputs))
    return True


def _attention(uses: _Uses, product: Step) -> bool:
    """softmax(scale * q k^T + bias) v."""
    if not isinstance(product.op, MatMul):
        return False
    old, weights, v = [product], product.inputs[0], product.inputs[1]
    dropout = 0.0
    step = uses.inner(weights)
    if step is not None and isinstance(step.op, Dropout):
        dropout = step.op.p
        old.append(step)
        step = uses.inner(step.inputs[0])
    if (
        step is None
        or not isinstance(step.op, Softmax)
        or step.op.axis not in (-1, step.inputs[0].type.rank - 1)
    ):
        return False
    old.append(step)
    biases: list[Value] = []
    scale = 1.0
    step = uses.inner(step.inputs[0])
    while step is not None and isinstance(step.op, Add) and len(step.inputs) == 2:
        for scores, other in (step.inputs, step.inputs[::-1]):
            found = uses.inner(scores)
            if (
                found is not None
                and isinstance(found.op, MatMul | Scale | Add)
                and other.type.dtype == v.type.dtype
            ):
                biases.append(other)
                old.append(step)
                step = found
                break
        else:
            return False
    if step is not None and isinstance(step.op, Scale) and step.op.offset == 0:
        scale *= step.op.factor
        old.append(step)
        step = uses.inner(step.inputs[0])
    if step is None or not isinstance(step.op, MatMul):
        return False
    old.append(step)
    q, k = step.inputs
    scaled = uses.inner(q)
    if scaled is not None and isinstance(scaled.op, Scale) and scaled.op.offset == 0:
        scale *= scaled.op.factor
        old.append(scaled)
        q = scaled.inputs[0]
    turned = uses.inner(k)
    if turned is not None and isinstance(turned.op, Scale) and turned.op.offset == 0:
        scale *= turned.op.factor
        old.append(turned)
        turned = uses.inner(turned.inputs[0])
    rank = k.type.rank
    if turned is not None and isinstance(turned.op, Permute):
        if turned.op.axes != (*range(rank - 2), rank - 1, rank - 2):
            axes = list(turned.op.axes)
            axes[-1], axes[-2] = axes[-2], axes[-1]
            k = Value(turned.outputs[0].type.with_shape(_swapped(k)), Layout((), None))
            turned_step = _with(turned, Permute(axes=tuple(axes)), turned.inputs, [k])
            uses.region.items[uses.region.items.index(turned)] = turned_step
        else:
            old.append(turned)
            k = turned.inputs[0]
    else:
        return False
    if not (q.type.shape[:-2] == k.type.shape[:-2] == v.type.shape[:-2]):
        return False
    width = q.type.shape[-1]
    assert isinstance(width, int)
    said: dict[str, Any] = {} if abs(scale * width**0.5 - 1) < 1e-6 else {"scale": float(scale)}
    if dropout:
        said["dropout"] = dropout
    options = {"bias": _summed(uses, product, biases)} if biases else {}
    order = sorted(old, key=uses.region.items.index)
    uses.replace(order, _with(product, Attention(**said), (q, k, v), product.outputs, **options))
    return True


def _summed(uses: _Uses, before: Step, values: list[Value]) -> Value:
    """The sum of tensors, which are added in front of a step."""
    made = values[-1]
    for value in values[-2::-1]:
        op = Add()
        total = Value(op.infer(made.type, value.type), Layout((), None))
        uses.region.items.insert(uses.region.items.index(before), _with(before, op, [made, value], [total]))
        made = total
    return made


def _swapped(value: Value) -> tuple[int, ...]:
    shape = list(value.type.shape)
    shape[-1], shape[-2] = shape[-2], shape[-1]
    return tuple(shape)  # type: ignore[arg-type]


# ------------------------------------------------------------------ moving values


def _indexed(uses: _Uses, index: Step) -> bool:
    """An axis of size 1 that was put in and is taken away again was never there."""
    if not isinstance(index.op, Index) or not isinstance(index.op.at[-1], int):
        return False
    before = uses.inner(index.inputs[0])
    if (
        before is None
        or not isinstance(before.op, Reshape)
        or index.inputs[0].type.shape[len(index.op.at) - 1] != 1
    ):
        return False
    if any(isinstance(at, int) for at in index.op.at[:-1]):
        return False
    x, y = before.inputs[0], index.outputs[0]
    uses.replace([before, index], _with(index, Reshape(shape=y.type.shape), [x], [y]))
    return True


def _moved(uses: _Uses, first: Step) -> bool:
    """Reshapes and permutations one after the other: one of them, or one Rearrange."""
    if not isinstance(first.op, Reshape | Permute):
        return False
    chain = [first]
    before = uses.inner(first.inputs[0])
    if before is not None and isinstance(before.op, Reshape | Permute):
        return False  # it begins further up
    while True:
        after = uses.only_user(chain[-1].outputs[0])
        if after is None or not isinstance(after.op, Reshape | Permute) or after not in uses.region.items:
            break
        chain.append(after)
    x, y = chain[0].inputs[0], chain[-1].outputs[0]
    made = _as_one(x, [step.op for step in chain if isinstance(step.op, Op)])
    if made is None or (len(chain) == 1 and made == first.op):
        return False
    uses.replace(chain, _with(chain[-1], made, [x], [y]))
    return True


def _as_one(x: Value, ops: Sequence[Op]) -> Op | None:
    """One op for several that move values; None if there is none."""
    shape = tuple(int(size) for size in x.type.shape)  # type: ignore[arg-type]
    atoms: list[list[list[int]]] = [[[i, size]] for i, size in enumerate(shape)]
    factors: dict[int, list[list[int]]] = {i: [atom[0]] for i, atom in enumerate(atoms)}
    axes = [
        [atom[0]] for atom in atoms
    ]  # each axis as the atoms it is made of, an atom as [given axis, size]
    for op in ops:
        if isinstance(op, Permute):
            axes = [axes[axis] for axis in op.axes]
        else:
            assert isinstance(op, Reshape)
            regrouped = _regrouped(axes, [int(size) for size in op.shape], factors)  # type: ignore[arg-type]
            if regrouped is None:
                return None
            axes = regrouped
    return _written(shape, factors, axes)


def _regrouped(
    axes: list[list[list[int]]], shape: list[int], factors: dict[int, list[list[int]]]
) -> list[list[list[int]]] | None:
    """Axes of another shape made of the same atoms in the same order, which are split where they must be."""
    queue = [atom for axis in axes for atom in axis if atom[1] != 1]
    made: list[list[list[int]]] = []
    for size in shape:
        left, group = size, []
        while left > 1:
            if not queue:
                return None
            atom = queue.pop(0)
            if left % atom[1] == 0:
                left //= atom[1]
                group.append(atom)
            elif atom[1] % left == 0:
                inner = [atom[0], atom[1] // left]
                places = factors[atom[0]]
                at = next(i for i, place in enumerate(places) if place is atom)
                atom[1] = left
                places.insert(at + 1, inner)
                queue.insert(0, inner)
                group.append(atom)
                left = 1
            else:
                return None
        made.append(group)
    return made if not queue else None


_NAMES = {1: "c", 2: "nc", 3: "chw", 4: "cdhw"}


def _written(
    shape: tuple[int, ...], factors: dict[int, list[list[int]]], axes: list[list[list[int]]]
) -> Op | None:
    """The op that makes axes of atoms of others."""
    order = [atom for i in range(len(shape)) for atom in factors[i]]
    moved = [atom for axis in axes for atom in axis]
    inner = [atom for atom in order if atom[1] != 1]
    made = tuple(_product(axis) for axis in axes)
    if [id(atom) for atom in inner] == [id(atom) for atom in moved if atom[1] != 1]:
        return _reshape(shape, made)
    if (
        all(len(factors[i]) == 1 for i in range(len(shape)))
        and all(len(axis) == 1 for axis in axes)
        and len(axes) == len(shape)
    ):
        where = [next(i for i in range(len(shape)) if factors[i][0] is axis[0]) for axis in axes]
        return Permute(axes=tuple(where))
    names: dict[int, str] = {}
    letters = _letters(shape, factors)
    if len(order) == 3 == len(shape) and [len(axis) for axis in axes] == [1, 2] and axes[0][0] is order[1]:
        letters = ["head", "n", "d"]
    for i in range(len(shape)):
        for atom in factors[i]:
            names[id(atom)] = letters.pop(0)
    left, sizes = [], []
    for i in range(len(shape)):
        parts = [atom for atom in factors[i] if atom[1] != 1 or len(factors[i]) == 1]
        if shape[i] == 1:
            left.append("1")
            continue
        left.append(names[id(parts[0])] if len(parts) == 1 else f"({' '.join(names[id(a)] for a in parts)})")
        if len(parts) > 1:
            given = parts[1:] if len(parts) == 2 else parts[:-1]
            sizes += [(names[id(atom)], atom[1]) for atom in given]
    right = []
    for axis in axes:
        parts = [atom for atom in axis if atom[1] != 1]
        right.append(
            "1"
            if not parts
            else names[id(parts[0])]
            if len(parts) == 1
            else f"({' '.join(names[id(a)] for a in parts)})"
        )
    return Rearrange(pattern=f"{' '.join(left)} -> {' '.join(right)}", sizes=tuple(sizes))


def _letters(shape: tuple[int, ...], factors: dict[int, list[list[int]]]) -> list[str]:
    count = sum(len(atoms) for atoms in factors.values())
    if all(len(atoms) == 1 for atoms in factors.values()) and len(shape) in _NAMES:
        return list(_NAMES[len(shape)])
    found: list[str] = []
    pool = list("abcdefghijklmnopqrstuvwxyz")
    if len(shape) == 3 and [len(factors[i]) for i in range(3)] == [2, 2, 1]:
        return ["h", "p", "w", "q", "c"]
    if len(shape) == 3 and [len(factors[i]) for i in range(3)] == [1, 2, 2]:
        return ["c", "h", "p", "w", "q"]
    if len(shape) == 2 and [len(factors[i]) for i in range(2)] == [1, 2]:
        return ["n", "d", "h"]
    if len(shape) == 2 and [len(factors[i]) for i in range(2)] == [1, 3]:
        return ["n", "three", "head", "d"]
    if len(shape) == 3 and [len(factors[i]) for i in range(3)] == [1, 1, 3]:
        return ["w", "n", "three", "head", "d"]
    if len(shape) == 2 and [len(factors[i]) for i in range(2)] == [2, 2]:
        return ["h", "w", "p", "c"]
    while len(found) < count:
        found.append(pool.pop(0))
    return found


def _product(axis: list[list[int]]) -> int:
    made = 1
    for atom in axis:
        made *= atom[1]
    return made


def _reshape(shape: tuple[int, ...], made: tuple[int, ...]) -> Op:
    """What changes a shape without moving values."""
    for start in range(len(shape)):
        for end in range(start + 1, len(shape)):
            merged = 1
            for size in shape[start : end + 1]:
                merged *= size
            if (*shape[:start], merged, *shape[end + 1 :]) == made:
                last = -1 if end == len(shape) - 1 else end
                return Flatten(start=start, end=last)
    kept = [size for size in shape if size != 1]
    if kept and kept == [size for size in made if size != 1] and len(kept) <= 4 and shape != made:
        letters = iter(_NAMES.get(len(kept), "abcdefgh"))
        names = [next(letters) if size != 1 else "1" for size in shape]
        others = iter([name for name in names if name != "1"])
        return Rearrange(
            pattern=f"{' '.join(names)} -> {' '.join(next(others) if size != 1 else '1' for size in made)}"
        )
    return Reshape(shape=made)
