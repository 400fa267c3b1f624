-- A script of HAProxy's, by `lua-load`.
local look = require("dss.poll").new()
local over = false
core.register_task(function()
    while not over do
        local pause = look()
        core.msleep(math.max(1, math.floor(pause * 1000)))
    end
end)
core.register_task(function()
    local tick
    dofile(os.getenv "DSS_HOSTS_PROGRAM")(function(seconds, f) tick = { seconds, f } end, function()
        over = true
        os.exit(0)
    end)
    while not over do
        core.msleep(math.floor(tick[1] * 1000))
        tick[2]()
    end
end)
