"""What can be a name: of an input or a block, and of a step below the blocks around it."""

from __future__ import annotations

import re

from archspec.ground import codes
from archspec.ground.errors import Mistake

LONGEST_NAME = 1000  # characters of a full name

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_LABEL = re.compile(r"\w[\w-]*(\.\w[\w-]*)*", re.ASCII)
_PART = r"\w[\w-]*(@([2-9]|[1-9]\d+))?"
_FULL = re.compile(rf"{_PART}(\.{_PART})*", re.ASCII)
_USE = re.compile(r"@\d+")

_OF_MODULES = {
    "T_destination", "_apply", "_backward_hooks", "_backward_pre_hooks", "_buffers", "_call_impl",
    "_compiled_call_impl", "_forward_hooks", "_forward_hooks_always_called", "_forward_hooks_with_kwargs",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_get_backward_hooks", "_get_backward_pre_hooks",
    "_get_name", "_is_full_backward_hook", "_load_from_state_dict", "_load_state_dict_post_hooks",
    "_load_state_dict_pre_hooks", "_maybe_warn_non_full_backward_hook", "_modules", "_named_members",
    "_non_persistent_buffers_set", "_parameters", "_register_load_state_dict_pre_hook",
    "_register_state_dict_hook", "_replicate_for_data_parallel", "_save_to_state_dict", "_slow_forward",
    "_state_dict_hooks", "_state_dict_pre_hooks", "_version", "_wrapped_call_impl", "add_module", "apply",
    "bfloat16", "buffers", "call_super_init", "children", "compile", "cpu", "cuda", "double", "dump_patches",
    "eval", "extra_repr", "float", "forward", "get_buffer", "get_extra_state", "get_parameter",
    "get_submodule", "half", "ipu", "load_state_dict", "modules", "mtia", "named_buffers", "named_children",
    "named_modules", "named_parameters", "parameters", "register_backward_hook", "register_buffer",
    "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
    "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter",
    "register_state_dict_post_hook", "register_state_dict_pre_hook", "requires_grad_", "set_extra_state",
    "set_submodule", "share_memory", "state_dict", "to", "to_empty", "train", "training", "type", "xpu",
    "zero_grad",
}  # fmt: skip
_OF_NETWORKS = {
    "_code",
    "_graph",
    "_lineno_map",
    "_prologue_start",
}  # what an fx GraphModule keeps its program under


def is_taken(name: str) -> bool:
    """Whether each `nn.Module` has an attribute of that name, so that it can hold no part of that name."""
    return name in _OF_MODULES or name in _OF_NETWORKS or (name.startswith("__") and name.endswith("__"))


def require_free(path: str) -> None:
    """Mistake when a module cannot hold what stands at the path: a step, a group of steps, or a weight of a block."""
    for part in path.split("."):
        if is_taken(part):
            raise Mistake(
                f"`{part}` cannot be a name: every PyTorch module has an attribute of that name",
                codes.NOT_A_NAME,
                help=f"choose another name, such as `{part.strip('_')}_1`",
            )


def is_name(text: str) -> bool:
    """Whether it is one name, as the grammar has it: `x`, `Bottleneck`."""
    return _NAME.fullmatch(text) is not None


def is_label(text: str) -> bool:
    """Whether a spec may name a step so: `conv1`, `branches.0`."""
    return _LABEL.fullmatch(text) is not None


def is_full_name(text: str) -> bool:
    """Whether it is the name of a step or scope in a graph: labels, with `@2` for the second use of a shared layer."""
    return len(text) <= LONGEST_NAME and _FULL.fullmatch(text) is not None


def first_use(name: str) -> str:
    """The name under which a shared layer stands in the `state_dict`: that of its first use."""
    return _USE.sub("", name)
