-- v2: what leaves and what closes, and what lives on.

local v2 = shared "v2"
local load_probe = v2.load_probe

scenario("a library that left is not called any more", function()
    local dss, probe = load_probe()
    local thing = probe.thing "left"
    probe.deliver(nothing)
    probe.unregister(true)
    eventually(function() return #dss.libraries() == 0 end, "its leaving")
    eq(dss.queuesize(), 0)
    raises("'probe_v2%.echo'.*the library probe_v2 .+ this Lua state: load it again", probe.echo, 1)
    raises("'thing:name'.*the library probe_v2 .+ this Lua state: load it again", thing.name, thing)
    matches(tostring(thing), "thing")
    thing:close()
    thing = nil
    collectgarbage()
    local again = dss.load "probe_v2"
    ok(again ~= probe, "a new table")
    eq(again.echo(1), 1)
    again.join()
    eq(again.things(), 0)
end)

scenario("a library that is loaded again leaves nothing of its earlier loads", function()
    local dss = require "darksidesync"
    local tables, echo = setmetatable({}, { __mode = "k" }), nil
    for at = 1, 5 do
        local probe = dss.load "probe_v2"
        tables[probe] = true
        if at == 1 then echo = probe.echo end
        probe.unregister()
    end
    local now = dss.load "probe_v2"
    collectgarbage()
    collectgarbage()
    for found in pairs(tables) do ok(found == now, "the table of an earlier load is kept") end
    raises("'probe_v2%.echo'.*the library probe_v2 .+ this Lua state: load it again", echo, 1)
    eq(now.echo(1), 1)
end)

scenario("a state that closes takes all with it, a hundred times", { long = "true" }, function()
    local dss, probe = load_probe()
    local producers, requests = 2, 8
    for round = 1, 100 do
        local state = host.newstate()
        inside(state, [[
            local dss = require "darksidesync"
            local probe = dss.load "probe_v2"
            probe.limit(100, 1000000, ({ "refuse", "wait", "drop", "latest" })[... % 4 + 1], 60)
            probe.storm(function() end, 2, 100000, 50)
            probe.deliver_many(function() end, 30)
            keep = {}
            for at = 1, 2 do
                probe.request(function() keep[#keep + 1] = dss.defer() end, at)
                probe.future(function() keep[#keep + 1] = dss.defer() end, at)
                probe.request(function() keep[#keep + 1] = dss.defer() end, at, 60, 60)
                probe.future(function() return at end, at, nil, 60)
            end
            thing = probe.thing "left behind"
            probe.hold(function() end)
            probe.hold_run()
            for _ = 1, ... % 20 do dss.dispatch(10) end
        ]], round)
        state:close()
    end
    local ends = {}
    local all = probe.join()
    for _, report in ipairs(all) do
        local kind = report:match "^%d+ %d+ %d+ %d+$" and "producer" or report:match "^%a+"
        ends[kind] = (ends[kind] or 0) + 1
    end
    eq(#all, 100 * (producers + requests))
    eq(ends.producer, 100 * producers)
    -- Each request was answered, or told that the state closed; one that came after it, or found no room, was refused.
    local sum = 0
    for _, kind in ipairs { "answered", "Closed", "Refused", "Dropped" } do sum = sum + (ends[kind] or 0) end
    eq(sum, 100 * requests, "ends of requests")
    ok((ends.Closed or 0) > 0, "none was told that its state closed")
    eq(probe.things(), 0)
    eq(#dss.libraries(), 1)
    eq(probe.echo(1), 1)
end)

scenario("who waits is told that the state closed, though Lua kept the reply", function()
    local _, probe = load_probe()
    local state = host.newstate()
    inside(state, [[
        local dss = require "darksidesync"
        local probe = dss.load "probe_v2"
        local got
        -- One that is answered later, one that was polled and not called, one that is queued.
        probe.request(function() reply = dss.defer() end, 1)
        repeat dss.wait(5) dss.dispatch() until reply
        probe.request(function() end, 2)
        repeat dss.wait(5) got, uncalled = dss.poll() until uncalled
        probe.request(function() end, 3)
        repeat host.sleep(0.001) until dss.queuesize() == 1
    ]])
    state:close()
    local all = probe.join()
    eq(#all, 3)
    for _, report in ipairs(all) do matches(report, "^Closed") end
end)

-- A finalizer that polls runs inside of what another poll allocates: replies within the making of replies.
scenario("a state that runs is not closed for what its finalizers poll", function()
    local dss, probe = load_probe()
    local count, keep, armed, within, inner = 400, {}, true, false, 0
    local function once()
        local _, f = dss.poll()
        keep[#keep + 1] = f
    end
    local arm
    local function collected()
        if not armed then return end
        arm()
        if within then
            inner = inner + 1
            pcall(once)
        end
    end
    function arm()
        if newproxy then
            getmetatable(newproxy(true)).__gc = collected
        else
            setmetatable({}, { __gc = collected })
        end
    end
    for at = 1, count do probe.request(function() return at end, at) end
    eventually(function() return dss.queuesize() == count end, "the requests")
    -- As often as can be; Lua 5.5 has other names for it.
    for _, how in ipairs { { "setpause", 1 }, { "setstepmul", 100000 }, { "param", "pause", 1 } } do
        pcall(collectgarbage, unpack(how))
    end
    arm()
    for _ = 1, count do
        within = true
        once()
        within = false
        ok(pcall(dss.queuesize), "DSS has stopped")
        if dss.queuesize() == 0 then break end
    end
    armed = false
    collectgarbage()
    collectgarbage()
    ok(inner > 0, "no finalizer ran in a poll")
    for _, f in ipairs(keep) do f() end
    eq(#probe.join(), count)
end)

scenario("a panic while the state closes ends there", function()
    local _, probe = load_probe()
    local state = host.newstate()
    inside(state, [[
        probe = require "darksidesync".load "probe_v2"
        probe.panic_at_close()
    ]])
    state:close()
    local _, closings = probe.closings()
    eq(closings, 1)
    eq(probe.echo(1), 1)
end)

scenario("a callback whose state has closed is dead, to call and to hand on", function()
    local dss, probe = load_probe()
    local state = host.newstate()
    inside(state, [[
        local dss = require "darksidesync"
        local probe = dss.load "probe_v2"
        for _ = 1, 3 do probe.dead(function() error "called after its state closed" end) end
    ]])
    state:close()
    -- The places that they had may be another state's by now.
    local other = host.newstate()
    inside(other, [[
        local dss = require "darksidesync"
        local probe = dss.load "probe_v2"
        called = 0
        for _ = 1, 3 do probe.hold(function() called = called + 1 end) end
    ]])
    local told = probe.deliver_dead(nothing)
    eq(#told, 6)
    for _, reason in ipairs(told) do matches(reason, "callback is dead") end
    eq(dss.queuesize(), 0)
    eq(dss.stats()[1].refused, 3)
    probe.drop_dead()
    inside(other, [[
        local probe = require "darksidesync".load "probe_v2"
        assert(probe.held(1) == 3, "its own are alive")
        assert(require "darksidesync".dispatch() == 3 and called == 3)
    ]])
    other:close()
end)

scenario("run goes on for what a library holds open", function()
    local dss, probe = load_probe()
    probe.keep_alive(false)
    probe.hold_run()
    probe.hold_run()
    eq(dss.libraries()[1].keeps_alive, true)
    local got = 0
    probe.deliver(function() got = got + 1 probe.let_run_go() end)
    probe.deliver(function() got = got + 1 end)
    eq(dss.run(0.05), 2)
    eq(dss.libraries()[1].keeps_alive, true)
    -- Asleep in run, which a thread of the library's ends by letting go.
    probe.let_run_go()
    eq(dss.run(20), 0)
    eq(dss.libraries()[1].keeps_alive, false)
    eq(#probe.join(), 2)
end)

scenario("two states have a library each of their own", function()
    local dss, probe = load_probe()
    local state = host.newstate()
    inside(state, [[
        probe = require "darksidesync".load "probe_v2"
        got = 0
        probe.hold(function() got = got + 1 end)
    ]])
    -- Its callback is another state's, to call and to hand on.
    eq(probe.held(1), 0)
    raises("function of another Lua state", probe.give_held)
    matches(probe.deliver_held(nothing), "callback")
    eq(dss.queuesize(), 0)
    eq(dss.libraries()[1].refused, 2)
    inside(state, [[
        assert(probe.held(1) == 1)
        assert(require "darksidesync".dispatch() == 1)
        assert(got == 1)
    ]])
    state:close()
    eq(probe.held(1), 0)
    eq(dss.queuesize(), 0)
end)

scenario("a callback lives as long as somebody holds it", function()
    local dss, probe = load_probe()
    local weak = setmetatable({}, { __mode = "k" })
    local function keep()
        local got = {}
        local f = function(value) got[#got + 1] = value end
        weak[f] = true
        probe.hold(f)
        return got
    end
    local got = keep()
    collectgarbage()
    collectgarbage()
    ok(next(weak), "the library holds it")
    eq(probe.held(5), 1)
    dss.dispatch()
    eq(got[1], 5)
    probe.let_go_elsewhere()
    dss.dispatch()
    collectgarbage()
    collectgarbage()
    eq(next(weak), nil)
    eq(probe.held(5), 0)
end)

scenario("run goes on for libraries that keep it", function()
    local dss, probe = load_probe()
    probe.keep_alive(false)
    local start = host.now()
    dss.run(20)
    ok(host.now() - start < 10, "run ended, for nothing keeps it")
    local got = 0
    probe.deliver(function() got = got + 1 end)
    dss.run(20)
    eq(got, 1)
    probe.keep_alive(true)
    probe.deliver(function() got = got + 1 probe.keep_alive(false) end)
    dss.run(20)
    eq(got, 2)
    eq(dss.libraries()[1].keeps_alive, false)
end)
