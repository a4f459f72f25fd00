-- What enter, leave and prune share. A roster is one hash, so that all of it expires together:
--   v                            its version
--   n                            how many users are present
--   u:<user>                     <entries>|<since>|<name>
--   e:<incarnation>:<connection> <user>|<gone at, or nothing>
-- Beside it stands what people say of their players; see report_ready.lua.
local roster, news = KEYS[1], KEYS[2]
local now = now_ms()
local before = tonumber(redis.call('HGET', roster, 'v') or '0')
local online = tonumber(redis.call('HGET', roster, 'n') or '0')
local joined, left = {}, {}

local function member(user)
  local value = redis.call('HGET', roster, 'u:' .. user)
  if not value then
    return 0
  end
  local entries, since, name = string.match(value, '^(%d+)|(%d+)|(.*)$')
  return tonumber(entries), since, name
end

local function write(user, entries, since, name)
  redis.call('HSET', roster, 'u:' .. user, text(entries) .. '|' .. since .. '|' .. name)
end

local function add(entry, user, name)
  local field = 'e:' .. entry
  local known = redis.call('HGET', roster, field)
  redis.call('HSET', roster, field, (known and string.sub(known, 1, 36) or user) .. '|')
  if known then
    return
  end
  local entries, since, called = member(user)
  if entries > 0 then
    return write(user, entries + 1, since, called)
  end
  since = text(now)
  write(user, 1, since, name)
  online = online + 1
  table.insert(joined, user)
  table.insert(joined, since)
  table.insert(joined, name)
end

local function remove(entry)
  local field = 'e:' .. entry
  local known = redis.call('HGET', roster, field)
  if not known then
    return
  end
  redis.call('HDEL', roster, field)
  local user = string.sub(known, 1, 36)
  local entries, since, name = member(user)
  if entries > 1 then
    write(user, entries - 1, since, name)
  elseif entries == 1 then
    redis.call('HDEL', roster, 'u:' .. user, 'r:' .. user)
    online = online - 1
    table.insert(left, user)
    table.insert(left, name)
  end
end

-- Stores the new version and announces it, if anybody came or went. Returns the change as a list:
-- previous, version, online, how many joined, (user, since, name) of each, (user, name) of each who left.
local function finish(seen)
  local version = before
  if #joined + #left > 0 then
    version = math.max(before, seen)
    if before == 0 then
      -- Above every version that anybody can have seen of a roster that was lost.
      version = math.max(version, now)
    end
    version = version + 1
    redis.call('HSET', roster, 'v', text(version), 'n', text(online))
  end
  local change = { text(before), text(version), text(online), text(#joined / 3) }
  for _, value in ipairs(joined) do
    table.insert(change, value)
  end
  for _, value in ipairs(left) do
    table.insert(change, value)
  end
  if version ~= before then
    local parts = { 'r' }
    for _, value in ipairs(change) do
      table.insert(parts, #value .. ':' .. value)
    end
    redis.call('PUBLISH', news, table.concat(parts))
  end
  return change
end

