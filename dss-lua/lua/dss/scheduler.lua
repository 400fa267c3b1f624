--- How tasks run, wait, are woken, and end. Programs use `dss.task`.

local darksidesync = require "darksidesync"
local slice = require "dss.slice"

local Task = {}
Task.__index = Task

-- Like `pcall`, but hides the request whose callback runs: a task that is woken there must not `defer` it.
local outside = darksidesync.outside

local unpack = table.unpack or unpack
local function pack(...) return { n = select("#", ...), ... } end

-- Tasks that have not ended, by coroutine. What will wake a task refers to it; a task that nothing can wake is collected.
local tasks = setmetatable({}, { __mode = "kv" })

-- What a task yields when it waits for something of this module.
local PARKED = {}

-- The error that a cancelled task gets where it waits.
local CANCELLED = setmetatable({}, { __tostring = function() return "the task was cancelled" end })

-- Makes a coroutine of a function. In Lua 5.1, that cannot be a C function.
local create = coroutine.create
if not pcall(coroutine.create, print) then
    function create(f)
        local fine, co = pcall(coroutine.create, f)
        return fine and co or coroutine.create(function(...) return f(...) end)
    end
end

local function current(what)
    local co = coroutine.running()
    local own = co and tasks[co]
    -- If the loop's threads can wait by themselves, each of them may await. A callback of DSS cannot.
    if not own and slice.of_loop "condition" and not slice.is_handling then own = { state = "running", ends = {}, awaited = 0 } end
    if not own then error(("'%s' was called outside a task: call it in a function passed to task.spawn"):format(what), 3) end
    return own
end

local NOT_HERE = " (a task cannot await in a function that C calls or, in Lua 5.1, in pcall, a metamethod or an iterator: use task.pcall)"
local LOST = "the loop ended the task's thread, as nginx does when a request exits"
local NO_SCHEDULER = "the task yielded, but the loop has no scheduler to yield to: use await or sleep"

-- Whether an error is what the interpreter of every Lua raises on Ctrl-C. It is meant for the program, not for a task.
local function is_interruption(err)
    return type(err) == "string" and err:find "interrupted!$" ~= nil
end

local function text_of(err)
    local fine, text = pcall(tostring, err)
    return fine and type(text) == "string" and text or "(an error without a text)"
end

-- Passes the error of a failed task to the error handler. A cancellation is not an error.
local function tell_error_of(own)
    local err = own.results[1]
    if err ~= CANCELLED then darksidesync.reporterror(text_of(err) .. "\n" .. own.traceback) end
end

-- Tasks whose wait ended because another task ended. The outermost call resumes them one after the other: a chain of tasks that await
-- each other may be long, and would become a chain of nested calls.
local ready, is_ending, is_draining = {}, false, false
local resume

-- How deeply tasks resume each other, and the limit: Lua has room for some two hundred nested C functions.
local depth, DEEPEST = 0, 30

local function drain()
    local outer = is_draining
    is_draining = true
    local fine, err = true, nil
    while fine and ready[1] do
        -- Taken as a whole list, so that taking one costs the same however many there are.
        local list = ready
        ready = {}
        for at = 1, #list do
            local resumed, raised = pcall(resume, list[at], outside)
            if not resumed then fine, err = false, raised end
        end
    end
    is_draining = outer
    if not fine then error(err, 0) end
end

-- Resumes a task whose wait has ended, with what it waited for, or lets it resume later.
local function wake_up(own, wait, ...)
    own.wait = nil
    if wait.signal or is_ending or depth >= DEEPEST then
        wait.results = pack(...)
        if wait.signal then wait.signal() else ready[#ready + 1] = own end
        return
    end
    resume(own, outside, ...)
    -- Also in a loop that runs in a task: tasks that were ready before must not wait for the end of that loop.
    if ready[1] then drain() end
end

-- Ends a task. Its error goes to the error handler if nothing awaits it.
local function finish(own, succeeded, ...)
    own.results, own.state = pack(...), succeeded and "done" or "failed"
    if own.co then tasks[own.co] = nil end
    local ends, err = own.ends, own.results[1]
    own.ends = nil
    if not succeeded then
        if type(err) == "string" and err:find "attempt to yield across" then
            err = err .. NOT_HERE
            own.results[1] = err
        end
        own.traceback = own.traceback or debug.traceback(own.co)
        -- The task has not closed its to-be-closed variables (`local x <close>`).
        if coroutine.close and own.co and coroutine.status(own.co) ~= "normal" then
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

-- Handles what a task did when it was resumed: it waits, has ended, or yields to the loop's scheduler, if the loop has threads.
local function step(own, succeeded, what, ...)
    if succeeded and what == PARKED then
        -- Not earlier: a yield that fails has not parked the task.
        own.wait = own.parking
        return
    end
    if not succeeded or coroutine.status(own.co) == "dead" then return finish(own, succeeded, what, ...) end
    if not slice.of_loop "thread" then return finish(own, false, NO_SCHEDULER) end
    return step(own, coroutine.resume(own.co, coroutine.yield(what, ...)))
end

-- Runs a task until it waits or ends. If the loop has threads, this runs in one of them.
local function advance(own, ...)
    return step(own, coroutine.resume(own.co, ...))
end

function resume(own, call, ...)
    local thread = slice.of_loop "thread"
    if not thread then
        depth = depth + 1
        local fine, err = call(advance, own, ...)
        depth = depth - 1
        if fine then return end
        -- This is Ctrl-C, which may come between any two steps.
        if own.state == "running" and coroutine.status(own.co) == "dead" then pcall(finish, own, false, err) end
        error(err, 0)
    end
    local arguments = pack(...)
    local fine, err = call(thread, function() return advance(own, unpack(arguments, 1, arguments.n)) end)
    if not fine then error(err, 0) end
end

local function raise_if_cancelled(own, free)
    if not own.cancelling then return end
    own.cancelling = nil
    if free then free() end
    error(CANCELLED, 0)
end

-- Returns a wait for a task, and the function that ends the wait. `park` returns what that function is called with. `inner` is a task
-- that runs in place of this one, and is cancelled instead of it.
local function new_wait(own, inner)
    local wait = { inner = inner }
    return wait, function(...)
        if wait.is_over then return end
        wait.is_over = true
        -- The wait may be over before the task waits.
        if own.wait == wait then wake_up(own, wait, ...) else wait.results = pack(...) end
    end
end

local function results_of_wait(own, wait, ...)
    raise_if_cancelled(own)
    local results = wait.results
    if results then return unpack(results, 1, results.n) end
    return ...
end

-- Waits until a wait is ended, or, if the loop's threads can wait by themselves, for that many `seconds`. `free` stops what is waited
-- for. Raises `CANCELLED` if the task is cancelled meanwhile.
local function park(own, wait, free, seconds)
    wait.free = free
    raise_if_cancelled(own, not wait.is_over and free)
    if wait.is_over then return results_of_wait(own, wait) end
    local condition = slice.of_loop "condition"
    if not condition then
        own.parking = wait
        return results_of_wait(own, wait, coroutine.yield(PARKED))
    end
    local wait_here
    wait_here, wait.signal = condition()
    own.wait = wait
    wait_here(seconds)
    own.wait, wait.is_over = nil, true
    return results_of_wait(own, wait)
end

local function let_go(wait)
    if not wait.free then return end
    local fine, err = pcall(wait.free)
    if not fine then darksidesync.reporterror(text_of(err)) end
end

-- Ends a task whose thread the loop has ended. What awaits it gets an error. If nothing awaits it, no error is reported.
local function lose(own)
    local wait = own.wait
    if wait then
        own.wait, wait.is_over = nil, true
        let_go(wait)
    end
    own.traceback, own.awaited = "", own.awaited + 1
    finish(own, false, LOST)
end

-- Runs a task in a thread that can wait by itself, from beginning to end: a coroutine in between would be in the way. The task does not
-- refer to the thread, which is collected if the loop ends it.
local function run_here(own, f, ...)
    local function note(err)
        own.traceback = debug.traceback()
        return err
    end
    local co, watch = coroutine.running(), slice.of_loop "watch"
    local kept, forget
    if watch then kept, forget = watch(function() lose(own) end) end
    tasks[co] = own
    local results = pack(xpcall(f, note, ...))
    tasks[co] = nil
    if kept then forget() end
    return finish(own, unpack(results, 1, results.n))
end

local function start(f, awaited, ...)
    local own = setmetatable({ state = "running", ends = {}, awaited = awaited and 1 or 0 }, Task)
    if slice.of_loop "condition" then
        local arguments = pack(...)
        slice.loop.thread(function() return run_here(own, f, unpack(arguments, 1, arguments.n)) end)
        return own
    end
    own.co = create(f)
    tasks[own.co] = own
    -- The first step is part of what starts the task: in the callback of a request it may call `defer`.
    resume(own, pcall, ...)
    return own
end

--- "running", "done" or "failed".
function Task:status()
    return self.state
end

--- Raises `task.CANCELLED` in a task where it waits, and stops what it waits for. A task that does not wait at the moment, because it
-- runs or waits for something of the loop, gets the error where it awaits next.
-- @return false if the task had ended already
function Task:cancel()
    if self.state ~= "running" then return false end
    local wait = self.wait
    if wait and wait.inner then return wait.inner:cancel() end
    self.cancelling = true
    if wait then
        self.wait, wait.is_over = nil, true
        let_go(wait)
        wake_up(self, wait)
    end
    return true
end

return {
    Task = Task,
    CANCELLED = CANCELLED,
    current = current,
    new_wait = new_wait,
    park = park,
    start = start,
    tell_error_of = tell_error_of,
}
