--- What the modules for loops share: one look at what is queued, of a bounded length.
local darksidesync = require "darksidesync"

local slice = {}

-- For how long one look handles items, in seconds. The loop's own timers and sockets come after it.
local LENGTH = 0.002

--- Handles what is queued, for 2 ms at most. If more is queued, the descriptor is readable again.
-- @return how many items were handled, and how many remain
function slice.handle()
    return darksidesync.dispatch(nil, LENGTH)
end

--- Whether something keeps the loop going. From the first call on the descriptor tells of changes, too.
slice.alive = darksidesync.alive

--- The descriptor that is readable while items wait.
slice.descriptor = darksidesync.getfd

return slice
