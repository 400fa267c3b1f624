--- DarkSideSync in copas.
--
--     local copas = require "copas"
--     require("dss.copas").install()
--     copas.loop()
--
-- Up to copas 1.2, which has no timers, what `task.sleep` waits for comes when something else of DSS's does.

local copas = require "copas"
local slice = require "dss.slice"

local module = {}

-- Stands for the thread that is installed.
local installed

-- copas as `dss.slice` wants it.
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

-- What copas takes for a socket: to receive from it is to wait until the descriptor is readable.
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

--- Has copas handle what is queued, from now on. Does nothing if it does already.
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

--- Takes that back. The thread ends with the next notification.
function module.remove()
    installed = nil
    if slice.loop == loop then slice.loop = nil end
end

return module
