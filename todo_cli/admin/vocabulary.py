"""Words for demonstration data: enough of them that a list looks like somebody's life.

Names and verbs are single words, apart by white space.
"""

from __future__ import annotations

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
