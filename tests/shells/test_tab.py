"""Tab, pressed in real shells on a pseudo terminal: bash, zsh and fish as Debian has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer._completion_shared import get_completion_script

from tests.shells.conftest import ShellHome
from tests.support.shells import COLUMNS
from todo_cli.tasks.repository import TaskRepository
from todo_cli.values import TaskDraft, printable

SHELLS = ["bash", "zsh", "fish"]
HOSTILE = [
    r"Pay \$(touch a1)",
    "$(touch a2)",
    "`touch a3`",
    r"\`touch a4\`",
    "'; touch a5; '",
    '"; touch a6; "',
    r"\'; touch a7; \'",
    r"\"; touch a8; \"",
    "a; touch a9 & touch a10 | touch a11",
    ")) ; touch a12 ; ((",
    "<(touch a13) >a14 =(touch a15)",
    "${(e):-$(touch a16)} ${:-`touch a17`}",
    "[red]markup[/red] [$(touch a18)]",
    "with:colon:$(touch a19) and:::three",
    r"* ? [a-z]* {x,y} ~ ^ # \n(touch a20)",
    "!! !touch !$ !-1",
    "100% %F{red} %n %{$(touch a21)%} $PATH",
    "-rf --help",
    "東京 🎉 e\u0301 👩\u200d👩\u200d👧 \u202ereversed",
    r"\\\$(touch a22) \\\\$(touch a23)",
    "$'\\x24(touch a24)' \\e[31m \\033]0;x\\007",
    'it\'s "both" `kinds` \\ of $quotes',
    "(touch a25) ; (touch a26)",
    "long " * 60,
]
ERRORS = re.compile(r"rror|Traceback|not found|unmatched|bad |hint:|No such|nknown", re.IGNORECASE)


@pytest.mark.parametrize("shell", SHELLS)
def test_titles_are_shown_and_never_run(
    shell_home: ShellHome, tasks: TaskRepository, shell: str
) -> None:
    tasks.add([TaskDraft(title) for title in HOSTILE])
    assert "Tab completes" in shell_home.install(shell)
    with shell_home.start(shell) as started:
        shown = started.tab("todo done ")
        assert not ERRORS.search(shown)
        for number, title in enumerate(HOSTILE, start=1):
            text = printable(title.strip())
            beginning = text if len(text) < 30 else text[:30].rstrip()
            assert re.search(rf"\b{number} +\(?{re.escape(beginning)}", shown), title
        assert all(len(line.rstrip()) <= COLUMNS for line in shown.splitlines())
        started.clear()
        # What is inserted is a number, whatever its title is, and the title found it.
        for typed, number in (("markup", 13), ("a25", 23), ("'100% %F", 17)):
            started.tab(f"todo show {typed}")
            assert started.words() == ["todo", "show", str(number)]
        # As in bash's `menu-complete`, and as a zsh user who goes on pressing Tab.
        started.type("todo done \t\t\t\t")
        started.settle()
        started.clear()
    assert shell_home.files == []


@pytest.mark.parametrize("shell", SHELLS)
def test_everything_else_is_completed_too(
    shell_home: ShellHome, tasks: TaskRepository, shell: str
) -> None:
    tasks.add(
        [TaskDraft("Buy milk", project="house.garden"), TaskDraft("Sell; milk", tags=["home"])]
    )
    for name in ("a; touch b1", "other"):
        (shell_home.folder / name).touch()
    shell_home.install(shell)
    with shell_home.start(shell) as started:
        for typed, words in {
            "todo reop": ["reopen"],
            "todo db heal": ["db", "health"],
            "todo list --lim": ["list", "--limit"],
            "todo list --sort ti": ["list", "--sort", "title"],
            "todo list --sort=ti": ["list", "--sort=title"],
            "todo list @ho": ["list", "@home"],
            "todo list due:tom": ["list", "due:tomorrow"],
            "todo list project:hou": ["list", "project:house.garden"],
            "todo list is:done,over": ["list", "is:done,overdue"],
            "todo add x --tag ho": ["add", "x", "--tag", "home"],
            "todo add x -P hou": ["add", "x", "-P", "house.garden"],
            "todo add x --due tom": ["add", "x", "--due", "tomorrow"],
            "todo edit 1 --priority h": ["edit", "1", "--priority", "high"],
            "todo done 2 ": ["done", "2", "1"],
            "todo show sell": ["show", "2"],
            "todo db backup a": ["db", "backup", "a; touch b1"],
        }.items():
            started.tab(typed)
            assert started.words() == ["todo", *words]
        # Of several that were found by title none takes the place of what was typed unasked.
        shown = started.tab("todo show milk")
        assert re.search(r"\b1 +\(?Buy milk", shown) and re.search(r"\b2 +\(?Sell; milk", shown)
        chosen = started.words()[-1]
        assert chosen == ("2" if shell == "zsh" else "milk")  # zsh goes through them
    assert shell_home.files == ["a; touch b1", "other"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_tab_that_finds_nothing_shows_nothing(shell_home: ShellHome, shell: str) -> None:
    shell_home.install(shell)
    (shell_home.folder / "a-file").touch()
    with shell_home.start(shell) as started:
        for setting, line in {
            "TODO_SESSION_TOKEN=unknown": "todo done ",
            "TODO_SESSION_TOKEN=": "todo done 'open $(touch c1) ",
            "TODO_TIMEOUT=soon": 'todo show "open; touch c2 ',
            "TODO_TIMEOUT=0.3 TODO_DATABASE_URL=postgresql://nobody@127.0.0.1:1/x": "todo rm ",
            "TODO_AGENT=0 TODO_DATABASE_URL= TODO_DATA_DIR=$HOME/nowhere": "todo edit 1",
        }.items():
            started.run(f"export {setting}")
            shown = started.tab(line).replace(line, "")  # fish draws the line again
            assert not re.sub(r"[\x07\x08\s]", "", shown), setting
            started.clear()
    assert shell_home.files == ["a-file"]
    assert not (shell_home.home / "nowhere").exists()


def install_as_typer_did(home: Path, shell: str) -> None:
    """What `--install-completion` of earlier versions left behind. In zsh it never came to be
    used, as zsh's own `_devtodo` was in front; here it is as people mended that."""
    script = get_completion_script(prog_name="todo", complete_var="_TODO_COMPLETE", shell=shell)
    path, start_file, line = {
        "bash": (
            ".bash_completions/todo.sh",
            ".bashrc",
            f"source '{home}/.bash_completions/todo.sh'",
        ),
        "zsh": (
            ".zfunc/_todo",
            ".zshrc",
            "fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit",
        ),
        "fish": (".config/fish/completions/todo.fish", ".config/fish/config.fish", ""),
    }[shell]
    (home / path).parent.mkdir(parents=True)
    (home / path).write_text(script + "\n")
    (home / start_file).write_text(line + "\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_of_earlier_versions_run_nothing(
    shell_home: ShellHome, tasks: TaskRepository, shell: str
) -> None:
    tasks.add([TaskDraft(title) for title in HOSTILE])
    install_as_typer_did(shell_home.home, shell)
    with shell_home.start(shell) as started:
        if shell == "zsh":  # the first Tab but loads Typer's function
            started.type("todo done \t")
            started.settle()
            started.clear()
        shown = started.tab("todo done ")
        assert not ERRORS.search(shown)
        assert {"1", "14", str(len(HOSTILE))} <= set(re.findall(r"\d+", shown))
    assert shell_home.files == []


def test_zsh_forgets_its_own_completion_of_a_namesake(
    shell_home: ShellHome, tasks: TaskRepository
) -> None:
    """Debian's zsh has a `_devtodo` that claims `todo`, and keeps that in a cache, which looks
    current as long as the number of functions is the same."""
    tasks.add([TaskDraft("Buy milk")])
    home = shell_home.home
    elsewhere = {"ZDOTDIR": str(home / "zsh")}
    install_as_typer_did(home, "zsh")
    typers_line = "fpath+=~/.zfunc; autoload -Uz compinit; compinit\n"
    (home / "zsh").mkdir()
    (home / ".zshrc").rename(home / "zsh" / ".zshrc")
    (home / "zsh" / ".zshrc").write_text(typers_line)
    with shell_home.start("zsh", environ=elsewhere) as started:
        assert "_devtodo" in started.run("echo $_comps[todo]")
    shell_home.install("zsh", environ=elsewhere)
    with shell_home.start("zsh", environ=elsewhere) as started:
        started.tab("todo done ")
        assert started.words() == ["todo", "done", "1"]
    assert not (home / ".zshrc").exists()
