"""The routes: each parses, calls the bus, and phrases the answer."""
