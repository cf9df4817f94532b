#!lua flags=allow-oom
-- Leaves an answer for a node that has asked.
-- KEYS 1: the answers for that node.
-- ARGV 1: the answer; 2: how long it stays where nobody fetches it, in ms.
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
