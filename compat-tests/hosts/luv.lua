local uv = require "luv"
local dss = require "dss.luv"
dss.install()

-- Answers a client of the host's own.
local server = uv.new_pipe()
assert(server:bind(os.getenv "DSS_HOSTS_SOCKET"))
server:listen(8, function()
    local client = uv.new_pipe()
    server:accept(client)
    client:read_start(function(_, request)
        if request then client:write "here\n" else client:close() end
    end)
end)

local timer = uv.new_timer()
dofile(arg[1])(function(seconds, f) timer:start(10, seconds * 1000, f) end, function()
    timer:close()
    server:close()
    dss.remove()
end, true, function()
    dss.remove()
    dss.install()
end)
uv.run()
