#!lua flags=allow-oom
-- Shows that a node lives, hands out what dead nodes had, and gives this node its share.
-- KEYS 1: the nodes; every other key begins as it does.
-- ARGV 1: the node; 2: how long the sign is good for, in ms; 3: "first", "again", "leaving" where the others should
-- share all lanes, or "last" to leave; 4: where it runs; 5: the history of the journal that it has read.
-- Answers "copy" and its mark where the journal is an unfinished copy; "anew" and its history where that is another one
-- now, "dead" and that where others may have taken what it had; else the time in ms, the live nodes, how many lanes are a
-- fair share, how many it has, those that are new to it, how often it changed who gets what, and the history.
--+ history
local prefix = string.sub(KEYS[1], 1, -6)
local function key(name) return prefix .. name end
local call = redis.call
local node, kind = ARGV[1], ARGV[3]
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function free(gone)
  for _, lane in ipairs(call('SMEMBERS', key('of:' .. gone))) do
    if call('HGET', key('owner'), lane) == gone then call('HDEL', key('owner'), lane) end
    if call('SISMEMBER', key('open'), lane) == 1 then call('SADD', key('unclaimed'), lane) end
  end
  call('DEL', key('of:' .. gone))
  call('ZREM', KEYS[1], gone)
  call('SREM', key('leaving'), gone)
  call('HDEL', key('places'), gone)
end

if kind == 'last' then
  free(node)
  return {'left'}
end
local copy = kind == 'first' and call('GET', key('copy'))
if copy then return {'copy', copy} end
local present = history()
if kind ~= 'first' and ARGV[5] ~= present then return {'restarted', present} end
local good = call('ZSCORE', KEYS[1], node)
if kind ~= 'first' and (not good or tonumber(good) < now) then
  free(node)
  return {'dead', present}
end
call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), node)
for _, gone in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now))) do free(gone) end

call('HSET', key('places'), node, ARGV[4])

call(kind == 'leaving' and 'SADD' or 'SREM', key('leaving'), node)
local live = call('ZCARD', KEYS[1])
local share = math.ceil(call('SCARD', key('open')) / math.max(1, live - call('SCARD', key('leaving'))))
local mine = call('SCARD', key('of:' .. node))
if call('HGET', key('owner'), '.retention') == node then mine = mine - 1 end
local new = {}
while kind == 'again' and mine < share do
  local lane = call('SPOP', key('unclaimed'))
  if not lane then break end
  if call('SISMEMBER', key('open'), lane) == 1 and not call('HGET', key('owner'), lane) then
    call('HSET', key('owner'), lane, node)
    call('SADD', key('of:' .. node), lane)
    new[#new + 1] = lane
    mine = mine + 1
  end
end
return {string.format('%.0f', now), live, share, mine, new, tonumber(call('GET', key('changes')) or '0'), present}
