"""What a run takes from its surroundings."""

from __future__ import annotations

import re

import pytest

from todo_cli.context import local_time_zone


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"])
def test_a_named_time_zone_is_taken(name: str) -> None:
    assert local_time_zone({"TZ": name}) == name
    assert local_time_zone({"TZ": f":{name}"}) == name


@pytest.mark.parametrize("folder", ["posix", "right"])
def test_a_zone_has_the_name_that_postgresql_knows(folder: str) -> None:
    assert local_time_zone({"TZ": f"{folder}/Europe/Berlin"}) == "Europe/Berlin"


@pytest.mark.parametrize(
    "name",
    ["bogus", "localtime", "posixrules", "<+03>-3", "../../etc/passwd", "/etc/localtime", "\udcff"],
)
def test_what_names_no_zone_becomes_an_offset(name: str) -> None:
    assert re.fullmatch(r"<[+-]\d\d>[+-]\d\d:\d\d", local_time_zone({"TZ": name}))
