--- What the modules for loops share: one look at what is queued, of a bounded length, and the timers and threads of the loop.
local darksidesync = require "darksidesync"

local slice = {}

-- For how long one look handles items, in seconds. The loop's own timers and sockets come after it.
local LENGTH = 0.002

-- What is due, for loops whose timers nobody knows: a list of `{ at, f }`, the first one first.
local due = {}

--- The loop that is installed, or nothing: `after(seconds, f)` calls `f` once and returns a function that takes that back, `thread(f)` runs
-- `f` in a thread of the loop's own scheduler. Either may be missing.
slice.loop = nil

--- Called when something is due earlier than all before, by who sleeps until then; or nothing.
slice.changed = nil

--- Calls what is due.
function slice.fire()
    local now = darksidesync.now()
    while due[1] and due[1].at <= now do table.remove(due, 1).f() end
end

--- How many seconds are left until something is due; nil if nothing is.
function slice.left()
    return due[1] and math.max(0, due[1].at - darksidesync.now())
end

--- Calls `f` once, that many seconds from now. Where the loop has no timers that this knows of, in `slice.handle` and `task.run`.
-- @return a function that takes it back
function slice.after(seconds, f)
    if slice.loop and slice.loop.after then return slice.loop.after(seconds, f) end
    local entry = { at = darksidesync.now() + seconds, f = f }
    local place = #due + 1
    while place > 1 and due[place - 1].at > entry.at do place = place - 1 end
    table.insert(due, place, entry)
    if place == 1 and slice.changed then slice.changed() end
    return function()
        for at, other in ipairs(due) do
            if other == entry then return table.remove(due, at) end
        end
    end
end

--- Handles what is queued, for 2 ms at most. If more is queued, the descriptor is readable again.
-- @return how many items were handled, and how many remain
function slice.handle()
    local handled, remaining = darksidesync.dispatch(nil, LENGTH)
    slice.fire()
    return handled, remaining
end

--- Whether something keeps the loop going. From the first call on the descriptor tells of changes, too.
slice.alive = darksidesync.alive

--- The descriptor that is readable while items wait.
slice.descriptor = darksidesync.getfd

return slice
