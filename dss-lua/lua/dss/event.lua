--- DarkSideSync in the loop of lua-event.
--
--     local base = require("luaevent.core").new()
--     require("dss.event").install(base)
--     base:loop()
--
-- The base has one more event, so its loop does not end by itself: `remove` ends it, or the option `ends`.

local core = require "luaevent.core"
local slice = require "dss.slice"

local module = {}

-- The events, by base.
local installed = setmetatable({}, { __mode = "k" })

-- The base, as `dss.slice` needs it. Pending events are kept, because an event that is collected does not occur.
local function loop(base)
    local due = {}
    return {
        of = base,
        after = function(seconds, f)
            local event
            event = base:addevent(nil, core.EV_TIMEOUT, function()
                if due[event] then
                    due[event] = nil
                    f()
                end
                return core.LEAVE
            end, seconds)
            due[event] = true
            return function()
                if not due[event] then return end
                due[event] = nil
                event:close()
            end
        end,
    }
end

local function forget(base)
    installed[base] = nil
    if slice.loop and slice.loop.of == base then slice.loop = nil end
end

--- Makes a base handle queued items from now on. Does nothing if it is installed already.
-- @param base the base
-- @param options a table, or nil: with `ends`, the event is removed once a library has kept the loop going and none does any more
function module.install(base, options)
    if installed[base] then return end
    slice.loop = loop(base)
    local ends = options and options.ends
    local was_alive = ends and slice.alive()
    installed[base] = base:addevent(slice.descriptor(), core.EV_READ, function()
        slice.handle()
        local alive = ends and slice.alive()
        was_alive = was_alive or alive
        if installed[base] and not (ends and was_alive and not alive) then return core.EV_READ end
        forget(base)
        return core.LEAVE
    end)
end

--- Undoes `install`.
function module.remove(base)
    local event = installed[base]
    if not event then return end
    forget(base)
    event:close()
end

return module
