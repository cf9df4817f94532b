#!lua flags=allow-oom
-- Shows that a node is alive, releases what dead nodes owned, and lets this node acquire its share.
-- KEYS 1: the nodes.
-- ARGV 1: the node; 2: ms after which it counts as dead; 3: "first", "again", "leaving" where the peers should share all
--      lanes, or "last" to leave; 4: where its process runs; 5: the replication id under which it has read the journal.
-- Returns "copy" and its mark where the journal is an unfinished copy; "restarted" and the replication id where that is
-- another one now; "dead" and the same where peers may have acquired what the node owned; else the time in ms, how many
-- nodes are alive, how many lanes are a fair share, how many this node owns, those that it has just acquired, how often
-- the topics of a lane have changed, and the replication id.
--+ ownership
local node, kind, now = ARGV[1], ARGV[3], now_ms()

local function remove_node(dead)
  for _, lane in ipairs(call('SMEMBERS', key('of:' .. dead))) do release(dead, lane) end
  call('DEL', key('of:' .. dead))
  call('ZREM', KEYS[1], dead)
  call('SREM', key('leaving'), dead)
  call('HDEL', key('places'), dead)
end

if kind == 'last' then
  remove_node(node)
  return {'left'}
end
local copy = kind == 'first' and call('GET', key('copy'))
if copy then return {'copy', copy} end
local present = replication_id()
if kind ~= 'first' and ARGV[5] ~= present then return {'restarted', present} end
if kind ~= 'first' and not is_alive(node, now) then
  remove_node(node)
  return {'dead', present}
end
call('ZADD', KEYS[1], digits(now + tonumber(ARGV[2])), node)
for _, dead in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. digits(now))) do remove_node(dead) end

call('HSET', key('places'), node, ARGV[4])

call(kind == 'leaving' and 'SADD' or 'SREM', key('leaving'), node)
local alive = call('ZCARD', KEYS[1])
local fair = math.ceil(call('SCARD', key('open')) / math.max(1, alive - call('SCARD', key('leaving'))))
local owned = call('SCARD', key('of:' .. node))
if call('HGET', key('owner'), '.retention') == node then owned = owned - 1 end
local acquired = {}
while kind == 'again' and owned < fair do
  local lane = call('SPOP', key('unclaimed'))
  if not lane then break end
  if call('SISMEMBER', key('open'), lane) == 1 and not call('HGET', key('owner'), lane) then
    acquire(node, lane)
    acquired[#acquired + 1] = lane
    owned = owned + 1
  end
end
return {digits(now), alive, fair, owned, acquired, tonumber(call('GET', key('changes')) or '0'), present}
