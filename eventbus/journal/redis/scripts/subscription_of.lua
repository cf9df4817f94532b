-- Returns the lane for which an address is registered, its own or its group's, or nothing.
-- KEYS 1: the nodes. ARGV 1: the address.
--+ registered
return lane_of(ARGV[1])
