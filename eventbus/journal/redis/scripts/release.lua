#!lua flags=allow-oom
-- Releases lanes, so that another node may acquire them.
-- KEYS 1: the nodes. ARGV 1: the node; then the lanes.
--+ ownership
for index = 2, #ARGV do
  if call('HGET', key('owner'), ARGV[index]) == ARGV[1] then release(ARGV[1], ARGV[index]) end
end
return #ARGV - 1
