"""Dates in words: a strict grammar that reads a phrase whole, or refuses it.

Imports nothing of the program but errors and values, and is called only when a date was typed.
"""

from __future__ import annotations

from todo_cli.dates.grammar import read, read_period
from todo_cli.dates.periods import Period
from todo_cli.dates.reading import Reading, describe
from todo_cli.dates.rule import Frequency, Rule

__all__ = ["Frequency", "Period", "Reading", "Rule", "describe", "read", "read_period"]
