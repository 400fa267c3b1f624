--- DarkSideSync in programs that cannot wait for anything: they check for items now and then.
--
--     local look = require("dss.poll").new()
--     function love.update() look() end                                  -- each frame
--     core.register_task(function()                                      -- HAProxy
--         while true do core.msleep(math.max(1, look() * 1000)) end
--     end)

local slice = require "dss.slice"

local poll = {}

-- In seconds.
local SHORTEST, LONGEST = 0.0005, 0.05

--- Returns a function that handles queued items, for 2 ms at most, and returns how many seconds to sleep before the next call: 0 if
-- items remain, and twice as long as the time before if nothing was queued.
-- @param options a table, or nil: `shortest` and `longest` are limits of that sleep, by default 0.0005 and 0.05
function poll.new(options)
    local shortest, longest = options and options.shortest or SHORTEST, options and options.longest or LONGEST
    local pause = shortest
    return function()
        local handled, remaining = slice.handle()
        if remaining > 0 then
            pause = shortest
            return 0
        end
        pause = handled > 0 and shortest or math.min(2 * pause, longest)
        local left = slice.left()
        return left and math.min(left, pause) or pause
    end
end

return poll
