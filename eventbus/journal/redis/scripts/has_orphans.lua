-- Returns whether some open lane has no live owner.
-- KEYS 1: the nodes.
local function any_open(name) return call('SINTERCARD', 2, key(name), key('open'), 'LIMIT', 1) == 1 end

if any_open('unclaimed') then return 1 end
for _, dead in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. digits(now_ms()))) do
  if any_open('of:' .. dead) then return 1 end
end
return 0
