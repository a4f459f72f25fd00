-- KEYS roster, play. ARGV roster expiry, play expiry, the node that asks, and how long round trips to its members take
-- in microseconds ('' when it does not know).
local now = now_ms()
local version = redis.call('HGET', KEYS[1], 'v')
local play = redis.call('HMGET', KEYS[2], 'state_fence', 'version', 'trip', 'trip_of', 'trip_at')
local trip = play[3]
-- The longest of all nodes is kept. One that its node has not told for so long is of a node that is no more, or of a
-- clock that has been set back.
if trip and math.abs(now - tonumber(play[5])) >= tonumber(ARGV[1]) then
  trip = false
end
if version then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  redis.call('HSET', KEYS[2], 'seen', text(now))
  local is_own = play[4] == ARGV[3]
  if ARGV[4] ~= '' and (not trip or is_own or tonumber(ARGV[4]) >= tonumber(trip)) then
    trip = ARGV[4]
    redis.call('HSET', KEYS[2], 'trip', trip, 'trip_of', ARGV[3], 'trip_at', text(now))
  elseif trip and is_own then
    trip = false
    redis.call('HDEL', KEYS[2], 'trip', 'trip_of', 'trip_at')
  end
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return { version or '0', play[1], play[2], trip, redis.call('HGET', KEYS[1], 'rv') or '0' }
