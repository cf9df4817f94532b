#!lua flags=allow-oom
-- Removes what another program has put after the journal's newest event.
-- KEYS 1: the nodes; every other key begins as it does. Answers how many entries went.
--+ foreign
return remove_foreign(string.sub(KEYS[1], 1, -6))
