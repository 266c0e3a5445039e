# Completion of `todo` in fish. Nothing that the program answers is evaluated.

function __todo_complete
    set -l typed (commandline --current-process --tokenize --cut-at-cursor)
    set -l program $typed[1]
    command --query -- $program; or set program todo
    set -l current (commandline --current-token --cut-at-cursor)
    # A quote that is still open makes it no valid word: then it is taken as it is.
    set -l word (string unescape -- "$current"; or string trim --left --chars '\'"' -- "$current")
    set -l answer (
        set -lx _TODO_COMPLETE fish
        set -lx _TODO_COMPLETE_LINE (string join -- \x1f $typed[2..] "$word")
        set -lx COLUMNS $COLUMNS
        command $program </dev/null 2>/dev/null
    )
    if test "$answer[1]" = files
        __fish_complete_path "$current"
    else
        string join -- \n $answer[2..]
    end
end

complete --command todo --erase
complete --command todo --no-files --keep-order --arguments '(__todo_complete)'
