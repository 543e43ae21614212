"""The scripts by which shells complete `archspec`: each asks the command what can be typed, and offers files itself."""

from __future__ import annotations

ASKED = "_ARCHSPEC_COMPLETE"
"""The environment variable by which a shell asks; it holds the shell's name."""


def script(shell: str) -> str:
    """The script for bash, zsh or fish."""
    return _SCRIPTS[shell]


# Whatever goes wrong must not be printed into the line that is being typed: hence 2>/dev/null.

_BASH = r"""# Completion of archspec for bash.
_archspec() {
    local line files word typed cur=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    {
        IFS= read -r files && IFS= read -r typed
        while IFS= read -r word; do
            COMPREPLY+=("$word")
        done
    } < <(_ARCHSPEC_COMPLETE=bash "${1/#\~\//$HOME/}" "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    if [[ $files == '*' ]]; then
        compopt -o default 2>/dev/null
    elif [[ -n $files ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r word; do
            COMPREPLY+=("$word")
        done < <(compgen -f -X "!*$files" -- "$typed"; compgen -d -- "$typed")
    fi
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[=:/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _archspec archspec
"""

_ZSH = r"""#compdef archspec
# Completion of archspec for zsh.
_archspec() {
    local -a lines whole open
    local files line word
    lines=("${(@f)$(_ARCHSPEC_COMPLETE=zsh ${(Q)~words[1]} "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    files=$lines[1]
    for line in "${(@)lines[2,-1]}"; do
        word=${line%%$'\t'*}
        [[ $line == *$'\t'* ]] && line="${word//:/\\:}:${line#*$'\t'}" || line=${word//:/\\:}
        case $word in
            *[=:/]) open+=("$line") ;;
            *) whole+=("$line") ;;
        esac
    done
    (($#whole)) && _describe -V archspec whole
    (($#open)) && _describe -V archspec open -S ''
    case $files in
        '') ;;
        '*') _files ;;
        *) _path_files -g "*$files(-.)"; _path_files -/ ;;
    esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _archspec "$@"
else
    (($+functions[compdef])) || { autoload -Uz compinit && compinit }
    compdef _archspec archspec
fi
"""

_FISH = r"""# Completion of archspec for fish.
function __archspec_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -e words[1]
    command -q $program
    or return
    set -l lines (_ARCHSPEC_COMPLETE=fish $program $words "$current" 2>/dev/null)
    set -l files $lines[1]
    set -e lines[1]
    printf '%s\n' $lines
    set -l paths (complete -C "__fish_command_without_completions $current")
    if test "$files" = '*'
        printf '%s\n' $paths
    else if test -n "$files"
        string match -r -- '^[^\t]*(?:/|'(string escape --style=regex -- $files)')(?:\t.*)?$' $paths
    end
end
complete -c archspec -f -a '(__archspec_complete)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
