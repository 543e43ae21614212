"""Loaded networks: their repeated blocks, and weights of another resolution."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, cast
from warnings import warn

from archspec.api.arguments import checked, flag, graph_or_other, mapping, text
from archspec.graph import Graph, graph_of

if TYPE_CHECKING:
    import torch

    from archspec.backends.torch_modules import Network


def repeated_blocks(module: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The blocks of a loaded network that repeat, by name: the bottlenecks of a ResNet, the encoder layers of a ViT.

    They are what to shard (`for block in repeated_blocks(module).values(): fully_shard(block)`), to freeze or to count: the
    outermost blocks of the spec whose name occurs twice, except those that hold a list of blocks of which two are alike, as
    stages do. Empty for a flat network.

    Raises TypeError for a module that archspec did not load.
    """
    from archspec.backends.torch_blocks import blocks

    graph_of(module)
    return blocks(cast("Network", module))


def profiled(module: torch.nn.Module) -> AbstractContextManager[None]:
    """A context in which PyTorch's profiler shows the steps of a loaded network, with their lines in the spec.

        with torch.profiler.profile() as found, archspec.profiled(network):
            network(x)

    Rows are the modules of the network: blocks, and steps that are modules, `layer1.0.conv1 (resnet.arch:12)`. What is a
    function, such as a sum, is in the row of its block. Outside of the context nothing is added to the network.

    Raises TypeError for a module that archspec did not load.
    """
    from archspec.backends.torch_profiling import profiled as rows

    return rows(module, graph_of(module))


@checked(batch=flag)
def dynamic_shapes(graph: Graph, *, batch: bool = True) -> dict[str, dict[int, object]]:
    """The `dynamic_shapes` of `torch.export.export` for a network with free sizes, by input: a `Dim` for the batch and each size.

    `torch.export.export(net, (x,), dynamic_shapes=tuple(dynamic_shapes(graph).values()))`. Sizes begin where no axis inside the
    network has a size of 1, which PyTorch takes to be fixed. Raises SpecError for a size that PyTorch cannot say.
    """
    from archspec.backends.torch_export import dynamic_shapes as shapes_of

    return shapes_of(graph, batch=batch)


def blocks(module: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """`repeated_blocks`, under the name that it had before 0.2."""
    warn("`archspec.blocks` is `archspec.repeated_blocks` now", DeprecationWarning, stacklevel=2)
    return repeated_blocks(module)


@checked(weights=mapping, title=text)
def named(weights: Mapping[str, torch.Tensor], graph: Graph, title: str) -> dict[str, torch.Tensor]:
    """The weights of a network under the keys that other code has for them, and laid out as there.

        torch.save(archspec.named(network.state_dict(), archspec.graph_of(network), "timm"), "timm.pth")

    `title` is that of one of the spec's `names`, which `graph.names` lists; `weights` are those of the whole network. Tensors are
    the same, but for those that the map rearranges, which are copies. Keys that other code computes anew are left out.

    Raises SpecError when the spec has no names of that title, or these are not the network's weights.
    """
    from archspec.analyses.renaming import names_as
    from archspec.backends.torch_names import renamed_state

    return renamed_state(names_as(graph, title), weights)


@checked(weights=mapping, before=graph_or_other)
def resize_positions(
    weights: Mapping[str, torch.Tensor],
    graph: Graph,
    before: Graph | tuple[int, ...] | Mapping[str, tuple[int, ...]] | None = None,
    after: tuple[int, ...] | Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, torch.Tensor]:
    """Weights of one resolution for a network of another: `load_state_dict(resize_positions(weights, graph, before=old))`.

    What the spec declares as a table of positions, `[1, 1 + grid(h, w), dim]` or `[relative(h, w), heads]`, is interpolated to the
    grid or window of the graph, bicubic, in single precision at least: grids smoothed where they shrink, as Dosovitskiy et al. 2021,
    Section 3.2, and timm do it; windows not, as Liu et al. 2021 do it. Tokens and all other weights are handed on.

    `before` says what the weights are of: the graph of their spec, or height and width of the grid, or of the windows, of all
    tables or of each by its name. Tables that are not named are handed on, where others are. Only maps show their grid: 16 places
    are 4 x 4, 2 x 8, or 8 x 2. `after` need not be given, as the graph says it; it is compared.

    Raises SpecError when a grid is not known or does not fit, and when a weight of another shape is no table.
    """
    from archspec.backends.torch_positions import resize_positions as resize

    return resize(weights, graph, before, after)
