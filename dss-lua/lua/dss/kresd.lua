--- DarkSideSync in Knot Resolver, for its configuration.
--
--     require("dss.kresd").install()
--
-- Each instance of kresd is a process of its own, with a Lua state of its own.

local darksidesync = require "darksidesync"
local slice = require "dss.slice"

local kresd = {}

local watch

-- The event loop, as `dss.slice` needs it.
local loop = {}

function loop.after(seconds, f)
    local id
    id = event.after(math.ceil(seconds * 1000), function()
        -- kresd may give the number to another event later.
        id = nil
        f()
    end)
    return function()
        if not id then return end
        event.cancel(id)
        id = nil
    end
end

--- Makes kresd handle queued items from now on. Does nothing if it is installed already.
function kresd.install()
    if watch then return end
    slice.loop = loop
    watch = event.socket(slice.descriptor(), function()
        -- An error would end the watch.
        local fine, message = pcall(slice.handle)
        if not fine then darksidesync.reporterror(message) end
    end)
end

--- Undoes `install`.
function kresd.remove()
    if not watch then return end
    event.cancel(watch)
    watch = nil
    if slice.loop == loop then slice.loop = nil end
end

return kresd
