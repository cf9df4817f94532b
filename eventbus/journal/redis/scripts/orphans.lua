-- Whether there are lanes to carry on with that no node has which lives.
-- KEYS 1: the nodes; every other key begins as it does.
local prefix = string.sub(KEYS[1], 1, -6)
local call = redis.call
local function any_open(name) return call('SINTERCARD', 2, prefix .. name, prefix .. 'open', 'LIMIT', 1) == 1 end

if any_open('unclaimed') then return 1 end
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, gone in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now))) do
  if any_open('of:' .. gone) then return 1 end
end
return 0
