# Completion of `todo` in bash 3.2 and later. Nothing that the program answers is evaluated.

_todo() {
    local program="${1/#\~\//$HOME/}" kind line
    COMPREPLY=()
    type -P -- "$program" >/dev/null || program=todo
    {
        IFS= read -r kind
        while IFS= read -r line; do
            COMPREPLY+=("$line")
        done
    } < <(
        export _TODO_COMPLETE=bash _TODO_COMPLETE_LINE="${COMP_LINE:0:COMP_POINT}"
        export _TODO_COMPLETE_WORD="$2" _TODO_COMPLETE_TYPE="$COMP_TYPE" COLUMNS
        command "$program" </dev/null 2>/dev/null
    )
    # Bash 3.2 has no compopt: there, file names are offered wherever nothing else fits.
    if [ "$kind" != files ]; then
        compopt +o default -o nosort 2>/dev/null || compopt +o default 2>/dev/null
    fi
    return 0
}

complete -o default -F _todo todo
