"""Which node owns which lane, and calls between nodes, on a Redis server."""
