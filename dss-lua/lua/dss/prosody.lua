--- DarkSideSync in Prosody: a module to drop in. Copy it as `mod_dss.lua` into a folder of `plugin_paths`, and add "dss" to the
-- global `modules_enabled`.

local server = require "net.server"
local slice = require "dss.slice"

module:set_global()

local connection = server.watchfd(slice.descriptor(), function() slice.handle() end)

local timer = require "util.timer"
local loop = {}

function loop.after(seconds, f)
    local due = timer.add_task(seconds, function() f() end)
    return function() timer.stop(due) end
end

slice.loop = loop

function module.unload()
    connection:close()
    if slice.loop == loop then slice.loop = nil end
end
