-- Which history of the journal a server has: a server that has started again, or stands for another one, has another one
-- than before, and perhaps other events under the same numbers. Where a server does not tell, it is its process.
-- https://redis.io/docs/latest/operate/oss_and_stack/management/replication/ (replication ID)
local function history()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
    or string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
end
