"""From the journal to the subscribers."""
