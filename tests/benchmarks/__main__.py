"""`python -m tests.benchmarks`: all that runs in a few minutes."""

from tests.benchmarks import agent, commands

commands.main()
agent.main()
