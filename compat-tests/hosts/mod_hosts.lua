-- A module of Prosody's that runs the program, beside the module of DSS's.
module:set_global()
local running = true

local server = require "net.server"
local listening = server.listen("127.0.0.1", 0, {
    onincoming = function(client)
        client:write "here\n"
        client:close()
    end,
})
local file = io.open(os.getenv "DSS_HOSTS_SOCKET", "w")
file:write(select(2, listening.conn:getsockname()), "\n")
file:close()

dofile(os.getenv "DSS_HOSTS_PROGRAM")(function(seconds, f)
    module:add_timer(seconds, function()
        f()
        return running and seconds or nil
    end)
end, function()
    running = false
    prosody.shutdown "the program is over"
end, true, function() assert(require("core.modulemanager").reload("*", "dss")) end)
