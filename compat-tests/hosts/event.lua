local core = require "luaevent.core"
local base = core.new()
local over, timer = false
dofile(arg[1])(function(seconds, f)
    -- Kept: an event that is collected does not come.
    timer = base:addevent(nil, core.EV_TIMEOUT, function()
        f()
        if over then return core.LEAVE end
        return core.EV_TIMEOUT, seconds
    end, seconds)
end, function()
    over = true
    require("dss.event").remove(base)
end, true, function()
    require("dss.event").remove(base)
    require("dss.event").install(base)
end)
require("dss.event").install(base)
base:loop()
