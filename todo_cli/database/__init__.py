"""All between the repository and the wire: which database, one round trip, retries, faults."""
