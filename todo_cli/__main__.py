"""`todo`: run the app in this process."""

from __future__ import annotations

import sys


def main() -> None:
    """The console script. Ends the process with the exit code of the contract."""
    try:
        from todo_cli.app import run
        from todo_cli.context import Invocation

        code = run(Invocation.of_this_process())
    except KeyboardInterrupt:  # while still importing
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
