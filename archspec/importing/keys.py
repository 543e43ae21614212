"""Keys of a module's `state_dict` that its program does not show: second names of a tensor, and tensors that nothing reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from torch.fx import Node

from archspec.ground.literals import written
from archspec.importing.capture import Capture

UNREAD = "nothing reads it at inference"
_COUNTED = "num_batches_tracked"


def statements(captured: Capture, model: str, title: str) -> str:
    """The `names` of a model: further keys of weights that modules share, and keys that have no weight."""
    named = _by_tensor(captured.module)
    read = {captured.tensors[node.name][0] for node in _read(captured)}
    counted = {key.rpartition(".")[0] for key in read}
    further, unread = [], []
    for keys in named.values():
        first = next((key for key in keys if key in read), None)
        if first is not None:
            further += [(key, first) for key in keys if key != first]
        elif not all(key.endswith(f".{_COUNTED}") and key.rpartition(".")[0] in counted for key in keys):
            unread += keys
        else:
            counters = [key for key in keys if key.rpartition(".")[0] in counted]
            further += [(key, counters[0]) for key in keys if key != counters[0]]
    everything = [key for keys in named.values() for key in keys]
    made = []
    if further:
        lines = [f'"{key}" -> "{first}"' for key, first in _joined(further, everything)]
        made.append("\n    ".join([f"names {model}:", *lines]))
    if unread:
        lines = [f'"{key}" -> none "{UNREAD}"' for key in _patterns(unread, everything)]
        made.append("\n    ".join([f"names {model} {written(title)}:", *lines]))
    return "\n\n".join(made)


def _by_tensor(module: nn.Module) -> dict[int, list[str]]:
    """The keys of each saved tensor, in order."""
    found: dict[int, list[str]] = {}
    for key, tensor in module.state_dict(keep_vars=True).items():
        if isinstance(tensor, Tensor):
            found.setdefault(id(tensor), []).append(key)
    return found


def _read(captured: Capture) -> Iterable[Node]:
    return (node for node in captured.program.graph.nodes if node.name in captured.tensors and node.users)


def _joined(further: Sequence[tuple[str, str]], everything: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of keys; those of one module by another one's, in a rule for all that it has."""
    pairs, made = set(further), dict[tuple[str, str], None]()
    for key, first in further:
        one, other = key.split("."), first.split(".")
        rule = key, first
        for kept in range(1, min(len(one), len(other))):
            here, there = ".".join(one[:-kept]), ".".join(other[:-kept])
            if one[-kept:] != other[-kept:]:
                break
            below = [name.removeprefix(there) for name in everything if name.startswith(f"{there}.")]
            if all((here + name, there + name) in pairs for name in below):
                rule = f"{here}.{{rest}}", f"{there}.{{rest}}"
        made.setdefault(rule)
    return list(made)


def _patterns(unread: Sequence[str], everything: Sequence[str]) -> list[str]:
    """Keys as few as say all of them: a path of which nothing is read stands for all below it."""
    read = set(everything) - set(unread)
    made: list[str] = []
    for key in unread:
        parts = key.split(".")
        for length in range(1, len(parts)):
            path = ".".join(parts[:length]) + "."
            if not any(other.startswith(path) for other in read):
                key = f"{path}{{rest}}"
                break
        if key not in made:
            made.append(key)
    return made
