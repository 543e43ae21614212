"""Blocks applied again in the same way: their nodes are copied under another name, not worked out anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from archspec.elaboration.builder import GraphBuilder, check_length
from archspec.elaboration.values import Outputs, Tensor
from archspec.graph import Node, Ref, Scope, made_like
from archspec.ground.source import Span
from archspec.ops.weights import Tied


@dataclass
class Application:
    """What one application of a block, named `name`, added to the graph: its nodes and scopes from `first`
    up to, not including, `last`, both (node, scope). `given` are the tensors that it could use: its inputs,
    then those that its arguments hold. `height` is how deep blocks are nested in it.
    """

    builder: GraphBuilder
    name: str
    given: Sequence[Tensor]
    outputs: Outputs
    first: tuple[int, int]
    last: tuple[int, int]
    height: int

    @cached_property
    def nodes(self) -> list[Node]:
        """Its nodes."""
        return self.builder.nodes[self.first[0] : self.last[0]]

    @cached_property
    def scopes(self) -> list[Scope]:
        """Its scopes, its own first."""
        return self.builder.scopes[self.first[1] : self.last[1]]

    @cached_property
    def closed(self) -> bool:
        """Whether it depends on nothing but what it is given: it shares no weights with what is outside of it."""
        base = f"{self.name}."
        given = {tensor.ref for tensor in self.given}
        for node in self.nodes:
            if node.shares or isinstance(node.op, Tied) or not node.name.startswith(base):
                return False
            if any(ref not in given and not ref.producer.startswith(base) for ref in node.operands):
                return False
        return True

    def again(self, name: str, given: Sequence[Tensor], span: Span) -> Outputs:
        """Add the same nodes once more, as block `name` at `span`, of the tensors given; gives its outputs.

        Raises SpecError when that is more than the budget allows, or makes names too long.
        """
        builder, base, cut = self.builder, f"{name}.", len(self.name) + 1
        builder.spend(1, span)
        builder.afford(len(self.nodes), span)
        refs: dict[Ref, Ref] = {old.ref: new.ref for old, new in zip(self.given, given, strict=True)}

        def moved(ref: Ref) -> Ref:
            if ref not in refs:
                refs[ref] = Ref(base + ref.producer[cut:], ref.output)
            return refs[ref]

        shift = len(builder.scopes) - self.first[1]
        outer = builder.level.scope
        for scope in self.scopes:
            own = scope is self.scopes[0]
            builder.scopes.append(
                Scope.model_construct(
                    name=name if own else base + scope.name[cut:],
                    parent=outer if own else (scope.parent or 0) + shift,
                    block=scope.block,
                    arguments=scope.arguments,
                    inputs=tuple(map(moved, scope.inputs)),
                    outputs=tuple(map(moved, scope.outputs)),
                    location=span.location if own else scope.location,
                )
            )
        for position, node in enumerate(self.nodes, self.first[0]):
            new_name = base + node.name[cut:]
            check_length(new_name, span)
            builder.append(
                made_like(
                    node,
                    name=new_name,
                    inputs=tuple(map(moved, node.inputs)),
                    options={option: moved(ref) for option, ref in node.options.items()},
                    scope=node.scope + shift,
                ),
                builder.held[position],
            )
        builder.made += len(self.nodes)
        return Outputs(
            [Tensor(moved(tensor.ref), tensor.type, tensor.trace) for tensor in self.outputs],
            self.outputs.names,
        )
