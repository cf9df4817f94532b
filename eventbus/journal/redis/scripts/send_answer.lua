#!lua flags=allow-oom
-- Leaves an answer for the node that has called.
-- KEYS 1: the answers for that node.
-- ARGV 1: the answer; 2: ms after which it expires where nobody fetches it.
call('RPUSH', KEYS[1], ARGV[1])
call('PEXPIRE', KEYS[1], ARGV[2])
