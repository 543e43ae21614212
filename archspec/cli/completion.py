"""`archspec completion`."""

from __future__ import annotations

from enum import Enum, StrEnum
from shlex import quote
from typing import Annotated, get_args, get_type_hints

import typer

from archspec.cli.app import app, load


class Shell(StrEnum):
    """The shells that scripts are written for."""

    bash = "bash"
    zsh = "zsh"


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash or zsh.")],
) -> None:
    """Print a script that completes commands, options and names of specs: `archspec completion bash >> ~/.bashrc`.

    It holds all that there is to complete, so that a press of the Tab key starts no Python.
    """
    if shell is Shell.zsh:
        typer.echo("autoload -Uz compinit bashcompinit\n(( $+functions[compdef] )) || compinit\nbashcompinit")
    typer.echo(_script())


def _script() -> str:
    from typer.main import get_command

    from archspec.elaboration.files import SUFFIX, shipped_specs

    options, values = [], []
    known = get_command(load()).commands  # type: ignore[attr-defined]
    for name, command in known.items():
        hints = get_type_hints(command.callback)
        named = [parameter for parameter in command.params if parameter.opts[0].startswith("-")]
        long = [max(parameter.opts, key=len) for parameter in named]
        options.append(f"            {name}) words={quote(' '.join(sorted([*long, '--help'])))} ;;")
        for parameter, option in zip(named, long, strict=True):
            choices = _choices(hints.get(parameter.name))
            if choices:
                values.append(f'        "{name} {option}") words={quote(" ".join(choices))} ;;')
    return _SCRIPT.format(
        commands=" ".join([*known, "--help", "--version"]),
        options="\n".join(options),
        values="\n".join(values),
        specs=quote(str(shipped_specs())),
        suffix=SUFFIX,
    )


def _choices(hint: object) -> list[str]:
    """The values of an option whose type is an enumeration, or one and None."""
    return [
        member.value
        for type_ in (hint, *get_args(hint))
        if isinstance(type_, type) and issubclass(type_, Enum)
        for member in type_
    ]


_SCRIPT = """\
_archspec() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words='' spec
    case "${{COMP_WORDS[1]}} $before" in
{values}
    esac
    if ((COMP_CWORD == 1)); then
        words='{commands}'
    elif [[ -z $words && $word == -* ]]; then
        case "${{COMP_WORDS[1]}}" in
{options}
        esac
    elif [[ -z $words && $before != -* ]]; then
        for spec in {specs}/*{suffix}; do
            spec="${{spec##*/}}"
            words="$words ${{spec%{suffix}}}"
        done
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _archspec archspec"""
