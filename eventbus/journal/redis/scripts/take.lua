-- Makes this process the owner of the journal, unless another one lives.
-- KEYS 1: the epoch; every other key begins as it does.
-- ARGV 1: who asks; 2: how long that is good for, in ms; 3: an owner that is known to be gone, or empty.
-- Answers its epoch, or who the owner is.
local alive = string.sub(KEYS[1], 1, -6) .. 'owner'
local owner = redis.call('GET', alive)
if owner and owner ~= ARGV[3] then return {'owner', owner} end
redis.call('SET', alive, ARGV[1], 'PX', ARGV[2])
return {'epoch', redis.call('INCR', KEYS[1])}
