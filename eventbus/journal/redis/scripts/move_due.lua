#!lua flags=allow-oom
-- Makes events of what is due, the earliest first: each enters the journal and leaves the schedule at once.
-- KEYS 1: the nodes.
-- ARGV 1: the time in seconds up to which events are due, which is when they are accepted; 2: how many; 3: bytes of their
--      rows, which all but the first one have to fit.
-- Returns how many events are scheduled then, and when the next one is due, if there is one.
--+ foreign_entries
--+ add_event
--+ schedule
local newest = tonumber(call('GET', key('seq')) or '0')
if not newest then return redis.error_reply('BROKEN the newest number of the journal is no number') end
local size, seq = 0, newest
for _, member in ipairs(call('ZRANGEBYSCORE', key('scheduled'), '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local id = string.sub(member, 18)
  size = size + call('HSTRLEN', key('scheduled:rows'), id)
  if seq > newest and size > tonumber(ARGV[3]) then break end
  local event = take_scheduled(id)
  if event then
    seq = seq + 1
    add_event(digits(seq), id, event.topic, event.head, event.body, ARGV[1], event.key)
  else -- its row was removed by another program
    call('ZREM', key('scheduled'), member)
  end
end
if seq > newest then call('SET', key('seq'), digits(seq)) end
return schedule_state()
