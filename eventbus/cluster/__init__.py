"""Several nodes that share a journal: who owns which subscription."""
