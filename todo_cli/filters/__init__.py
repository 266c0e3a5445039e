"""Filters: the words after `todo list`, or one string, become a tree of conditions on a task.

The grammar, where a field and its value, a tag, or a text is one term:

    filter = or
    or     = and { "or" and }
    and    = not { [ "and" ] not }
    not    = [ "not" ] not | "(" or ")" | term
    term   = field ":" value | "@" tag | text | '"' text '"'
    value  = item { "," item }        of an item, `none` and `any` have a meaning of their own
    item   = [ day ] ".." [ day ] | text | '"' text '"'

Pure: no database, no clock. Days are read by a function that the caller gives.
"""

from todo_cli.filters.days import days_reader
from todo_cli.filters.parser import MAX_LENGTH, MAX_LEVELS, parse, parse_text
from todo_cli.filters.states import (
    names_completion,
    names_trash,
    names_waiting,
    require_possible,
)
from todo_cli.filters.terms import TIME_IN_FILTER, ReadDays, is_term
from todo_cli.filters.tree import (
    And,
    Days,
    Has,
    InProjects,
    Is,
    Not,
    Numbers,
    Or,
    Priorities,
    Span,
    Tags,
    Text,
    required,
    terms_of,
    to_text,
)
from todo_cli.filters.vocabulary import (
    ATTRIBUTE_FIELDS,
    DAY_FIELDS,
    FIELDS,
    FIELDS_SUPPORTED,
    PARTS_SUPPORTED,
    STATES_SUPPORTED,
    Field,
    Part,
    State,
)
from todo_cli.values import Filter

__all__ = [
    "ATTRIBUTE_FIELDS",
    "DAY_FIELDS",
    "FIELDS",
    "FIELDS_SUPPORTED",
    "MAX_LENGTH",
    "MAX_LEVELS",
    "PARTS_SUPPORTED",
    "STATES_SUPPORTED",
    "TIME_IN_FILTER",
    "And",
    "Days",
    "Field",
    "Filter",
    "Has",
    "InProjects",
    "Is",
    "Not",
    "Numbers",
    "Or",
    "Part",
    "Priorities",
    "ReadDays",
    "Span",
    "State",
    "Tags",
    "Text",
    "days_reader",
    "is_term",
    "names_completion",
    "names_trash",
    "names_waiting",
    "parse",
    "parse_text",
    "require_possible",
    "required",
    "terms_of",
    "to_text",
]
