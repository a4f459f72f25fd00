-- Numbers travel as text: a reply would cut them to integers of 64 bits, and a number that Lua turns into text by
-- itself has 14 digits.
local function text(number)
  return string.format('%.0f', number)
end

-- Room time: the clock of this server, in milliseconds.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

