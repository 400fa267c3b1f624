-- What each host runs, in its own loop, with its module of DSS's: deliveries, requests, an error, tasks, sustained load. A file for each host calls
-- this with its loop:
--
--     every(seconds, f)   a timer of the host's own
--     finish()            ends the loop, or the host
--     sleeps              false for a loop without timers of its own
--     renew()             removes DSS's module and installs it again, or nothing
--
-- Prints a line `name value` for each thing that the test looks at, and "done" at the end.

local darksidesync = require "darksidesync"
local probe = require "probe"
local task = require "dss.task"
local asker = darksidesync.load "probe_c2v0"
local now = darksidesync.now

-- How many items the load is, and how long each takes.
local LOAD, WORK = tonumber(os.getenv "DSS_HOSTS_LOAD" or "50000"), 40e-6

local function say(name, value)
    local output = io.stdout
    -- A daemon has no stdout.
    if os.getenv "DSS_HOSTS_OUTPUT" then output = io.open(os.getenv "DSS_HOSTS_OUTPUT", "a") end
    output:write(name, " ", tostring(value), "\n")
    output:flush()
    if output ~= io.stdout then output:close() end
end

return function(every, finish, sleeps, renew)
    local ticks, main = 0

    -- Yields until `f` is true. Looked at in each tick, so that the host's loop is what runs between.
    local function until_true(f, what)
        local limit = now() + 60
        while not f() do
            if now() > limit then error(what .. " did not come", 2) end
            coroutine.yield()
        end
    end

    local function rate(f)
        local begun, before = now(), ticks
        until_true(f, "the end of a phase")
        return (ticks - before) / (now() - begun)
    end

    local function phases()
        probe.register()
        local paced, replies, errors = 0, 0, 0
        probe.start(1, 200, function() paced = paced + 1 end, { pause = 500 })
        until_true(function() return paced == 200 and probe.join(0) end, "the deliveries")
        say("delivered", paced)

        probe.start(2, 100, function(reply) replies = replies + 1 reply(replies) end, { ret = "values" })
        until_true(function() return probe.join(0) end, "the replies")
        say("replied", probe.results().returned)

        darksidesync.seterrorhandler(function(err) errors = errors + (tostring(err):find "on purpose" and 1 or 100) end)
        probe.start(1, 1, function() error "on purpose" end)
        until_true(function() return errors > 0 and probe.join(0) end, "the error")
        say("errors", errors)
        darksidesync.seterrorhandler()

        -- A task, a callback of a request that awaits, and one that fails after it.
        local function await_item() return task.values(function(callback) probe.start(1, 1, callback) end) end
        local function nap() if sleeps ~= false then task.sleep(0.02) end end
        local awaited
        task.spawn(function()
            nap()
            awaited = await_item()
        end)
        until_true(function() return awaited and probe.join(0) end, "the task")
        say("awaited", awaited)
        local reports = ""
        local function report()
            reports = reports .. asker.reports()
            return reports:find "\n" and probe.join(0)
        end
        -- Sleeping begins when it is asked for, however long a callback ran before.
        local slept = sleeps == false and 1
        probe.start(1, 1, function()
            local till = now() + 0.02
            while now() < till do end
            if slept then return end
            task.spawn(function()
                -- No length, and no limit.
                task.sleep(-0.001)
                task.timeout(math.huge, task.sleep, 0)
                local begun = now()
                task.sleep(0.02)
                slept = (now() - begun) / 0.02
            end)
        end)
        until_true(function() return slept and probe.join(0) end, "the sleep")
        say("slept", slept > 0.9)
        asker.request(task.handler(function(n) nap() return n + await_item() end), 0, 0, 41)
        until_true(report, "the answer")
        say("answer", reports:match "%d+" or reports)
        reports = ""
        asker.request(task.handler(function() await_item() nap() error("after the await", 0) end), 0, 0)
        until_true(report, "the error of a handler")
        say("failure", reports:match "after the await" or reports)

        local till = now() + 1
        local idle = rate(function() return now() >= till end)
        say("idle", ("%.0f"):format(idle))

        local handled = 0
        probe.start(2, LOAD / 2, function()
            handled = handled + 1
            local till = now() + WORK
            while now() < till do end
        end)
        local begun = now()
        local renewed = 0
        local loaded = rate(function()
            -- In the middle of it, as a reload of the host's would.
            if renew and renewed == 0 and handled > LOAD / 2 then
                renewed = handled
                renew()
            end
            return handled == LOAD
        end)
        say("took", ("%.3f"):format(now() - begun))
        until_true(function() return probe.join(0) end, "the producers")
        say("handled", handled)
        say("renewed", renew and renewed > 0 and renewed < LOAD)
        say("loaded", ("%.0f"):format(loaded))
        say("share", ("%.2f"):format(loaded / idle))

        -- It ends in the middle of a burst.
        local burst = 0
        probe.start(2, 20000, function() burst = burst + 1 end)
        until_true(function() return burst > 0 end, "the burst")
        say("done", "")
        finish()
    end

    -- How often the host's thread woke between two ticks that are 4 s apart, with a library registered and nothing to do.
    if os.getenv "DSS_HOSTS_IDLE" then
        probe.register()
        local before
        return every(4, function()
            local file = io.open "/proc/thread-self/status"
            local woken = tonumber(file:read("*a"):match "\nvoluntary_ctxt_switches:%s*(%d+)")
            file:close()
            if not before then
                before = woken
                return
            end
            say("woken", woken - before)
            say("done", "")
            finish()
        end)
    end

    main = coroutine.create(phases)
    every(0.01, function()
        ticks = ticks + 1
        if coroutine.status(main) == "dead" then return end
        local fine, message = coroutine.resume(main)
        if not fine then
            say("failed", debug.traceback(main, message))
            finish()
        end
    end)
end
