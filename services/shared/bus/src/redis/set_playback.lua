-- KEYS play, roster, news. ARGV expected fence and version ('' for none), confirmed, only if empty, the fence that
-- holds for the caller, expiry, the event to publish, then the state: fence, version, playing, time, at, rate,
-- held. The state is only copied: a position that went through a number of Lua would not come out as it went in.
local play = KEYS[1]
local fence = redis.call('HGET', play, 'fence')
if not fence and ARGV[3] ~= '1' then
  return { 'unknown' }
end
if fence and tonumber(ARGV[5]) < tonumber(fence) then
  return { 'fenced', fence }
end
if ARGV[4] == '1' and tonumber(redis.call('HGET', KEYS[2], 'n') or '0') > 0 then
  return { 'not_empty' }
end
local stored = redis.call('HMGET', play, 'state_fence', 'version', 'playing', 'time', 'at', 'rate', 'held')
-- Nothing stored contradicts nobody: this is also how a state that was lost is put back.
if stored[2] and (stored[1] ~= ARGV[1] or stored[2] ~= ARGV[2]) then
  return { 'conflict', unpack(stored) }
end
redis.call('HSET', play, 'fence', ARGV[5], 'state_fence', ARGV[8], 'version', ARGV[9], 'playing', ARGV[10],
  'time', ARGV[11], 'at', ARGV[12], 'rate', ARGV[13], 'held', ARGV[14])
redis.call('PEXPIRE', play, ARGV[6])
redis.call('PUBLISH', KEYS[3], ARGV[7])
return { 'stored' }
