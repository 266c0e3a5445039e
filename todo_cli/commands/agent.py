"""`todo agent`: shows, starts and stops the resident agent."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from todo_cli.commands.options import CommandGroup, OwnProcessGroup, current_run
from todo_cli.context import Run
from todo_cli.errors import Refused
from todo_cli.render.words import relative_time

if TYPE_CHECKING:
    from todo_cli.agent.peers import Peer

START_SECONDS = 10.0
STOP_SECONDS = 10.0
_STOPPED = {0: "No agent was running.", 1: "The agent has stopped."}
_NOT_RUNNING: dict[str, Any] = {
    "running": False,
    "pid": None,
    "version": None,
    "uptime_seconds": None,
    "commands": None,
    "memory_bytes": None,
    "database": None,
    "reason": None,
}

app = CommandGroup(
    cls=OwnProcessGroup, help="Manage the background process that speeds up commands."
)


@app.command()
def status(ctx: typer.Context) -> None:
    """Show whether the agent is running, and what it has done.

    The agent is a process that keeps the program loaded and the database connected for the next
    command. It starts with the first command and ends after 15 idle minutes.

    \b
    Examples:
      todo agent status
      todo agent status --json
    """
    run = current_run(ctx)
    info = _info(str(run.settings.data_dir))
    _show(run, info, _status(info))
    if info["running"] and run.render.is_terminal:
        run.render.facts(_for_people(info, run.now()))


@app.command()
def start(ctx: typer.Context) -> None:
    """Start the agent now. Otherwise the next command starts it.

    \b
    Example:
      todo agent start
    """
    run = current_run(ctx)
    data_dir = str(run.settings.data_dir)
    was_running = _info(data_dir)["running"]
    info = _started(data_dir)
    verb = "was already running" if was_running else "has started"
    _show(run, info, f"The agent {verb} (process {info['pid']}).")


@app.command()
def stop(ctx: typer.Context) -> None:
    """Stop the agent after it has finished its present commands.

    \b
    Example:
      todo agent stop
    """
    run = current_run(ctx)
    data_dir = str(run.settings.data_dir)
    stopped = _stop_all(data_dir)
    _show(run, _info(data_dir), _STOPPED.get(stopped, f"{stopped} agents have stopped."))


@app.command()
def restart(ctx: typer.Context) -> None:
    """Stop the agent and start a fresh one.

    \b
    Example:
      todo agent restart
    """
    run = current_run(ctx)
    data_dir = str(run.settings.data_dir)
    _stop_all(data_dir)
    info = _started(data_dir)
    _show(run, info, f"A new agent has started (process {info['pid']}).")


def _status(info: Mapping[str, Any]) -> str:
    if info["running"]:
        return "The agent is running."
    if info["reason"]:
        return f"No agent can run: {info['reason']}"
    return "No agent is running."


def _show(run: Run, info: Mapping[str, Any], sentence: str) -> None:
    """The agent's figures for programs; a sentence for people."""
    if run.render.is_terminal:
        run.render.line(sentence)
    else:
        run.render.facts(info)


def _for_people(info: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from rich.filesize import decimal

    return {
        "process": str(info["pid"]),
        "version": info["version"],
        "started": relative_time(now - timedelta(seconds=info["uptime_seconds"]), now),
        "commands": info["commands"],
        "memory": decimal(info["memory_bytes"]),
        "database": info["database"] or "none used yet",
    }


def _info(data_dir: str) -> dict[str, Any]:
    from todo_cli.agent import place
    from todo_cli.agent.peers import find

    peer = find(data_dir)
    if peer is None:
        fault = place.fault(data_dir)
        return {**_NOT_RUNNING, "reason": " ".join(fault) if fault else None}
    return {**_NOT_RUNNING, "running": True, **peer.info()}


def _started(data_dir: str) -> dict[str, Any]:
    """The agent's figures, after starting it if it is not running.

    Raises:
        Refused: the agent does not start.
    """
    from todo_cli.agent import client, peers, place
    from todo_cli.database.embedded.processes import wait_until

    found = _info(data_dir)
    if not found["running"]:
        client.spawn(data_dir, place.name(os.environb), at_once=True)
        wait_until(lambda: peers.find(data_dir) is not None, START_SECONDS)
        found = _info(data_dir)
    if not found["running"]:
        reason, hint = place.fault(data_dir) or (
            "it does not start.",
            f"Check the folder {place.folder(data_dir)} and the disk.",
        )
        raise Refused(f"No agent can run: {reason}", hint=hint)
    return found


def _stop_all(data_dir: str) -> int:
    """Stop every agent of the data folder. Other environments have agents of their own.

    Returns:
        How many there were.

    Raises:
        Refused: an agent is still working.
    """
    from todo_cli.agent.peers import find_all

    found = find_all(data_dir)
    for peer in found:
        _stop(peer)
    return len(found)


def _stop(peer: Peer) -> None:
    from todo_cli.database.embedded.processes import process_exists, wait_until

    if peer.answers:
        peer.quit()
    else:
        if peer.pid > 0:  # -1 means unknown, but kill(2) takes it for all our processes
            os.kill(peer.pid, signal.SIGKILL)
        peer.abandon()
    if peer.pid > 0 and not wait_until(lambda: not process_exists(peer.pid), STOP_SECONDS):
        raise Refused(
            "The agent is still working on a command.", hint="It stops after the command."
        )
