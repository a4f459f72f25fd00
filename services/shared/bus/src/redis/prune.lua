-- KEYS roster, news. ARGV seen, then the dead incarnations.
local dead = {}
for i = 2, #ARGV do
  dead[ARGV[i]] = true
end
local fields = redis.call('HGETALL', roster)
for i = 1, #fields, 2 do
  local field, value = fields[i], fields[i + 1]
  if string.sub(field, 1, 2) == 'e:' then
    local gone_at = tonumber(string.sub(value, 38))
    if dead[string.sub(field, 3, 38)] or (gone_at and gone_at <= now) then
      remove(string.sub(field, 3))
    end
  end
end
return finish(tonumber(ARGV[1]))
