-- v2: requests, which Lua answers by return or later.

local v2 = shared "v2"
local load_probe, until_true, reports = v2.load_probe, v2.until_true, v2.reports

scenario("a request is answered by what the function returns", function()
    local dss, probe = load_probe()
    probe.request(function(value) return value * 2, "and more" end, 21)
    eq(reports(dss, probe, 1)[1], "answered 42 and more")
    probe.request(nothing, 1)
    eq(reports(dss, probe, 1)[1], "answered ")
    local s = dss.stats()[1]
    eq(s.replied, 2)
    eq(dss.pending(), 0)
end)

scenario("a function's error is its request's, with the traceback", function()
    local dss, probe = load_probe()
    local told = 0
    dss.seterrorhandler(function() told = told + 1 end)
    local function thrower() error("no answer") end
    probe.request(function() thrower() return 1 end, 1)
    local report = reports(dss, probe, 1)[1]
    matches(report, "^Failed: ")
    matches(report, "no answer")
    matches(report, "traceback")
    eq(told, 0)
    -- What cannot be an answer is an error on both sides.
    probe.request(function() return coroutine.create(nothing) end, 1)
    matches(reports(dss, probe, 1)[1], "^Failed: .*coroutine")
    eq(told, 1)
end)

scenario("a callback answers later through defer", function()
    local dss, probe = load_probe()
    raises("defer", dss.defer)
    local reply
    probe.request(function()
        reply = dss.defer()
        raises("defer", dss.defer)
        return "not this"
    end, 1)
    until_true(dss, function() return reply end, "the callback")
    eq(dss.pending(), 1)
    eq(#probe.reports(), 0)
    eq(reply("later", 2), true)
    eq(reports(dss, probe, 1)[1], "answered later 2")
    eq(dss.pending(), 0)
    eq(reply("again"), false)
end)

scenario("a deferred reply can fail its request", function()
    local dss, probe = load_probe()
    local function fail_with(...)
        local reply
        probe.request(function() reply = dss.defer() end, 1)
        until_true(dss, function() return reply end, "the callback")
        eq(reply:fail(...), true)
        eq(reply:fail(...), false)
        eq(reply(1), false)
        return reports(dss, probe, 1)[1]
    end
    matches(fail_with("no answer", "where it was"), "^Failed: .*no answer.*where it was")
    matches(fail_with("no answer"), "^Failed: .*no answer.*traceback")
    matches(fail_with { 1 }, "^Failed with .*table")
    matches(fail_with(setmetatable({}, { __tostring = function() return "a text of its own" end })), "a text of its own")
    matches(fail_with(setmetatable({}, { __tostring = function() error "none" end })), "^Failed")
    matches(fail_with(), "^Failed .*nil")
    local reply
    probe.request(function() reply = dss.defer() end, 1)
    until_true(dss, function() return reply end, "the callback")
    for _, wrong in ipairs { 1, "x", {}, io.stdout } do
        raises("bad argument #1 to 'fail': wanted a deferred reply", reply.fail, wrong)
    end
    raises("bad argument #1 to 'fail'", reply.fail)
    eq(reply(2), true)
    eq(reports(dss, probe, 1)[1], "answered 2")
    eq(dss.pending(), 0)
end)

scenario("a deferred reply that is collected ends its request at once", function()
    local dss, probe = load_probe()
    local called
    probe.request(function()
        dss.defer()
        called = true
    end, 1)
    until_true(dss, function() return called end, "the callback")
    collectgarbage()
    collectgarbage()
    matches(reports(dss, probe, 1)[1], "^Collected")
end)

scenario("a dispatch within a callback does not mix up what is deferred", function()
    local dss, probe = load_probe()
    local outer, inner
    probe.request(function()
        probe.deliver(function() raises("defer", dss.defer) end)
        probe.request(function() inner = dss.defer() end, 2)
        eventually(function() return dss.queuesize() == 2 end, "both")
        dss.dispatch()
        ok(inner)
        outer = dss.defer()
    end, 1)
    until_true(dss, function() return outer end, "the outer one")
    inner("inner")
    eq(reports(dss, probe, 1)[1], "answered inner")
    outer("outer")
    eq(reports(dss, probe, 1)[1], "answered outer")
end)

scenario("a request that Lua is too slow for times out, to start and to finish", function()
    local dss, probe = load_probe()
    local called = 0
    probe.request(function() called = called + 1 end, 1, 0.05)
    eventually(function() return #probe.join() == 1 end, "the end")
    eq(dss.queuesize(), 0)
    eq(dss.dispatch(), 0)
    eq(called, 0)
    local reply
    probe.request(function() reply = dss.defer() end, 1, nil, 0.2)
    until_true(dss, function() return reply end, "the callback")
    matches(reports(dss, probe, 1)[1], "^TimedOut: .*answer")
    eq(reply("too late"), false)
    eq(dss.stats()[1].timedout, 2)
    -- An error that nobody waits for any more is the handler's.
    local message
    dss.seterrorhandler(function(err) message = tostring(err) end)
    probe.request(function()
        eventually(function() return #probe.reports() == 1 end, "the time-out")
        error "late"
    end, 1, nil, 0.1)
    until_true(dss, function() return message end, "the error")
    matches(message, "late")
    probe.join()
end)

scenario("every request ends once, whatever its deadline", function()
    local dss, probe = load_probe()
    local kept = {}
    -- Ten thousand, in one of the Luas.
    local threads, each = 20, _VERSION == "Lua 5.4" and 500 or 40
    probe.mixed(function(at)
        -- Without a deadline to finish it would be waited for until the replies below.
        if at % 30 == 0 then kept[#kept + 1] = dss.defer() end
        if at % 50 == 0 then host.sleep(0.001) end
        return at
    end, threads, each, 0.02)
    local answered, timed_out, late, half, sleep, sleep_half = 0, 0, 0, 0, 0, 0
    local all = {}
    until_true(dss, function()
        for _, report in ipairs(probe.reports()) do all[#all + 1] = report end
        for _, reply in ipairs(kept) do reply() end
        kept = {}
        return #all == threads
    end, threads .. " reports")
    for _, report in ipairs(all) do
        local a, t, o, h, l, sh, sl = report:match "(%d+) (%d+) (%d+) ([%d.]+) ([%d.]+) ([%d.]+) ([%d.]+)"
        eq(o, "0")
        answered, timed_out = answered + a, timed_out + t
        half, late = math.max(half, tonumber(h)), math.max(late, tonumber(l))
        sleep_half, sleep = math.max(sleep_half, tonumber(sh)), math.max(sleep, tonumber(sl))
    end
    eq(answered + timed_out, threads * each)
    local stats = dss.stats()[1]
    eq(stats.replied, answered)
    eq(stats.timedout, timed_out)
    eq(stats.failed, 0)
    eq(stats.cancelled, 0)
    eq(dss.pending(), 0)
    eq(dss.queuesize(), 0)
    -- Times are printed and not asserted.
    print(("%d answered, %d timed out; past the deadline by %.3f ms at the median, %.3f at most; sleeps of the same "
        .. "lengths overran by %.3f and %.3f"):format(answered, timed_out, half, late, sleep_half, sleep))
end)

scenario("waiting for Lua on the Lua thread is refused", function()
    local dss, probe = load_probe()
    matches(probe.request_here(nothing, 1), "^WouldDeadlock")
    probe.limit(1, 1000, "wait", 10)
    ok(probe.deliver(nothing))
    local _, reason = probe.deliver(nothing)
    matches(reason, "Lua thread")
    eq(dss.dispatch(), 1)
end)

scenario("a request is a future", function()
    local dss, probe = load_probe()
    probe.future(function(value) return value + 1 end, 1)
    eq(reports(dss, probe, 1)[1], "answered 2")
    local reply
    probe.future(function() reply = dss.defer() end, 1, nil, 0.1)
    matches(reports(dss, probe, 1)[1], "^TimedOut")
    ok(reply)
    -- One that is dropped is cancelled.
    local called = false
    probe.drop_future(function() called = true end, 1)
    eq(dss.queuesize(), 0)
    eq(dss.dispatch(), 0)
    eq(called, false)
end)

scenario("Ctrl-C in a callback that fails is not lost, wherever it comes", { since = "2.2.0" }, function()
    local dss, probe = load_probe()
    local places = 0
    for at = 1, 12 do
        -- As the interpreters do it: by a hook, which the next call runs.
        local calls, armed = 0, false
        local function hook()
            calls = calls + 1
            if not armed or calls < at then return end
            debug.sethook()
            armed = false
            error("interrupted!", 0)
        end
        probe.request(function()
            armed = true
            debug.sethook(hook, "c")
            error { "a value" }
        end, 1)
        eventually(function() return dss.queuesize() == 1 end, "the request")
        local fine, message = pcall(dss.dispatch)
        local came = not armed
        armed = false
        debug.sethook()
        local report = reports(dss, probe, 1)[1]
        matches(report, "^Failed")
        -- LuaJIT itself forgets what is raised in a message handler.
        if came and not report:find "error in error handling" then
            places = places + 1
            eq(fine, false, "at call " .. at)
            eq(message, "interrupted!", "at call " .. at)
        end
    end
    ok(places >= 2, places .. " places")
end)
