"""The examples that ops give of themselves, as tests take them: with the name of the op."""

from archspec.op import Op

EXAMPLES = [(name, example) for name in sorted(Op.names()) for example in Op.known[name].examples]
