-- dss.task: straight-line code over callbacks, in `task.run`. `tests/hosts.rs` has it in other loops.

local darksidesync, task, timer = require "darksidesync", require "dss.task", require "timer"

-- A function of the kind that tasks are for: tells its callback an error or a value later.
local function later(value, err, callback)
    timer.after(0.01, function() callback(err, value) end)
end

-- Runs a function as a task to its end, and returns what it returned.
local function run(f)
    local results
    local function pack(...) return { n = select("#", ...), ... } end
    local own = task.spawn(function()
        results = pack(f())
        task.stop()
    end)
    if own:status() == "running" then task.run(30) end
    eq(own:status(), "done")
    return (table.unpack or unpack)(results, 1, results.n)
end

-- Dispatches until so many requests have ended, and returns what the probe says of them.
local function reports_of(probe, count)
    local all = {}
    repeat
        darksidesync.wait(0.01)
        darksidesync.dispatch()
        for _, report in ipairs(probe.reports()) do all[#all + 1] = report end
    until #all >= count
    return all
end

-- The same in `task.run`, where tasks sleep.
local function reports_in_run(probe, count)
    local all = {}
    task.spawn(function()
        while #all < count do
            for _, report in ipairs(probe.reports()) do all[#all + 1] = report end
            task.sleep(0.005)
        end
        task.stop()
    end)
    task.run(30)
    return all
end

scenario("await returns what the callback gets, and raises its error", { with = "timer" }, function()
    eq(run(function() return task.await(later, 5, nil) end), 5)
    eq(run(function()
        local succeeded, err = task.pcall(task.await, later, nil, "no")
        return tostring(succeeded) .. " " .. err
    end), "false no")
    -- A callback that is called at once, and one that is called twice.
    eq(run(function()
        return task.await(function(callback) callback(nil, 1) callback(nil, 2) end)
    end), 1)
    -- Values that are no error.
    local a, b, c = run(function() return task.values(function(callback) callback("a", nil, "c") end) end)
    eq(a, "a") eq(b, nil) eq(c, "c")
    raises("'await' was called outside a task", task.await, later, 1, nil)
    raises("'sleep' was called outside a task", task.sleep, 1)
    raises("bad argument #1 to 'spawn': wanted a function", task.spawn, 1)
end)

scenario("a task awaits another, and its error", { with = "timer" }, function()
    local order = {}
    eq(run(function()
        local other = task.spawn(function()
            order[#order + 1] = "begun"
            task.sleep(0.01)
            order[#order + 1] = "slept"
            return 7
        end)
        order[#order + 1] = "spawned"
        local value = task.await(other)
        eq(task.await(other), 7)
        return value
    end), 7)
    eq(table.concat(order, " "), "begun spawned slept")
    eq(run(function()
        local other = task.spawn(function()
            task.sleep(0.01)
            error { code = 3 }
        end)
        local _, err = task.pcall(task.await, other)
        return err.code
    end), 3)
end)

scenario("an error that nobody awaits is told, with the traceback of the task", { with = "timer" }, function()
    local told = {}
    darksidesync.seterrorhandler(function(err) told[#told + 1] = err end)
    local function inner() error "nobody awaits this" end
    task.spawn(function()
        task.sleep(0.01)
        inner()
    end)
    -- A library of 1.0 keeps it going.
    task.run(0.1)
    eq(#told, 1)
    matches(told[1], "nobody awaits this.*traceback.*inner")
end)

scenario("tasks sleep beside each other", { with = "timer" }, function()
    local order = {}
    for _, seconds in ipairs { 0.06, 0.02, 0.04 } do
        task.spawn(function()
            task.sleep(seconds)
            order[#order + 1] = seconds
            if #order == 3 then task.stop() end
        end)
    end
    task.run(30)
    eq(table.concat(order, " "), "0.02 0.04 0.06")
    -- What a callback begins to wait for is due while nothing else is.
    require("timer").after(0.01, function()
        task.spawn(function()
            task.sleep(0.01)
            task.stop()
        end)
    end)
    local begun = darksidesync.now()
    task.run(30)
    ok(darksidesync.now() - begun < 20, "it was not seen")
    -- Ends by its time, and by `stop`.
    local woke = false
    task.spawn(function() task.sleep(3600) woke = true end)
    task.run(0.02)
    eq(woke, false)
end)

scenario("cancel raises where a task waits, and lets go of what it waits for", { with = "timer" }, function()
    local cancelled, closed = {}, 0
    local function endless()
        return { close = function() closed = closed + 1 end }
    end
    local kinds = {
        function() task.sleep(3600) end,
        function() task.await(endless) end,
        function() task.await(task.spawn(function() task.sleep(3600) end)) end,
        function() task.all { task.spawn(function() task.sleep(3600) end), task.spawn(function() task.await(endless) end) } end,
        function() task.timeout(3600, function() task.await(endless) end) end,
    }
    for at, kind in ipairs(kinds) do
        local own = task.spawn(function()
            local _, err = task.pcall(kind)
            cancelled[at] = err
            error(err, 0)
        end)
        eq(own:status(), "running")
        eq(own:cancel(), true)
        eq(own:status(), "failed")
        eq(own:cancel(), false)
        eq(cancelled[at], task.CANCELLED)
        eq(tostring(cancelled[at]), "the task was cancelled")
    end
    eq(closed, 3)
    -- A late callback is nothing to it.
    local late
    local own = task.spawn(function() task.await(function(callback) late = callback end) end)
    own:cancel()
    late(nil, 1)
    -- A task may go on after it.
    eq(run(function()
        local other = task.spawn(function()
            task.pcall(task.sleep, 3600)
            task.sleep(0.01)
            return "went on"
        end)
        other:cancel()
        return task.await(other)
    end), "went on")
    -- One that runs gets it where it awaits next.
    local self
    self = task.spawn(function()
        task.sleep(0.01)
        self:cancel()
        task.stop()
        task.sleep(3600)
    end)
    task.run(30)
    eq(self:status(), "failed")
end)

scenario("all, race and timeout", { with = "timer" }, function()
    local function sleeper(seconds, value, err)
        return task.spawn(function()
            task.sleep(seconds)
            if err then error(err, 0) end
            return value
        end)
    end
    run(function()
        local all = task.all { sleeper(0.03, "a"), sleeper(0.01, "b"), sleeper(0.02, "c") }
        eq(table.concat(all, " "), "a b c")
        eq(#task.all {}, 0)
        local slow = sleeper(3600)
        local succeeded, err = task.pcall(task.all, { slow, sleeper(0.01, nil, "no") })
        eq(succeeded, false) eq(err, "no")
        eq(slow:status(), "failed")
        slow = sleeper(3600)
        eq(task.race { slow, sleeper(0.01, "first") }, "first")
        eq(slow:status(), "failed")
        eq(task.timeout(3600, function() task.sleep(0.01) return "in time" end), "in time")
        succeeded, err = task.pcall(task.timeout, 0.02, function() task.sleep(3600) end)
        eq(succeeded, false) eq(err, "timed out after 0.02 s")
        succeeded, err = task.pcall(task.timeout, 3600, function() error("its own", 0) end)
        eq(succeeded, false) eq(err, "its own")
    end)
end)

scenario("what cannot yield says so", { with = "timer" }, function()
    local err = {}
    darksidesync.seterrorhandler(function(message) err[#err + 1] = message end)
    task.spawn(function() coroutine.yield(1) end)
    matches(err[1], "use await or sleep")
    -- In a metamethod nothing may yield in Lua 5.1; elsewhere it may.
    local own = task.spawn(function()
        local index = setmetatable({}, { __index = function() task.sleep(0.01) return 1 end })
        return index.x
    end)
    task.run(0.1)
    if host.lua == "lua51" then
        matches(err[2], "use task.pcall")
    else
        eq(own:status(), "done")
    end
end)

scenario("a handler may await, and its error fails the request at once", { with = "timer probe_v2" }, function()
    local v2 = shared "v2"
    local dss, probe = v2.load_probe()
    probe.request(task.handler(function(value)
        task.sleep(0.01)
        return value * 2, "and more"
    end), 21)
    eq(reports_in_run(probe, 1)[1], "answered 42 and more")
    probe.request(task.handler(function(value) return value end), "at once")
    eq(reports_in_run(probe, 1)[1], "answered at once")
    local function inner() error "after the await" end
    probe.request(task.handler(function()
        task.sleep(0.01)
        inner()
    end), 1)
    local report = reports_in_run(probe, 1)[1]
    matches(report, "^Failed: .*after the await")
    matches(report, "traceback.*inner")
    probe.request(task.handler(function() error("before it", 0) end), 1)
    matches(reports_in_run(probe, 1)[1], "^Failed: .*before it")
    -- A callback that yields where it is no task.
    dss.setrequesthandler()
    probe.request(function() coroutine.yield() end, 1)
    matches(reports_in_run(probe, 1)[1], "^Failed: .*attempt to yield.*dss.task")
    eq(dss.pending(), 0)
end)

scenario("the callback of a request may await by itself", { with = "timer probe_v2" }, function()
    local dss, probe = (shared "v2").load_probe()
    local function report() return reports_in_run(probe, 1)[1] end
    probe.request(function(value) task.sleep(0.01) return value * 2, "and more" end, 21)
    eq(report(), "answered 42 and more")
    probe.request(function(value) return value, nil end, "at once")
    eq(report(), "answered at once nil")
    local function inner() error "after the await" end
    probe.request(function() task.sleep(0.01) inner() end, 1)
    matches(report(), "^Failed: .*after the await.*traceback.*inner")
    local function before() error "before it" end
    probe.request(function() before() end, 1)
    matches(report(), "^Failed: .*before it.*traceback.*before")
    probe.request(function() coroutine.yield() end, 1)
    matches(report(), "^Failed: .*use await or sleep")
    -- One that defers by itself, and goes on.
    probe.request(function(value)
        local reply = dss.defer()
        task.sleep(0.01)
        reply(value)
        return "nobody's"
    end, "deferred")
    eq(report(), "answered deferred")
    probe.request(function(value)
        dss.defer()(value)
        return "nobody's"
    end, "and answered")
    eq(report(), "answered and answered")
    expects "on its own"
    local kept
    probe.request(function()
        kept = dss.defer()
        task.sleep(0.01)
        error "on its own"
    end, 1)
    task.run(0.05)
    kept("late")
    eq(report(), "answered late")
    -- One of another handler's.
    dss.setrequesthandler(function(f, ...) return "handled", f(...) end)
    probe.request(function(value) return value end, 5)
    eq(report(), "answered handled 5")
    matches(raises("", dss.setrequesthandler, 5), "wanted a function, or nil for the default; found a number$")
    eq(dss.pending(), 0)
end)

scenario("a C function answers a request, with tasks and without", { with = "probe_v2" }, function()
    local dss, probe = (shared "v2").load_probe()
    probe.request(tostring, 5)
    eq(reports_of(probe, 1)[1], "answered 5")
    probe.request(coroutine.wrap(function(value) return value + 1 end), 6)
    eq(reports_of(probe, 1)[1], "answered 7")
    local own = task.spawn(tostring, 7)
    eq(own:status(), "done")
end)

scenario("a task that is woken in another request's callback does not take its reply", { with = "timer probe_v2" }, function()
    local dss, probe = (shared "v2").load_probe()
    local wake
    probe.request(function()
        task.values(function(callback) wake = callback end)
        return select(2, pcall(dss.defer))
    end, 1)
    repeat dss.wait(5) dss.dispatch() until wake
    probe.request(function() wake() return "its own" end, 2)
    local both = reports_of(probe, 2)
    table.sort(both)
    matches(both[1], "^answered .*'defer' was called outside the callback of a request")
    eq(both[2], "answered its own")
    -- `outside` is a `pcall`.
    local fine, one, two = dss.outside(function(...) return ... end, 1, 2)
    eq(fine, true) eq(one, 1) eq(two, 2)
    fine, one = dss.outside(error, "no", 0)
    eq(fine, false) eq(one, "no")
    matches(raises("", dss.outside), "wanted a function, found nothing")
end)

scenario("Ctrl-C while a request is deferred ends the run, and is no answer", { with = "probe_v2" }, function()
    local dss, probe = (shared "v2").load_probe()
    local defer, calls = dss.defer, 0
    function dss.defer(...)
        calls = calls + 1
        if calls == 1 then error("interrupted!", 0) end
        return defer(...)
    end
    probe.request(function() task.sleep(0.01) return "its answer" end, 1)
    matches(raises("", dss.run, 5), "interrupted!")
    dss.defer = defer
    matches(reports_of(probe, 1)[1], "^Failed: .*interrupted!")
end)

scenario("a request handler of the program's stays", { with = "probe_v2" }, function()
    local dss, probe = (shared "v2").load_probe()
    eq(type(dss.setrequesthandler(nil)), "function")
    eq(dss.setrequesthandler(function(f, ...) return "mine", f(...) end), nil)
    package.loaded["dss.task"] = nil
    require "dss.task"
    probe.request(function(value) return value end, 3)
    eq(reports_of(probe, 1)[1], "answered mine 3")
end)

scenario("a thousand tasks, half of them cancelled, end once each", { with = "timer", long = "true" }, function()
    local ended, cancelled, all = 0, 0, {}
    math.randomseed(7)
    for at = 1, 1000 do
        all[at] = task.spawn(function()
            local fine, err = task.pcall(function()
                if at % 3 == 0 then return task.await(later, at, nil) end
                task.sleep(math.random() / 20)
                return task.await(later, at, nil)
            end)
            ended = ended + 1
            if not fine then
                eq(err, task.CANCELLED)
                cancelled = cancelled + 1
            end
        end)
    end
    local asked = 0
    -- The last one that ends stops the run.
    task.spawn(function()
        for at = 1, 1000 do task.pcall(task.await, all[at]) end
        task.stop()
    end)
    task.spawn(function()
        for at = 1, 1000, 2 do
            if at % 50 == 1 then task.sleep(0.001) end
            if all[at]:cancel() then asked = asked + 1 end
        end
    end)
    task.run(60)
    eq(ended, 1000)
    eq(cancelled, asked)
    eq(darksidesync.pending(), 0)
end)

scenario("a long chain of tasks that await each other ends", { with = "timer" }, function()
    eq(run(function()
        local last = task.spawn(function() task.sleep(0.01) return 0 end)
        for _ = 1, 20000 do
            local before = last
            last = task.spawn(function() return task.await(before) + 1 end)
        end
        return task.await(last)
    end), 20000)
end)

scenario("an answer that cannot be one is told, and others that wait are not forgotten", { with = "timer probe_v2" }, function()
    local probe = darksidesync.load "probe_v2"
    expects "bad answer"
    probe.request(task.handler(function()
        task.sleep(0.01)
        return coroutine.create(function() end)
    end), 1)
    local report
    run(function()
        while not report do
            report = probe.reports()[1]
            task.sleep(0.005)
        end
    end)
    matches(report, "^Failed: .*coroutine")
end)

scenario("a task that was woken may run a loop of its own", { with = "timer" }, function()
    eq(run(function()
        task.sleep(0.01)
        local inner
        task.spawn(function()
            task.sleep(0.01)
            inner = task.await(later, "inner", nil)
            task.stop()
        end)
        task.run(20)
        return inner
    end), "inner")
end)

scenario("a cancelled task closes what it has to close, and so do those that it waits for", { with = "timer" }, function()
    local closed = {}
    local function sleeper(name)
        return task.spawn(function()
            local fine, err = task.pcall(task.sleep, 3600)
            closed[#closed + 1] = name
            if not fine then error(err, 0) end
        end)
    end
    -- Cancelled while it runs: the next wait raises, and takes what it would have waited for with it.
    local self
    local all = {}
    self = task.spawn(function()
        task.sleep(0.01)
        self:cancel()
        all[1], all[2] = sleeper "a", sleeper "b"
        task.all(all)
    end)
    task.spawn(function() task.pcall(task.await, self) task.stop() end)
    task.run(20)
    eq(self:status(), "failed")
    eq(all[1]:status() .. " " .. all[2]:status(), "failed failed")
    eq(table.concat(closed, " "), "a b")
    -- A variable that is to be closed (Lua 5.4 and later) is.
    local chunk = (loadstring or load) [[
        local task, note = ...
        return task.spawn(function()
            local x <close> = setmetatable({}, { __close = note })
            task.sleep(3600)
        end)
    ]]
    if chunk then
        local noted = 0
        local own = chunk(task, function() noted = noted + 1 end)
        own:cancel()
        eq(noted, 1)
    end
end)

scenario("what awaits a task is forgotten when it does so no more", { with = "timer" }, function()
    run(function()
        local long = task.spawn(function() task.sleep(3600) end)
        for _ = 1, 50 do task.pcall(task.timeout, 0, task.await, long) end
        eq(#long.ends, 0)
        eq(long.awaited, 0)
        long:cancel()
        local fine, err = task.pcall(task.sleep, 0 / 0)
        eq(fine, false)
        matches(err, "wanted a number of seconds")
        local own
        own = task.spawn(function()
            task.sleep(0)
            return task.await(own)
        end)
        fine, err = task.pcall(task.await, own)
        eq(fine, false)
        matches(err, "cannot await itself")
    end)
end)

scenario("a handler whose request is over tells its error", { with = "timer probe_v2" }, function()
    local probe = darksidesync.load "probe_v2"
    expects "too late to tell"
    local over
    -- Its deadline ends it.
    probe.request(task.handler(function()
        task.sleep(0.2)
        over = true
        error("too late to tell", 0)
    end), 1, nil, 0.05)
    run(function()
        while not over do task.sleep(0.01) end
    end)
    ok(#probe.reports() >= 1)
end)
