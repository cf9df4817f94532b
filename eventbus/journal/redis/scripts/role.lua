-- Returns the server's role and its replication id.
return {string.match(call('INFO', 'replication'), 'role:(%a+)') or '', replication_id()}
