"""Warnings about specs, as Python's warnings: `SpecWarning`, whose place is that in the spec."""

from __future__ import annotations

from archspec.analyses.unused_steps import Steps
from archspec.analyses.warnings import warnings_about
from archspec.elaboration import Module
from archspec.graph import Graph
from archspec.ground.warned import warn_all


def warn_about(module: Module, graph: Graph) -> None:
    """Warn of what is hardly meant so in the files of a graph that was read."""
    steps = Steps()
    steps.add(graph)
    warn_all(warnings_about(module, steps, whole=False))
