-- Which node has a lane, and lives; nothing where there is none.
-- KEYS 1: the nodes; every other key begins as it does. ARGV 1: the lane.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local owner = redis.call('HGET', string.sub(KEYS[1], 1, -6) .. 'owner', ARGV[1])
local good = owner and redis.call('ZSCORE', KEYS[1], owner)
return good and tonumber(good) >= now and owner
