-- v2: what can go wrong around DSS, as far as it needs a library of v2.

local v2 = shared "v2"
local load_probe, reports = v2.load_probe, v2.reports

scenario("no membarrier in steady state", { needs = "linux" }, function()
    local dss, probe = load_probe()
    local counts = {}
    host.count_membarriers()
    local function count(what, f)
        f()
        local before = host.membarriers()
        for _ = 1, 1000 do f() end
        counts[#counts + 1] = what .. ": " .. host.membarriers() - before
    end
    count("calls", function() eq(probe.echo(7), 7) end)
    local function answer(value) return value end
    count("requests", function()
        probe.request(answer, 7)
        eq(reports(dss, probe, 1)[1], "answered 7")
    end)
    count("deliveries", function()
        ok(probe.deliver(nothing, 7))
        eq(dss.dispatch(), 1)
    end)
    probe.limit(3, 1000000, "drop")
    count("displacing deliveries", function() ok(probe.deliver(nothing, 7)) end)
    eq(dss.queuesize(), 3)
    eq(table.concat(counts, ", "), "calls: 0, requests: 0, deliveries: 0, displacing deliveries: 0")
end)

scenario("a request whose defer result is dropped fails while run is idle", function()
    local dss, probe = load_probe()
    probe.request(function() dss.defer() end, 7)
    local told = {}
    -- What a collector does by itself is not what this is about: it has just been through, and there is little to come.
    collectgarbage()
    for _ = 1, 10 do
        dss.run(1)
        told = probe.reports()
        if #told > 0 then break end
    end
    eq(#told, 1, "requests that have ended")
    matches(told[1], "^Collected: ")
end)

scenario("a request whose defer result is dropped fails while a loop of waits is idle", function()
    local dss, probe = load_probe()
    probe.request(function() dss.defer() end, 7)
    local told = {}
    collectgarbage()
    for at = 1, 100 do
        dss.wait(0.1)
        dss.dispatch()
        if at % 10 == 0 then told = probe.reports() end
        if #told > 0 then break end
    end
    eq(#told, 1, "requests that have ended")
    matches(told[1], "^Collected: ")
end)

scenario("dispatch handles what was queued when it began, and callbacks deliver again", function()
    local dss, probe = load_probe()
    local calls = 0
    local function again()
        calls = calls + 1
        -- The bound only ends a test that has failed.
        if calls < 1000 then ok(probe.deliver(again, 1)) end
    end
    for _ = 1, 10 do ok(probe.deliver(again, 1)) end
    local handled, remaining = dss.dispatch()
    eq(handled, 10)
    eq(remaining, 10)
    eq(calls, 10)
end)

scenario("membarrier is forbidden after DSS was loaded", { needs = "linux" }, function()
    local dss, probe = load_probe()
    eq(probe.echo(7), 7)
    host.forbid_membarrier()
    probe.limit(100, 1000000, "drop")
    probe.storm(nothing, 2, 5000)
    for at = 1, 50 do
        eq(probe.echo(at), at)
        probe.request(function(value) return value end, at)
        local ticket = probe.deliver(nothing, at)
        if at % 2 == 0 then probe.cancel(ticket) end
        dss.dispatch(10)
    end
    eq(#reports(dss, probe, 52), 52)
    while dss.dispatch() > 0 do end
    local stats = dss.stats()[1]
    eq(stats.queued, 0)
    probe.unregister()
    eq(#dss.libraries(), 0)
end)

scenario("a function that Lua had no memory to keep takes no other's place", { with = "probe_v2" }, function()
    -- In Lua 5.1, 5.2 and LuaJIT a table that could not grow may hide some of its integer keys.
    local inner = [[
        local at, request = ...
        local dss = require "darksidesync"
        local probe = dss.load "probe_v2"
        local calls, kept = {}, {}
        for i = 1, 30 do
            calls[i] = 0
            local function count() calls[i] = calls[i] + 1 end
            if i == at then host.fail(request, true) end
            local held = pcall(probe.hold, count)
            if i == at then host.asked() end
            if held then kept[#kept + 1] = i end
        end
        assert(probe.held(1) == #kept)
        dss.dispatch()
        probe.let_go()
        for _, i in ipairs(kept) do
            assert(calls[i] == 1, ("function %d was called %d times, after function %d was refused"):format(i, calls[i], at))
        end
        return #kept
    ]]
    local refused = 0
    for at = 1, 30 do
        for request = 1, 4 do
            local state = host.newstate { failing = true }
            local kept, message = state:dostring(inner, at, request)
            ok(kept, message)
            if kept < 30 then refused = refused + 1 end
            state:close()
        end
    end
    ok(refused >= 1, refused .. " functions were refused")
end)

scenario("an answer after DSS was closed in the callback is not read for another state", { with = "probe_v2" }, function()
    local first = host.newstate()
    local released, message = first:dostring [[
        local dss = require "darksidesync"
        local probe = dss.load "probe_v2"
        local second
        probe.request(function()
            for _, value in pairs(debug.getregistry()) do
                local meta = type(value) == "userdata" and debug.getmetatable(value)
                if type(meta) == "table" and rawget(meta, "__name") == "DarkSideSync guard" then
                    meta.__gc(value)
                    break
                end
            end
            -- It has the dispatcher that the first state had.
            second = host.newstate()
            assert(second:dostring [=[
                dss = require "darksidesync"
                probe = dss.load "probe_v2"
                gone = setmetatable({}, { __mode = "k" })
                for i = 1, 3 do
                    local function kept() return i end
                    gone[kept] = true
                    probe.hold(kept)
                end
                probe.let_go()
                return true
            ]=])
            return function() end
        end, 1)
        for _ = 1, 1000 do
            if second then break end
            pcall(dss.dispatch)
            host.sleep(0.001)
        end
        -- The functions that the second state's library let go of are that state's to forget.
        local forgotten, message = second:dostring [=[
            dss.poll()
            collectgarbage()
            collectgarbage()
            return next(gone) == nil
        ]=]
        second:close()
        return forgotten, message
    ]]
    ok(released, message)
    first:close()
end)
