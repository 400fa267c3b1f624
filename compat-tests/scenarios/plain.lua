-- A v1 library without mlua: one file of it for every Lua, from whichever compiler. It uses of the module what release
-- 2.0.0 has, and works with that, too.

scenario("threads deliver, each in its order", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    eq(plain.register(), true)
    local sum, last, ordered = 0, 0, true
    plain.start(1, function(n)
        ordered = ordered and n == last + 1
        sum, last = sum + n, n
    end, 1000)
    eventually(function() dss.dispatch() return last == 1000 end, "1000 items")
    ok(ordered, "wanted 1 to 1000 in order")
    plain.start(3, function(n) sum = sum + n end, 100)
    eventually(function() dss.dispatch() return sum == 500500 + 3 * 5050 end, "300 items more")
    local reports = plain.join()
    eq(#reports, 4)
    eq(reports[1], "sent 1000")
    for n = 2, 4 do eq(reports[n], "sent 100") end
    eq(plain.live(), 0)
    eq(plain.cancelled(), 0)
end)

scenario("the module lists it by its name", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    eq(#dss.libraries(), 0)
    eq(plain.register(), true)
    eq(plain.register(), false, "registered already")
    local listed = dss.libraries()
    eq(#listed, 1)
    eq(listed[1].name, "plain_v1")
    eq(listed[1].revision, "v1")
    plain.deliver(nothing, 1)
    eq(dss.libraries()[1].queued, 1)
    eq(plain.unregister(), true)
    eq(#dss.libraries(), 0)
    eq(plain.live(), 0)
end)

scenario("a request gets its answer", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    plain.register()
    local taken
    plain.ask(function(reply, n) taken = reply("yes", n + 1, nil, true) end, 41)
    eventually(function() return dss.dispatch() == 1 end, "the request")
    eq(plain.join()[1], "replied yes 42 nil true")
    eq(taken, 4)
    eq(plain.live(), 0)
end)

scenario("a request through poll gets its answer later", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    plain.register()
    plain.ask(nothing, 1)
    local args
    eventually(function() args = select(3, dss.poll()) return args end, "the request")
    eq(args[2], 1)
    eq(args[1]("late"), 1)
    eq(select("#", args[1]("later still")), 0)
    eq(plain.join()[1], "replied late")
end)

scenario("a request ends in each of the other ways, and is told which", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    plain.register()
    expects("the probe fails in decode", "the probe panics in decode", "the probe fails in reply", "the probe panics in reply", "no$")
    local function outcome(callback, mode)
        eq(plain.ask(callback, 1, mode), true)
        eventually(function() return dss.dispatch() == 1 end, "the request")
        return plain.join()[1]
    end
    local answer = function(reply) reply(1) end
    eq(outcome(answer, "over"), "decoded")
    eq(outcome(answer, "fail"), "failed the probe fails in decode")
    eq(outcome(answer, "panic"), "failed the library panicked: the probe panics in decode")
    eq(outcome(answer, "fail in reply"), "failed the probe fails in reply")
    eq(outcome(answer, "panic in reply"), "failed the library panicked: the probe panics in reply")
    eq(outcome(function() error("no") end), "collected")
    eq(outcome(answer, "unregister"), "cancelled")
    eq(plain.live(), 0)
end)

scenario("a request whose reply is collected is told so", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    plain.register()
    plain.ask(nothing, 1)
    eventually(function() return dss.dispatch() == 1 end, "the request")
    collectgarbage()
    collectgarbage()
    eq(plain.join()[1], "collected")
end)

scenario("a decode that fails or panics is that delivery's error alone", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    plain.register()
    local errors, got = {}, {}
    dss.seterrorhandler(function(err) errors[#errors + 1] = tostring(err) end)
    local callback = function(n) got[#got + 1] = n end
    plain.deliver(callback, 1, "fail")
    plain.deliver(callback, 2)
    plain.deliver(callback, 3, "panic")
    plain.deliver(callback, 4, "over")
    plain.deliver(callback, 5)
    eq(dss.dispatch(), 5)
    eq(table.concat(got, " "), "2 5")
    eq(#errors, 2)
    matches(errors[1], "the probe fails in decode")
    matches(errors[2], "the library panicked: the probe panics in decode")
    plain.deliver(callback, 6, "panic")
    raises("the probe panics in decode", dss.poll)
    eq(plain.live(), 0)
end)

scenario("a reply that fails or panics is an error of who calls it", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    plain.register()
    for _, way in ipairs { "fail", "panic" } do
        plain.ask(nothing, 1, way .. " in reply")
        local args
        eventually(function() args = select(3, dss.poll()) return args end, "the request")
        raises("the probe " .. way .. "s in reply", args[1], 1)
        matches(plain.join()[1], "^failed .*the probe " .. way .. "s in reply")
    end
    local got
    plain.deliver(function(n) got = n end, 7)
    eq(dss.dispatch(), 1)
    eq(got, 7)
    eq(plain.live(), 0)
end)

scenario("unregister cancels what is queued and what waits", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    plain.register()
    plain.ask(nothing, 1)
    local kept
    eventually(function() kept = select(3, dss.poll()) return kept end, "the request")
    plain.ask(nothing, 2)
    eventually(function() return dss.queuesize() == 1 end, "the second request")
    plain.deliver(nothing, 3)
    plain.deliver(nothing, 4)
    eq(plain.unregister(), true)
    eq(dss.queuesize(), 0)
    eq(plain.cancelled(), 2)
    local reports = plain.join()
    eq(#reports, 2)
    eq(reports[1], "cancelled")
    eq(reports[2], "cancelled")
    eq(select("#", kept[1](1)), 0)
    eq(plain.live(), 0)
end)

scenario("decode may unregister its library", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    plain.register()
    local got
    plain.deliver(function(n) got = n end, 1, "unregister")
    plain.deliver(nothing, 2)
    eq(dss.dispatch(), 1)
    eq(got, 1)
    eq(plain.cancelled(), 1)
    eq(#dss.libraries(), 0)
    eq(plain.live(), 0)
end)

scenario("unregistering from a thread while others deliver", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    for _ = 1, 10 do
        plain.register()
        plain.start(2, nothing, 100000000)
        for _ = 1, 50 do dss.poll() end
        plain.unregister_elsewhere()
        -- It needs no Lua to end.
        local reports = plain.join()
        eq(#reports, 3)
        for n = 1, 2 do matches(reports[n], "^sent %d+, then: .*not registered") end
        eq(reports[3], "unregistered")
        eq(dss.dispatch(), 0)
        eq(plain.live(), 0)
    end
end)

-- Each use of the registration that is kept; none is taken.
local function stale(plain)
    local taken, why = plain.deliver_kept(nothing)
    eq(taken, nil)
    matches(why, "not registered in that Lua state any more")
    plain.ask_kept(nothing)
    matches(plain.join()[1], "^refused .*not registered in that Lua state any more")
    taken, why = plain.unregister_kept()
    eq(taken, nil)
    matches(why, "not registered in that Lua state any more")
    eq(plain.live(), 0)
end

scenario("a stale registration is refused, whatever came after it", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    plain.register()
    plain.keep()
    eq(plain.deliver_kept(nothing), true)
    plain.unregister()
    stale(plain)
    eq(select(2, plain.deliver(nothing, 1)), "the library is not registered in this Lua state: register it first")
    for _ = 1, 3 do
        plain.register()
        stale(plain)
        eq(#dss.libraries(), 1)
        plain.unregister()
    end
    eq(plain.cancelled(), 1)
end)

scenario("a registration of a state that was closed is refused", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    local state = host.newstate()
    inside(state, [[
        require "darksidesync"
        local plain = require "plain_v1"
        plain.register()
        plain.keep()
    ]])
    state:close()
    stale(plain)
    plain.register()
    stale(plain)
    eq(dss.queuesize(), 0)
end)

scenario("closing the state releases what is queued and what waits", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    -- 2.0.0 took a reply that Lua had to the end for one that Lua dropped.
    local waiting = dss._VERSION == "DarkSideSync 2.0.0" and "collected" or "cancelled"
    for round = 1, 5 do
        local state = host.newstate()
        inside(state, [[
            local dss, plain = require "darksidesync", require "plain_v1"
            plain.register()
            plain.ask(function() end, 1)
            while not kept do
                local _, callback, arguments = dss.poll()
                kept = arguments
                host.sleep(0.002)
            end
            plain.ask(function() end, 2)
            while dss.queuesize() == 0 do host.sleep(0.002) end
            for n = 3, 6 do plain.deliver(function() end, n) end
        ]])
        eq(plain.live(), 6)
        state:close()
        local reports = plain.join()
        eq(#reports, 2)
        eq(reports[1], waiting)
        eq(reports[2], "cancelled")
        eq(plain.cancelled(), 4 * round)
        eq(plain.closings(), round)
        eq(plain.live(), 0)
    end
end)

scenario("closing the state while threads deliver and ask", function()
    require "darksidesync"
    local plain = require "plain_v1"
    for _ = 1, 5 do
        local state = host.newstate()
        inside(state, [[
            local dss, plain = require "darksidesync", require "plain_v1"
            plain.register()
            plain.start(2, function() end, 100000000)
            for n = 1, 3 do plain.ask(function() end, n) end
            for n = 1, 50 do dss.poll() end
        ]])
        state:close()
        local reports = plain.join()
        eq(#reports, 5)
        for n = 1, 2 do matches(reports[n], "^sent %d+, then: ") end
        -- Where the reply was collected before, or where the thread came late.
        for n = 3, 5 do
            ok(reports[n] == "cancelled" or reports[n] == "collected" or reports[n]:find "^refused", reports[n])
        end
        eq(plain.live(), 0)
    end
end)

scenario("closing is not told after unregister", function()
    require "darksidesync"
    local plain = require "plain_v1"
    local state = host.newstate()
    inside(state, [[
        require "darksidesync"
        local plain = require "plain_v1"
        plain.register()
        plain.unregister()
    ]])
    state:close()
    eq(plain.closings(), 0)
end)

scenario("waiting on the Lua thread is refused", function()
    local dss, plain = require "darksidesync", require "plain_v1"
    plain.register()
    matches(plain.ask_here(nothing), "^refused waiting for Lua on the Lua thread")
    local inside
    plain.deliver(function() inside = plain.ask_here(nothing) end, 1)
    dss.dispatch()
    matches(inside, "^refused waiting for Lua on the Lua thread")
    eq(plain.live(), 0)
end)

scenario("it shares the queue with libraries of other kinds", { with = "plain_v1 probe_v1 probe" }, function()
    local dss, plain = require "darksidesync", require "plain_v1"
    local probe, v1 = require "probe", require "probe_v1"
    plain.register()
    probe.register()
    v1.register()
    local order = {}
    local callback = function(n) order[#order + 1] = n end
    for n = 1, 30 do
        local which = n % 3 == 0 and plain or n % 3 == 1 and probe or v1
        which.deliver(callback, n)
    end
    eq(dss.dispatch(), 30)
    for n = 1, 30 do eq(order[n], n) end
    eq(plain.unregister(), true)
    v1.deliver(callback, 31)
    probe.deliver(callback, 32)
    eq(dss.dispatch(), 2)
    eq(order[32], 32)
end)
