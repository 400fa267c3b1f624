--- What the modules for loops share: handling queued items for a limited time, and the timers and threads of the loop.
local darksidesync = require "darksidesync"

local slice = {}

-- How long one call handles items, in seconds. The loop's own timers and sockets come after it.
local LENGTH = 0.002

-- How much too early a timer may fire, in seconds. No loop's timers are more precise than that.
local EARLIEST = 0.0005

-- The longest time that a loop's timer is set for, in seconds: some count milliseconds in 32 bits.
local LONGEST = 86400

-- Timers for loops whose own are not known: a heap of `{ at, f }`, the earliest on top. `f` is false if the timer was stopped.
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

-- The earliest timer that was not stopped.
local function first()
    while count > 0 and not due[1].f do take_first() end
    return due[1]
end

--- The loop that is installed, or nil. Each of its functions may be missing:
-- `after(seconds, f)` calls `f` once, and returns a function that cancels it. `thread(f)` runs `f` in a thread of the loop's own scheduler.
-- `condition()`, if such a thread can wait by itself, returns a function that waits, for that many seconds if they are given, and one
-- that ends the wait. `watch(lost)` returns a value that the thread must keep, and a function. If the loop ends the thread before that
-- function is called, `lost` is called.
slice.loop = nil

--- Whether callbacks of DSS are running, in `slice.handle`.
slice.is_handling = false

--- The loop's function of that name, if there is a loop and it has one.
function slice.of_loop(name)
    return slice.loop and slice.loop[name]
end

--- A function or nil, set by whatever sleeps until the earliest timer. It is called when a new timer becomes the earliest.
slice.changed = nil

--- Calls the functions that are due.
function slice.fire()
    local now = darksidesync.now()
    while first() and first().at <= now do
        local entry = take_first()
        local f = entry.f
        entry.f = false
        f()
    end
end

--- How many seconds are left until the earliest timer; nil if there is none.
function slice.left()
    local entry = first()
    return entry and math.max(0, entry.at - darksidesync.now())
end

--- Calls `f` once, that many seconds from now. If the loop has no known timers, `slice.handle` and `task.run` call it.
-- @return a function that cancels it
function slice.after(seconds, f)
    local till, after = darksidesync.now() + seconds, slice.of_loop "after"
    if after then
        local stop
        local function fire()
            local left = till - darksidesync.now()
            -- Most loops count from the time when they woke up, and callbacks may have run for long since then.
            if left > EARLIEST then stop = after(math.min(left, LONGEST), fire) else f() end
        end
        stop = after(math.max(0, math.min(seconds, LONGEST)), fire)
        return function() stop() end
    end
    local entry = { at = till, f = f }
    if put(entry) == 1 and slice.changed then slice.changed() end
    return function() entry.f = false end
end

--- Handles queued items, for 2 ms at most. If items remain, the descriptor is readable again.
-- @return how many items were handled, and how many remain
function slice.handle()
    slice.is_handling = true
    local fine, handled, remaining = pcall(darksidesync.dispatch, nil, LENGTH)
    slice.is_handling = false
    if not fine then error(handled, 0) end
    slice.fire()
    return handled, remaining
end

--- Whether something keeps the loop going. After the first call, the descriptor reports changes, too.
slice.alive = darksidesync.alive

--- The descriptor that is readable while items wait.
slice.descriptor = darksidesync.getfd

return slice
