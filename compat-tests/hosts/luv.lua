local uv = require "luv"
local dss = require "dss.luv"
dss.install()

local timer = uv.new_timer()
dofile(arg[1])(function(seconds, f) timer:start(10, seconds * 1000, f) end, function()
    timer:close()
    dss.remove()
end)
uv.run()
