"""The machine that elaborates a spec: its parts, each of which uses those made before it."""

from __future__ import annotations

from collections.abc import Hashable

from archspec.elaboration.budget import BUDGET, Budget
from archspec.elaboration.builder import Builder
from archspec.elaboration.calls import Calls
from archspec.elaboration.evaluator import Evaluator
from archspec.elaboration.handing import Handing
from archspec.elaboration.layers import Layers
from archspec.elaboration.nesting import DEEPEST, NO_RECURSION, Nesting
from archspec.elaboration.observing import Observer
from archspec.elaboration.opened import Opened
from archspec.elaboration.origins import Origins
from archspec.elaboration.own_functions import OwnFunctions
from archspec.elaboration.parameters import Parameters
from archspec.elaboration.reuse import Reuse
from archspec.elaboration.statements import Statements
from archspec.elaboration.surgery import Surgery
from archspec.elaboration.values import BlockLayer, Environment
from archspec.ground import codes
from archspec.ground.errors import Problem, SpecError
from archspec.syntax.tree import Definition


class Machine:
    """The parts of elaboration, and the mistakes found so far.

    `checked` says that every name is known to be bound somewhere, though perhaps not where it is used; `opened` what is free.
    An `observer` is told what is done.
    """

    def __init__(
        self,
        budget: int = BUDGET,
        *,
        checked: bool = False,
        opened: Opened | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.observer = observer
        self.opened = opened or Opened()
        self.problems: list[Problem] = []
        self.models: list[Definition] = []  # that the one that is run is made from, itself first
        self.budget = Budget(budget)
        if observer is not None:
            observer.spends(self.budget)
        self.nesting = Nesting()
        self.origins = Origins()
        self.builder = Builder(self.budget, self.origins)
        self.reuse = Reuse(self)
        self.evaluator = Evaluator(self, checked=checked)
        self.parameters = Parameters(self)
        self.calls = Calls(self)
        self.functions = OwnFunctions(self)
        self.surgery = Surgery(self)
        self.layers = Layers(self)
        self.statements = Statements(self)

    def release(self) -> None:
        """Let go of what holds the graph in circles, so that nothing of it stays when it is dropped."""
        self.reuse.release()
        self.origins.release()

    def run_model(self, layer: BlockLayer) -> tuple[BlockLayer, tuple[str, ...]]:
        """Run a model, whose function becomes the last: the block in its long form, and the names of its outputs."""
        shown, span = layer.name, layer.definition.span
        frame = self.builder.frame
        for _ in range(DEEPEST):
            self.models.append(layer.definition)
            frame.defaults = frame.defaults.entering(layer.home)
            if layer.home.defaults and layer.definition.kind == "model":
                frame.defaults = frame.defaults.naming(layer.home.defaults)
                self.surgery.state(layer.home.defaults, "")
            if layer.definition.layer is None:
                outputs, arguments = self.statements.run_model(layer)
                frame = self.builder.frame
                self.builder.finished(frame, shown, arguments, len(frame.inputs), outputs)
                return layer, outputs.names
            meant = self.layers.short_form(layer, Environment(layer.home), span, declares=True)
            if not isinstance(meant, BlockLayer):
                raise SpecError.of(
                    codes.NO_INPUT,
                    f"the model {shown} has no input of known shape",
                    layer.definition.span,
                    help="use the long form, with `input x: [3, 224, 224]`",
                )
            layer = meant
        raise SpecError.of(
            codes.RECURSION, f"the definition of the model {shown} is circular", span, help=NO_RECURSION
        )

    def meaning(self, layer: BlockLayer) -> Hashable:
        """What the graph of a model follows from: the blocks that it stands for, and the values of the last one's parameters.

        Raises SpecError when it is no model that can be run.
        """
        chain: list[Definition] = []
        while layer.definition.layer is not None and len(chain) < DEEPEST:
            chain.append(layer.definition)
            meant = self.layers.short_form(layer, Environment(layer.home), layer.definition.span)
            if not isinstance(meant, BlockLayer):
                return None
            layer = meant
        env = Environment(layer.home)
        self.parameters.bind(layer, env)
        return (*chain, layer.definition), Handing().key(sorted(env.names.items()))
