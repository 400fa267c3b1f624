--- What the modules for loops share: one look at what is queued, of a bounded length, and the timers and threads of the loop.
local darksidesync = require "darksidesync"

local slice = {}

-- For how long one look handles items, in seconds. The loop's own timers and sockets come after it.
local LENGTH = 0.002

-- How much too early something due may come, in seconds: less than that no loop's timer tells apart.
local EARLIEST = 0.0005

-- The longest that a loop's timer is set for, in seconds: some count milliseconds in 32 bits.
local LONGEST = 86400

-- What is due, for loops whose timers nobody knows: a heap of `{ at, f }`, the first one on top. `f` is false if it was taken back.
local due, count = {}, 0

local function put(entry)
    count = count + 1
    local place = count
    while place > 1 do
        local above = math.floor(place / 2)
        if due[above].at <= entry.at then break end
        due[place], place = due[above], above
    end
    due[place] = entry
    return place
end

local function take_first()
    local first, last, place = due[1], due[count], 1
    due[count] = nil
    count = count - 1
    if count == 0 then return first end
    while true do
        local below = 2 * place
        if below > count then break end
        if below < count and due[below + 1].at < due[below].at then below = below + 1 end
        if due[below].at >= last.at then break end
        due[place], place = due[below], below
    end
    due[place] = last
    return first
end

-- The first one that was not taken back.
local function first()
    while count > 0 and not due[1].f do take_first() end
    return due[1]
end

--- The loop that is installed, or nothing: `after(seconds, f)` calls `f` once and returns a function that takes that back, `thread(f)` runs
-- `f` in a thread of the loop's own scheduler. `condition()`, where such a thread can wait by itself, returns a function that waits,
-- for so many seconds if they are given, and one that ends that. `watch(lost)` returns something that the
-- thread is to keep, and a function: if the loop ends the thread before that is called, `lost` is. Each may be missing.
slice.loop = nil

--- Whether callbacks of DSS's run, in `slice.handle`.
slice.is_handling = false

--- What the loop offers by that name, if there is a loop and it does.
function slice.of_loop(name)
    return slice.loop and slice.loop[name]
end

--- Called when something is due earlier than all before, by who sleeps until then; or nothing.
slice.changed = nil

--- Calls what is due.
function slice.fire()
    local now = darksidesync.now()
    while first() and first().at <= now do
        local entry = take_first()
        local f = entry.f
        entry.f = false
        f()
    end
end

--- How many seconds are left until something is due; nil if nothing is.
function slice.left()
    local entry = first()
    return entry and math.max(0, entry.at - darksidesync.now())
end

--- Calls `f` once, that many seconds from now. Where the loop has no timers that this knows of, in `slice.handle` and `task.run`.
-- @return a function that takes it back
function slice.after(seconds, f)
    local till, after = darksidesync.now() + seconds, slice.of_loop "after"
    if after then
        local stop
        local function fire()
            local left = till - darksidesync.now()
            -- Most loops count from when they woke up, and callbacks may have run long since.
            if left > EARLIEST then stop = after(math.min(left, LONGEST), fire) else f() end
        end
        stop = after(math.max(0, math.min(seconds, LONGEST)), fire)
        return function() stop() end
    end
    local entry = { at = till, f = f }
    if put(entry) == 1 and slice.changed then slice.changed() end
    return function() entry.f = false end
end

--- Handles what is queued, for 2 ms at most. If more is queued, the descriptor is readable again.
-- @return how many items were handled, and how many remain
function slice.handle()
    slice.is_handling = true
    local fine, handled, remaining = pcall(darksidesync.dispatch, nil, LENGTH)
    slice.is_handling = false
    if not fine then error(handled, 0) end
    slice.fire()
    return handled, remaining
end

--- Whether something keeps the loop going. From the first call on the descriptor tells of changes, too.
slice.alive = darksidesync.alive

--- The descriptor that is readable while items wait.
slice.descriptor = darksidesync.getfd

return slice
