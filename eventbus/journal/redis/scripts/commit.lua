-- Keeps a batch, publishes and checkpoints: all of it, or nothing.
-- KEYS 1: the nodes; every other key begins as it does.
-- ARGV 1: the node that writes; 2: this commit's number; 3: the time in ms, as Redis has it, after which the commit
--      comes too late; 4: the history of the journal that the node has read; 5: the plan, as JSON; then id, topic ("=" before it, empty without), head, body and time of each
--      message. A plan that is "crowded" comes without messages, and keeps no event.
-- Answers the number of each publish's first event, or the ids that its idempotency key stands for, or "!" where that
-- stands for another content, or nothing where it was refused for want of memory; then the lanes of the checkpoints that are another node's by now, of which nothing was
-- kept.
--+ history
--+ foreign
local prefix = string.sub(KEYS[1], 1, -6)
local function key(name) return prefix .. name end
local call = redis.call
local node, number = ARGV[1], tonumber(ARGV[2])
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- A place that was reached in another history would pass over what has got the same numbers in this one.
if ARGV[4] ~= history() then
  return redis.error_reply('ANEW it has started again, or another server stands for it')
end
local last = call('HGET', key('last:' .. node), 'number')
if now > tonumber(ARGV[3]) or (last and tonumber(last) >= number) then
  return redis.error_reply('LATE the commit came too late')
end

-- Where another program has put something after the newest event, the next number cannot be given until that is gone.
local function keep(...)
  local kept = redis.pcall('XADD', key('events'), ...)
  if kept.err then
    if not string.find(kept.err, 'OOM', 1, true) then remove_foreign(prefix) end
    call('XADD', key('events'), ...)
  end
end

local plan = cjson.decode(ARGV[5])
local newest = tonumber(call('GET', key('seq')) or '0')
if not newest then return redis.error_reply('BROKEN the newest number of the journal is no number') end
local first = newest + 1
local seq, part, bytes, answers = first, 6, 0, {}
for place, publish in ipairs(plan.publishes) do
  local known = publish.key and call('HGET', key('keys'), publish.key)
  if known then
    local content = call('HGET', key('keys:content'), publish.key)
    answers[place] = content and content ~= publish.content and '!' or known
    part = part + 5 * publish.count
  elseif plan.crowded and publish.count > 0 then
    answers[place] = false
  else
    answers[place] = seq
    local ids = {}
    for message = 1, publish.count do
      local id, topic, head, body, at = ARGV[part], ARGV[part + 1], ARGV[part + 2], ARGV[part + 3], ARGV[part + 4]
      local text = string.format('%.0f', seq)
      keep(text .. '-0', 'i', id, 't', topic, 'h', head, 'b', body, 'a', at)
      call('HSET', key('ids'), id, text)
      bytes = bytes + #id + #topic + #head + #body + plan.overhead
      ids[message] = id
      seq, part = seq + 1, part + 5
    end
    if publish.key then
      local joined = table.concat(ids, '\n')
      call('HSET', key('keys'), publish.key, joined)
      call('INCRBY', key('keys:bytes'), #publish.key + #joined + plan.key_overhead)
      call('HSET', key('keys:content'), publish.key, publish.content)
      call('ZADD', key('keys:at'), publish.at, publish.key)
    end
  end
end
if seq > first then
  call('SET', key('seq'), string.format('%.0f', seq - 1))
  call('INCRBY', key('bytes'), bytes)
end

local function discard(whom, from, upto, at)
  local member = table.concat({from, upto, at, whom}, ':')
  call('ZADD', key('discards'), upto, member)
  call('ZADD', key('discards:at'), at, member)
end
local function defer(whom, delivery, of, due, row)
  call('HSET', key('waits:' .. whom), delivery, row)
  call('ZADD', key('due:' .. whom), due, delivery)
  call('ZADD', key('line:' .. whom), of, delivery)
  call('ZADD', key('waiting'), of, delivery .. ':' .. whom)
end
local function undefer(whom, delivery)
  call('HDEL', key('waits:' .. whom), delivery)
  call('ZREM', key('due:' .. whom), delivery)
  call('ZREM', key('line:' .. whom), delivery)
  call('ZREM', key('waiting'), delivery .. ':' .. whom)
end
-- A delivery that a replay has put back is settled: its replay counts how.
local function count_settled(whom, delivery, how)
  local row = call('HGET', key('waits:' .. whom), delivery)
  if not row or not string.find(row, '"replay"', 1, true) then return end
  local replay = key('replay:' .. cjson.decode(row).past.replay)
  if call('EXISTS', replay) == 1 then call('HINCRBY', replay, how, 1) end
end
local function begin_replay(id, count, at)
  if id == '' or count == 0 then return end
  call('HSETNX', key('replay:' .. id), 'at', at)
  call('HINCRBY', key('replay:' .. id), 'replayed', count)
  call('ZADD', key('replays'), 'NX', at, id)
  for _, old in ipairs(call('ZRANGE', key('replays'), 0, -plan.replays - 1)) do
    call('DEL', key('replay:' .. old))
    call('ZREM', key('replays'), old)
  end
end
local function unbury(id, letter)
  call('HDEL', key('dead'), id)
  call('HDEL', key('dead:known'), letter.delivery .. ':' .. letter.key)
  for _, name in ipairs({'dead:ids', 'dead:at', 'dead:seq', 'dead:gone', 'dead:of:' .. letter.key}) do call('ZREM', key(name), id) end
end
local function letter_of(id)
  local row = call('HGET', key('dead'), id)
  return row and cjson.decode(row), row
end

-- A node that counts as gone may keep nothing of a lane; of a lane that another one has, nobody else may. Nor may one
-- that knows of events which Redis has lost: a place after those would pass over the next ones with these numbers.
local good = call('ZSCORE', KEYS[1], node)
local lives = good and tonumber(good) >= now
for _, checkpoint in ipairs(plan.checkpoints) do
  if tonumber(checkpoint.scanned) >= seq then lives = false end
  for _, lane in ipairs(checkpoint.lanes) do if tonumber(lane.scanned) >= seq then lives = false end end
end
local lost = {}
local function mine(lane)
  local owner = call('HGET', key('owner'), lane)
  if lives and (not owner or owner == node) then return true end
  lost[#lost + 1] = lane
  return false
end

for _, checkpoint in ipairs(plan.checkpoints) do
  for _, lane in ipairs(checkpoint.lanes) do if mine(lane.key) then
    call('HSET', key('lanes'), lane.key, lane.record)
    call(lane.ended and 'SREM' or 'SADD', key('open'), lane.key)
    if (call('HGET', key('topics'), lane.key) or '') ~= (lane.topics or '') then
      call('INCR', key('changes'))
      if lane.topics then call('HSET', key('topics'), lane.key, lane.topics) else call('HDEL', key('topics'), lane.key) end
    end
    if lane.ended then
      call('ZADD', key('ended'), lane.ended, lane.key)
      call('HDEL', key('owner'), lane.key)
      call('SREM', key('of:' .. node), lane.key)
      call('SREM', key('unclaimed'), lane.key)
    else
      call('ZREM', key('ended'), lane.key)
      call('HSET', key('owner'), lane.key, node)
      call('SADD', key('of:' .. node), lane.key)
      call('SREM', key('unclaimed'), lane.key)
    end
  end end
  local dead = {}
  for _, letter in ipairs(checkpoint.dead) do dead[letter.delivery .. ':' .. letter.key] = true end
  for _, gone in ipairs(checkpoint.undeferred) do if mine(gone[1]) then
    count_settled(gone[1], gone[2], dead[gone[2] .. ':' .. gone[1]] and 'dead' or 'delivered')
    undefer(gone[1], gone[2])
  end end
  for _, row in ipairs(checkpoint.deferred) do
    if mine(row[1]) then defer(row[1], row[2], row[3], row[4], row[5]) end
  end
  for _, letter in ipairs(checkpoint.dead) do
    local name = letter.delivery .. ':' .. letter.key
    if mine(letter.key) and call('HEXISTS', key('dead:known'), name) == 0 then
      local id = call('INCR', key('dead:id'))
      call('HSET', key('dead:known'), name, id)
      call('HSET', key('dead'), id, letter.row)
      call('ZADD', key('dead:ids'), id, id)
      call('ZADD', key('dead:of:' .. letter.key), id, id)
      call('ZADD', key('dead:at'), letter.at, id)
      call('ZADD', key('dead:seq'), letter.seq, id)
    end
  end
  for _, whom in ipairs(checkpoint.cleared) do if mine(whom) then
    for _, delivery in ipairs(call('HKEYS', key('waits:' .. whom))) do
      local of = string.match(delivery, '^%d+')
      count_settled(whom, delivery, 'discarded')
      discard(whom, of, of, checkpoint.at)
      call('ZREM', key('waiting'), delivery .. ':' .. whom)
    end
    call('DEL', key('waits:' .. whom), key('due:' .. whom), key('line:' .. whom))
  end end
  local replayed = 0
  for _, id in ipairs(checkpoint.replayed) do
    local letter, text = letter_of(id)
    if letter and mine(letter.key) then
      unbury(id, letter)
      -- Numbers as they stand there: cjson would round them.
      local attempts, first = string.match(text, '"attempts": (%d+), "first_at": ([^,]+),')
      local row = string.format(
        '{"attempts":%s,"first_at":%s,"due_at":%s,"status":%s,"error":%s,"past":{"replay":%s,"attempts":%s,"first_at":%s}}',
        attempts, checkpoint.at, checkpoint.at, cjson.encode(letter.status), cjson.encode(letter.error),
        cjson.encode(checkpoint.replay), attempts, first
      )
      defer(letter.key, letter.delivery, string.match(letter.delivery, '^%d+'), checkpoint.at, row)
      replayed = replayed + 1
    end
  end
  begin_replay(checkpoint.replay, replayed, checkpoint.at)
  for _, id in ipairs(checkpoint.dropped) do
    local letter = letter_of(id)
    if letter and mine(letter.key) then
      unbury(id, letter)
      local of = string.match(letter.delivery, '^%d+')
      discard(letter.key, of, of, checkpoint.at)
    end
  end
  for _, span in ipairs(checkpoint.discards) do
    if mine(span[1]) then discard(span[1], span[2], span[3], checkpoint.at) end
  end
  for _, whom in ipairs(checkpoint.forgotten) do if mine(whom) then
    call('HDEL', key('lanes'), whom)
    call('ZREM', key('ended'), whom)
    for _, name in ipairs({'open', 'unclaimed', 'of:' .. node}) do call('SREM', key(name), whom) end
    call('HDEL', key('owner'), whom)
    call('HDEL', key('topics'), whom)
  end end
  if lives and tonumber(checkpoint.scanned) > tonumber(call('GET', key('scanned')) or '0') then
    call('SET', key('scanned'), checkpoint.scanned)
  end
end

local said = {answers, lost}
call('HSET', key('last:' .. node), 'number', ARGV[2], 'said', cjson.encode(said))
call('PEXPIRE', key('last:' .. node), 86400000)
return said
