-- Members of groups: which lane each has, by address, and which addresses are in each group.
local function addresses_in(text) return string.gmatch(text, '%S+') end
-- The members of a group's lane as it is saved now, keys with spaces between them; empty where it is closed.
local function save_members(lane, members)
  local former = call('HGET', key('members'), lane) or ''
  if former == members then return end
  for address in addresses_in(former) do
    if call('HGET', key('groups'), address) == lane then call('HDEL', key('groups'), address) end
  end
  for address in addresses_in(members) do call('HSET', key('groups'), address, lane) end
  if members == '' then call('HDEL', key('members'), lane) else call('HSET', key('members'), lane, members) end
end
