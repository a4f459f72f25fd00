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
    -- An entry that was told when it ends counts until then, whatever became of its node: a deploy is no departure.
    local over = dead[string.sub(field, 3, 38)]
    if gone_at then
      over = gone_at <= now
    end
    if over then
      remove(string.sub(field, 3))
    end
  end
end
return finish(tonumber(ARGV[1]))
