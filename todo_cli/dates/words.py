"""The words of dates, as tables. English only."""

from __future__ import annotations

NAMED_DAYS = {
    "today": 0,
    "tod": 0,
    "tomorrow": 1,
    "tom": 1,
    "tmr": 1,
    "tmrw": 1,
    "tmw": 1,
    "overmorrow": 2,
    "yesterday": -1,
}
"""Days from today."""

WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday mon",
            "tuesday tues tue",
            "wednesday weds wed",
            "thursday thurs thur thu",
            "friday fri",
            "saturday sat",
            "sunday sun",
        )
    )
    for name in names.split()
}
"""Monday is 0."""

WEEKDAY_PLURALS = {f"{name}s": number for name, number in WEEKDAYS.items() if name.endswith("day")}

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sept sep",
            "october oct",
            "november nov",
            "december dec",
        ),
        start=1,
    )
    for name in names.split()
}

DIGIT_WORDS = {
    name: number
    for number, name in enumerate(
        "one two three four five six seven eight nine".split(),  # noqa: SIM905  (easier to read)
        start=1,
    )
}
TEEN_WORDS = {
    name: number
    for number, name in enumerate(
        "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(),  # noqa: SIM905
        start=10,
    )
}
TENS_WORDS = {
    name: 10 * number
    for number, name in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(),  # noqa: SIM905
        start=2,
    )
}
ORDINAL_DIGIT_WORDS = {
    name: number
    for number, name in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth".split(),  # noqa: SIM905
        start=1,
    )
}
ORDINAL_WORDS = {
    **ORDINAL_DIGIT_WORDS,
    "tenth": 10,
    "eleventh": 11,
    "twelfth": 12,
    **{f"{name}th": number for name, number in TEEN_WORDS.items() if number > 12},
    "twentieth": 20,
    "thirtieth": 30,
}

DAY_UNITS = {
    **dict.fromkeys(("d", "day", "days"), 1),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 7),
    **dict.fromkeys(("fortnight", "fortnights"), 14),
}
"""In days."""
MONTH_UNITS = {
    **dict.fromkeys(("mo", "mos", "mth", "mths", "month", "months"), 1),
    **dict.fromkeys(("quarter", "quarters"), 3),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), 12),
}
"""In months."""
SECOND_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
}
"""In seconds."""
SINGULAR_UNITS = frozenset(
    ["day", "week", "fortnight", "month", "quarter", "year", "second", "minute", "hour"]
)
WORKDAY_UNITS = frozenset(("workday", "workdays", "weekday", "weekdays"))
WORKDAY_ADJECTIVES = frozenset(("business", "working", "work"))
PERIOD_UNITS = {
    "week": "week",
    "wk": "week",
    "month": "month",
    "quarter": "quarter",
    "year": "year",
}

PARTS = ("morning", "afternoon", "evening", "night")

HOLIDAYS = {
    "christmas": (12, 25),
    "christmas day": (12, 25),
    "xmas": (12, 25),
    "xmas day": (12, 25),
    "christmas eve": (12, 24),
    "xmas eve": (12, 24),
    "boxing day": (12, 26),
    "new year": (1, 1),
    "new years": (1, 1),
    "new year's": (1, 1),
    "new year day": (1, 1),
    "new years day": (1, 1),
    "new year's day": (1, 1),
    "new year eve": (12, 31),
    "new years eve": (12, 31),
    "new year's eve": (12, 31),
    "nye": (12, 31),
    "halloween": (10, 31),
    "hallowe'en": (10, 31),
    "valentine's day": (2, 14),
    "valentines day": (2, 14),
    "valentine's": (2, 14),
    "valentines": (2, 14),
    "st patrick's day": (3, 17),
    "st patricks day": (3, 17),
    "april fools day": (4, 1),
    "april fools' day": (4, 1),
    "april fool's day": (4, 1),
    "epiphany": (1, 6),
    "all saints day": (11, 1),
    "all saints' day": (11, 1),
    "leap day": (2, 29),
}
"""Month and day of the days that are the same everywhere."""

EASTER_DAYS = {
    "ash wednesday": -46,
    "palm sunday": -7,
    "maundy thursday": -3,
    "good friday": -2,
    "goodfriday": -2,
    "easter": 0,
    "easter sunday": 0,
    "easter day": 0,
    "easter monday": 1,
    "eastermonday": 1,
    "ascension": 39,
    "ascension day": 39,
    "whit sunday": 49,
    "pentecost": 49,
    "whit monday": 50,
}
"""Days from Easter Sunday, by the western calendar."""

HOLIDAYS_BY_COUNTRY = (
    "thanksgiving",
    "thanksgiving day",
    "mother's day",
    "mothers day",
    "father's day",
    "fathers day",
    "labor day",
    "labour day",
    "independence day",
    "memorial day",
    "national day",
    "carnival",
)
MAX_HOLIDAY_WORDS = 3

TASKWARRIOR_PERIODS = {"w": "week", "m": "month", "q": "quarter", "y": "year", "ww": "work week"}
TASKWARRIOR_WORDS = frozenset(
    edge + which + unit
    for edge in ("so", "eo")
    for which in ("", "c", "n", "p")
    for unit in ("d", *TASKWARRIOR_PERIODS)
)

REPEAT_WORDS = {
    "daily": ("day", 1),
    "weekly": ("week", 1),
    "fortnightly": ("week", 2),
    "monthly": ("month", 1),
    "quarterly": ("month", 3),
    "semiannual": ("month", 6),
    "semiannually": ("month", 6),
    "yearly": ("year", 1),
    "annual": ("year", 1),
    "annually": ("year", 1),
}
UNCLEAR_REPEATS = {
    "biweekly": ("twice a week", "every 2 weeks"),
    "bimonthly": ("twice a month", "every 2 months"),
    "biannual": ("twice a year", "every 2 years"),
    "biannually": ("twice a year", "every 2 years"),
    "biyearly": ("twice a year", "every 2 years"),
    "semiweekly": ("twice a week", "every 3 days"),
    "semimonthly": ("twice a month", "every 2 weeks"),
}

OTHER_WORDS = frozenset(
    [
        *("a", "an", "after", "ago", "am", "and", "any", "at", "before", "beginning", "by"),
        *("coming", "current", "date", "due", "each", "end", "ending", "every", "ev", "from"),
        *(
            "gmt",
            "half",
            "hourly",
            "hence",
            "hundred",
            "in",
            "last",
            "mid",
            "midday",
            "middle",
            "midnight",
        ),
        *("next", "no", "none", "noon", "now", "o'clock", "oclock", "of", "on", "other", "over"),
        *("past", "penultimate", "pm", "previous", "some", "someday", "start", "starting", "the"),
        *("this", "through", "til", "till", "time", "to", "tonight", "tonite", "until", "upcoming"),
        *("utc", "weekend", "workweek"),
        *("m", "p", "q", "t", "z"),
    ]
)
