"""`todo`: hand the call to the resident agent, or run the app in this process.

Imports nothing on its way to the agent: see `todo_cli.agent.client`.
"""

import os
import sys


def main() -> None:
    """The console script. Ends the process with the exit code of the contract."""
    try:
        code = _call_agent()
        if code is None:
            code = _run_here()
    except KeyboardInterrupt:  # while still importing
        code = 130
    sys.exit(code)


def _call_agent() -> int | None:
    """Ask the agent. It has written all there is, so the interpreter need not tidy up: a
    millisecond of fifteen."""
    from todo_cli.agent.client import call

    code = call(sys.argv[1:])
    if code is not None:
        sys.stderr.flush()
        os._exit(code)
    return None


def _run_here() -> int:
    from todo_cli.app import run
    from todo_cli.context import Invocation

    return run(Invocation.of_this_process())


if __name__ == "__main__":
    main()
