"""The resident process, the agent: keeps the imports and the connection for the next command."""
