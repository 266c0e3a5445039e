"""`python -m tests.benchmarks`: what commands cost without the agent, then with it."""

from tests.benchmarks import agent, commands

commands.main()
agent.main()
