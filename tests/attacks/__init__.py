"""Attacks by whoever holds a database URL for people and speaks raw SQL.

`python -m tests.attacks` prints each with its outcome; the tests run the same list.
"""
