"""Modules: spec files with their imports loaded and their names looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from archspec.elaboration.binding import bound_by, names_bound
from archspec.elaboration.budget import BUDGET, MOST_STATED
from archspec.elaboration.control import Control, Names
from archspec.elaboration.files import (
    cycle,
    open_edited,
    open_file,
    open_text,
    places_of_import,
    resolve_import,
    resolved,
)
from archspec.elaboration.foreign import surely
from archspec.elaboration.likely import likely
from archspec.elaboration.machine import Machine
from archspec.elaboration.mistakes import POISON, Poisoned, Stopped, in_order
from archspec.elaboration.name_maps import names_of, read_names
from archspec.elaboration.nesting import DEEPEST, NO_RECURSION, NO_RECURSION_OF_FUNCTIONS
from archspec.elaboration.observing import Observer
from archspec.elaboration.rules import read_rules
from archspec.elaboration.static import told_by_text
from archspec.elaboration.translating import unknown
from archspec.elaboration.values import BlockLayer, DefinedFunction, Environment, Function, OpLayer, plain
from archspec.elaboration.vocabulary import WORDS, builtin, builtins
from archspec.graph import FORMAT, Claim, Graph, NameMap
from archspec.graph.rewriting import called
from archspec.ground import codes
from archspec.ground.errors import MOST_PROBLEMS, Fix, Places, Problem, SpecError, replaced, suggest
from archspec.ground.shipped import shipped_specs
from archspec.ground.source import Location, Span
from archspec.syntax import tree as t


class Module:
    """A spec file, its top-level names, and the modules it imports from, one for each import."""

    def __init__(self, file: t.File, *, shipped: bool = False) -> None:
        self.file = file
        self.shipped = shipped
        self.env = Environment()
        self.imports: list[Module] = []
        # What is wrong in it and in what it imports, as far as that can be told without running its models.
        self.problems: tuple[Problem, ...] = ()
        self.maps: dict[str, list[NameMap]] = {}  # what other code calls weights, by the model
        self.budget = BUDGET  # or more, where this file or one that it imports asks for it
        self._stated: dict[type, Span] = {}

    def require_right(self) -> None:
        """SpecError with what is wrong in the file, its models not looked into."""
        if self.problems:
            raise SpecError(self.problems)

    def layer(self, definition: t.Definition) -> BlockLayer:
        """A block or model of this file, nothing bound yet."""
        return BlockLayer(definition, self.env)

    def state_budget(self, statement: t.Budget) -> None:
        """Keep the budget that the file asks for. SpecError when it is more than a spec may ask for, or the second."""
        self.require_first(statement, "the budget is stated twice")
        if not 1 <= statement.most <= MOST_STATED:
            raise SpecError.of(
                codes.BUDGET,
                f"a spec can ask for a budget of 1 to {MOST_STATED:,}, not {statement.most:,}",
                statement.span,
                help="whoever reads it can allow more: `archspec.read(..., budget=...)`, `--budget`",
            )
        self.budget = max(self.budget, statement.most)

    def add_map(self, statement: t.Names) -> None:
        """Keep what other code calls the weights of a model. SpecError where it is wrong, or the second of its title."""
        known = self.maps.setdefault(statement.model, [])
        if any(one.title == statement.title for one in known):
            message = f'`{statement.model}` has names "{statement.title}" already'
            first = next(
                s
                for s in self.file.statements
                if isinstance(s, t.Names) and (s.model, s.title) == (statement.model, statement.title)
            )
            raise SpecError.of(
                codes.DEFINED_TWICE, message, statement.span, places=(("the first are here", first.span),)
            )
        known.append(read_names(statement))

    def require_first(self, statement: t.Statement, message: str, *, help: str = "") -> None:
        """SpecError when the file has a statement of this sort already."""
        first = self._stated.setdefault(type(statement), statement.span)
        if first != statement.span:
            places = (("it is stated here", first),)
            raise SpecError.of(codes.STATED_TWICE, message, statement.span, help=help, places=places)

    def claims(self, model: str) -> Iterator[Claim]:
        """The claims about a model, in order. Raises SpecError when a setting has no value."""
        expressions = Machine().evaluator
        for statement in self._claims.get(model, ()):
            settings = {
                s.name or "": plain(expressions.evaluate(s.value, self.env)) for s in statement.settings
            }
            for claim in statement.claims:
                shape = None
                if claim.shape is not None:
                    for part in claim.shape:
                        if isinstance(part, t.Spread):
                            raise SpecError.of(
                                codes.NOT_A_CLAIM,
                                "a claimed shape is written out",
                                part.span,
                                help="write each size",
                            )
                    sizes = [expressions.evaluate(size, self.env) for size in claim.shape]
                    for size, part in zip(sizes, claim.shape, strict=True):
                        if isinstance(size, bool) or not isinstance(size, int):
                            raise SpecError.of(
                                codes.NOT_A_CLAIM, "a claimed size must be a whole number", part.span
                            )
                    shape = tuple(sizes)
                yield Claim.unchecked(
                    quantity=claim.quantity,
                    subject=claim.subject or "",
                    figure=claim.figure or "",
                    shape=shape,
                    known=claim.known or "",
                    reason=claim.reason,
                    source=statement.source,
                    settings=settings,
                    location=claim.span.location,
                )

    @cached_property
    def _claims(self) -> dict[str, list[t.Claims]]:
        """The statements with claims, by the model that they are about."""
        found: dict[str, list[t.Claims]] = {}
        for statement in self.file.statements:
            if isinstance(statement, t.Claims):
                found.setdefault(statement.model, []).append(statement)
        return found

    def claims_at(self, place: Location) -> t.Claims | None:
        """The statement in which a claim stands."""
        return self._claims_at.get(place)

    @cached_property
    def _claims_at(self) -> dict[Location, t.Claims]:
        statements = (statement for each in self._claims.values() for statement in each)
        return {claim.span.location: statement for statement in statements for claim in statement.claims}

    @cached_property
    def claim_spans(self) -> dict[Location, Span]:
        """Where each claim of the file stands."""
        statements = (statement for each in self._claims.values() for statement in each)
        return {claim.span.location: claim.span for statement in statements for claim in statement.claims}

    def name_spans(self) -> dict[Location, Span]:
        """Where each rule of the file's maps of names stands."""
        return {
            rule.span.location: rule.span
            for statement in self.file.statements
            if isinstance(statement, t.Names)
            for rule in statement.rules
        }

    def sources(self) -> dict[str, str]:
        """The SHA-256 of this file and of every file that went in, by name."""
        return dict(sorted((m.file.source.name, m.file.source.digest) for m in self.with_imports()))

    def with_imports(self) -> list[Module]:
        """The module, and all that went in, each once."""
        found: dict[str, Module] = {}
        waiting: list[Module] = [self]
        while waiting:
            module = waiting.pop()
            if module.file.source.name not in found:
                found[module.file.source.name] = module
                waiting += module.imports
        return list(found.values())

    def imported(self) -> Iterator[tuple[Module, str]]:
        """The names that it imports, each with the module that it is from."""
        statements = (s for s in self.file.statements if isinstance(s, t.Import))
        for statement, module in zip(statements, self.imports, strict=True):
            yield from ((module, name.name) for name in statement.names)

    def graph(
        self,
        model: t.Definition,
        long_form: t.Definition,
        settings: Mapping[str, Any],
        machine: Machine,
        returns: tuple[str, ...],
    ) -> Graph:
        """The finished graph of a model, whose function is the machine's last."""
        functions = called(machine.builder.functions)
        return Graph.unchecked(
            format=FORMAT,
            name=model.name,
            doc=model.doc or self.file.doc or long_form.doc,
            location=model.span.location,
            settings={name: plain(value) for name, value in settings.items()},
            inputs=machine.statements.inputs.finished(),
            functions=functions,
            returns=returns,
            claims=tuple(self.claims(model.name)),
            sources=self.sources(),
            names=names_of(
                machine.models,
                functions,
                {module.file.source.name: module.maps for module in self.with_imports() if module.maps},
            ),
        ).known_valid()


class Modules:
    """Loads a spec file and its imports, each once.

    `texts` are those of files that are read from there and not from the disk, by their resolved paths, with how these are shown.
    An `observer` is told what the files' statements do.
    """

    def __init__(
        self,
        entry: Path,
        texts: Mapping[Path, str] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.texts = texts or {}
        self.observer = observer
        self.shipped = shipped_specs()
        self.roots = (entry.parent, self.shipped)
        self.loaded: dict[Path, Module] = {}
        self.sought: set[Path] = set()  # where imports were looked for, whether anything is there or not
        self.loading: list[Path] = []

    def load(self, path: Path) -> Module:
        """The module of a file, with its problems. Raises SpecError when it is no text of a spec."""
        key = resolved(path)
        root = self.shipped if self._is_shipped(key) else path.parent
        return self.study(self._tree(path, root, key), path, key)

    def load_text(self, text: str, path: str) -> Module:
        """The module of a text, with its problems, as if it stood at `path` below the present folder."""
        return self.study(open_text(text, path, path), Path(path), resolved(Path(path)))

    def _tree(self, path: Path, root: Path, key: Path) -> t.File:
        text = self.texts.get(key)
        return open_file(path, root) if text is None else open_edited(text, path, root)

    def _is_shipped(self, key: Path) -> bool:
        return key.is_relative_to(resolved(self.shipped))

    def study(self, file: t.File, path: Path, key: Path | None = None) -> Module:
        """The module of a tree, with all that is wrong in it; names that have no value for that reason are poisoned.

        `key` is its path with links followed, once: files may change meanwhile.
        """
        key = resolved(path) if key is None else key
        module = Module(file, shipped=self._is_shipped(key))
        self.loading.append(key)
        problems = [*file.problems]
        control, scope = Control[Names](Machine(observer=self.observer)), Names(module.env)
        for statement in file.statements:
            try:
                match statement:
                    case t.Import():
                        self._import(statement, module, path)
                    case t.Definition() | t.FunctionDefinition():
                        first = module.env.names.get(statement.name)
                        if isinstance(first, BlockLayer | DefinedFunction):
                            raise SpecError.of(
                                codes.DEFINED_TWICE,
                                f"`{statement.name}` is defined twice",
                                statement.span,
                                places=(("it is first defined here", first.definition.span),),
                            )
                        module.env.names[statement.name] = (
                            module.layer(statement)
                            if isinstance(statement, t.Definition)
                            else DefinedFunction(statement, module.env)
                        )
                    case t.Claims():
                        pass
                    case t.Names():
                        module.add_map(statement)
                    case t.Budget():
                        module.state_budget(statement)
                    case t.Defaults():
                        self._defaults(statement, module, control.machine)
                    case _:
                        control.statement(statement, scope)
            except SpecError as error:
                problems += error.problems
                for problem in error.problems:  # the same name further down is no news
                    if (
                        problem.code == codes.UNKNOWN_NAME
                        and problem.span
                        and problem.span.source is file.source
                    ):
                        module.env.names[problem.span.text] = POISON
            except (Poisoned, Stopped):
                pass
            except RecursionError:
                problems.append(Problem(codes.TOO_DEEP, "this is nested too deeply", statement.span))
            else:
                continue
            if not isinstance(statement, t.Definition | t.FunctionDefinition):
                module.env.names.update(dict.fromkeys(names_bound(statement), POISON))
            if len(problems) > MOST_PROBLEMS:
                break
        self.loading.pop()
        problems += _Names(module).problems
        module.problems = in_order(problems, file.source)
        self.loaded[key] = module
        return module

    def _defaults(self, statement: t.Defaults, module: Module, machine: Machine) -> None:
        module.require_first(statement, "a file states its defaults once", help="put all rules in one")
        module.env.defaults = read_rules(statement, machine, module.env)

    def _import(self, statement: t.Import, module: Module, path: Path) -> None:
        self.sought.update(place for place, _ in places_of_import(statement, path, self.roots))
        found, root = resolve_import(statement, path, self.roots, self.texts)
        key = resolved(found)
        if key in self.loading:
            raise cycle((*self.loading[self.loading.index(key) :], key), statement.span)
        if len(self.loading) > DEEPEST:
            raise SpecError.of(codes.TOO_DEEP, f"imports are nested more than {DEEPEST} deep", statement.span)
        if key not in self.loaded:
            shared_root = next((r for r in self.roots if key.is_relative_to(resolved(r))), root)
            self.study(self._tree(found, shared_root, key), found, key)
        imported = self.loaded[key]
        imported.require_right()
        module.imports.append(imported)
        module.budget = max(module.budget, imported.budget)
        for name in statement.names:
            if name.name not in imported.env.names:
                raise SpecError.of(
                    codes.NOT_IN_FILE,
                    f"`{'.'.join(statement.path)}` has no `{name.name}`",
                    name.span,
                    help=suggest(name.name, imported.env.names),
                )
            module.env.names[name.alias] = imported.env.names[name.name]


_MOST_PLACES = 3  # where a name is told to stand, too


class _Names:
    """Checks, without running anything, that every name in a file means something, and that no block
    uses itself, directly or through others."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.problems: list[Problem] = []
        self._unknown: dict[str, int] = {}  # names, each with the number of the problem that tells of it
        self._poisoned: set[str] = set()
        uses: dict[str, list[tuple[str, Span]]] = {}
        models = {d.name for d in module.file.definitions if d.kind == "model"}
        for statement in module.file.statements:
            if len(self.problems) > MOST_PROBLEMS:
                break
            if isinstance(statement, t.Definition | t.FunctionDefinition):
                uses[statement.name] = self._definition(statement)
            elif isinstance(statement, t.Claims | t.Names) and statement.model not in models:
                self._say(
                    codes.UNKNOWN_MODEL,
                    f"there is no model `{statement.model}` here",
                    statement.span,
                    suggest(statement.model, models),
                )
        self._recursion(uses)
        module.env.names.update(dict.fromkeys(self._poisoned, POISON))

    def _say(
        self,
        code: str,
        message: str,
        span: Span,
        help: str = "",
        places: Places = (),
        fix: Fix | None = None,
    ) -> None:
        self.problems.append(Problem(code, message, span, help=help, places=places, fix=fix))

    def _definition(self, definition: t.Definition | t.FunctionDefinition) -> list[tuple[str, Span]]:
        """Check the names in a definition; gives those of this file's blocks and functions that it uses."""
        local = {parameter.name for parameter in definition.parameters}
        seen: dict[str, Span] = {}
        for parameter in definition.parameters:
            first = seen.setdefault(parameter.name, parameter.span)
            if first != parameter.span:
                message = f"two parameters are named `{parameter.name}`"
                self._say(
                    codes.DEFINED_TWICE, message, parameter.span, places=(("the first is here", first),)
                )
        local |= {name for name, _ in bound_by(definition.nodes)}

        def meaning(name: str) -> Any:
            value = self.module.env.names.get(name)
            return builtin(name) if value is None else value

        self.problems += told_by_text(definition, meaning)
        used: list[tuple[str, Span]] = []
        for node in definition.nodes:
            if len(self.problems) > MOST_PROBLEMS:
                break
            if isinstance(node, t.Name) and node.name not in local:
                value = self.module.env.names.get(node.name)
                if isinstance(value, BlockLayer | DefinedFunction):
                    used.append((node.name, node.span))
                elif (
                    value is None
                    and node.name not in self.module.env.names
                    and builtin(node.name) is None
                    and t.ALL not in local
                    and t.ALL not in self.module.env.names
                ):
                    self._say_unknown(node, local, definition)
        return used

    def _say_unknown(
        self, node: t.Name, local: set[str], definition: t.Definition | t.FunctionDefinition
    ) -> None:
        """Say that there is no such name; of one that was said, that it stands here too."""
        found = unknown(node, definition.nodes)
        self._poisoned.add(node.name)
        sure = surely(node.name)
        said = self._unknown.setdefault(found.shown, len(self.problems))
        if said < len(self.problems):
            first = self.problems[said]
            places = (*first.places, ("and here", found.span))[:_MOST_PLACES]
            fix = likely(found.span, first.help) if sure is None else replaced(node.span, sure)
            if first.fix and fix:
                fix = first.fix._replace(edits=tuple(dict.fromkeys(first.fix.edits + fix.edits)))
            self.problems[said] = replace(first, places=places, fix=fix)
            return
        right = {name for name, value in self.module.env.names.items() if value is not POISON}
        known = local | right | builtins() | WORDS
        help_ = _of_step(node.name, definition) or found.help or suggest(node.name, known)
        fix = likely(found.span, help_) if sure is None else replaced(node.span, sure)
        self._say(codes.UNKNOWN_NAME, f"there is no `{found.shown}`", found.span, help_, fix=fix)

    def _recursion(self, uses: Mapping[str, list[tuple[str, Span]]]) -> None:
        done: set[str] = set()
        for start in uses:
            path: list[str] = []
            stack: list[tuple[str, Iterator[tuple[str, Span]]]] = []
            if start not in done:
                path.append(start)
                stack.append((start, iter(uses[start])))
            while stack:
                name, rest = stack[-1]
                step = next(rest, None)
                if step is None:
                    stack.pop()
                    path.pop()
                    done.add(name)
                    continue
                callee, span = step
                if callee in path:
                    ring = [*path[path.index(callee) :], callee]
                    message = f"`{callee}` uses itself" + (": " + " -> ".join(ring) if len(ring) > 2 else "")
                    help_ = NO_RECURSION
                    if hidden := _hidden(callee):
                        help_ = f"it hides the {hidden} `{callee}`: give it another name"
                    elif isinstance(self.module.env.names.get(callee), DefinedFunction):
                        help_ = NO_RECURSION_OF_FUNCTIONS
                    self._say(
                        codes.RECURSION,
                        message,
                        span,
                        help_,
                    )
                elif callee in uses and callee not in done:
                    path.append(callee)
                    stack.append((callee, iter(uses[callee])))


def _of_step(name: str, definition: t.Definition | t.FunctionDefinition) -> str:
    """The help for a name that a step of the definition has, which is no name of a value."""
    labels = (node.label for node in definition.nodes if isinstance(node, t.Step))
    if not any(label is not None and label.literal == name for label in labels):
        return ""
    return f"`{name}` names a step, no value: bind what the step gives, `y = x -> {name}: ...`"


def _hidden(name: str) -> str:
    """What there would be of a name if no definition hid it: an op, or a function."""
    value = builtin(name)
    return "op" if isinstance(value, OpLayer) else "function" if isinstance(value, Function) else ""
