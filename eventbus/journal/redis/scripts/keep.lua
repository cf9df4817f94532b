-- Shows that the owner lives; nothing where it is the owner no more.
-- KEYS 1: the epoch; every other key begins as it does.
-- ARGV 1: the writer's epoch; 2: who it is; 3: how long that is good for, in ms; 0 gives the journal up.
local alive = string.sub(KEYS[1], 1, -6) .. 'owner'
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then redis.call('DEL', alive) else redis.call('SET', alive, ARGV[2], 'PX', ARGV[3]) end
return 1
