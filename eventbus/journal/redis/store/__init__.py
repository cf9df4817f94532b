"""Events, lanes and retries on a Redis server."""
