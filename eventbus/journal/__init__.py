"""Where events live until they are settled."""
