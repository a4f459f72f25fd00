-- KEYS roster. ARGV (entry, until) of each connection.
for i = 1, #ARGV, 2 do
  local field = 'e:' .. ARGV[i]
  local known = redis.call('HGET', KEYS[1], field)
  if known then
    redis.call('HSET', KEYS[1], field, string.sub(known, 1, 37) .. ARGV[i + 1])
  end
end
return 0
