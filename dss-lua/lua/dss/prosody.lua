--- DarkSideSync in Prosody: a module to drop in. Copy it as `mod_dss.lua` into a folder of `plugin_paths`, and add "dss" to the
-- global `modules_enabled`.

local server = require "net.server"
local slice = require "dss.slice"

module:set_global()

local connection = server.watchfd(slice.descriptor(), function() slice.handle() end)

function module.unload()
    connection:close()
end
