-- What the module offers beyond 1.0.

scenario("dispatch handles all, in order, without a table", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local got = {}
    for n = 1, 10 do probe.deliver(function(v) got[#got + 1] = v end, n) end
    local handled, remaining = dss.dispatch()
    eq(handled, 10)
    eq(remaining, 0)
    for n = 1, 10 do eq(got[n], n) end
    handled, remaining = dss.dispatch()
    eq(handled, 0)
    eq(remaining, 0)
end)

scenario("dispatch takes no more than it is told", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    for n = 1, 10 do probe.deliver(nothing, n) end
    local handled, remaining = dss.dispatch(4)
    eq(handled, 4)
    eq(remaining, 6)
    handled, remaining = dss.dispatch(0)
    eq(handled, 0)
    eq(remaining, 6)
    for _, wrong in ipairs { -1, 1.5, "3", true, {} } do
        raises("bad argument #1 to 'dispatch'", dss.dispatch, wrong)
    end
    eq(dss.dispatch(math.huge), 6)
end)

scenario("an error in a callback goes to the handler and stops nothing", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local errors, done = {}, 0
    dss.seterrorhandler(function(err) errors[#errors + 1] = err end)
    probe.deliver(function() error("one", 0) end, 1)
    probe.deliver(function() done = done + 1 end, 2)
    probe.deliver(function() error({ code = 3 }) end, 3)
    probe.deliver(nothing, 4, { decode = "raise" })
    probe.deliver(function() done = done + 1 end, 5)
    local handled, remaining = dss.dispatch()
    eq(handled, 5)
    eq(remaining, 0)
    eq(done, 2)
    eq(#errors, 3)
    eq(errors[1], "one")
    eq(errors[2].code, 3)
end)

scenario("the handler is called where the error was raised", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local trace
    dss.seterrorhandler(function(err) trace = debug.traceback(err) end)
    local function thrower() error("deep") end
    probe.deliver(function() thrower() return 1 end, 1)
    dss.dispatch()
    matches(trace, "deep")
    matches(trace, "thrower")
end)

scenario("a handler that raises stops nothing either", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local done = false
    dss.seterrorhandler(function() error("again") end)
    probe.deliver(function() error("one") end, 1)
    probe.deliver(function() done = true end, 2)
    eq(dss.dispatch(), 2)
    ok(done)
end)

scenario("a callback that runs out of memory is told of", { on = "unix: memory is limited" }, function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local errors, done = {}, false
    dss.seterrorhandler(function(err) errors[#errors + 1] = tostring(err) end)
    local large = 2 ^ 30
    probe.deliver(function() return #("x"):rep(large) end, 1)
    probe.deliver(function() done = true end, 2)
    local before = host.setrlimit("as", host.rss() + 300 * 1024 * 1024)
    local handled = dss.dispatch()
    host.setrlimit("as", before)
    eq(handled, 2)
    ok(done)
    eq(#errors, 1)
    matches(errors[1], "not enough memory")
end)

scenario("an error in a callback releases its waiting thread at once", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    expects "no answer"
    probe.start(1, 1, function() error("no answer") end, { ret = "values" })
    eventually(function() return dss.dispatch() == 1 end, "the item")
    ok(probe.join(30))
    eq(probe.results().garbage, 1)
end)

scenario("dispatch gives a waiting thread's callback its reply", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.start(3, 5, function(reply) reply(1, 2, 3) end, { ret = "sum" })
    eventually(function() dss.dispatch() return probe.results().returned == 15 end, "the threads")
    ok(probe.join(30))
    eq(probe.results().replies, 15)
    eq(probe.wait_sum(), 6)
end)

scenario("dispatch within a callback, and poll within dispatch", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local got = {}
    probe.deliver(function(n)
        got[#got + 1] = n
        dss.dispatch(1)
        local _, callback, args = dss.poll()
        got[#got + 1] = args[1]
    end, 1)
    for n = 2, 4 do probe.deliver(function(v) got[#got + 1] = v end, n) end
    local handled, remaining = dss.dispatch()
    eq(handled, 2)
    eq(remaining, 0)
    eq(#got, 4)
    for n = 1, 4 do eq(got[n], n) end
end)

scenario("callbacks that deliver and decodes that deliver", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local got = 0
    local function again(n)
        got = got + 1
        if got < 5 then probe.deliver(again, n) end
    end
    probe.deliver(again, 1)
    probe.deliver(function() end, 1, { decode = "deliver" })
    -- What is delivered meanwhile may be left to the next call.
    local handled, remaining = dss.dispatch()
    while remaining > 0 do
        local more
        more, remaining = dss.dispatch()
        handled = handled + more
    end
    eq(got, 5)
    eq(handled, 7)
    eq(probe.live(), 0)
end)

scenario("wait returns at once where something is queued, and in time where not", function()
    local dss, probe = require "darksidesync", require "probe"
    eq(dss.wait(0), false)
    eq(dss.wait(0.01), false)
    probe.register()
    probe.deliver(nothing, 1)
    eq(dss.wait(), true)
    eq(dss.wait(0), true)
    for _, wrong in ipairs { -1, 0 / 0, "1", true, {} } do raises("bad argument #1 to 'wait'", dss.wait, wrong) end
    dss.dispatch()
    eq(dss.wait(0), false)
end)

scenario("wait is woken by a deliver", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    for _ = 1, 50 do
        probe.start(1, 1, nothing, { pause = 1000 })
        eq(dss.wait(60), true)
        dss.dispatch()
        ok(probe.join(30))
    end
end)

scenario("run ends when nothing is registered", function()
    local dss, probe = require "darksidesync", require "probe"
    eq(dss.run(), 0)
    probe.register()
    local got = 0
    probe.start(1, 20, function()
        got = got + 1
        if got == 20 then probe.unregister() end
    end, { pause = 500 })
    eq(dss.run(60), 20)
    ok(probe.join(30))
    eq(dss.run(), 0)
end)

scenario("run ends when the last library is unregistered by a thread", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.unregister_from_thread()
    eq(dss.run(60), 0)
    ok(probe.join(30))
end)

scenario("run ends by stop and by its time", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    eq(dss.run(0.02), 0)
    probe.deliver(function() dss.stop() end, 1)
    probe.deliver(nothing, 2)
    eq(dss.run(60), 1)
    eq(dss.queuesize(), 1)
    dss.stop()
    eq(dss.run(0.02), 1)
    for _, wrong in ipairs { -1, "1", {} } do raises("bad argument #1 to 'run'", dss.run, wrong) end
end)

scenario("an interruption breaks off dispatch, and loses nothing", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local handled, told = 0, false
    dss.seterrorhandler(function() told = true end)
    for n = 1, 5 do
        probe.deliver(function()
            handled = handled + 1
            if n == 2 then error("file:1: interrupted!", 0) end
        end, n)
    end
    raises("interrupted!$", dss.dispatch)
    eq(handled, 2)
    eq(told, false)
    eq(dss.dispatch(), 3)
    eq(handled, 5)
    -- And by a hook, between two items or in one.
    for _ = 1, 1000 do probe.deliver(nothing, 1) end
    debug.sethook(function()
        debug.sethook()
        error("interrupted!", 0)
    end, "", 500)
    local fine, message = pcall(dss.dispatch)
    debug.sethook()
    eq(fine, false)
    eq(message, "interrupted!")
    dss.dispatch()
    eq(dss.queuesize(), 0)
    eq(probe.live(), 0)
end)

scenario("Ctrl-C breaks off run and wait", { needs = "interpreter", on = "unix: a signal is sent", long = "true" }, function()
    local folder = os.getenv "DSS_TEST_FOLDER"
    for _, call in ipairs { "run()", "wait()", "run() -- busy" } do
        local script = os.tmpname()
        local file = io.open(script, "w")
        file:write(([[
            package.cpath = "%s/?.so;" .. package.cpath
            local dss, probe = require "darksidesync", require "probe"
            probe.register()
            io.stdout:write("ready\n") io.stdout:flush()
            if %s then
                local function again() probe.deliver(again, 1) end
                again()
            end
            dss.%s
        ]]):format(folder, tostring(call:find "busy" ~= nil), call))
        file:close()
        -- A shell of its own, so that the signal goes to the interpreter alone.
        local command = ("timeout 60 %s %s 2>&1 & sleep 1; kill -INT $(pgrep -P $!); wait $!; echo code $?"):format(
            os.getenv "DSS_TEST_INTERPRETER", script)
        local pipe = io.popen("bash -c '" .. "set -m; " .. command .. "'")
        local output = pipe:read("*a")
        pipe:close()
        os.remove(script)
        matches(output, "ready")
        matches(output, "interrupted!")
        matches(output, "code 1")
    end
end)

scenario("libraries shows what each has", { with = "probe probe_v1" }, function()
    local dss, probe = require "darksidesync", require "probe"
    local v1 = require "probe_v1"
    eq(#dss.libraries(), 0)
    probe.register()
    v1.register()
    probe.deliver(nothing, 1)
    probe.deliver(nothing, 2)
    v1.deliver(nothing, 3)
    probe.deliver(nothing, 4, { ret = "values" })
    local list = dss.libraries()
    eq(#list, 2)
    eq(list[1].name, nil)
    eq(list[1].revision, "c1v0")
    eq(list[1].queued, 2)
    eq(list[1].refused, 1)
    eq(list[2].name, "probe_v1")
    eq(list[2].revision, "v1")
    eq(list[2].queued, 1)
    dss.dispatch()
    probe.start(1, 1, function(reply) reply() end, { ret = "values" })
    eventually(function() return dss.libraries()[1].waiting == 1 end, "the waiting thread")
    dss.dispatch()
    ok(probe.join(30))
    list = dss.libraries()
    eq(list[1].queued, 0)
    eq(list[1].waiting, 0)
    eq(list[1].delivered, 3)
    eq(list[1].replied, 1)
    eq(list[1].cancelled, 0)
    eq(list[2].delivered, 1)
end)

scenario("counts go on where a library registers again", function()
    local dss, probe, other = require "darksidesync", require "probe", require "probe2"
    probe.register()
    probe.deliver(nothing, 1)
    dss.dispatch()
    probe.deliver(nothing, 2)
    probe.deliver(nothing, 3, { ret = "values" })
    probe.unregister()
    other.register()
    probe.register()
    local list = dss.libraries()
    eq(list[1].delivered + list[1].cancelled + list[1].refused, 0, "the other library's")
    eq(list[2].delivered, 1)
    eq(list[2].cancelled, 1)
    eq(list[2].refused, 1)
end)

scenario("revisions says what is offered", function()
    local list = require("darksidesync").revisions()
    eq(list[1].name, "c1v0")
    eq(list[2].name, "v1")
    eq(list[2].revision, 1)
    eq(list[2].version, "1.0.0")
    eq(list[2].status, "supported")
end)

scenario("a dispatch that leaves items announces them", function()
    local dss, probe = require "darksidesync", require "probe"
    local socket = host.udp()
    probe.register()
    dss.setport(socket:port())
    for n = 1, 10 do probe.deliver(nothing, n) end
    local handled = 0
    while socket:receive(0.2) do
        handled = handled + dss.dispatch(3)
    end
    eq(handled, 10)
end)
