"""What all tests share: the flag that writes expected messages anew, and graphs that are held to what holds of all."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from archspec.elaboration.modules import Module
from archspec.graph import Graph
from archspec.graph.validation import validate

# One process for each core: the threads of each would only wait for those of another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# No test fails because a machine is slow.
settings.register_profile("archspec", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("archspec")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bless", action="store_true", help="write anew what tests compare with; review it by reading"
    )


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--bless"))


@pytest.fixture(scope="module", autouse=True)
def what_was_compiled_is_forgotten() -> None:
    """PyTorch compiles a code anew only so many times in a process, whichever network it is of."""
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()


@pytest.fixture(scope="session", autouse=True)
def every_elaborated_graph_is_valid() -> Iterator[None]:
    """Elaboration is believed to make valid graphs, so that they are not checked again: here, all are."""
    graph = Module.graph

    def checked(*arguments: Any) -> Graph:
        made = graph(*arguments)
        validate(made)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Module, "graph", checked)
        yield
