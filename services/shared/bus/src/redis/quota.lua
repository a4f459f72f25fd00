-- KEYS state. ARGV interval and tolerance in microseconds, '1' to take. The generic cell rate algorithm on the
-- clock of this server; the domain has the same formula. Returns how long to wait, 0 when nothing.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + tonumber(ARGV[1])
local wait = arrival - now - tonumber(ARGV[2])
if wait > 0 then
  return text(wait)
end
if ARGV[3] == '1' then
  -- Once the arrival has passed, the state says no more than none.
  redis.call('SET', KEYS[1], text(arrival), 'PX', text(math.ceil((arrival - now) / 1000)))
end
return '0'
