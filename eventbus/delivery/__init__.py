"""Delivers events from the journal to the subscribers."""
