"""Whether a spec is the module that it was made of: keys, parameters, multiply-adds, and outputs in both modes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import SpecError
from archspec.importing.capture import Given
from archspec.importing.nodes import dtype as spec_dtype

TOLERANCES = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
RANGES = (10, 2, 1)
"""Below which numbers whole inputs are drawn: the first for which no table is too short."""
SAMPLES = 2
ENOUGH = 64  # values, to tell by which numbers they were drawn


@dataclass(frozen=True, repr=False)
class Comparison:
    """How a network and the module that it stands for differ; `difference` is relative, in `dtype`, at inference and in training.

    Dropout is off in training. `first` is where outputs first differ, by the name of the step.
    """

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    parameters: tuple[int, int]
    macs: tuple[int, int]
    difference: float
    difference_in_training: float | None
    first: str = ""
    refused: str = ""
    """Why the module cannot be run in training, such as a BatchNorm of one value."""

    tolerance: float = TOLERANCES[torch.float64]
    unread: tuple[str, ...] = ()
    """Keys of the module that nothing reads at inference: the spec says that it has none of these."""
    restarted: tuple[str, ...] = ()
    """Keys of weights that start from other values, or are drawn otherwise, than the module's."""

    @property
    def dtype(self) -> str:
        """The dtype that both were run in: f64, or f32 where the module asks for that."""
        return next(spec_dtype(kind) for kind, most in TOLERANCES.items() if most == self.tolerance)

    def __repr__(self) -> str:
        trained = self.difference_in_training
        said = "equal" if self.equal else "not equal"
        return brief(
            self,
            f"{said}, {self.difference:.1e} at inference"
            + ("" if trained is None else f", {trained:.1e} in training"),
        )

    def __str__(self) -> str:
        return repr(self)

    @property
    def equal(self) -> bool:
        """Whether the two are the same network."""
        trained = self.difference_in_training
        return (
            not self.missing
            and not self.unknown
            and self.parameters[0] == self.parameters[1]
            and self.difference <= self.tolerance
            and (trained is None or trained <= self.tolerance)
        )


def compared(
    network: nn.Module,
    macs: int,
    module: nn.Module,
    inputs: Sequence[Given],
    *,
    trains: bool = True,
    leaves_out: Callable[[str], bool] = lambda key: False,
) -> Comparison:
    """Compare a network, as loaded from a spec, with the module, which is not changed; in training, if it `trains`.

    `leaves_out` says of a key of the module whether the spec says that it has no weight.
    """
    restarted = _restarted(network.state_dict(), module.state_dict())
    kinds = {tensor.dtype for tensor in module.state_dict().values() if tensor.is_floating_point()}
    own = next(iter(kinds)) if len(kinds) == 1 else torch.float32
    ways = [(dtype, most) for dtype in dict.fromkeys((torch.float64, torch.float32, own)) for most in RANGES]
    failed: Exception | None = None
    for dtype, most in ways:
        try:
            made = _compared(
                network,
                macs,
                module,
                inputs,
                dtype,
                most,
                trains=trains,
                leaves_out=leaves_out,
            )
        except IndexError as error:  # of a table with few rows
            failed = error
        except RuntimeError as error:  # a module that asks for a dtype somewhere
            failed = error
        else:
            return replace(made, restarted=restarted)
    said = str(failed).splitlines()[0] if str(failed) else type(failed).__name__
    raise SpecError.of(
        codes.NOT_IMPORTED,
        f"{type(module).__name__} cannot be compared: it does not run on random input: {said}",
        help="`--no-verify` leaves the comparison out",
    ) from failed


def _restarted(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The keys of tensors that do not start as the module's: from other numbers, or drawn from others as far as these show it."""
    found = []
    for key in ours.keys() & theirs.keys():
        a, b = ours[key], theirs[key]
        if a.shape != b.shape or not b.is_floating_point() or not b.numel() or b.is_meta:
            continue
        a, b = a.float(), b.float()
        if bool((b == b.flatten()[0]).all()) or bool((a == a.flatten()[0]).all()):
            if not torch.allclose(a, b, rtol=1e-4, equal_nan=True):
                found.append(key)
        elif b.numel() >= ENOUGH:
            spread = float(b.std())
            if not 0.8 < float(a.std()) / spread < 1.25 or abs(float(a.mean() - b.mean())) > 0.3 * spread:
                found.append(key)
    return tuple(sorted(found))


def _compared(
    network: nn.Module,
    macs: int,
    module: nn.Module,
    inputs: Sequence[Given],
    dtype: torch.dtype,
    most: int,
    *,
    trains: bool,
    leaves_out: Callable[[str], bool],
) -> Comparison:
    generator = torch.Generator().manual_seed(0)
    tolerance = TOLERANCES[dtype]
    theirs = (
        copy.deepcopy(module).to(dtype).eval().requires_grad_(requires_grad=False)
    )  # which the counter asks for
    ours = network.to(dtype).eval()
    _stir(theirs, generator)
    state = theirs.state_dict()
    known = set(ours.state_dict())
    missing, unknown = tuple(sorted(set(state) - known)), tuple(sorted(known - set(state)))
    unread = tuple(key for key in missing if leaves_out(key))
    missing = tuple(key for key in missing if key not in unread)
    dropped = {id(parameter) for key, parameter in theirs.named_parameters() if key in unread}
    counted = (
        _parameters(ours),
        sum(each.numel() for each in theirs.parameters() if id(each) not in dropped),
    )
    if missing or unknown:
        return Comparison(missing, unknown, counted, (macs, 0), float("inf"), None, unread=unread)
    torch.nn.Module.load_state_dict(ours, {key: value for key, value in state.items() if key in known})
    tensors = [_drawn(given, generator, dtype, most) for given in inputs]
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            wanted = theirs(*tensors)
        found = ours(*tensors)
        flops = counter.get_total_flops() // (2 * SAMPLES)
        difference = _difference(found, wanted)
        first = "" if difference <= tolerance else _first(ours, theirs, tensors, tolerance)
        trained, refused = None, "" if trains else "it was captured for inference"
        with _without_dropout(ours), _without_dropout(theirs):
            try:
                trained_as = theirs.train()(*tensors) if trains else None
            except (ValueError, RuntimeError) as error:
                refused = str(error).splitlines()[0]
            if not refused and len(_flat(trained_as)) != len(_flat(wanted)):
                refused = f"it then gives {len(_flat(trained_as))} tensors, at inference {len(_flat(wanted))}"
            if not refused:
                wanted = trained_as
                trained = _difference(ours.train()(*tensors), wanted)
                if trained > tolerance and not first:
                    first = _first(ours, theirs, tensors, tolerance)
    return Comparison((), (), counted, (macs, flops), difference, trained, first, refused, tolerance, unread)


def _stir(module: nn.Module, generator: torch.Generator) -> None:
    """Give weights and statistics values by which every step shows: none is constant."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point() and (parameter.numel() == 1 or float(parameter.std()) < 1e-4):
                parameter.add_(
                    torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.5 + 0.1
                )
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.2)
            elif name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)


def _drawn(given: Given, generator: torch.Generator, dtype: torch.dtype, most: int) -> Tensor:
    shape = (SAMPLES, *given.shape)
    if given.dtype.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=dtype)
    most = 2 if given.dtype is torch.bool else most
    return torch.randint(0, most, shape, generator=generator).to(given.dtype)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _flat(made: Any) -> list[Tensor]:
    if isinstance(made, Tensor):
        return [made]
    if isinstance(made, dict):
        made = list(made.values())
    return [tensor for item in made or () for tensor in _flat(item)] if isinstance(made, list | tuple) else []


def _difference(found: Any, wanted: Any) -> float:
    """The largest relative difference of outputs."""
    ours, theirs = _flat(found), _flat(wanted)
    if len(ours) != len(theirs) or any(a.shape != b.shape for a, b in zip(ours, theirs, strict=False)):
        return float("inf")
    most = 0.0
    for a, b in zip(ours, theirs, strict=True):
        a, b = a.double(), b.double()
        differs = a != b  # infinities that are equal do not
        size = float(b[b.isfinite()].norm())
        off = float((a[differs] - b[differs]).norm())
        found_here = off / size if size else off
        if not isfinite(found_here):
            return float("inf")
        most = max(most, found_here)
    return most


@contextmanager
def _without_dropout(module: nn.Module) -> Iterator[None]:
    """Modules that drop at random drop nothing."""
    kept: list[tuple[nn.Module, str, float]] = []
    for inner in module.modules():
        for name in ("p", "drop_prob", "dropout", "drop_rate"):
            value = getattr(inner, name, None)
            if type(value) is float and value > 0:
                kept.append((inner, name, value))
                setattr(inner, name, 0.0)
    try:
        yield
    finally:
        for inner, name, value in kept:
            setattr(inner, name, value)


def _first(ours: nn.Module, theirs: nn.Module, tensors: list[Tensor], tolerance: float) -> str:
    """The first step with weights, in the order in which the module runs, whose output differs."""
    seen: dict[str, Tensor] = {}
    order: list[tuple[str, Tensor]] = []

    def keep(name: str, into: Callable[[str, Tensor], None]) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, made: Any) -> None:
            if isinstance(made, Tensor):
                into(name, made.detach().clone())

        return hook

    handles = []
    named = {name for name, inner in ours.named_modules() if next(inner.parameters(False), None) is not None}
    for name, inner in ours.named_modules():
        if name in named:
            handles.append(inner.register_forward_hook(keep(name, seen.__setitem__)))
    for name, inner in theirs.named_modules():
        if name in named:
            handles.append(inner.register_forward_hook(keep(name, lambda n, t: order.append((n, t)))))
    try:
        theirs(*tensors)
        ours(*tensors)
    finally:
        for handle in handles:
            handle.remove()
    for name, tensor in order:
        if name in seen and (
            seen[name].numel() != tensor.numel()
            or _difference(seen[name].reshape(tensor.shape), tensor) > tolerance
        ):
            return name
    return "behind the last step with weights"
