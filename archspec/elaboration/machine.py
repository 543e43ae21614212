"""The machine that elaborates a spec: an evaluator of values, layers that are applied, statements that are run."""

from __future__ import annotations

from archspec.elaboration.builder import BUDGET, Builder
from archspec.elaboration.evaluator import Evaluator
from archspec.elaboration.layers import DEEPEST, NO_RECURSION, Layers
from archspec.elaboration.statements import Statements
from archspec.elaboration.values import BlockLayer, Environment
from archspec.ground.errors import Problem, SpecError


class Machine:
    """The parts of elaboration, and the mistakes found so far.

    `checked` says that every name is known to be bound somewhere, though perhaps not where it is used.
    """

    def __init__(self, budget: int = BUDGET, *, checked: bool = False) -> None:
        self.problems: list[Problem] = []
        self.builder = Builder(budget)
        self.evaluator = Evaluator(self, checked=checked)
        self.layers = Layers(self)
        self.statements = Statements(self)

    def release(self) -> None:
        """Let go of what refers to this in circles, so that nothing of it stays when the graph is dropped."""
        self.evaluator.release()
        self.layers.release()
        self.builder.family.release()

    def run_model(self, layer: BlockLayer) -> tuple[BlockLayer, tuple[str, ...]]:
        """Run a model, whose function becomes the last: the block in its long form, and the names of its outputs."""
        shown, span = layer.name, layer.definition.span
        for _ in range(DEEPEST):
            if layer.definition.layer is None:
                outputs, arguments = self.statements.run_model(layer)
                frame = self.builder.frame
                self.builder.finished(frame, shown, arguments, len(frame.inputs), outputs)
                return layer, outputs.names
            meant = self.layers.short_form(layer, Environment(layer.home), span, declares=True)
            if not isinstance(meant, BlockLayer):
                raise SpecError.of(
                    "shape",
                    f"the model {shown} has no input of known shape",
                    layer.definition.span,
                    help="write it in the long form, with `input x: [3, 224, 224]`",
                )
            layer = meant
        raise SpecError.of(
            "recursion", f"the model {shown} stands for itself, without end", span, help=NO_RECURSION
        )
