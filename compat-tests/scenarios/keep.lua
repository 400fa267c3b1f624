-- Each row of what 1.0 promised, with a library that is built from the facts alone.
local SUCCESS, INVALID, NOT_STARTED, NO_CANCEL = -100, -101, -102, -103
local NO_DECODE, NO_GLOBALS, UNKNOWN, ALREADY = -105, -106, -107, -108

scenario("the registry has the interface and a version", function()
    local dss = require "darksidesync"
    local entry = debug.getregistry()["DSS.DarkSideSync"]
    eq(type(entry), "table")
    eq(type(entry.Version), "string")
    eq(type(entry["DSS API 1v0"]), "userdata")
    matches(dss._VERSION, "DarkSideSync 2%.")
end)

scenario("nothing is in the registry before require", function()
    eq(debug.getregistry()["DSS.DarkSideSync"], nil)
    raises("never required", require("probe").register)
end)

scenario("register gives one utilid, found again", function()
    require "darksidesync"
    local probe = require "probe"
    local none, unknown = probe.getutilid()
    eq(none, nil)
    eq(unknown, UNKNOWN)
    local id, err = probe.register()
    eq(err, SUCCESS)
    eq(type(id), "userdata")
    eq(probe.getutilid(), id)
    local again, code = probe.register()
    eq(again, id)
    eq(code, ALREADY)
    eq(probe.unregister(), SUCCESS)
    eq(select(2, probe.getutilid()), UNKNOWN)
    eq(probe.unregister(id), INVALID)
end)

scenario("registering without a cancel function is refused", function()
    require "darksidesync"
    local id, err = require("probe").register { cancel = "null" }
    eq(id, nil)
    eq(err, NO_CANCEL)
end)

scenario("poll of an empty queue is -1 alone", function()
    local dss = require "darksidesync"
    eq(select("#", dss.poll()), 1)
    eq(dss.poll(), -1)
    eq(dss.queuesize(), 0)
end)

scenario("poll gives count, function and table", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local f = function() end
    eq(probe.deliver(f, 11), SUCCESS)
    eq(probe.deliver(f, 12), SUCCESS)
    eq(dss.queuesize(), 2)
    local count, callback, args = dss.poll()
    eq(count, 1)
    eq(callback, f)
    eq(type(args), "table")
    eq(args[1], 11)
    eq(dss.poll(), 0)
    eq(dss.poll(), -1)
    eq(probe.live(), 0)
end)

scenario("a decode of 0 or less ends the delivery", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.deliver(nothing, 1, { decode = "over" })
    probe.deliver(nothing, 1, { decode = "negative" })
    local results = { dss.poll() }
    eq(#results, 1)
    eq(results[1], 1)
    results = { dss.poll() }
    eq(#results, 1)
    eq(results[1], 0)
end)

scenario("first in, first out, whichever library delivered", function()
    local dss, one, two = require "darksidesync", require "probe", require "probe2"
    one.register()
    two.register()
    for n = 1, 500 do
        (n % 3 == 0 and two or one).deliver(nothing, n)
    end
    for n = 1, 500 do
        local _, _, args = dss.poll()
        eq(args[1], n)
    end
end)

scenario("items of one thread come in their order", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local last, total = {}, 0
    probe.start(4, 2000, function(thread, number)
        eq(number, (last[thread] or 0) + 1)
        last[thread] = number
        total = total + 1
    end)
    eventually(function()
        dss.dispatch()
        return total == 8000
    end, "8000 items")
    ok(probe.join(30))
    eq(probe.results().taken, 8000)
    eq(probe.live(), 0)
end)

scenario("a waiting thread gets the reply, and a second call does nothing", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.start(1, 1, nothing, { ret = "values" })
    local count, callback, args
    eventually(function()
        count, callback, args = dss.poll()
        return callback
    end, "the item")
    eq(count, 0)
    eq(type(args[1]), "userdata")
    eq(probe.results().returned, 0)
    local results = { args[1]("a", 2, true) }
    eq(#results, 3)
    eq(results[1], "a")
    eq(results[3], true)
    ok(probe.join(30))
    eq(probe.results().returned, 1)
    eq(select("#", args[1]("again")), 0)
    eq(probe.results().replies, 1)
    eq(probe.live(), 0)
end)

scenario("a reply that is collected uncalled releases its thread as garbage", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.start(1, 1, nothing, { ret = "values" })
    eventually(function() return select(2, dss.poll()) end, "the item")
    eventually(function()
        collectgarbage()
        collectgarbage()
        return probe.results().returned == 1
    end, "the thread")
    eq(probe.results().garbage, 1)
    eq(probe.results().replies, 0)
    ok(probe.join(30))
end)

scenario("a decode that is over releases the waiting thread", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.start(1, 1, nothing, { ret = "values", decode = "over" })
    eventually(function() return dss.poll() >= 0 end, "the item")
    ok(probe.join(30))
    eq(probe.results().returned, 1)
    eq(probe.results().replies, 0)
end)

scenario("unregister cancels what is queued and what waits", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.start(2, 1, nothing, { ret = "values" })
    eventually(function() return dss.queuesize() == 2 end, "two items")
    local _, _, args = dss.poll()
    probe.deliver(nothing, 3)
    eq(probe.unregister(), SUCCESS)
    ok(probe.join(30))
    local results = probe.results()
    eq(results.returned, 2)
    eq(results.ret_cancelled, 1)
    eq(results.decode_cancelled, 2)
    eq(results.inside_after_unregister, 0)
    eq(dss.queuesize(), 0)
    eq(dss.poll(), -1)
    eq(select("#", args[1](1)), 0, "the late reply")
    eq(probe.live(), 0)
end)

scenario("closing calls cancel, last registered first", function()
    local state = host.newstate()
    inside(state, [[
        require "darksidesync"
        one, two, three = require "probe", require "probe2", require "probe3"
        one.register() two.register() three.register()
        two.deliver(function() end, 1)
    ]])
    state:close()
    for _, name in ipairs { "probe", "probe2", "probe3" } do
        local probe = require(name)
        eq(probe.results().cancel_calls, 1, name)
        eq(probe.live(), 0, name)
    end
    eq(require("probe2").results().decode_cancelled, 1)
end)

scenario("a deliver without a decode function is refused", function()
    require "darksidesync"
    local probe = require "probe"
    probe.register()
    eq(probe.deliver(nothing, 1, { decode = "null" }), NO_DECODE)
    eq(probe.live(), 0)
end)

scenario("setport takes what is a port and nothing else", function()
    local dss = require "darksidesync"
    eq(dss.getport(), 0)
    eq(dss.setport(50123), 1)
    eq(dss.getport(), 50123)
    for _, wrong in ipairs { -1, 65536, 1.5, "x", true, {}, 1e300, -1e300, 0 / 0 } do
        raises("wanted a UDP port", dss.setport, wrong)
    end
    raises("wanted a UDP port", dss.setport)
    raises("wanted a UDP port", dss.setport, nil)
    eq(dss.getport(), 50123)
    eq(dss.setport(65535), 1)
    eq(dss.setport(0), 1)
    eq(dss.getport(), 0)
end)

scenario("the notification is one datagram with the count in decimal text", function()
    local dss, probe = require "darksidesync", require "probe"
    local socket = host.udp()
    probe.register()
    dss.setport(socket:port())
    eq(probe.deliver(nothing, 1), SUCCESS)
    eq(probe.deliver(nothing, 2), SUCCESS)
    eq(socket:receive(10), "1")
    eq(socket:drain(), 0)
    dss.poll()
    eq(socket:receive(10), "1")
end)

scenario("no port, no notification", function()
    local dss, probe = require "darksidesync", require "probe"
    local socket = host.udp()
    probe.register()
    dss.setport(socket:port())
    dss.setport(0)
    eq(probe.deliver(nothing, 1), SUCCESS)
    eq(socket:receive(0.05), nil)
end)

scenario("requiring twice serves one state", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.deliver(nothing, 1)
    dss.setport(50123)
    package.loaded.darksidesync = nil
    local again = require "darksidesync"
    eq(again.getport(), 50123)
    eq(again.setport(0), 1)
    eq(dss.getport(), 0)
    eq(again.queuesize(), 1)
    eq(again.poll(), 0)
    eq(dss.poll(), -1)
end)

scenario("deliver from many states reaches each its own", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local state = host.newstate()
    inside(state, [[
        dss, probe = require "darksidesync", require "probe"
        probe.register()
        probe.deliver(function() end, 2)
    ]])
    eq(dss.queuesize(), 0)
    probe.deliver(nothing, 1)
    eq(dss.queuesize(), 1)
    eq(state:dostring "return dss.queuesize()", 1)
    state:close()
    eq(dss.queuesize(), 1)
end)

scenario("registering in a state without DSS says so", function()
    require "darksidesync"
    local probe = require "probe"
    probe.register()
    local state = host.newstate()
    local id, err = state:dostring [[
        local probe = require "probe"
        return tostring((probe.register())), (select(2, probe.register()))
    ]]
    eq(id, "nil")
    ok(err == NO_GLOBALS or err == nil or err <= -101, "a code that is an error")
    state:close()
end)

scenario("luaexit delivers SIGTERM and SIGINT, and refuses what is no function", { with = "luaexit", on = "unix: signals are sent" }, function()
    local dss, luaexit = require "darksidesync", require "luaexit"
    local none, message = luaexit.start()
    eq(none, nil)
    matches(message, "function")
    none, message = luaexit.start("x")
    eq(none, nil)
    matches(message, "function")
    local signals = {}
    eq(luaexit.start(function(name) signals[name] = (signals[name] or 0) + 1 end), 1)
    host.kill(host.pid(), 15)
    eventually(function() dss.dispatch() return signals.SIGTERM end, "SIGTERM")
    host.kill(host.pid(), 2)
    eventually(function() dss.dispatch() return signals.SIGINT end, "SIGINT")
    luaexit.stop()
    eq(dss.queuesize(), 0)
end)

scenario("timers of the C library fire, are cancelled and are re-armed by the answer", function()
    local dss, timer = require "darksidesync", require "timer"
    local once, often, never, asked = 0, 0, 0, 0
    local often_id
    timer.after(0.01, function() once = once + 1 end)
    often_id = timer.every(0.005, function() often = often + 1 end)
    local id = timer.after(0.02, function() never = never + 1 end)
    ok(timer.cancel(id))
    timer.ask(0.01, function(reply)
        asked = asked + 1
        if asked < 3 then reply(0.005) else reply(nil) end
    end)
    eventually(function() dss.dispatch() return once == 1 and often >= 5 and asked == 3 end, "the timers")
    ok(timer.cancel(often_id))
    host.sleep(0.05)
    dss.dispatch()
    eq(never, 0)
    eq(asked, 3)
    timer.stop()
    eq(#dss.libraries(), 0)
end)
