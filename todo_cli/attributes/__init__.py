"""A task's attributes as people type them: due day, wait, priority, tags and project.

Pure: the moment, the zone and the order of dates come in, values come out.
"""

from __future__ import annotations

from todo_cli.attributes.block import changed_text, editable_text
from todo_cli.attributes.quick import Line, attribute_in, longer_date, read_line
from todo_cli.attributes.reading import Reader, naming
from todo_cli.attributes.saying import said

__all__ = [
    "Line",
    "Reader",
    "attribute_in",
    "changed_text",
    "editable_text",
    "longer_date",
    "naming",
    "read_line",
    "said",
]
