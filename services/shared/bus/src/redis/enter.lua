-- KEYS roster, news, play. ARGV seen, roster expiry, play expiry, then (entry, user, name) of each connection.
for i = 4, #ARGV, 3 do
  add(ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
local change = finish(tonumber(ARGV[1]))
redis.call('PEXPIRE', roster, ARGV[2])
redis.call('HSET', KEYS[3], 'seen', text(now))
redis.call('PEXPIRE', KEYS[3], ARGV[3])
return { change, redis.call('HGETALL', roster) }
