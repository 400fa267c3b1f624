local lgi = require "lgi"
local GLib, Gio = lgi.GLib, lgi.Gio
local server = Gio.SocketService()
local address = Gio.UnixSocketAddress.new(os.getenv "DSS_HOSTS_SOCKET")
assert(server:add_address(address, Gio.SocketType.STREAM, Gio.SocketProtocol.DEFAULT))
function server:on_incoming(client)
    client.output_stream:write "here\n"
    client:close()
    return true
end
server:start()
local loop = GLib.MainLoop()
require("dss.glib").install()
dofile(arg[1])(function(seconds, f)
    GLib.timeout_add(GLib.PRIORITY_DEFAULT, seconds * 1000, function() f() return true end)
end, function()
    require("dss.glib").remove()
    loop:quit()
end, true, function()
    require("dss.glib").remove()
    require("dss.glib").install()
end)
loop:run()
