-- Revision v1, from Lua's side.

scenario("threads deliver to Lua", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    v1.register()
    local sum = 0
    v1.start(3, function(n) sum = sum + n end, 100)
    eventually(function() dss.dispatch() return sum == 3 * 5050 end, "300 items")
    for _, report in ipairs(v1.join()) do eq(report, "sent 100") end
    eq(v1.live(), 0)
end)

scenario("a request gets its answer", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    v1.register()
    v1.ask(function(reply, n) reply("yes", n + 1) end, 41)
    eventually(function() return dss.dispatch() == 1 end, "the request")
    eq(v1.join()[1], "replied yes 42")
    eq(v1.live(), 0)
end)

scenario("a request through poll gets its answer later", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    v1.register()
    v1.ask(nothing, 1)
    local args
    eventually(function() args = select(3, dss.poll()) return args end, "the request")
    eq(args[2], 1)
    args[1]("late")
    eq(v1.join()[1], "replied late")
end)

scenario("a request ends in each of the other ways, and is told which", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    v1.register()
    expects("the probe raises in decode", "the probe panics in decode", "the probe raises in reply", "the probe panics in reply", "no$")
    local function outcome(callback, mode, in_reply)
        v1.ask(callback, 1, mode, in_reply)
        eventually(function() return dss.dispatch() == 1 end, "the request")
        return v1.join()[1]
    end
    local answer = function(reply) reply(1) end
    eq(outcome(answer, "over"), "decoded")
    matches(outcome(answer, "raise"), "^failed .*the probe raises in decode")
    matches(outcome(answer, "panic"), "^failed .*the probe panics in decode")
    matches(outcome(answer, "raise", true), "^failed .*the probe raises in reply")
    matches(outcome(answer, "panic", true), "^failed .*the probe panics in reply")
    eq(outcome(function() error("no") end), "collected")
    eq(outcome(answer, "unregister"), "cancelled")
    eq(v1.live(), 0)
end)

scenario("a closure in a library without what runs it says so", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    eq(v1.closure_without_runner(), "taken")
    local fine, message = pcall(dss.poll)
    eq(fine, false)
    matches(message, "not registered with `Dss::register_in` in this Lua state")
end)

scenario("a request that panics without mlua tells why", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    local message
    dss.seterrorhandler(function(err) message = tostring(err) end)
    v1.ask_and_panic()
    eventually(function() return dss.dispatch() == 1 end, "the request")
    eq(v1.join()[1], "failed the library panicked: the misfit panics in decode")
    matches(message, "the misfit panics in decode")
end)

scenario("a request whose reply is collected is told so", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    v1.register()
    v1.ask(nothing, 1)
    eventually(function() return dss.dispatch() == 1 end, "the request")
    collectgarbage()
    collectgarbage()
    eq(v1.join()[1], "collected")
end)

scenario("requests that are queued or waiting are cancelled", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    v1.register()
    v1.ask(nothing, 1)
    local kept
    eventually(function() kept = select(3, dss.poll()) return kept end, "the request")
    v1.ask(nothing, 2)
    eventually(function() return dss.queuesize() == 1 end, "the second request")
    eq(v1.unregister(), "done")
    local reports = v1.join()
    eq(reports[1], "cancelled")
    eq(reports[2], "cancelled")
    eq(select("#", kept[1](1)), 0)
    eq(v1.live(), 0)
end)

scenario("waiting on the Lua thread is refused", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    v1.register()
    matches(v1.ask_here(nothing), "^refused waiting for Lua on the Lua thread")
    local inside
    v1.deliver(function() inside = v1.ask_here(nothing) end, 1)
    dss.dispatch()
    matches(inside, "^refused")
    eq(v1.live(), 0)
end)

scenario("decode may deliver, and may unregister its library", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    v1.register()
    local got = {}
    v1.deliver(function(n) got[#got + 1] = n end, 1, "deliver")
    -- What is delivered meanwhile may be left to the next call.
    eq(dss.dispatch() + dss.dispatch(), 2)
    eq(got[1], 1)
    eq(got[2], 1001)
    v1.deliver(function(n) got[#got + 1] = n end, 2, "unregister")
    eq(dss.dispatch(), 1)
    eq(got[3], 2)
    eq(#dss.libraries(), 0)
    eq(v1.live(), 0)
end)

scenario("both revisions in one state share one queue", function()
    local dss, probe, v1 = require "darksidesync", require "probe", require "probe_v1"
    probe.register()
    v1.register()
    local order = {}
    for n = 1, 10 do
        local which = n % 2 == 0 and probe or v1
        which.deliver(function(value) order[#order + 1] = value end, n)
    end
    eq(dss.dispatch(), 10)
    for n = 1, 10 do eq(order[n], n) end
    eq(probe.unregister(), -100)
    v1.deliver(function() order[11] = 11 end, 11)
    eq(dss.dispatch(), 1)
    eq(order[11], 11)
end)

scenario("unregistering from a thread while others deliver", function()
    local dss, v1 = require "darksidesync", require "probe_v1"
    for _ = 1, 20 do
        v1.register()
        v1.start(2, nothing, 100000000)
        for _ = 1, 100 do dss.poll() end
        v1.unregister_from_thread()
        local reports
        local done = false
        -- `join` blocks: unregister needs no Lua to end.
        reports = v1.join()
        eq(#reports, 3)
        eq(dss.dispatch(), 0)
        eq(v1.live(), 0)
    end
end)

scenario("closing is told once, and not after unregister", function()
    require "darksidesync"
    local v1 = require "probe_v1"
    for round = 1, 4 do
        local state = host.newstate()
        inside(state, [[
            require "darksidesync"
            v1 = require "probe_v1"
            v1.register()
            v1.deliver(function() end, 1)
        ]])
        if round == 4 then inside(state, "v1.unregister()") end
        state:close()
        -- In the second round it panics, which ends there.
        eq(v1.closings(), math.min(round, 3))
        eq(v1.live(), 0)
    end
end)
