local poll = require("dss.posix").poll
local now = require("darksidesync").now
local over, tick = false
dofile(arg[1])(function(seconds, f) tick = { seconds, f } end, function() over = true end)
local next_tick = now()
while not over do
    poll({}, math.max(0, math.ceil((next_tick - now()) * 1000)))
    if now() >= next_tick then
        next_tick = now() + tick[1]
        tick[2]()
    end
end
