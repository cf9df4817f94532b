#!lua flags=allow-oom
-- Removes what another program has put after the journal's newest event.
-- KEYS 1: the nodes. Returns how many entries it removed.
--+ foreign_entries
return remove_foreign_entries()
