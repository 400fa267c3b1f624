-- A game of LÖVE's. It looks once a frame, and its timer comes at most once a frame.
local look = require("dss.poll").new()
local server = require("socket").bind("127.0.0.1", 0)
server:settimeout(0)
local file = io.open(os.getenv "DSS_HOSTS_SOCKET", "w")
file:write(select(2, server:getsockname()), "\n")
file:close()

local interval, tick
local elapsed = 0
dofile(os.getenv "DSS_HOSTS_PROGRAM")(function(seconds, f) interval, tick = seconds, f end, love.event.quit)

function love.update(dt)
    look()
    local client = server:accept()
    if client then
        client:send "here\n"
        client:close()
    end
    elapsed = elapsed + dt
    if elapsed >= interval then
        elapsed = elapsed % interval
        tick()
    end
end
