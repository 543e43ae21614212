"""The body of `forward`: which values get names, and which are written where they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from keyword import iskeyword

from archspec.backends.python import expressions as py
from archspec.backends.python.aligning import NONE
from archspec.backends.python.drafts import Statement
from archspec.backends.python.layout import INDENT, WIDTH, line, written
from archspec.backends.python.loops import Loop, looped
from archspec.backends.python.unifying import Class, counts

_DEEPEST = 5  # calls within each other


def lines(
    made: Class,
    inputs: Sequence[str],
    reach: dict[str, py.Expression],
    returns: Sequence[str] = (),
    taken: Iterable[str] = (),
) -> list[str]:
    """The lines of a class's `forward`, given the names of its inputs and of its results, and how members are reached.

    `taken` are names that mean something else in the file.
    """
    return _Forward(made, inputs, reach, taken).lines(tuple(returns))


class _Forward:
    def __init__(
        self, made: Class, inputs: Sequence[str], reach: dict[str, py.Expression], taken: Iterable[str]
    ) -> None:
        self.made = made
        self.reach = reach
        self.reads = counts(made)
        body = looped(made.body, self.reads, reach)
        body = [
            replace(s, what=self.reached(s.what), condition=s.condition and self.reached(s.condition))
            for s in body
        ]
        self.body = self.gathered(self.waiting(body))
        self.notes: dict[int, list[str]] = {
            s.gives[0]: [s.note] if s.note else [] for s in self.body if s.gives
        }
        self.returns = tuple(map(self.reached, made.returns))
        self.inputs = list(inputs)
        self.names: dict[int, str] = dict(enumerate(inputs))
        self.taken = {*inputs, *made.draft.handed, *taken}

    def reached(self, expression: py.Expression) -> py.Expression:
        """An expression with members as `forward` reaches them."""
        return py.replaced(expression, lambda x: self.reach[x.path] if isinstance(x, py.Member) else None)

    def lines(self, returns: tuple[str, ...]) -> list[str]:
        statements = self.folded()
        last = self.last_reads(statements)
        found: list[str] = []
        open_: py.Expression | None = None  # the condition of the `if` that the lines before stand in
        for place, (statement, what) in enumerate(statements):
            if statement.condition is not None and statement.condition != open_:
                chosen = self.chosen(statements, place, last)
                if chosen is None:
                    found += self.opened(statements, place, last)
                elif self.returns == (py.Value(statement.gives[0]),) and len(statements) == place + 1:
                    self.pending[statement.gives[0]] = chosen
                    continue
                else:
                    statement, what = replace(statement, condition=None, instead=None), chosen
            open_ = statement.condition
            found += self.statement(place, statement, what, last)
        results = [
            self.named(self.pending.get(x.number, x) if isinstance(x, py.Value) else x) for x in self.returns
        ]
        whole = results[0] if len(results) == 1 else None
        if any(returns):
            whole = py.Listed(tuple(results), "{", returns)
        if whole is not None:
            whole, before = self.parted(whole)
            found += before
            text = written("return ", whole, "", 8)
            of = self.returns[0] if len(self.returns) == 1 else None
            found += [*(self.comments(of.number, text) if isinstance(of, py.Value) else []), *text]
        else:
            listed = f"        return {', '.join(map(line, results))}"
            found += (
                [listed] if len(listed) <= WIDTH else written("return ", py.Listed(tuple(results)), "", 8)
            )
        return found

    def statement(
        self, place: int, statement: Statement, what: py.Expression, last: Mapping[int, int]
    ) -> list[str]:
        """The lines of a statement, whose values have names from then on."""
        indent = 2 * INDENT if statement.condition is None else 3 * INDENT
        ready, found = self.parted(self.named(what), indent)
        dying = [number for number in _read(what) if last.get(number) == place]
        targets = []
        for number in statement.gives:
            if not self.reads[number]:
                targets.append("_")
                continue
            old = dying if len(statement.gives) == 1 else []
            if isinstance(what, Loop):
                old = [n for n in old if n not in _read(what.item)]
            targets.append(self.names.get(number) or self.name_for(statement, number, old))
        for number in dying:
            if self.names[number] not in targets:
                self.taken.discard(self.names[number])
        for number, name in zip(statement.gives, targets, strict=True):
            if name != "_":
                self.names[number] = name
                self.taken.add(name)
        if isinstance(ready, Loop):
            return [*found, *_loop_lines(targets[0], ready)]
        text = written(f"{', '.join(targets)} = ", ready, "", indent)
        return [*found, *self.comments(statement.gives[0], text, indent), *text]

    # ---------------------------------------------------------------- conditions

    def chosen(
        self, statements: Sequence[tuple[Statement, py.Expression]], place: int, last: Mapping[int, int]
    ) -> py.Expression | None:
        """`a if condition else b`, for one statement that stands alone, and whose other value cannot give it its name."""
        statement, what = statements[place]
        instead, condition = statement.instead, statement.condition
        alone = all(s.condition != condition for s, _ in statements[place + 1 : place + 2])
        if not alone or condition is None or not isinstance(instead, py.Value):
            return None
        returned = self.returns == (py.Value(statement.gives[0]),) and len(statements) == place + 1
        if last[instead.number] == place and not returned:
            return None
        made = py.Chosen(what, condition, instead)
        return made if len(line(made)) <= WIDTH - 20 else None

    def waiting(self, body: Sequence[Statement]) -> list[Statement]:
        """The statements, those that wait for the `if` that their values are read in which have the same condition."""
        found = list(body)
        for statement in body:
            readers = [s for s in body if set(statement.gives) & {*_read_all(s.reads)}]
            if statement.condition is None or statement.instead != NONE or len(readers) != 1:
                continue
            if readers[0].condition == statement.condition:
                found.remove(statement)
                found.insert(found.index(readers[0]), statement)
        return found

    def opened(
        self, statements: Sequence[tuple[Statement, py.Expression]], place: int, last: Mapping[int, int]
    ) -> list[str]:
        """The `if` of some statements, behind what their values are where they are left out: by name, where that is not needed any more."""
        condition = statements[place][0].condition
        assert condition is not None
        elsewhere = [x for s in self.body if s.condition != condition for x in s.reads]
        read = {*_read_all([*elsewhere, *self.returns])}
        found: list[str] = []
        for at, (statement, _) in enumerate(statements[place:], place):
            if statement.condition != condition:
                break
            (number,) = statement.gives
            instead = statement.instead
            if isinstance(instead, py.Value) and last[instead.number] == at:
                self.names[number] = self.names[instead.number]
            elif instead is not None and number in read:
                self.names[number] = self.name_for(statement, number, [])
                self.taken.add(self.names[number])
                found += written(f"{self.names[number]} = ", self.named(instead), "", 8)
        return [*found, f"        if {line(self.named(condition))}:"]

    # ---------------------------------------------------------------- what is written where

    def gathered(self, body: list[Statement]) -> list[Statement]:
        """The statements, those that do the same to each of several values as one."""
        for statement in body:
            several = statement.gives
            if len(several) < 2 or any(self.reads[number] != 1 for number in several):
                continue
            if any(s.condition is not None for s in body if set(several) & {*_read_all(s.reads)}):
                continue
            followed = [next((s for s in body if number in _read(s.what)), None) for number in several]
            alike = {
                py.key_of(py.renumbered(s.what, {number: py.Code("t")}))
                for s, number in zip(followed, several, strict=True)
                if s is not None and len(s.gives) == 1 and _read(s.what) == [number]
            }
            same = [s for s in followed if s is not None and not isinstance(s.what, py.Each)]
            if len(alike) != 1 or len(same) < len(several) or len({s.gives for s in same}) < len(several):
                continue
            if any(len(s.gives) != 1 or _read(s.what) != [n] for s, n in zip(same, several, strict=True)):
                continue
            item = py.renumbered(same[0].what, {several[0]: py.Code("t")})
            gives = tuple(s.gives[0] for s in same)
            made = replace(statement, gives=gives, what=py.Each(item, statement.what), note=same[0].note)
            left = [made if s is statement else s for s in body if not any(s is x for x in same)]
            return self.gathered(left)
        return body

    def folded(self) -> list[tuple[Statement, py.Expression]]:
        """The statements that are left when values that are read once are written where that is."""
        self.pending: dict[int, py.Expression] = {}
        kept: list[tuple[Statement, py.Expression]] = []
        for place, statement in enumerate(self.body):
            what = py.renumbered(statement.what, dict(self.pending.items()))
            for number in _read(statement.what):
                if number in self.pending:
                    del self.pending[number]
                    self.notes[statement.gives[0]] = [
                        *self.notes.get(number, []),
                        *self.notes[statement.gives[0]],
                    ]
            following = self.body[place + 1] if place + 1 < len(self.body) else None
            if following is not None and following.condition != statement.condition:
                kept.append((statement, what))
                continue
            if self.folds(statement, what, following):
                self.pending[statement.gives[0]] = what
            else:
                kept.append((statement, what))
        return kept

    def folds(self, statement: Statement, what: py.Expression, following: Statement | None) -> bool:
        """Whether a value is written where it is read: by the next step, or by one that also reads that step's value."""
        (number, *others) = statement.gives
        if (
            others
            or self.reads[number] != 1
            or isinstance(what, Loop)
            or statement.instead not in (None, NONE)
        ):
            return False
        reader = next((s.what for s in self.body if number in _read(s.what)), None)
        if isinstance(reader, Loop) and number in _read(reader.item):
            return False
        text = line(what)
        if following is None:
            return number in _read_all(self.returns) and (len(self.returns) == 1 or self.fits(text))
        if len(text) > WIDTH - 30 or _depth(what) >= _DEEPEST:
            return False
        if number in _read(following.what):
            if isinstance(following.what, py.Operation):
                combined = line(py.renumbered(following.what, {number: what}))
                if len(combined) > WIDTH - 12:
                    return False
            return not (statement.activates and _depth(what) >= 3)
        return self.waits(number, statement)

    def fits(self, text: str) -> bool:
        return len(text) <= WIDTH - 15

    def waits(self, number: int, statement: Statement) -> bool:
        """Whether a short value can wait for the step that reads it: all between lead there, one into the next."""
        after = [s for s in self.body if s.gives[0] > number]
        for place, step in enumerate(after):
            if number in _read(step.what):
                return place <= 3 and len(line(statement.what)) < 40 and step.condition == statement.condition
            if len(step.gives) > 1 or self.reads[step.gives[0]] != 1:
                return False
            if place + 1 >= len(after) or place >= 3:
                return False
        return False

    def last_reads(self, statements: Sequence[tuple[Statement, py.Expression]]) -> dict[int, int]:
        """For each value the last statement that reads it; none for those that are returned."""
        last: dict[int, int] = {}
        for place, (statement, what) in enumerate(statements):
            for number in _read_all([what, *statement.reads[1:]]):
                last[number] = place
        returned = [self.pending.get(x.number, x) if isinstance(x, py.Value) else x for x in self.returns]
        for number in _read_all(returned):
            last[number] = len(statements)
        return last

    # ---------------------------------------------------------------- names

    def named(self, expression: py.Expression) -> py.Expression:
        return py.renumbered(expression, {n: py.Code(self.names[n]) for n in _read(expression)})

    def parted(self, expression: py.Expression, indent: int = 2 * INDENT) -> tuple[py.Expression, list[str]]:
        """A sum or product that is too long for a line, of names; and the lines that give what it is made of these."""
        lines: list[str] = []
        taken = set(self.taken)
        for place in range(len(expression.parts) if isinstance(expression, py.Operation) else 0):
            if len(line(expression)) <= WIDTH - 15 or not isinstance(expression.parts[place], py.Call):
                continue
            name = next(x for x in (*"yzuvw", *(f"y{i}" for i in range(2, 100))) if x not in taken)
            taken.add(name)
            lines += written(f"{name} = ", expression.parts[place], "", indent)
            parts = list(expression.parts)
            parts[place] = py.Code(name)
            expression = expression.with_parts(tuple(parts))
        return expression, lines

    def comments(self, number: int, text: Sequence[str], indent: int = 2 * INDENT) -> list[str]:
        """What the spec writes of a statement that takes several lines: the patterns of its axes."""
        notes = self.notes.get(number, []) if len(text) > 1 else []
        return [f"{' ' * indent}# {note}" for note in notes if len(note) < WIDTH - indent - 4]

    def name_for(self, statement: Statement, number: int, dying: Sequence[int]) -> str:
        """A value's name: that of one which is not needed any more, or that of the step."""
        for old in dying:
            if not (self.made.is_model and old < len(self.inputs)):
                return self.names[old]
            if "x" not in self.taken:
                return "x"
        base = _plain_name(statement)
        changes = any(s.instead == py.Value(number) for s in self.body)  # not what the layer gave, then
        if not base or base[0].isdigit() or base[0] == "_" or changes or _is_op_name(base):
            base = "y"
        if iskeyword(base):
            base += "_"
        if len(statement.gives) > 1:
            place = statement.gives.index(number)
            attends = any("scaled_dot_product_attention" in line(s.what) for s in self.body)
            base = "qkv"[place] if attends and len(statement.gives) == 3 else f"{base}{place}"
        chosen, count = base, 2
        others = iter("yzuvw")
        while chosen in self.taken:
            chosen = next(others, f"y{count}") if base == "y" else f"{base}{count}"
            count += chosen.startswith(base)
        return chosen


def _plain_name(statement: Statement) -> str:
    """A step's name without the groups that it stands in; of one in a list, the list's and the number."""
    parts = statement.name.split(".")
    if isinstance(statement.what, Loop):
        return "y"
    last = len(parts) - 1
    while last > 0 and parts[last].isdigit():
        last -= 1
    return re.sub(r"\W", "_", "".join(parts[last:]))


def _loop_lines(name: str, loop: Loop) -> list[str]:
    """The lines of a loop that gives a name its value."""
    first = [] if loop.first == py.Code(name) else written(f"{name} = ", loop.first, "", 8)
    turn = written(f"{name} = ", loop.turn(name), "", 12)
    return [*first, f"        for layer in {line(loop.over)}:", *turn]


def _is_op_name(name: str) -> bool:
    """Whether a step is called after its op: that says nothing about its value."""
    from archspec.op import Op

    plain = name.rstrip("0123456789").rstrip("_")
    return any(plain == re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", known).lower() for known in Op.known)


def _read(expression: py.Expression) -> list[int]:
    return list(dict.fromkeys(x.number for x in py.within(expression) if isinstance(x, py.Value)))


def _read_all(expressions: Sequence[py.Expression]) -> list[int]:
    return [number for expression in expressions for number in _read(expression)]


def _depth(expression: py.Expression) -> int:
    inner = max(map(_depth, expression.parts), default=0)
    return inner + isinstance(expression, py.Call | py.Item)
