-- Tasks of dss.task wait for deliveries, for requests' answers, for time and for each other. About half of them are cancelled. Each
-- ends once, and none holds on to anything.

local soak, of = require "lib.account", require "lib.libraries"
local task = require "dss.task"
local dss = soak.dss

local TASKS, THREADS, ASKED, LATE = 120, 2, 20, 0.01

-- The same numbers whenever the soak runs.
local state = 42
local function random(n)
    state = state * 16807 % 2147483647
    return state % n + 1
end

-- Ways to wait that return the number they are given.
local function by_v2(n)
    return task.values(function(wake) of.v2.deliver(wake, n) end)
end
local function by_c2v0(n)
    return task.values(function(wake) of.c2v0.deliver(wake, n) end)
end
local function by_await(n)
    return task.await(function(wake) of.c2v0.deliver(wake, nil, n) end)
end
local function slept(n)
    task.sleep(random(3) / 1000)
    return n
end
local function in_time(n) return task.timeout(60, by_v2, n) end
local function by_all(n)
    local both = task.all { task.spawn(by_v2, n), task.spawn(by_c2v0, n) }
    soak.eq(both[1], both[2], "the results of task.all")
    return both[1]
end
local function by_race(n) return (task.race { task.spawn(slept, n), task.spawn(by_c2v0, n) }) end
local function caught(n)
    local fine, value = task.pcall(by_await, n)
    if not fine then error(value, 0) end
    return value
end
local WAYS = { by_v2, by_c2v0, by_await, slept, in_time, by_all, by_race, caught }

-- Of all rounds: requests that are too slow for their deadline, and those of them that timed out.
local asked, timed_out = 0, 0

local function work()
    local before = soak.items()
    task.run(0.002)
    soak.checked()
    return soak.items() > before
end

return function()
    local all, ended, done, cancelled = {}, {}, 0, 0
    local function begin(n)
        local way = WAYS[n % #WAYS + 1]
        all[n] = task.spawn(function()
            local found = way(n)
            soak.eq(found, n, "what a task waited for")
            if way ~= by_await then soak.eq(WAYS[random(4)](n), n, "what a task waited for next") end
            soak.count("delivered", 1)
            return n
        end)
        task.spawn(function()
            local fine, value = task.pcall(task.await, all[n])
            ended[n] = (ended[n] or 0) + 1
            if fine then
                done = done + 1
                soak.eq(value, n, "a task's result")
            else
                cancelled = cancelled + 1
                if value ~= task.CANCELLED then error(value, 0) end
            end
        end)
    end
    for n = 1, TASKS do begin(n) end

    -- Requests that tasks answer, while their threads wait.
    local begun, over = 0, 0
    local function answer(n)
        soak.count("delivered", 1)
        if n % 10 == 5 then error(soak.ON_PURPOSE) end
        if n % 10 == 6 then error(task.CANCELLED, 0) end
        -- Much longer than the deadline, and then nobody waits any more.
        if n % 10 == 7 then task.sleep(LATE * 10) end
        return by_c2v0(n)
    end
    local handler = task.handler(function(n)
        begun = begun + 1
        local fine, value = task.pcall(answer, n)
        over = over + 1
        if not fine then error(value, 0) end
        return value
    end)
    of.v2.asks(handler, THREADS, ASKED, LATE)

    local taken = 0
    for _ = 1, TASKS / 2 do
        if all[random(TASKS)]:cancel() then taken = taken + 1 end
        if random(10) == 1 then work() end
    end
    soak.until_true(function() return done + cancelled == TASKS end, "the end of all tasks", work)
    local s = soak.sums(soak.reports(of.v2, THREADS, work))
    soak.until_true(function() return over == begun and dss.queuesize() == 0 and dss.pending() == 0 end, "the end of the queue", work)

    soak.eq(cancelled, taken, "tasks that were cancelled")
    for n = 1, TASKS do
        soak.eq(ended[n], 1, "ends of a task")
        soak.ok(all[n]:status() ~= "running", "a task that has ended runs")
        soak.eq(all[n]:cancel(), false, "cancelling a task that has ended")
    end
    local each = THREADS * ASKED / 10
    soak.eq(s[3], 2 * each, "requests that a task failed")
    -- On a busy machine the task may wake before the deadline is looked at: then it is in time. Not all the time.
    asked, timed_out = asked + each, timed_out + s[5]
    soak.ok(s[5] <= each, "requests timed out that had no deadline")
    soak.ok(timed_out > 0 or asked < 100, "none of 100 requests with a deadline timed out")
    soak.eq(s[2] + s[5] + s[6], 8 * each, "requests that were answered, late or dropped")
    soak.eq(s[4] + s[7] + s[8] + s[9] + s[10], 0, "requests that were collected, closed, refused, dropped or wrong")
    soak.count("tasks done", done)
    soak.count("tasks cancelled", cancelled)
    soak.count("requests answered", s[2])
    soak.count("requests failed", s[3])
    soak.count("requests timed out", s[5])
    soak.count("requests cancelled", s[6])
end
