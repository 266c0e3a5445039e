"""`todo`: passes the command to the resident agent, or runs the app in this process.

The way to the agent imports nothing of the program: see `todo_cli.agent.client`. The start file
`agent/todo` starts the interpreter without `site`, which runs here before the app is imported.
"""

import os
import sys

from todo_cli import __version__


def main() -> None:
    """The console script. Ends the process with the exit code of the contract."""
    try:
        if sys.argv[1:] == ["--version"] and _show_version():
            os._exit(0)
        code = _call_agent()
        if code is None:
            code = _run_here()
    except KeyboardInterrupt:  # while still importing
        code = 130
    sys.exit(code)


def _call_agent() -> int | None:
    """Ask the agent. It has written all output, so the interpreter can exit without its clean-up,
    which takes one millisecond of fifteen."""
    from todo_cli.agent.client import call

    code = call(sys.argv[1:])
    if code is not None:
        sys.stderr.flush()
        os._exit(code)
    return None


def _show_version() -> bool:
    """Write the version. False if the app must run, to complete words or to report an error."""
    if "_TODO_COMPLETE" in os.environ or sys.stdout is None:
        return False
    line = f"todo {__version__}\n".encode()
    try:
        return os.write(1, line) == len(line)
    except OSError:
        return False


def _run_here() -> int:
    _run_site()
    from todo_cli.app import run
    from todo_cli.context import Invocation

    return run(Invocation.of_this_process())


def _run_site() -> None:
    """Complete the start of the interpreter: `sys.prefix`, .pth files, sitecustomize."""
    if "site" in sys.modules:
        return
    import site

    from todo_cli.agent import place

    if sys.path[-1] == place.site_packages():  # from the start file; `site` knows its place
        sys.path.pop()
    site.main()


if __name__ == "__main__":
    main()
