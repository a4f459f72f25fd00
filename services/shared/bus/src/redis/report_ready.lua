-- KEYS roster, news. ARGV seen, a deadline that passed ('' for none), then (user, word) of each. What comes is of a
-- moment, its first number; what is known and is not older stays. It is kept in the roster: it goes with whom it is
-- about (members.lua), and expires with all of it.
--   rv         its version
--   rd         the last deadline that passed
--   r:<user>   the last word of somebody
local roster, news = KEYS[1], KEYS[2]
if redis.call('HEXISTS', roster, 'v') == 0 then
  return { '0', '0' } -- all of it was lost: nodes enter their people again, and then say this again
end
local before = tonumber(redis.call('HGET', roster, 'rv') or '0')
local parts, count = {}, 0

local function moment(value)
  return value and tonumber(string.match(value, '^(-?%d+)|')) or -math.huge
end

local function keep(field, value)
  if moment(value) <= moment(redis.call('HGET', roster, field)) then
    return false
  end
  redis.call('HSET', roster, field, value)
  count = count + 1
  return true
end

local function tell(value)
  table.insert(parts, #value .. ':' .. value)
end

tell(keep('rd', ARGV[2]) and ARGV[2] or '')
for i = 3, #ARGV, 2 do
  if redis.call('HEXISTS', roster, 'u:' .. ARGV[i]) == 1 and keep('r:' .. ARGV[i], ARGV[i + 1]) then
    tell(ARGV[i])
    tell(ARGV[i + 1])
  end
end
local version = before
if count > 0 then
  version = math.max(before, tonumber(ARGV[1]))
  if before == 0 then
    -- Above every version that anybody can have seen of what was lost.
    version = math.max(version, now_ms())
  end
  version = version + 1
  redis.call('HSET', roster, 'rv', text(version))
  local head = { text(before), text(version) }
  for i, value in ipairs(head) do
    head[i] = #value .. ':' .. value
  end
  redis.call('PUBLISH', news, 'b' .. table.concat(head) .. table.concat(parts))
end
return { text(before), text(version) }
