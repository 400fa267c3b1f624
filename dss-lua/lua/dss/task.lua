--- Tasks: straight-line code over callbacks.
--
--     local task = require "dss.task"
--     task.spawn(function()
--         local rows = task.await(db.query, db, "SELECT 1")
--         task.sleep(0.5)
--         print(#rows)
--     end)
--     task.run()
--
-- Tasks work in every loop that DSS has a module for, and there a task may also wait as the loop's own threads do. A task cannot await
-- in a function that C calls, such as that of `string.gsub`. In Lua 5.1, it cannot await in `pcall`, a metamethod or an iterator,
-- either; use `task.pcall` instead of `pcall`.

local darksidesync = require "darksidesync"
local scheduler = require "dss.scheduler"
local slice = require "dss.slice"

local task = {}

local Task, current, new_wait = scheduler.Task, scheduler.current, scheduler.new_wait
local park, start, tell_error_of = scheduler.park, scheduler.start, scheduler.tell_error_of

local unpack = table.unpack or unpack
local function pack(...) return { n = select("#", ...), ... } end

--- The error that a cancelled task gets where it waits.
task.CANCELLED = scheduler.CANCELLED

--- Runs `f(...)` as a task, until it waits for the first time.
-- @return the task
function task.spawn(f, ...)
    if type(f) ~= "function" then error("bad argument #1 to 'spawn': wanted a function, found a " .. type(f), 2) end
    return start(f, false, ...)
end

-- Records that a task is awaited, by a function that is called at its end. Returns a function that undoes that.
local function await_end(other, wake)
    local ends = other.ends
    local place = #ends + 1
    ends[place] = wake
    other.awaited = other.awaited + 1
    return function()
        if other.ends ~= ends then return end
        ends[place] = false
        other.awaited = other.awaited - 1
        while #ends > 0 and not ends[#ends] do ends[#ends] = nil end
    end
end

-- Waits for the end of a task. With `inner`, that task runs in place of the one that waits.
local function join(own, other, inner)
    if other == own then error("a task cannot await itself", 3) end
    if inner and own.cancelling then
        own.cancelling = nil
        other:cancel()
    end
    if other.state == "running" then
        local wait, wake = new_wait(own, inner and other)
        park(own, wait, await_end(other, wake))
    end
    return other.state == "done", other.results
end

local function results_of(succeeded, results)
    if not succeeded then error(results[1], 0) end
    return unpack(results, 1, results.n)
end

-- Returns a function that cancels or closes what an awaited function returned, if that has such a method.
local function freer(begun)
    local kind = type(begun)
    if kind ~= "table" and kind ~= "userdata" then return end
    return function()
        for _, name in ipairs { "cancel", "close" } do
            local found, method = pcall(function() return begun[name] end)
            if found and method then return pcall(method, begun) end
        end
    end
end

-- Calls `f(..., callback)`, and waits for the callback's values.
local function values(own, f, ...)
    local wait, wake = new_wait(own)
    local count, begun = select("#", ...), nil
    -- Most calls have few arguments, and need no table.
    if count == 0 then
        begun = f(wake)
    elseif count == 1 then
        begun = f((...), wake)
    elseif count == 2 then
        local a, b = ...
        begun = f(a, b, wake)
    else
        local arguments = pack(...)
        arguments[count + 1] = wake
        begun = f(unpack(arguments, 1, count + 1))
    end
    return park(own, wait, freer(begun))
end

local function checked(err, ...)
    if err then error(err, 0) end
    return ...
end

--- Waits for another task, and returns its results or raises its error; or waits for a callback.
-- `task.await(f, ...)` calls `f(..., callback)`. The callback's first value is an error, which is raised, or nil. Its others are returned.
-- If what `f` returns has a method `cancel` or `close`, that is called if the task is cancelled meanwhile.
function task.await(f, ...)
    local own = current "await"
    if getmetatable(f) == Task then return results_of(join(own, f)) end
    return checked(values(own, f, ...))
end

--- Like `await`, for a callback whose first value is not an error. Returns all its values.
function task.values(f, ...)
    return values(current "values", f, ...)
end

local function checked_seconds(seconds, what)
    if type(seconds) == "number" and seconds == seconds then return seconds end
    error(("bad argument #1 to '%s': wanted a number of seconds"):format(what), 3)
end

--- Waits for some seconds.
function task.sleep(seconds)
    local own = current "sleep"
    checked_seconds(seconds, "sleep")
    local wait, wake = new_wait(own)
    -- A thread that can wait by itself needs no timer.
    park(own, wait, not slice.of_loop "condition" and slice.after(seconds, wake) or nil, seconds)
end

--- Runs `f(...)`, and cancels it if it has not ended after that many seconds.
-- @return what `f` returned. Raises its error, or "timed out after N s"
function task.timeout(seconds, f, ...)
    local own, late = current "timeout", false
    checked_seconds(seconds, "timeout")
    local child = start(f, true, ...)
    local stop = slice.after(seconds, function()
        late = true
        child:cancel()
    end)
    local succeeded, results = join(own, child, true)
    stop()
    if late and not succeeded and results[1] == task.CANCELLED then error(("timed out after %g s"):format(seconds), 0) end
    return results_of(succeeded, results)
end

-- Waits until `is_over` returns true, which is called whenever a task ends. Then, or if the waiting task is cancelled, cancels the
-- tasks that are left.
local function wait_for(own, all, is_over)
    local taken_back = {}
    local function leave()
        for at = 1, #all do
            all[at]:cancel()
            if taken_back[at] then taken_back[at]() end
        end
    end
    if own.cancelling or not is_over() then
        local wait, wake = new_wait(own)
        for at = 1, #all do
            if all[at].state == "running" then
                taken_back[at] = await_end(all[at], function()
                    if is_over() then wake() end
                end)
            end
        end
        park(own, wait, leave)
    end
    leave()
end

--- Waits for all tasks of a list.
-- @return a list of their first results. If one fails, raises its error and cancels the others
function task.all(all)
    local failed
    wait_for(current "all", all, function()
        local left = 0
        for at = 1, #all do
            if all[at].state == "failed" then failed = failed or all[at] end
            if all[at].state == "running" then left = left + 1 end
        end
        return failed or left == 0
    end)
    if failed then error(failed.results[1], 0) end
    local first = {}
    for at = 1, #all do first[at] = all[at].results[1] end
    return first
end

--- Waits until the first task of a list ends, and cancels the others.
-- @return what that task returned. Raises its error
function task.race(all)
    local first
    wait_for(current "race", all, function()
        for at = 1, #all do
            if all[at].state ~= "running" then
                first = first or all[at]
                return true
            end
        end
        return #all == 0
    end)
    if first then return results_of(first.state == "done", first.results) end
end

-- Answers a request with what a task returned, or fails it with the task's error.
local function answer(own, reply)
    if own.state == "done" then
        -- If the results cannot be an answer, the request fails, and the error is reported here, too.
        local fine, err = pcall(reply, unpack(own.results, 1, own.results.n))
        if not fine then darksidesync.reporterror(err) end
    elseif not reply:fail(own.results[1], own.traceback) then
        -- The request had ended before, so no one else gets the error.
        tell_error_of(own)
    end
end

local function answer_at_end(own, reply)
    if own.state ~= "running" then return answer(own, reply) end
    own.ends[1] = function() answer(own, reply) end
end

-- The functions that `task.handler` made.
local handlers = setmetatable({}, { __mode = "k" })

--- Makes a callback for requests that may await in every loop. `f` runs as a task, and what it returns is the answer. If it raises an
-- error, the request fails immediately.
function task.handler(f)
    local function handler(...)
        local reply = darksidesync.defer()
        answer_at_end(start(f, true, ...), reply)
    end
    handlers[handler] = true
    return handler
end

-- Runs each callback of a request as a task, so that it may await. This is not done in a loop that has threads of its own: there a
-- task may begin after this has returned, which is too late for `defer`.
local function handle_request(f, ...)
    if handlers[f] or slice.of_loop "thread" then return f(...) end
    local own = start(f, true, ...)
    if own.state == "done" then return unpack(own.results, 1, own.results.n) end
    local fine, reply = pcall(darksidesync.defer)
    if fine then return answer_at_end(own, reply) end
    if not reply:find("was called twice", 1, true) then error(reply, 0) end
    -- The callback has deferred the request and answers it itself. No one else gets its error.
    if own.state == "failed" then error(own.results[1], 0) end
    own.awaited = 0
end

-- A handler that the program has already set is kept.
local before = darksidesync.setrequesthandler(handle_request)
if before then darksidesync.setrequesthandler(before) end

--- Like `pcall`, for functions that await. In Lua 5.1, they cannot await in `pcall` itself.
function task.pcall(f, ...)
    local own = current "pcall"
    local succeeded, results = join(own, start(f, true, ...), true)
    return succeeded, unpack(results, 1, results.n)
end

-- Whether `task.stop` was called in the `task.run` that is running.
local stopped = false

local function run_until(till)
    local handled = 0
    repeat
        slice.fire()
        local left = till and till - darksidesync.now()
        if left and left <= 0 then break end
        local pause = slice.left()
        if left and (not pause or left < pause) then pause = left end
        if stopped then break end
        if darksidesync.alive() then
            handled = handled + darksidesync.run(pause)
        elseif slice.left() then
            darksidesync.wait(pause)
        end
    until stopped or not darksidesync.alive() and not slice.left()
    return handled
end

--- Like `darksidesync.run`, but also goes on while a task sleeps. For programs that have no other loop.
-- @param seconds how long at most; nil for no limit
-- @return how many items were handled
function task.run(seconds)
    local outer, changed = stopped, slice.changed
    -- `darksidesync.run` below does not know of timers that a callback sets, so a new earliest timer stops it.
    stopped, slice.changed = false, darksidesync.stop
    local fine, handled = pcall(run_until, seconds and darksidesync.now() + seconds)
    stopped, slice.changed = outer, changed
    if not fine then error(handled, 0) end
    return handled
end

--- Ends the innermost `task.run` that is running, after the current callback or task.
function task.stop()
    stopped = true
    darksidesync.stop()
end

return task
