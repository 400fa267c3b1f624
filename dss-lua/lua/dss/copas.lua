--- DarkSideSync in copas.
--
--     local copas = require "copas"
--     require("dss.copas").install()
--     copas.loop()

local copas = require "copas"
local slice = require "dss.slice"

local module = {}

-- Stands for the thread that is installed.
local installed

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
end

return module
