-- KEYS state. ARGV interval and tolerance in microseconds, 'take', 'peek' or 'give back'. The generic cell rate algorithm on the
-- clock of this server; the domain has the same formula. Returns how long to wait, 0 when nothing.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if ARGV[3] == 'give back' then
  local before = tonumber(redis.call('GET', KEYS[1]) or '0') - tonumber(ARGV[1])
  if before > now then
    redis.call('SET', KEYS[1], text(before), 'PX', text(math.ceil((before - now) / 1000)))
  else
    redis.call('DEL', KEYS[1])
  end
  return '0'
end
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + tonumber(ARGV[1])
local wait = arrival - now - tonumber(ARGV[2])
if wait > 0 then
  return text(wait)
end
if ARGV[3] == 'take' then
  -- Once the arrival has passed, the state says no more than none.
  redis.call('SET', KEYS[1], text(arrival), 'PX', text(math.ceil((arrival - now) / 1000)))
end
return '0'
