-- KEYS roster, play. ARGV roster expiry, play expiry.
local version = redis.call('HGET', KEYS[1], 'v')
if version then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  redis.call('HSET', KEYS[2], 'seen', text(now_ms()))
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
local play = redis.call('HMGET', KEYS[2], 'state_fence', 'version')
return { version or '0', play[1], play[2] }
