"""Somebody who looks at tasks, at a fixed moment."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from todo_cli.values import Viewer

BERLIN = ZoneInfo("Europe/Berlin")
VIEWER = Viewer(datetime(2026, 11, 24, 10, tzinfo=BERLIN), "Europe/Berlin")
TODAY = VIEWER.today
