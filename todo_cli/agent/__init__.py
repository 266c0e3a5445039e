"""The light client of the agent: finds, starts and asks it. Imports nothing of the program."""
