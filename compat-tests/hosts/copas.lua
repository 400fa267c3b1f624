local copas = require "copas"
require("dss.copas").install()
local server = require("socket").bind("127.0.0.1", 0)
copas.addserver(server, function(client)
    client = copas.wrap(client)
    client:receive "*l"
    client:send "here\n"
end)
local file = io.open(os.getenv "DSS_HOSTS_SOCKET", "w")
file:write(select(2, server:getsockname()), "\n")
file:close()

local now = require("darksidesync").now
local over, tick = false
dofile(arg[1])(function(seconds, f) tick = { seconds, f } end, function() over = true end, copas.sleep ~= nil, function()
    require("dss.copas").remove()
    require("dss.copas").install()
end)
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
