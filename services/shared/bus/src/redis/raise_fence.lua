-- KEYS play. ARGV fence, expiry.
local fence = redis.call('HGET', KEYS[1], 'fence')
if not fence or tonumber(ARGV[1]) > tonumber(fence) then
  redis.call('HSET', KEYS[1], 'fence', ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 0
