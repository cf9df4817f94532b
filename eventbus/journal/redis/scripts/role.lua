-- What a server is to the journal. Answers its role, and the history that it has.
--+ history
return {string.match(redis.call('INFO', 'replication'), 'role:(%a+)') or '', history()}
