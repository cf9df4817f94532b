-- The lane for which an address is registered: its group's, or its own where its lease has not ended; or nil.
local function lane_of(address)
  local group = call('HGET', key('groups'), address)
  if group then return group end
  local record = call('HGET', key('lanes'), address)
  if record and cjson.decode(record).ended_at == cjson.null then return address end
end
