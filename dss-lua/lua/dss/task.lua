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
-- They work in every loop that DSS has a module for, and there a task may also wait as the loop's own threads do. In Lua 5.1 and LuaJIT
-- a task cannot await within `pcall`, a metamethod or an iterator: `task.pcall` takes the place of the first.

local darksidesync = require "darksidesync"
local slice = require "dss.slice"

local task = {}

local Task = {}
Task.__index = Task

local unpack = table.unpack or unpack
local function pack(...) return { n = select("#", ...), ... } end

-- Tasks that have not ended, by their coroutines. Who will wake one has it; one that nobody can wake is collected.
local tasks = setmetatable({}, { __mode = "kv" })

-- What a task yields that waits for something of this module's.
local PARKED = {}

--- The error in a task that was cancelled, where it waits.
task.CANCELLED = setmetatable({}, { __tostring = function() return "the task was cancelled" end })

local function current(what)
    local co = coroutine.running()
    local own = co and tasks[co]
    if not own then error(("'%s' was called outside of a task: call it in a function that task.spawn got"):format(what), 3) end
    return own
end

local NOT_HERE = " (in this Lua a task cannot await within pcall, a metamethod or an iterator: use task.pcall)"
local NO_SCHEDULER = "the task yielded, and the loop has no threads of its own to yield to: use await or sleep"

-- What the interpreters of all Luas raise on Ctrl-C: it is the program's, and no task's.
local function is_interruption(err)
    return type(err) == "string" and err:find "interrupted!$" ~= nil
end

local function text_of(err)
    local fine, text = pcall(tostring, err)
    return fine and type(text) == "string" and text or "(an error without a text)"
end

-- Tells the error handler of a task that failed. That it was cancelled is no error.
local function tell_error_of(own)
    local err = own.results[1]
    if err ~= task.CANCELLED then darksidesync.reporterror(text_of(err) .. "\n" .. own.traceback) end
end

-- Tasks whose wait was ended by the end of another task. They are resumed by the outermost call, one after the other: a chain of tasks that
-- await each other may be long, and would be a chain of calls.
local ready, is_ending, is_draining = {}, false, false
local resume

-- How deep tasks resume each other, and how deep they may: a Lua has room for some two hundred C functions in each other.
local depth, DEEPEST = 0, 30

local function drain()
    local outer = is_draining
    is_draining = true
    local fine, err = true, nil
    while fine and ready[1] do
        -- Taken as a list, so that to take one costs the same however many there are.
        local list = ready
        ready = {}
        for at = 1, #list do
            local resumed, raised = pcall(resume, list[at])
            if not resumed then fine, err = false, raised end
        end
    end
    is_draining = outer
    if not fine then error(err, 0) end
end

-- Resumes a task whose wait has ended.
local function wake_up(own)
    if is_ending or depth >= DEEPEST then
        ready[#ready + 1] = own
        return
    end
    resume(own)
    -- Also within a loop that runs in a task: what was ready before is not to wait for that loop's end.
    if ready[1] then drain() end
end

-- Ends a task. Its error is told to the error handler if nobody awaits it.
local function finish(own, succeeded, ...)
    own.results, own.state = pack(...), succeeded and "done" or "failed"
    tasks[own.co] = nil
    local ends, err = own.ends, own.results[1]
    own.ends = nil
    if not succeeded then
        if type(err) == "string" and err:find "attempt to yield across" then
            err = err .. NOT_HERE
            own.results[1] = err
        end
        own.traceback = debug.traceback(own.co)
        -- What it was to close (`local x <close>`), it has not closed.
        if coroutine.close and coroutine.status(own.co) ~= "normal" then
            local closed, raised = coroutine.close(own.co)
            if not closed and raised ~= err then darksidesync.reporterror(text_of(raised)) end
        end
        if own.awaited == 0 and not is_interruption(err) then tell_error_of(own) end
    end
    local outer, interruption = is_ending, not succeeded and is_interruption(err) and err
    is_ending = true
    for at = 1, #ends do
        if ends[at] then
            local fine, raised = pcall(ends[at])
            interruption = interruption or not fine and raised
        end
    end
    is_ending = outer
    if not is_ending and not is_draining then drain() end
    if interruption then error(interruption, 0) end
end

-- Runs a task until it waits or ends. In a thread of the loop's, if that has some: what it yields for the loop is passed on.
local function advance(own, ...)
    local function step(succeeded, what, ...)
        if not succeeded or coroutine.status(own.co) == "dead" then return finish(own, succeeded, what, ...) end
        if what == PARKED then
            -- Not before: a yield that fails has not parked it.
            own.wait = own.parking
            return
        end
        if not (slice.loop and slice.loop.thread) then return finish(own, false, NO_SCHEDULER) end
        return step(coroutine.resume(own.co, coroutine.yield(what, ...)))
    end
    return step(coroutine.resume(own.co, ...))
end

function resume(own, ...)
    if not (slice.loop and slice.loop.thread) then
        depth = depth + 1
        local fine, err = pcall(advance, own, ...)
        depth = depth - 1
        if fine then return end
        -- Ctrl-C, which may come between any two steps of this.
        if own.state == "running" and coroutine.status(own.co) == "dead" then pcall(finish, own, false, err) end
        error(err, 0)
    end
    local arguments = pack(...)
    slice.loop.thread(function() return advance(own, unpack(arguments, 1, arguments.n)) end)
end

local function raise_if_cancelled(own, free)
    if not own.cancelling then return end
    own.cancelling = nil
    if free then free() end
    error(task.CANCELLED, 0)
end

-- Waits until `wake` is called. `begin(wake)` begins what is waited for, and may return a function that takes it back. Raises
-- `CANCELLED` in a task that is cancelled meanwhile; with `inner`, a task that runs in this one's place, that is cancelled instead.
local function park(own, begin, inner)
    local wait = { inner = inner }
    local function wake(...)
        if wait.results then return end
        wait.results = pack(...)
        if own.wait == wait then
            own.wait = nil
            wake_up(own)
        end
    end
    wait.free = begin(wake)
    raise_if_cancelled(own, not wait.results and wait.free)
    if not wait.results then
        own.parking = wait
        coroutine.yield(PARKED)
    end
    raise_if_cancelled(own)
    return unpack(wait.results, 1, wait.results.n)
end

local function start(f, awaited, ...)
    local own = setmetatable({ state = "running", ends = {}, awaited = awaited and 1 or 0 }, Task)
    own.co = coroutine.create(f)
    tasks[own.co] = own
    resume(own, ...)
    return own
end

--- Runs `f(...)` as a task, until it waits for the first time.
-- @return the task
function task.spawn(f, ...)
    if type(f) ~= "function" then error("bad argument #1 to 'spawn': wanted a function, found a " .. type(f), 2) end
    return start(f, false, ...)
end

--- "running", "done" or "failed".
function Task:status()
    return self.state
end

--- Raises `task.CANCELLED` in a task where it waits, and lets go of what it waits for. One that does not wait at the moment, for it
-- runs or waits for something of the loop's, gets the error where it awaits next.
-- @return whether it had not ended
function Task:cancel()
    if self.state ~= "running" then return false end
    local wait = self.wait
    if wait and wait.inner then return wait.inner:cancel() end
    self.cancelling = true
    if wait then
        self.wait = nil
        wait.results = pack()
        if wait.free then
            local fine, err = pcall(wait.free)
            if not fine then darksidesync.reporterror(text_of(err)) end
        end
        wake_up(self)
    end
    return true
end

-- Notes that a task is awaited, by a function that is called at its end. Returns one that takes that back.
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

-- Waits for the end of a task. If it is `inner`, it runs in the place of the one that waits.
local function join(own, other, inner)
    if other == own then error("a task cannot await itself", 3) end
    if inner and own.cancelling then
        own.cancelling = nil
        other:cancel()
    end
    if other.state == "running" then
        park(own, function(wake) return await_end(other, wake) end, inner and other)
    end
    return other.state == "done", other.results
end

local function results_of(succeeded, results)
    if not succeeded then error(results[1], 0) end
    return unpack(results, 1, results.n)
end

-- Ends what a function began that got a callback, if it returned something with such a method.
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
    local arguments = pack(...)
    return park(own, function(wake)
        arguments[arguments.n + 1] = wake
        return freer((f(unpack(arguments, 1, arguments.n + 1))))
    end)
end

local function checked(err, ...)
    if err then error(err, 0) end
    return ...
end

--- Waits in a task: for another task, whose results it returns and whose error it raises; or for a callback.
-- `task.await(f, ...)` calls `f(..., callback)`. The callback's first value is an error, which is raised, or nil: the others are returned.
-- If what `f` returns has a method `cancel` or `close`, that is called when the task is cancelled meanwhile.
function task.await(f, ...)
    local own = current "await"
    if getmetatable(f) == Task then return results_of(join(own, f)) end
    return checked(values(own, f, ...))
end

--- As `await`, for a callback whose first value is no error: returns all its values.
function task.values(f, ...)
    return values(current "values", f, ...)
end

local function checked_seconds(seconds, what)
    if type(seconds) == "number" and seconds == seconds then return seconds end
    error(("bad argument #1 to '%s': wanted how many seconds, a number"):format(what), 3)
end

--- Waits for some seconds.
function task.sleep(seconds)
    local own = current "sleep"
    checked_seconds(seconds, "sleep")
    park(own, function(wake) return slice.after(seconds, wake) end)
end

--- Runs `f(...)`, and cancels it if it has not ended after so many seconds.
-- @return what `f` returned. Raises its error, and "timed out after N s"
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

-- Waits until `is_over` says so after the end of one of them. All are cancelled that are left then, or if the one that waits is.
local function wait_for(own, all, is_over)
    local taken_back = {}
    local function leave()
        for at = 1, #all do
            all[at]:cancel()
            if taken_back[at] then taken_back[at]() end
        end
    end
    if own.cancelling or not is_over() then
        park(own, function(wake)
            for at = 1, #all do
                if all[at].state == "running" then
                    taken_back[at] = await_end(all[at], function()
                        if is_over() then wake() end
                    end)
                end
            end
            return leave
        end)
    end
    leave()
end

--- Waits for all tasks of a list.
-- @return a list of their first results. Raises the first error, and cancels the others then
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

--- Waits for the first task of a list that ends, and cancels the others.
-- @return what it returned. Raises its error
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

--- A callback of a request that may await: `f` runs as a task, and what it returns is the answer. Its error fails the request at once.
function task.handler(f)
    return function(...)
        local reply = darksidesync.defer()
        local own = start(f, true, ...)
        local function answer()
            if own.state == "done" then
                -- What cannot be an answer fails the request, and is told here as well.
                local fine, err = pcall(reply, unpack(own.results, 1, own.results.n))
                if not fine then darksidesync.reporterror(err) end
            elseif not reply:fail(own.results[1], own.traceback) then
                -- The request has ended before: nobody else hears of it.
                tell_error_of(own)
            end
        end
        if own.state == "running" then own.ends[1] = answer else answer() end
    end
end

--- As `pcall`, for functions that await: in Lua 5.1 and LuaJIT that is not possible within `pcall` itself.
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

--- As `darksidesync.run`, with sleeping tasks: goes on while something keeps it going, or a task sleeps. For programs that have no other loop.
-- @param seconds for how long at most; nothing for no limit
-- @return how many items were handled
function task.run(seconds)
    local outer, changed = stopped, slice.changed
    -- What a callback has due now, `darksidesync.run` below does not know.
    stopped, slice.changed = false, darksidesync.stop
    local fine, handled = pcall(run_until, seconds and darksidesync.now() + seconds)
    stopped, slice.changed = outer, changed
    if not fine then error(handled, 0) end
    return handled
end

--- Ends the innermost `task.run` that is running, after the callback or the task at hand.
function task.stop()
    stopped = true
    darksidesync.stop()
end

return task
