"""The settings of a run that come from its environment."""

from __future__ import annotations

import pytest

from todo_cli.config import Settings, date_order
from todo_cli.errors import InvalidInput


@pytest.mark.parametrize(
    ("environ", "order"),
    [
        ({}, None),
        ({"TODO_DATE_ORDER": "dmy"}, "dmy"),
        ({"TODO_DATE_ORDER": "MDY"}, "mdy"),
        ({"TODO_DATE_ORDER": "", "LANG": "en_US.UTF-8"}, "mdy"),
        ({"TODO_DATE_ORDER": "dmy", "LC_ALL": "en_US.UTF-8"}, "dmy"),
        ({"LANG": "en_GB.UTF-8"}, "dmy"),
        ({"LANG": "de_DE@euro"}, "dmy"),
        ({"LANG": "en_GB", "LC_TIME": "en_US"}, "mdy"),
        ({"LC_TIME": "en_US", "LC_ALL": "fr_FR"}, "dmy"),
        ({"LC_TIME": "en_US", "LC_ALL": ""}, "mdy"),
        ({"LC_ALL": "C", "LANG": "en_US"}, None),
        ({"LANG": "C.UTF-8"}, None),
        ({"LANG": "POSIX"}, None),
        ({"LANG": "en"}, None),
        ({"LANG": "en_CA.UTF-8"}, None),
        ({"LANG": "ja_JP.UTF-8"}, None),
    ],
)
def test_the_order_of_day_and_month(environ: dict[str, str], order: str | None) -> None:
    assert date_order(environ) == order


@pytest.mark.parametrize("value", ["ymd", "d/m/y", "1"])
def test_another_order_is_refused_by_name(value: str) -> None:
    with pytest.raises(InvalidInput, match="TODO_DATE_ORDER"):
        Settings.from_environment({"TODO_DATE_ORDER": value, "HOME": "/nowhere"})
