-- Makes an empty journal the beginning of a copy, unless a node is alive there.
-- KEYS 1: the nodes.
-- ARGV 1: the mark; 2: the newest event's number; 3: the newest dead letter's id; 4: up to which event all is scanned.
-- Returns 1, or 0 where a node is alive.
if call('ZCOUNT', KEYS[1], digits(now_ms()), '+inf') > 0 then return 0 end
call('MSET', key('copy'), ARGV[1], key('seq'), ARGV[2], key('dead:id'), ARGV[3], key('scanned'), ARGV[4])
return 1
