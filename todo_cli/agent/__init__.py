"""The resident agent: a process that keeps the imports and the connection for the next command."""
