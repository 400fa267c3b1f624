--- DarkSideSync in copas.
--
--     local copas = require "copas"
--     require("dss.copas").install()
--     copas.loop()
--
-- copas has no timers up to version 1.2: there `task.sleep` ends only when another item arrives.

local copas = require "copas"
local slice = require "dss.slice"

local module = {}

-- A table that stands for the installed thread.
local installed

-- copas, as `dss.slice` needs it.
local loop = { thread = function(f) copas.addthread(f) end }

if copas.sleep then
    function loop.after(seconds, f)
        copas.addthread(function()
            copas.sleep(seconds)
            if f then f() end
        end)
        return function() f = nil end
    end
end

-- copas takes this for a socket. To receive from it is to wait until the descriptor is readable.
local function waker()
    local waited = false
    return {
        getfd = slice.descriptor,
        dirty = function() return false end,
        settimeout = function() end,
        receive = function()
            waited = not waited
            if waited then return nil, "timeout", "" end
            return "ready"
        end,
    }
end

--- Makes copas handle queued items from now on. Does nothing if it is installed already.
function module.install()
    if installed then return end
    local mine = {}
    installed = mine
    slice.loop = loop
    copas.addthread(function()
        local readable = waker()
        while installed == mine do
            copas.receive(readable)
            if installed == mine then slice.handle() end
        end
    end)
end

--- Undoes `install`. The thread ends with the next notification.
function module.remove()
    installed = nil
    if slice.loop == loop then slice.loop = nil end
end

return module
