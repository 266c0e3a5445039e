"""What the program needs of Click that has no public name.

Typer carries its own Click, as `typer._click`. `tests/unit/test_private_names.py` says what no
longer works when one of these names is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typer._click.formatting import HelpFormatter as HelpFormatter
from typer._click.globals import get_current_context as get_current_context
from typer.core import TyperGroup


def resolve_incomplete(
    tree: TyperGroup, settings: Mapping[str, Any], words: list[str], typed: str
) -> tuple[Any, Any, str]:
    """The context, the command or parameter, and the word that are to be completed."""
    # Not imported at the top: only completion needs it.
    from typer._click.shell_completion import _resolve_context, _resolve_incomplete

    context = _resolve_context(tree, {**settings}, "todo", words)
    asked, incomplete = _resolve_incomplete(context, words, typed)
    return context, asked, incomplete


def has_own_completion(parameter: Any) -> bool:
    """Whether a function of ours completes the values of a parameter."""
    return parameter._custom_shell_complete is not None
