--- DarkSideSync in GLib's main loop, with lgi.
--
--     require("dss.glib").install()
--     GLib.MainLoop():run()

local GLib = require("lgi").GLib
local slice = require "dss.slice"

local glib = {}

local source

-- The main loop, as `dss.slice` needs it.
local loop = {}

function loop.after(seconds, f)
    local id
    id = GLib.timeout_add(GLib.PRIORITY_DEFAULT, math.ceil(seconds * 1000), function()
        id = nil
        f()
        return false
    end)
    return function()
        if not id then return end
        GLib.source_remove(id)
        id = nil
    end
end

--- Makes the main loop handle queued items from now on. Does nothing if it is installed already.
function glib.install()
    if source then return end
    slice.loop = loop
    local channel = GLib.IOChannel.unix_new(slice.descriptor())
    source = GLib.io_add_watch(channel, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, function()
        slice.handle()
        return true
    end)
end

--- Undoes `install`.
function glib.remove()
    if not source then return end
    GLib.source_remove(source)
    source = nil
    if slice.loop == loop then slice.loop = nil end
end

return glib
