--- DarkSideSync in the loop of a cqueues controller.
--
--     local queue = require("cqueues").new()
--     require("dss.cqueues").install(queue)
--     queue:loop()
--
-- The controller has one more thread, so its loop does not end by itself: `remove` ends it, or the option `ends`.

local cqueues, condition = require "cqueues", require "cqueues.condition"
local slice = require "dss.slice"

local module = {}

-- The condition that ends the wait, by controller.
local installed = setmetatable({}, { __mode = "k" })

-- The controller, as `dss.slice` needs it.
local function loop(queue)
    return {
        of = queue,
        thread = function(f) queue:wrap(f) end,
        after = function(seconds, f)
            local stopped = condition.new()
            queue:wrap(function()
                -- `poll` returns `stopped` if that ended the wait, and not the time.
                if cqueues.poll(stopped, seconds) ~= stopped then f() end
            end)
            return function() stopped:signal() end
        end,
    }
end

local function forget(queue)
    installed[queue] = nil
    if slice.loop and slice.loop.of == queue then slice.loop = nil end
end

--- Makes a controller handle queued items from now on. Does nothing if it is installed already.
-- @param queue the controller
-- @param options a table, or nil: with `ends`, the thread ends once a library has kept the loop going and none does any more
function module.install(queue, options)
    if installed[queue] then return end
    local own = { pollfd = slice.descriptor(), events = "r" }
    slice.loop = loop(queue)
    local removed, ends, was_alive = condition.new(), options and options.ends, false
    installed[queue] = removed
    queue:wrap(function()
        while installed[queue] == removed do
            local alive = ends and slice.alive()
            was_alive = was_alive or alive
            if ends and was_alive and not alive then return forget(queue) end
            cqueues.poll(own, removed)
            if installed[queue] == removed then slice.handle() end
        end
    end)
end

--- Undoes `install`.
function module.remove(queue)
    local removed = installed[queue]
    if not removed then return end
    forget(queue)
    removed:signal()
end

return module
