-- The promises that are seen from Lua; those about threads are model-checked beside this.
local SUCCESS, INVALID, NOT_STARTED = -100, -101, -102

scenario("1: decode and return run on the Lua thread, in calls that Lua made", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.start(2, 100, function(reply) reply() end, { ret = "values" })
    host.sleep(0.05)
    eq(probe.results().decoded, 0, "before Lua looked")
    eventually(function() dss.dispatch() return probe.results().returned == 200 end, "the replies")
    ok(probe.join(30))
end)

scenario("3: every delivery ends once, whatever races", function()
    local dss, probe = require "darksidesync", require "probe"
    for round = 1, 30 do
        probe.reset()
        probe.register()
        probe.start(2, 200, function() end)
        probe.start(2, 20, function(reply) if round % 2 == 0 then reply(1) end end, { ret = "values" })
        for _ = 1, round do dss.poll() end
        probe.unregister_from_thread()
        for _ = 1, 5 do dss.dispatch(7) collectgarbage() end
        eventually(function() dss.dispatch() collectgarbage() return probe.join(0.01) end, "the threads")
        local results = probe.results()
        eq(probe.live(), 0, "items alive")
        eq(results.inside_after_unregister, 0, "calls after unregister")
        eq(dss.queuesize(), 0)
        eq(select(2, probe.getutilid()), -107)
    end
end)

scenario("5: two states on two threads do not feel each other", function()
    local work = [[
        local dss, probe = require "darksidesync", require(...)
        probe.register()
        local got = 0
        probe.start(2, 3000, function() got = got + 1 end)
        while got < 6000 do dss.wait(10) dss.dispatch() end
        assert(probe.join(30))
        probe.unregister()
        return got
    ]]
    local one, two = host.thread(work, "probe"), host.thread(work, "probe2")
    local fine, got = one:join()
    ok(fine, got)
    eq(got, 6000)
    fine, got = two:join()
    ok(fine, got)
    eq(got, 6000)
end)

scenario("5: a port of one state is none of another", function()
    local dss = require "darksidesync"
    dss.setport(50999)
    local state = host.newstate()
    eq(state:dostring "return require('darksidesync').getport()", 0)
    inside(state,  "require('darksidesync').setport(50998)")
    eq(dss.getport(), 50999)
    state:close()
    eq(dss.getport(), 50999)
end)

scenario("7: unregistering by another thread while others deliver and Lua polls", function()
    local dss, probe = require "darksidesync", require "probe"
    for _ = 1, 50 do
        probe.reset()
        probe.register()
        probe.start(2, 100000, nothing)
        for _ = 1, 50 do dss.poll() end
        probe.unregister_from_thread()
        while not probe.join(0) do dss.poll() end
        eq(probe.results().inside_after_unregister, 0)
        eq(dss.dispatch(), 0)
        eq(probe.live(), 0)
    end
end)

scenario("7: unregistering in one's own decode returns", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.deliver(nothing, 1, { decode = "unregister" })
    probe.deliver(nothing, 2)
    dss.poll()
    eq(probe.results().decode_cancelled, 1)
    eq(dss.queuesize(), 0)
    eq(#dss.libraries(), 0)
    local id, err = probe.register()
    eq(err, SUCCESS)
    eq(probe.live(), 0)
end)

scenario("8: waiting inside a callback for a thread that waits for Lua is not DSS's to hang on", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local code
    probe.deliver(function() code = probe.deliver(nothing, 2, { ret = "values" }) end, 1)
    dss.dispatch()
    eq(code, -109)
end)

scenario("9: closing with threads waiting, queued and replied to, releases all", function()
    for round = 1, 20 do
        local state = host.newstate()
        inside(state, [[
            local round = ...
            dss, probe, other = require "darksidesync", require "probe", require "probe2"
            probe.register { cancel = round % 3 == 0 and "nothing" or round % 3 == 1 and "unregister" or "block_join" }
            other.register { cancel = "nothing" }
            probe.start(3, 10, function() end, { ret = "values" })
            other.start(2, 1000, function() end)
            kept = {}
            for n = 1, round do
                local _, callback, args = dss.poll()
                if callback and n % 2 == 0 then kept[#kept + 1] = args[1] end
            end
        ]], round)
        state:close()
        local probe, other = require "probe", require "probe2"
        all_ended(probe)
        all_ended(other)
        probe.reset()
        other.reset()
    end
end)

scenario("9: closing while other threads deliver and wait in v1", { with = "probe_v1" }, function()
    for _ = 1, 10 do
        local state = host.newstate()
        inside(state, [[
            dss, v1 = require "darksidesync", require "probe_v1"
            for n = 1, 3 do v1.ask(function() end, n) end
            v1.start(2, function() end, 1000000)
            for n = 1, 50 do dss.poll() end
        ]])
        state:close()
        eventually(function() return require("probe_v1").live() == 0 end, "the end of all payloads")
    end
end)

scenario("9: the order of collection does not matter", function()
    for _, order in ipairs { "probe first", "dss first" } do
        local state = host.newstate()
        inside(state, [[
            if ... == "probe first" then probe = require "probe" end
            dss = require "darksidesync"
            probe = require "probe"
            probe.register()
            kept = setmetatable({}, { __gc = function() probe.deliver(function() end, 1) dss = nil end })
            probe.deliver(function() end, 1)
            probe.start(1, 1, function() end, { ret = "values" })
            while not reply do reply = select(3, dss.poll()) reply = reply and type(reply[1]) == "userdata" and reply[1] end
        ]], order)
        state:close()
        all_ended(require "probe")
    end
end)

scenario("9: after DSS has stopped its functions raise", { only = "lua52 lua53 lua54 lua55" }, function()
    local state = host.newstate()
    inside(state, [[
        -- Made before DSS, so finalized after it.
        package.path = "" 
        keeper = setmetatable({}, { __gc = function()
            for _, name in ipairs { "poll", "dispatch", "wait", "run", "queuesize", "setport", "getport", "libraries" } do
                local fine, message = pcall(dss[name], 0)
                if fine or not tostring(message):find("DSS has stopped", 1, true) then
                    io.stderr:write("after the stop: ", name, " ", tostring(message), "\n")
                    os.exit(9)
                end
            end
        end })
        dss = require "darksidesync"
    ]])
    state:close()
end)

scenario("10: a v1 library that panics or raises in decode", { with = "probe_v1" }, function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    v1.register()
    v1.deliver(nothing, 1, "panic")
    v1.deliver(nothing, 2, "raise")
    v1.deliver(nothing, 3)
    matches(raises("panicked", dss.poll), "the probe panics in decode")
    raises("the probe raises in decode", dss.poll)
    eq(dss.poll(), 0)
    eq(v1.live(), 0)
    local messages = {}
    dss.seterrorhandler(function(message) messages[#messages + 1] = tostring(message) end)
    v1.deliver(nothing, 1, "panic")
    v1.deliver(nothing, 2, "raise")
    eq(dss.dispatch(), 2)
    matches(messages[1], "panics in decode")
    matches(messages[2], "raises in decode")
end)

scenario("11: libraries stay mapped when a state unloads its modules", { with = "probe probe_v1" }, function()
    for _ = 1, 3 do
        local state = host.newstate()
        inside(state, [[
            require "darksidesync"
            v1, probe = require "probe_v1", require "probe"
            v1.register()
            probe.register { cancel = "nothing" }
            probe.start(1, 1, function() end, { ret = "values" })
            v1.ask(function() end, 1)
            while require("darksidesync").queuesize() < 2 do end
        ]])
        state:close()
    end
    all_ended(require "probe")
end)

scenario("require first made inside a coroutine that dies", { with = "probe probe_v1" }, function()
    local dss
    local thread = coroutine.create(function()
        dss = require "darksidesync"
        require("probe").register()
        require("probe_v1").register()
        coroutine.yield()
    end)
    assert(coroutine.resume(thread))
    thread = nil
    collectgarbage()
    collectgarbage()
    local junk = {}
    for n = 1, 1000 do junk[n] = coroutine.create(function() return n end) end
    raises("wanted a UDP port", dss.setport, "x")
    raises("bad argument", dss.dispatch, "x")
    raises("no such mode", require("probe_v1").deliver, nothing, 1, "unknown")
    local probe, v1 = require "probe", require "probe_v1"
    local got = 0
    probe.deliver(function() got = got + 1 end, 1)
    v1.deliver(function() got = got + 1 end, 1)
    eq(dss.dispatch(), 2)
    eq(got, 2)
    eq(#dss.libraries(), 2)
end)

scenario("polling inside coroutines", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    for n = 1, 100 do probe.deliver(nothing, n) end
    for n = 1, 100 do
        local value = coroutine.wrap(function()
            local _, _, args = dss.poll()
            coroutine.yield(args[1])
        end)()
        eq(value, n)
    end
end)
