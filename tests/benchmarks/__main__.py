"""`python -m tests.benchmarks`: all that runs in a few minutes."""

from tests.benchmarks import commands

commands.main()
