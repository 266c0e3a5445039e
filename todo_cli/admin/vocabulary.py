"""Words for demonstration data: enough of them that a list looks like somebody's life.

Names and verbs are single words, apart by white space.
"""

from __future__ import annotations

from collections.abc import Sequence

FIRST_NAMES = """\
Ada Amara Anna Arturo Ben Bianca Carmen Chen Clara Daniel Dilan Elena Elif Emil
Farid Freya Grace Hana Hugo Ines Ivan Jonas Julia Kai Kofi Lara Leo Lina Luca Malik Mara Mei Mila
Nadia Nils Noor Olga Omar Pablo Paula Priya Rafael Rosa Sami Sara Sofia Tariq Tom Uma Vera Yara
Yusuf Zoe"""

LAST_NAMES = """\
Abe Acosta Ahmed Baker Bauer Berg Boateng Bruno Castro Chen Costa Dahl Demir Diaz
Dubois Eder Fischer Fontaine Garcia Haddad Hansen Hoffmann Ito Ivanova Jensen Kaya Khan Kim Kovac
Larsen Lehmann Lopez Mensah Meyer Moreau Nakamura Novak Okafor Olsen Patel Petrov Reyes Romano
Rossi Santos Sato Silva Smith Suzuki Tanaka Vogel Wagner Weber Yilmaz Zhang"""

VERBS = """\
Answer Arrange Book Borrow Buy Call Cancel Check Clean Collect Compare Confirm Finish
Fix Invite Mail Measure Move Order Organise Pay Plan Prepare Print Renew Repair Replace Return
Review Schedule Sort Update"""

OBJECTS = (
    "the tax papers",
    "the train tickets",
    "milk and bread",
    "the quarterly report",
    "the kitchen shelf",
    "the dentist",
    "the bicycle",
    "the library books",
    "the birthday present",
    "the passport photos",
    "the slides",
    "the invoice",
    "the spare key",
    "the garden hose",
    "the insurance",
    "the meeting notes",
    "the winter tyres",
    "the budget",
    "the photo album",
    "the router",
    "the contract",
    "the travel plan",
    "the backup disk",
    "the recipe",
    "the landlord",
    "the smoke detector",
    "the school form",
    "the shopping list",
    "the coffee machine",
    "the parcel",
    "the concert tickets",
    "the bookshelf",
)

DETAILS = (
    "",
    "",
    "",
    "",
    "",
    "",
    " before Friday",
    " this week",
    " for Grandma",
    " with the team",
    " after lunch",
    " for the trip",
    " once more",
    " by the end of the month",
    " together with the neighbours",
    " (urgent)",
)

NOTES = (
    "The number is on the fridge.",
    "Ask first whether it can wait until next month.",
    "Two offers are in the mailbox; take the cheaper one.",
    "Opening hours: 9 to 17, closed on Wednesdays.",
    "Last time it took an hour.",
    "The reference stands on the second page.\nKeep the receipt.",
    "Needs a signature.",
    "See the notes of the last meeting.",
)

DAYS_UNTIL_DUE = (
    *(-1, -1, -2, -2, -3, -5, -8, -13, -21, -34),
    *(0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6, 7),
    *range(1, 15),
    *range(7, 85),
)
"""128 distances, of which a few are in the past."""

TIMES = (*[None] * 11, "09:00", "11:30", "14:00", "17:00", "20:15")
ZONES = (*["Europe/Berlin"] * 3, "Europe/London", "America/New_York", "Asia/Tokyo", None, None)
PRIORITIES = (*[None] * 9, 1, 1, 2, 2, 2, 3, 3)


TAG_NAMES = """\
home work phone errand mail shopping family health money office computer waiting reading garden
car travel school music kitchen repair cooking sport pets tax idea print visa bank library gift"""

PROJECT_NAMES = """\
house work.reports house.garden work family.school house.kitchen work.hiring family health
holiday.summer work.clients.north money.taxes work.clients.south family.birthday holiday
work.office music.band house.cellar car study.thesis study club books work.clients"""


def _heavy_tailed(names: Sequence[str], count: int) -> list[str]:
    """A list of so many names, in which the second is half as frequent as the first, and so on."""
    total = sum(1 / place for place in range(1, len(names) + 1))
    listed = [
        name
        for place, name in enumerate(names, start=1)
        for _ in range(max(1, round(count / place / total)))
    ]
    return (listed + [names[0]] * count)[:count]


def _tag_sets() -> list[str]:
    names = TAG_NAMES.split()
    first = _heavy_tailed(names, 80)
    second = [*first[::2], *names[-8:]]
    pairs = [",".join(sorted({*pair})) for pair in zip(second, names + names, strict=False)]
    return [""] * 128 + first + pairs


TAGS = _tag_sets()
"""256 sets of tags, each sorted. Half of them are empty."""
PROJECTS = [None] * 116 + _heavy_tailed(PROJECT_NAMES.split(), 140)
