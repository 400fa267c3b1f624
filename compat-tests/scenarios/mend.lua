-- Each fault of 1.0, by the number it has in the facts. Each of these would fail on 1.0.
local SUCCESS, INVALID, NOT_STARTED, WOULD_DEADLOCK = -100, -101, -102, -109

scenario("1: unregistering with items queued", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    for n = 1, 100 do probe.deliver(nothing, n) end
    eq(probe.unregister(), SUCCESS)
    eq(probe.results().decode_cancelled, 100)
    eq(dss.queuesize(), 0)
    eq(probe.live(), 0)
end)

scenario("2: closing one state leaves the others alone", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.deliver(nothing, 1)
    local state = host.newstate()
    inside(state, [[
        require "darksidesync"
        require("probe2").register()
        require("probe").register()
    ]])
    probe.reset()
    state:close()
    eq(require("probe2").results().cancel_calls, 1)
    eq(probe.results().cancel_calls, 1, "the other state's registration alone")
    eq(probe.results().decode_cancelled, 0)
    eq(dss.poll(), 0)
    eq(probe.deliver(nothing, 2), SUCCESS)
end)

scenario("3: an error in decode holds nothing and hangs nobody", function()
    local dss, probe, other = require "darksidesync", require "probe", require "probe2"
    probe.register()
    other.register()
    probe.deliver(nothing, 1, { decode = "raise" })
    probe.deliver(nothing, 2, { decode = "raise_object" })
    raises("", dss.poll)
    eq(pcall(dss.poll), false)
    eq(other.deliver(nothing, 3), SUCCESS)
    other.start(2, 10, nothing)
    ok(other.join(30))
    eq(dss.queuesize(), 21)
    eq(probe.unregister(), SUCCESS)
end)

scenario("3: a slow decode stops no other thread", function()
    local dss, slow, other = require "darksidesync", require "probe", require "probe2"
    slow.register()
    other.register()
    local state = host.newstate()
    inside(state, [[
        dss, third = require "darksidesync", require "probe3"
        third.register()
    ]])
    -- While this decode sleeps, threads of the other library deliver and end: it waits for them.
    local ended = false
    slow.deliver(nothing, 1, { decode = "slow", seconds = 0.5 })
    other.start(2, 1000, nothing)
    dss.poll()
    ok(other.join(30))
    eq(other.results().taken, 2000)
    state:close()
end)

scenario("3: an error in decode releases the waiting thread", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.start(1, 1, nothing, { ret = "values", decode = "raise" })
    eventually(function() return dss.queuesize() == 1 end, "the item")
    raises("", dss.poll)
    ok(probe.join(30))
    eq(probe.results().returned, 1)
end)

scenario("3: an error in return releases the waiting thread", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.start(1, 1, nothing, { ret = "raise" })
    local args
    eventually(function() args = select(3, dss.poll()) return args end, "the item")
    raises("", args[1], 1)
    ok(probe.join(30))
    eq(probe.results().returned, 1)
    eq(probe.unregister(), SUCCESS)
end)

scenario("4: a blocking deliver on the Lua thread is refused", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    eq(probe.deliver(nothing, 1, { ret = "values" }), WOULD_DEADLOCK)
    eq(dss.queuesize(), 0)
    eq(probe.live(), 0)
end)

scenario("5: a burst loses no notification", function()
    local dss, probe = require "darksidesync", require "probe"
    local socket = host.udp()
    probe.register()
    dss.setport(socket:port())
    probe.start(2, 5000, nothing)
    ok(probe.join(30))
    eq(probe.results().taken, 10000)
    eq(probe.results().warned, 0)
    -- The documented handler: one read, one poll.
    local polled = 0
    while socket:receive(0.2) do
        local _, callback = dss.poll()
        if callback then polled = polled + 1 end
    end
    eq(polled, 10000)
    eq(dss.queuesize(), 0)
end)

scenario("5: a burst costs one datagram", function()
    local dss, probe = require "darksidesync", require "probe"
    local socket = host.udp()
    probe.register()
    dss.setport(socket:port())
    for n = 1, 5000 do probe.deliver(nothing, n) end
    host.sleep(0.02)
    eq(socket:drain(), 1)
    local handled, remaining = dss.dispatch()
    eq(handled, 5000)
    eq(remaining, 0)
    eq(socket:receive(0.05), nil, "dispatch emptied the queue")
    probe.deliver(nothing, 1)
    eq(socket:receive(10), "1")
end)

scenario("6: the datagram holds the count", function()
    local dss, probe = require "darksidesync", require "probe"
    local socket = host.udp()
    probe.register()
    for n = 1, 7 do probe.deliver(nothing, n) end
    dss.setport(socket:port())
    eq(socket:receive(10), "7")
    dss.dispatch(3)
    eq(socket:receive(10), "4")
end)

scenario("7: a library that has no finalizer of its own", function()
    local state = host.newstate()
    inside(state, [[
        dss = require "darksidesync"
        probe = require "probe3"
        probe.register { cancel = "unregister" }
        probe.deliver(function() end, 1)
        probe.start(1, 1, function() end, { ret = "values" })
        while dss.queuesize() < 2 do end
    ]])
    state:close()
    local probe = require "probe3"
    eventually(function() return probe.results().returned == 1 end, "the waiting thread")
    eq(probe.results().cancel_calls, 1)
    all_ended(probe)
end)

scenario("7: a library whose cancel does not unregister", function()
    local state = host.newstate()
    inside(state, [[
        dss = require "darksidesync"
        probe = require "probe"
        id = probe.register { cancel = "nothing" }
        for n = 1, 10 do probe.deliver(function() end, n) end
        probe.start(2, 1, function() end, { ret = "values" })
        while dss.queuesize() < 12 do end
    ]])
    state:close()
    local probe = require "probe"
    eventually(function() return probe.results().returned == 2 end, "the waiting threads")
    eq(probe.results().cancel_calls, 1)
    all_ended(probe)
end)

scenario("8: setting the port announces what is queued", function()
    local dss, probe = require "darksidesync", require "probe"
    local socket = host.udp()
    probe.register()
    probe.deliver(nothing, 1)
    dss.setport(socket:port())
    eq(socket:receive(10), "1")
    local second = host.udp()
    dss.setport(second:port())
    eq(second:receive(10), "1")
end)

scenario("9: stale and made-up utilids are refused", function()
    local dss, probe = require "darksidesync", require "probe"
    local stale = probe.register()
    probe.unregister()
    local fresh = probe.register()
    ok(stale ~= fresh, "a new registration has a new utilid")
    eq(probe.deliver(nothing, 1, { utilid = stale }), INVALID)
    eq(probe.unregister(stale), INVALID)
    for _, made_up in ipairs { 0, 1, 2, 8, 4096, 65536, 123456789, 2 ^ 32, 2 ^ 47 - 8, 2 ^ 52 } do
        eq(probe.deliver(nothing, 1, { utilid = made_up }), INVALID, made_up)
        eq(probe.unregister(made_up), INVALID, made_up)
    end
    eq(dss.queuesize(), 0)
    local state = host.newstate()
    inside(state, [[ require "darksidesync" probe2 = require "probe2" probe2.register() ]])
    state:close()
    eq(probe.live(), 0)
end)

scenario("9: a utilid of a closed state is refused, whoever has its place now", function()
    local probe = require "probe"
    local state = host.newstate()
    inside(state, [[
        require "darksidesync"
        probe = require "probe"
        probe.register()
        probe.start(1, 1000000, function() end, { pause = 100 })
    ]])
    host.sleep(0.02)
    state:close()
    eventually(function() return probe.results().last_error ~= 0 end, "the error that ends the thread")
    local again = host.newstate()
    inside(again, [[ dss = require "darksidesync" require("probe2").register() ]])
    eq(again:dostring "return dss.queuesize()", 0)
    local last = probe.results().last_error
    ok(last == INVALID or last == NOT_STARTED, "the error that ended the thread: " .. tostring(last))
    again:close()
end)

scenario("11: seterrorhandler(nil) restores the default", { needs = "socket" }, function()
    local dss = require "dss"
    dss.seterrorhandler(function() end)
    dss.seterrorhandler(nil)
    raises("wanted a function", dss.seterrorhandler, 1)
    local darksidesync = require "darksidesync"
    darksidesync.seterrorhandler(nothing)
    darksidesync.seterrorhandler(nil)
    raises("wanted a function", darksidesync.seterrorhandler, "x")
end)
