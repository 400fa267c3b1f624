--- DarkSideSync in the loop of a cqueues controller.
--
--     local queue = require("cqueues").new()
--     require("dss.cqueues").install(queue)
--     queue:loop()
--
-- The controller has one thread more, so its loop does not end by itself: `remove` ends it, or the option `ends`.

local cqueues, condition = require "cqueues", require "cqueues.condition"
local slice = require "dss.slice"

local module = {}

-- The descriptor as a controller waits on it, and the condition that ends the wait, by controller.
local installed = setmetatable({}, { __mode = "k" })

--- Has a controller handle what is queued, from now on. Does nothing if it does already.
-- @param queue the controller
-- @param options a table, or nothing: with `ends` the thread ends once a library has kept the loop going and none does any more
function module.install(queue, options)
    if installed[queue] then return end
    local own = { pollfd = slice.descriptor(), events = "r" }
    local removed, ends, was_alive = condition.new(), options and options.ends, false
    installed[queue] = removed
    queue:wrap(function()
        while installed[queue] == removed do
            was_alive = was_alive or slice.alive()
            if ends and was_alive and not slice.alive() then
                installed[queue] = nil
                return
            end
            cqueues.poll(own, removed)
            if installed[queue] == removed then slice.handle() end
        end
    end)
end

--- Takes that back.
function module.remove(queue)
    local removed = installed[queue]
    if not removed then return end
    installed[queue] = nil
    removed:signal()
end

return module
