"""A bare tree to the tree of a spec: a method for each rule of the grammar."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from archspec.ground import codes
from archspec.ground.errors import Problem, SpecError
from archspec.ground.source import Source, Span
from archspec.syntax import automaton
from archspec.syntax import tree as t
from archspec.syntax.automaton import NAMES_HELP, Misplaced, Node, Stuck, Token
from archspec.syntax.written import decimal_number, digits, docstring, string, whole_number

_LINE_PARTS = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''
    r"|\\\n|(?:[ \t]*(?:#[^\n]*)?\n)+[ \t]*(?:[-+*/%@<>]|[=!]=|(?:and|or)\b)|(?P<end>[ \t]*(?:#[^\n]*)?(?:\n|\Z))|[()\[\]{}]",
    re.S,
)
_HIGHEST = 200  # rules within rules


def read(source: Source, base: int, text: str, start: str) -> Any:
    """What the rule `start` makes of a text that stands at `base` in the source. Raises SpecError where the text is wrong."""
    return _Builder(source, base).read(text, start)


def read_file(source: Source, text: str) -> tuple[tuple[t.Statement, ...], tuple[Problem, ...]]:
    """The statements of a file whose text this is, and its problems: a statement that is wrong is `Broken`."""
    return _Builder(source, 0).read_file(text)


class _Builder:
    """Turns the automaton's tree into ours: a method for each rule of the grammar, named like it.

    `base` is where the text being read starts in the source.
    """

    def __init__(self, source: Source, base: int) -> None:
        self.source = source
        self.base = base
        self.problems: list[Problem] | None = None  # those of a file, where a wrong statement is not the end

    def read(self, text: str, start: str) -> Any:
        try:
            return self.build(automaton.syntax_tree(text, start), 0)
        except RecursionError:
            raise self._too_deep() from None
        except (Stuck, Misplaced) as fault:
            from archspec.syntax.broken import error_of

            raise error_of(fault, self.source, self.base, text, "expression") from None

    def read_file(self, text: str) -> tuple[tuple[t.Statement, ...], tuple[Problem, ...]]:
        """The statements of a file, with what is wrong in those that are broken."""
        made, faults = automaton.syntax_tree_of_file(text)
        problems: list[Problem] = []
        if faults:
            from archspec.syntax.broken import error_of

            for fault in faults:
                problems += error_of(fault, self.source, self.base, text, "file").problems
        self.problems = problems
        try:
            statements = self.build(made, 0)
        except RecursionError:
            raise self._too_deep() from None
        return statements, tuple(problems)

    def _too_deep(self) -> SpecError:
        return SpecError.of(codes.TOO_DEEP, f"{self.source.path} is nested too deeply", help=NAMES_HELP)

    def statement(self, node: Node, depth: int, *, at_top: bool) -> Any:
        """What is made of a statement of a file or a block; one in which something is wrong is broken."""
        try:
            made = self.build(node, depth)
            if at_top and isinstance(made, t.If | t.For):
                _require_outside(made, "outside of a block or model", _AT_TOP)
            return made
        except SpecError as error:
            from archspec.syntax.broken import broken

            if self.problems is None:
                raise
            self.problems += error.problems
            return broken(self._place(node.start, node.end))

    def build(self, node: Any, depth: int) -> Any:
        if type(node) is not Node:
            return node
        span = Span(self.source, self.base + max(node.start, 0), self.base + max(node.end, 0))
        if depth > _HIGHEST:
            first = Span(span.source, span.start, span.start + 1)
            raise SpecError.of(codes.TOO_DEEP, "this is nested too deeply", first, help=NAMES_HELP)
        method: Callable[[Span, list[Any]], Any] = getattr(self, f"make_{node.rule}")
        if node.rule in ("file", "suite"):
            at_top = node.rule == "file"
            return method(span, [self.statement(part, depth + 1, at_top=at_top) for part in node.parts])  # type: ignore[arg-type]
        return method(span, [self.build(part, depth + 1) for part in node.parts])

    def _place(self, start: int, end: int) -> Span:
        return Span(self.source, self.base + start, self.base + end)

    def _token_span(self, token: Token) -> Span:
        start = self.base + token.start
        return Span(self.source, start, start + len(token))

    # -------------------------------------------------------------- top level

    def make_file(self, span: Span, parts: list[Any]) -> tuple[t.Statement, ...]:
        return tuple(parts)

    def make_broken(self, span: Span, parts: list[Any]) -> t.Broken:
        from archspec.syntax.broken import broken

        return broken(span)

    def make_docstring(self, span: Span, parts: list[Any]) -> t.Docstring:
        return t.Docstring(self._token_span(parts[0]), docstring(parts[0]))

    def make_import_(self, span: Span, parts: list[Any]) -> t.Import:
        return t.Import(self._line(span), parts[0], tuple(parts[1:]))

    def make_path(self, span: Span, parts: list[Any]) -> tuple[str, ...]:
        return tuple(str(part) for part in parts)

    def make_imported(self, span: Span, parts: list[Any]) -> t.Imported:
        return t.Imported(span, str(parts[0]), str(parts[1] or parts[0]))

    def make_definition(self, span: Span, parts: list[Any]) -> t.Definition:
        kind, name, parameters, body = parts
        layer = body if isinstance(body, t.Expression) else None
        head = Span(self.source, self._token_span(kind).start, self._token_span(name).end)
        return t.Definition(head, _word(kind), str(name), parameters or (), () if layer else body, layer)

    def make_function(self, span: Span, parts: list[Any]) -> t.FunctionDefinition:
        name, parameters, body = parts
        head = Span(self.source, span.start, self._token_span(name).end)
        for statement in body:
            _require_outside(statement, "inside of a function", _FUNCTION, function=True)
        return t.FunctionDefinition(head, str(name), parameters or (), body)

    def make_short_body(self, span: Span, parts: list[Any]) -> t.Expression:
        expression: t.Expression = parts[0]
        return expression

    def make_parameters(self, span: Span, parts: list[Any]) -> tuple[t.Parameter, ...]:
        return _kept(parts)

    def make_parameter(self, span: Span, parts: list[Any]) -> t.Parameter:
        name, type_, domain, default = parts
        return t.Parameter(span, str(name), type_, domain, default)

    def make_type(self, span: Span, parts: list[Any]) -> t.TypeName:
        return t.TypeName(span, str(parts[0]), parts[1])

    def make_choices(self, span: Span, parts: list[Any]) -> t.Choices:
        return t.Choices(span, _kept(parts))

    def make_range(self, span: Span, parts: list[Any]) -> t.Range:
        return t.Range(span, parts[0], parts[1])

    def make_claims(self, span: Span, parts: list[Any]) -> t.Claims:
        name, source, settings, *claims = parts
        text = self.make_string(self._token_span(source), [source]).literal if source else ""
        return t.Claims(self._token_span(name), str(name), text or "", settings or (), tuple(claims))

    def make_names(self, span: Span, parts: list[Any]) -> t.Names:
        _, name, title, *rules = parts
        if title is None:
            return t.Names(self._token_span(name), str(name), "", tuple(rules))
        text = self.make_string(self._token_span(title), [title]).literal
        if not (text or "").strip():
            message = "the title of names is a text without holes"
            raise SpecError.of(codes.NOT_A_MAP, message, self._token_span(title), help=_TITLE)
        assert text
        return t.Names(self._token_span(name), str(name), text, tuple(rules))

    def make_renaming(self, span: Span, parts: list[Any]) -> t.Renaming:
        sources, target, pattern = parts
        return t.Renaming(
            self._line(span), sources, self._text(target), self._text(pattern) if pattern else None, ""
        )

    def make_ignoring(self, span: Span, parts: list[Any]) -> t.Renaming:
        sources, reason = parts
        return t.Renaming(self._line(span), sources, None, None, self._text(reason).literal or "")

    def make_keys(self, span: Span, parts: list[Any]) -> tuple[t.Text, ...]:
        return tuple(self._text(part) for part in _kept(parts))

    def make_budget(self, span: Span, parts: list[Any]) -> t.Budget:
        number = self.make_int(self._token_span(parts[0]), parts).value
        assert isinstance(number, int)
        return t.Budget(self._line(span), number)

    def make_settings(self, span: Span, parts: list[Any]) -> tuple[t.Argument, ...]:
        return tuple(parts)

    def make_setting(self, span: Span, parts: list[Any]) -> t.Argument:
        return t.Argument(span, str(parts[0]), parts[1])

    def make_claim(self, span: Span, parts: list[Any]) -> t.Claim:
        quantity, subject, value, known, reason = parts
        shape = value if isinstance(value, tuple) else None
        figure = None if shape is not None else str(value)
        for written in (value, known):
            if isinstance(written, Token):
                digits(written, self._token_span(written))
        return t.Claim(
            self._line(span),
            str(quantity),
            str(subject) if subject else None,
            figure,
            shape,
            str(known) if known else None,
            self.make_string(self._token_span(reason), [reason]).literal or "" if reason else "",
        )

    # -------------------------------------------------------------- statements

    def make_suite(self, span: Span, parts: list[Any]) -> tuple[t.Statement, ...]:
        return tuple(parts)

    def make_input(self, span: Span, parts: list[Any]) -> t.Input:
        name, dtype, pattern = parts
        return t.Input(self._line(span), str(name), str(dtype) if dtype else None, pattern, None, False)

    def make_counted_input(self, span: Span, parts: list[Any]) -> t.Input:
        name, count, dtype, pattern = parts
        return t.Input(self._line(span), str(name), str(dtype) if dtype else None, pattern, count, False)

    def make_remaining_input(self, span: Span, parts: list[Any]) -> t.Input:
        name, dtype, pattern = parts
        return t.Input(self._line(span), str(name), str(dtype) if dtype else None, pattern, None, True)

    def make_pattern(self, span: Span, parts: list[Any]) -> tuple[t.PatternSize, ...]:
        return _kept(parts)

    def make_free_size(self, span: Span, parts: list[Any]) -> t.FreeSize:
        return t.FreeSize(span, str(parts[-1]))

    def make_rest_sizes(self, span: Span, parts: list[Any]) -> t.RestSizes:
        return t.RestSizes(span, str(parts[0]))

    def make_own(self, span: Span, parts: list[Any]) -> t.Own:
        kind, name, dtype, shape, value = parts
        label, name = name if isinstance(name, tuple) else (None, name)
        return t.Own(
            self._line(span), _word(kind), label, str(name), str(dtype) if dtype else None, shape, value
        )

    def make_labelled(self, span: Span, parts: list[Any]) -> tuple[t.Text, Token]:
        text, name = parts
        return self.make_string(self._token_span(text), [text]), name

    def make_shape(self, span: Span, parts: list[Any]) -> tuple[t.Expression, ...]:
        return _kept(parts)

    def make_shared(self, span: Span, parts: list[Any]) -> t.Shared:
        name, value = parts
        label, name = name if isinstance(name, tuple) else (None, name)
        return t.Shared(self._line(span), label, str(name), value)

    def make_defaults(self, span: Span, parts: list[Any]) -> t.Defaults:
        head = Span(self.source, span.start, span.start + len("defaults"))
        return t.Defaults(head, tuple(parts))

    def make_rule(self, span: Span, parts: list[Any]) -> t.Rule:
        first, second = parts
        if second is None:
            return t.Rule(self._line(span), None, None, first)
        if not isinstance(first, t.Text):
            raise SpecError.of(
                codes.NOT_A_RULE,
                "expected the names of weights as a string",
                first.span,
                help='write `"head.bias": zeros` for the weights of a name, `Conv(bias=false)` for an op',
            )
        return t.Rule(self._line(span), first, None, second)

    def make_substitution(self, span: Span, parts: list[Any]) -> t.Rule:
        name, layer = str(parts[0]), parts[1]
        op = t.Name(Span(self.source, span.start, span.start + len(name)), name)
        return t.Rule(self._line(span), None, op, layer)

    def make_replacement(self, span: Span, parts: list[Any]) -> t.Replacement:
        path, layer = parts
        return t.Replacement(self._line(span), self.make_string(self._token_span(path), [path]), layer)

    def make_insertion(self, span: Span, parts: list[Any]) -> t.Insertion:
        first, last = parts[0], parts[-1]
        paths = [step for step in parts if step.label is None and isinstance(step.layer, t.Text)]
        if len(paths) != 1 or paths[0] not in (first, last):
            raise SpecError.of(
                codes.NOT_A_RULE,
                "expected the path of a step at one end" if not paths else "a rule has one path, at one end",
                self._line(span),
                help='`"conv2" -> se: Layer` inserts behind a step, `se: Layer -> "conv2"` before it',
            )
        behind = paths[0] is first
        steps = tuple(parts[1:] if behind else parts[:-1])
        return t.Insertion(self._line(span), () if behind else steps, paths[0].layer, steps if behind else ())

    def make_assign(self, span: Span, parts: list[Any]) -> t.Assign:
        return t.Assign(self._line(span), parts[0], parts[1])

    def make_augment(self, span: Span, parts: list[Any]) -> t.Augment:
        name, operator, value = parts
        place = self._token_span(name)
        meant = t.Binary(place.to(value.span), operator.removesuffix("="), t.Name(place, str(name)), value)
        return t.Augment(self._line(span), t.Target(place, str(name), ()), meant)

    def make_require(self, span: Span, parts: list[Any]) -> t.Require:
        test, message = parts
        text = self.make_string(self._token_span(message), [message]) if message else None
        return t.Require(self._line(span), test, text)

    def make_if_(self, span: Span, parts: list[Any]) -> t.If:
        *pairs, other = parts
        pairs = _kept_list(pairs)
        branches = tuple(
            t.Branch(test.span, test, body) for test, body in zip(pairs[::2], pairs[1::2], strict=True)
        )
        return t.If(branches[0].span, branches, other or ())

    def make_for_(self, span: Span, parts: list[Any]) -> t.For:
        target, iterable, body = parts
        return t.For(target.span.to(iterable.span), target, iterable, body)

    def make_return_(self, span: Span, parts: list[Any]) -> t.Return:
        value = parts[0]
        if isinstance(value, list):
            return t.Return(self._line(span), tuple(value))
        if isinstance(value, t.TupleOf):
            return t.Return(self._line(span), tuple(t.Output(item.span, None, item) for item in value.items))
        return t.Return(self._line(span), (t.Output(value.span, None, value),))

    def make_named_outputs(self, span: Span, parts: list[Any]) -> list[t.Output]:
        return parts

    def make_named_output(self, span: Span, parts: list[Any]) -> t.Output:
        return t.Output(span, str(parts[0]), parts[1])

    def make_targets(self, span: Span, parts: list[Any]) -> t.Target:
        targets = _kept(parts)
        unpacks = len(targets) > 1 or self.source.text[span.start : span.end].rstrip().endswith(",")
        return t.Target(span, None, targets) if unpacks else targets[0]

    def make_name_target(self, span: Span, parts: list[Any]) -> t.Target:
        return t.Target(span, str(parts[0]), ())

    # -------------------------------------------------------------- expressions

    def make_bare_tuple(self, span: Span, parts: list[Any]) -> t.TupleOf:
        return t.TupleOf(span, _kept(parts))

    def make_chain(self, span: Span, parts: list[Any]) -> t.Chain:
        source = parts[0]
        # The span of one in brackets starts before what is in them.
        if isinstance(source, t.Conditional) and source.span.start == source.then.span.start:
            raise SpecError.of(
                codes.AMBIGUOUS,
                "ambiguous `->` after `else`: it would apply to the whole conditional",
                parts[1].span,
                help="use brackets: `a if c else (b -> layer)`, or `(a if c else b) -> layer`",
            )
        return t.Chain(span, source, tuple(parts[1:]))

    def make_step(self, span: Span, parts: list[Any]) -> t.Step:
        first, second = parts
        return t.Step(span, self._label(first), second) if second else t.Step(span, None, first)

    def make_conditional(self, span: Span, parts: list[Any]) -> t.Conditional:
        return t.Conditional(span, *parts)

    def make_or_(self, span: Span, parts: list[Any]) -> t.Logic:
        return t.Logic(span, "or", tuple(parts))

    def make_and_(self, span: Span, parts: list[Any]) -> t.Logic:
        return t.Logic(span, "and", tuple(parts))

    def make_negation(self, span: Span, parts: list[Any]) -> t.Unary:
        return t.Unary(span, "not", parts[0])

    def make_comparison(self, span: Span, parts: list[Any]) -> t.Comparison:
        return t.Comparison(span, parts[0], tuple(zip(parts[1::2], parts[2::2], strict=True)))

    def make_comparator(self, span: Span, parts: list[Any]) -> str:
        return str(parts[0]) if parts else " ".join(span.text.split())

    def make_arith(self, span: Span, parts: list[Any]) -> t.Expression:
        result: t.Expression = parts[0]
        for operator, right in zip(parts[1::2], parts[2::2], strict=True):
            result = t.Binary(result.span.to(right.span), str(operator), result, right)
        return result

    make_term = make_arith

    def make_raised(self, span: Span, parts: list[Any]) -> t.Binary:
        return t.Binary(span, "**", parts[0], parts[1])

    def make_sign(self, span: Span, parts: list[Any]) -> t.Unary:
        return t.Unary(span, "-" if parts[0] == "-" else "+", parts[1])

    def make_attribute(self, span: Span, parts: list[Any]) -> t.Attribute:
        return t.Attribute(span, parts[0], str(parts[1]))

    def make_call(self, span: Span, parts: list[Any]) -> t.Call:
        return t.Call(span, parts[0], _kept(parts[1:]))

    def make_keyword(self, span: Span, parts: list[Any]) -> t.Argument:
        return t.Argument(span, str(parts[0]), parts[1])

    def make_positional(self, span: Span, parts: list[Any]) -> t.Argument:
        value, *clauses = parts
        if clauses:
            value = t.Comprehension(span, t.Item(value.span, None, value), tuple(clauses))
        return t.Argument(span, None, value)

    def make_subscripts(self, span: Span, parts: list[Any]) -> t.Subscript:
        return t.Subscript(span, parts[0], _kept(parts[1:]))

    def make_slice(self, span: Span, parts: list[Any]) -> t.Slice:
        return t.Slice(span, *parts)

    def make_name(self, span: Span, parts: list[Any]) -> t.Name:
        return t.Name(span, str(parts[0]))

    def make_int(self, span: Span, parts: list[Any]) -> t.Literal_:
        return t.Literal_(span, whole_number(parts[0], span))

    def make_float(self, span: Span, parts: list[Any]) -> t.Literal_:
        return t.Literal_(span, decimal_number(parts[0], span))

    def make_true(self, span: Span, parts: list[Any]) -> t.Literal_:
        return t.Literal_(span, True)

    def make_false(self, span: Span, parts: list[Any]) -> t.Literal_:
        return t.Literal_(span, False)

    def make_none(self, span: Span, parts: list[Any]) -> t.Literal_:
        return t.Literal_(span, None)

    def make_string(self, span: Span, parts: list[Any]) -> t.Text:
        def hole(start: int, end: int) -> t.Expression:
            expression: t.Expression = read(self.source, start, self.source.text[start:end], "cond")
            return expression

        return t.Text(span, string(str(parts[0]), span, hole))

    def make_empty_tuple(self, span: Span, parts: list[Any]) -> t.TupleOf:
        return t.TupleOf(span, ())

    def make_parenthesised(self, span: Span, parts: list[Any]) -> t.Expression:
        expression: t.Expression = parts[0]
        return expression.at(span)  # brackets belong to what is underlined

    def make_tuple(self, span: Span, parts: list[Any]) -> t.TupleOf:
        return t.TupleOf(span, _kept(parts))

    def make_spread(self, span: Span, parts: list[Any]) -> t.Spread:
        return t.Spread(span, parts[0])

    def make_list(self, span: Span, parts: list[Any]) -> t.ListOf:
        return t.ListOf(span, _kept(parts))

    def make_comprehended(self, span: Span, parts: list[Any]) -> t.Comprehension:
        if isinstance(parts[0].value, t.Spread):
            help_ = "nest the loops: `[item for row in rows for item in row]`"
            raise SpecError.of(codes.SYNTAX, "`*` in a comprehension", parts[0].span, help=help_)
        return t.Comprehension(span, parts[0], _kept(parts[1:]))

    def make_item(self, span: Span, parts: list[Any]) -> t.Item:
        first, second = (*parts, None)[:2]
        return t.Item(span, self._label(first), second) if second else t.Item(span, None, first)

    def make_comprehension(self, span: Span, parts: list[Any]) -> t.Clause:
        return t.Clause(span, parts[0], parts[1], _kept(parts[2:]))

    # -------------------------------------------------------------- helpers

    def _label(self, expression: t.Expression) -> t.Text:
        if isinstance(expression, t.Name):
            return t.Text(expression.span, (expression.name,))
        if isinstance(expression, t.Text):
            return expression
        if isinstance(expression, t.Literal_) and type(expression.value) is int:
            return t.Text(expression.span, (str(expression.value),))
        text = expression.span.text
        sure = f'"{text}"' if re.fullmatch(r"\w+(?:\.\w+)+", text) else None
        raise SpecError.of(
            codes.SYNTAX,
            "expected a name or a string as the name of a step",
            expression.span,
            help=f"write it as a string: `{sure}: ...`"
            if sure
            else 'write computed names as strings: `"block{i}": ...`',
            instead=sure,
        )

    def _text(self, token: Token) -> t.Text:
        return self.make_string(self._token_span(token), [token])

    def _line(self, span: Span) -> Span:
        """The span without the line break, and the white space and comments around it, at its end."""
        end = span.start + len(span.text.rstrip())
        if "#" in span.text:
            end = self._end_of_line(span.start, end)
        if "\\" in span.text:  # one may stand before the line break
            end = span.start + len(self.source.text[span.start : end].rstrip(" \t\f\r\n\\"))
        return Span(span.source, span.start, end)

    def _end_of_line(self, start: int, end: int) -> int:
        """Where the statement that starts there ends, comments behind it left out."""
        depth = 0
        for match in _LINE_PARTS.finditer(self.source.text, start, end):
            if match.group() in ("(", "[", "{"):
                depth += 1
            elif match.group() in (")", "]", "}"):
                depth -= 1
            elif match.lastgroup == "end" and not depth:
                return match.start()
        return end


def _require_outside(statement: t.Tree, where: str, help: str, *, function: bool = False) -> None:
    """SpecError for statements of blocks alone, at the top of a file or in a function; in a function for steps too."""
    stack = [statement]
    while stack:
        node = stack.pop()
        word = node.kind if isinstance(node, t.Own) else _OF_BLOCKS.get(type(node), "")
        if word and not (function and isinstance(node, t.Return)):
            raise SpecError.of(codes.MISPLACED, f"`{word}` {where}", node.span, help=help)
        if function and isinstance(node, t.Chain):
            raise SpecError.of(codes.MISPLACED, f"`->` {where}", node.span, help=help)
        if function and isinstance(node, t.Output) and node.name:
            raise SpecError.of(codes.MISPLACED, "a function returns values without names", node.span)
        stack.extend(reversed(node.children()))


_TITLE = 'say whose names they are: `names Net "timm":`'
_AT_TOP = "indent it under `block Name:` or `model Name:`"
_FUNCTION = (
    "a function computes numbers, strings, lists and layers; write `block Name:` for what takes tensors"
)
_OF_BLOCKS: dict[type, str] = {
    t.Input: "input",
    t.Shared: "shared",
    t.Defaults: "defaults",
    t.Return: "return",
}


def _kept(parts: list[Any]) -> tuple[Any, ...]:
    """The parts that are there: lark puts None where an optional one is not."""
    return tuple(_kept_list(parts))


def _kept_list(parts: list[Any]) -> list[Any]:
    return [part for part in parts if part is not None]


def _word(token: Token) -> Any:
    """A word of the language, of which the grammar allows few."""
    return str(token)
