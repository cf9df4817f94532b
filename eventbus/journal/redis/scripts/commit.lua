-- Keeps a batch, publishes and checkpoints: all of it, or nothing.
-- KEYS 1: the nodes.
-- ARGV 1: the node that writes; 2: this commit's number; 3: the time in ms, by the clock of Redis, after which the commit
--      comes too late; 4: the replication id under which the node has read the journal; 5: the plan, as JSON; then id,
--      topic ("=" before it, empty without), head, body, time and order key of each message. A plan with "no_memory"
--      comes without messages, and keeps no event.
-- Returns the number of each publish's first event, or the ids that its idempotency key stands for, a line each, or "!"
-- where that stands for another content, or "" where a dead letter is not to be published any more, or nothing where it
-- was refused for want of memory; "\n" where it was scheduled, and with the ids of one that was, "\n", when it is due, and
-- "\n" before them; then the lanes of the checkpoints that
-- peers own by now, of which nothing was kept; then the checkpoints, counted from 0, that register an address which is
-- registered for another lane, each with the address and that lane: nothing of these was kept.
--+ foreign_entries
--+ add_event
--+ membership
--+ ownership
--+ registered
--+ retries
--+ schedule
local node, number, now = ARGV[1], tonumber(ARGV[2]), now_ms()

-- A cursor from before a restart would skip new events that have got the same numbers.
if ARGV[4] ~= replication_id() then
  return redis.error_reply('RESTARTED it has started again, or another server stands for it')
end
local last = call('HGET', key('last:' .. node), 'number')
if now > tonumber(ARGV[3]) or (last and tonumber(last) >= number) then
  return redis.error_reply('LATE the commit came too late')
end

-- Notes that dead letters are published; changes nothing, and returns false, where one is not to be any more.
local function take_letters(ids)
  for _, id in ipairs(ids) do if not call('ZSCORE', key('dead:to'), id) then return false end end
  for _, id in ipairs(ids) do
    local row = string.gsub(call('HGET', key('dead'), id) or '', ', "dead_to": .*}$', '}')
    if row ~= '' then call('HSET', key('dead'), id, row) end
    call('ZREM', key('dead:to'), id)
  end
  return true
end

local plan = cjson.decode(ARGV[5])
local newest = tonumber(call('GET', key('seq')) or '0')
if not newest then return redis.error_reply('BROKEN the newest number of the journal is no number') end
local first = newest + 1
local seq, part, bytes, answers = first, 6, 0, {}
for index, publish in ipairs(plan.publishes) do
  local known = publish.key and call('HGET', key('keys'), publish.key)
  if known then
    local content = call('HGET', key('keys:content'), publish.key)
    local due = call('HGET', key('keys:due'), publish.key)
    if due then known = '\n' .. due .. '\n' .. known end
    answers[index] = content and content ~= publish.content and '!' or known
    part = part + 6 * publish.count
  elseif plan.no_memory and publish.count > 0 then
    answers[index] = false
  elseif #publish.letters > 0 and not take_letters(publish.letters) then
    answers[index] = ''
    part = part + 6 * publish.count
  else
    answers[index] = publish.due and '\n' or seq
    local ids = {}
    for message = 1, publish.count do
      local id, topic, head, body, at, order_key = unpack(ARGV, part, part + 5)
      if publish.due then
        schedule(publish.due, id, topic, head, body, at, order_key)
      else
        add_event(digits(seq), id, topic, head, body, at, order_key)
        seq = seq + 1
      end
      bytes = bytes + #id + #topic + #head + #body + #order_key + plan.overhead
      ids[message] = id
      part = part + 6
    end
    if publish.key then
      local joined = table.concat(ids, '\n')
      call('HSET', key('keys'), publish.key, joined)
      call('INCRBY', key('keys:bytes'), #publish.key + #joined + plan.key_overhead)
      call('HSET', key('keys:content'), publish.key, publish.content)
      if publish.due then call('HSET', key('keys:due'), publish.key, publish.due) end
      call('ZADD', key('keys:at'), publish.at, publish.key)
    end
  end
end
if seq > first then call('SET', key('seq'), digits(seq - 1)) end
if bytes > 0 then call('INCRBY', key('bytes'), bytes) end

local function discard(lane, first, final, at)
  local member = table.concat({first, final, at, lane}, ':')
  call('ZADD', key('discards'), final, member)
  call('ZADD', key('discards:at'), at, member)
end
-- The redelivery to which a retry belongs that is settled: it counts how.
local function redelivery_of(lane, delivery)
  local row = call('HGET', key('waits:' .. lane), delivery)
  if not row or not string.find(row, '"replay"', 1, true) then return end
  local redelivery = key('replay:' .. cjson.decode(row).past.replay)
  return call('EXISTS', redelivery) == 1 and redelivery
end
-- What became of a retry that waits no more: dead, filtered or discarded in the same checkpoint, else delivered.
local function outcome_of(checkpoint, ended, lane, delivery)
  if ended[delivery .. ':' .. lane] then return ended[delivery .. ':' .. lane] end
  local seq = tonumber(seq_of(delivery))
  for _, span in ipairs(checkpoint.discards) do
    if span[1] == lane and tonumber(span[2]) <= seq and seq <= tonumber(span[3]) then return 'discarded' end
  end
  return 'delivered'
end
local function begin_redelivery(id, count, at)
  if id == '' or count == 0 then return end
  call('HSETNX', key('replay:' .. id), 'at', at)
  call('HINCRBY', key('replay:' .. id), 'replayed', count)
  call('ZADD', key('replays'), 'NX', at, id)
  for _, old in ipairs(call('ZRANGE', key('replays'), 0, -plan.max_redeliveries - 1)) do
    call('DEL', key('replay:' .. old))
    call('ZREM', key('replays'), old)
  end
end
local function remove_letter(id, letter)
  call('HDEL', key('dead'), id)
  call('HDEL', key('dead:known'), letter.delivery .. ':' .. letter.key)
  for _, name in ipairs({'ids', 'at', 'seq', 'gone', 'to', 'of:' .. letter.key}) do call('ZREM', key('dead:' .. name), id) end
end
local function letter_of(id)
  local row = call('HGET', key('dead'), id)
  return row and cjson.decode(row), row
end

-- Fencing: a node that counts as dead may save nothing of any lane, and no node anything of a lane that a peer owns. Nor
-- may a node that knows of events which Redis has lost: a cursor after those would skip the next ones with these numbers.
local may_save = is_alive(node, now)
for _, checkpoint in ipairs(plan.checkpoints) do
  if tonumber(checkpoint.scanned) >= seq then may_save = false end
  for _, lane in ipairs(checkpoint.lanes) do if tonumber(lane.scanned) >= seq then may_save = false end end
end
local refused = {}
local function is_owned(lane)
  local owner = call('HGET', key('owner'), lane)
  if may_save and (not owner or owner == node) then return true end
  refused[#refused + 1] = lane
  return false
end

local function save(checkpoint)
  for _, lane in ipairs(checkpoint.lanes) do if is_owned(lane.key) then
    call('HSET', key('lanes'), lane.key, lane.record)
    call(lane.ended and 'SREM' or 'SADD', key('open'), lane.key)
    if lane.members then save_members(lane.key, lane.members) end
    if (call('HGET', key('topics'), lane.key) or '') ~= (lane.topics or '') then
      call('INCR', key('changes'))
      if lane.topics then call('HSET', key('topics'), lane.key, lane.topics) else call('HDEL', key('topics'), lane.key) end
    end
    if lane.ended then
      call('ZADD', key('ended'), lane.ended, lane.key)
      remove_owner(node, lane.key)
    else
      call('ZREM', key('ended'), lane.key)
      acquire(node, lane.key)
    end
  end end
  local ended = {}
  for _, settled in ipairs(checkpoint.filtered_retries) do ended[settled[2] .. ':' .. settled[1]] = 'filtered' end
  for _, letter in ipairs(checkpoint.dead) do ended[letter.delivery .. ':' .. letter.key] = 'dead' end
  for _, settled in ipairs(checkpoint.settled_retries) do if is_owned(settled[1]) then
    local redelivery = redelivery_of(settled[1], settled[2])
    if redelivery then call('HINCRBY', redelivery, outcome_of(checkpoint, ended, settled[1], settled[2]), 1) end
    remove_retry(settled[1], settled[2])
  end end
  for _, row in ipairs(checkpoint.retries) do
    if is_owned(row[1]) then save_retry(row[1], row[2], row[3], row[4], row[5]) end
  end
  for _, lane in ipairs(checkpoint.hastened) do
    if is_owned(lane) then hasten_retries(lane, checkpoint.at, plan.blocked_until) end
  end
  for _, letter in ipairs(checkpoint.dead) do
    local name = letter.delivery .. ':' .. letter.key
    if is_owned(letter.key) and call('HEXISTS', key('dead:known'), name) == 0 then
      local id = call('INCR', key('dead:id'))
      call('HSET', key('dead:known'), name, id)
      call('HSET', key('dead'), id, letter.row)
      call('ZADD', key('dead:ids'), id, id)
      call('ZADD', key('dead:of:' .. letter.key), id, id)
      call('ZADD', key('dead:at'), letter.at, id)
      call('ZADD', key('dead:seq'), letter.seq, id)
      if letter.unpublished then call('ZADD', key('dead:to'), id, id) end
    end
  end
  for _, lane in ipairs(checkpoint.cleared) do if is_owned(lane) then
    for _, delivery in ipairs(call('HKEYS', key('waits:' .. lane))) do
      local redelivery = redelivery_of(lane, delivery)
      if redelivery then call('HINCRBY', redelivery, 'discarded', 1) end
      discard(lane, seq_of(delivery), seq_of(delivery), checkpoint.at)
      call('ZREM', key('waiting'), delivery .. ':' .. lane)
    end
    call('DEL', key('waits:' .. lane), key('due:' .. lane), key('line:' .. lane), key('keyed:' .. lane))
  end end
  local replayed = 0
  for _, id in ipairs(checkpoint.replayed) do
    local letter, text = letter_of(id)
    if letter and is_owned(letter.key) then
      remove_letter(id, letter)
      -- Numbers as they stand there: cjson would round them.
      local attempts, first = string.match(text, '"attempts": (%d+), "first_at": ([^,]+),')
      local entry = entry_of(seq_of(letter.delivery))
      local fields = entry and fields_of(entry)
      local order_key = fields and fields.key or ''
      local row = string.format(
        '{"attempts":%s,"first_at":%s,"due_at":%s,"status":%s,"error":%s,"order_key":%s,'
          .. '"past":{"replay":%s,"attempts":%s,"first_at":%s%s}}',
        attempts, checkpoint.at, checkpoint.at, cjson.encode(letter.status), cjson.encode(letter.error),
        cjson.encode(order_key), cjson.encode(checkpoint.replay), attempts, first,
        checkpoint.replay_expires and '' or ',"expires":false'
      )
      save_retry(letter.key, letter.delivery, checkpoint.at, row, order_key)
      replayed = replayed + 1
    end
  end
  begin_redelivery(checkpoint.replay, replayed, checkpoint.at)
  for _, id in ipairs(checkpoint.dropped) do
    local letter = letter_of(id)
    if letter and is_owned(letter.key) then
      remove_letter(id, letter)
      discard(letter.key, seq_of(letter.delivery), seq_of(letter.delivery), checkpoint.at)
    end
  end
  for _, span in ipairs(checkpoint.discards) do
    if is_owned(span[1]) then discard(span[1], span[2], span[3], checkpoint.at) end
  end
  for _, lane in ipairs(checkpoint.forgotten) do if is_owned(lane) then
    remove_owner(node, lane)
    call('HDEL', key('lanes'), lane)
    save_members(lane, '')
    call('ZREM', key('ended'), lane)
    call('SREM', key('open'), lane)
    call('HDEL', key('topics'), lane)
  end end
  if may_save and tonumber(checkpoint.scanned) > tonumber(call('GET', key('scanned')) or '0') then
    call('SET', key('scanned'), checkpoint.scanned)
  end
end

local conflicts = {}
local function conflict_of(checkpoint)
  for _, registered in ipairs(checkpoint.registers) do
    local known = lane_of(registered[1])
    if known and known ~= registered[2] then return registered[1], known end
  end
end
for index, checkpoint in ipairs(plan.checkpoints) do
  local address, known = conflict_of(checkpoint)
  if address then conflicts[#conflicts + 1] = {index - 1, address, known} else save(checkpoint) end
end

local result = {answers, refused, conflicts}
call('HSET', key('last:' .. node), 'number', ARGV[2], 'said', cjson.encode(result))
call('PEXPIRE', key('last:' .. node), 86400000)
return result
