local copas = require "copas"
require("dss.copas").install()
local now = require("darksidesync").now
local over, tick = false
dofile(arg[1])(function(seconds, f) tick = { seconds, f } end, function() over = true end, copas.sleep ~= nil)
-- Up to copas 1.2 this is the way to have a timer.
local next_tick = now()
while not over do
    copas.step(math.max(0, next_tick - now()))
    if now() >= next_tick then
        next_tick = now() + tick[1]
        tick[2]()
    end
end
require("dss.copas").remove()
