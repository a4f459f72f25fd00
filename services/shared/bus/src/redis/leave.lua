-- KEYS roster, news. ARGV seen, then the entries.
for i = 2, #ARGV do
  remove(ARGV[i])
end
return finish(tonumber(ARGV[1]))
