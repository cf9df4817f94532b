-- Returns the ids, topics and order keys of the events with these numbers; an empty list for one that is gone.
-- KEYS 1: the events. ARGV: the numbers.
local found = {}
for index, seq in ipairs(ARGV) do
  local entry = entry_of(seq)
  local fields = entry and fields_of(entry)
  found[index] = fields and {fields.id, fields.topic, fields.key} or {}
end
return found
