-- `getfd` and `alive`: what a loop needs that waits on descriptors. `host.readable` is such a loop's look.

local darksidesync, probe = require "darksidesync", require "probe"

-- Delivers `count` items from a thread that has ended when this returns.
local function deliver(count, callback)
    probe.start(1, count, callback)
    ok(probe.join(30))
end

scenario("the descriptor is readable while items wait", { on = "unix: the test waits on a descriptor" }, function()
    probe.register()
    local fd, got = darksidesync.getfd(), 0
    local function count() got = got + 1 end
    eq(darksidesync.getfd(), fd, "the second time")
    eq(host.readable(fd, 0), false)
    for _, look in ipairs { darksidesync.dispatch, function() darksidesync.dispatch(1) end, function()
        local _, callback, args = darksidesync.poll()
        if callback then callback((table.unpack or unpack)(args)) end
    end } do
        got = 0
        deliver(3, count)
        local looks = 0
        while got < 3 do
            eq(host.readable(fd, 30), true)
            look()
            looks = looks + 1
        end
        ok(looks <= 4, looks)
        -- One notification may be late; it is cleared like the others.
        eventually(function()
            if host.readable(fd, 0) then look() return false end
            return true
        end, "the end of the notifications")
        eq(host.readable(fd, 0.02), false)
    end
    eq(darksidesync.queuesize(), 0)
end)

scenario("a look seldom finds nothing", { on = "unix: the test waits on a descriptor" }, function()
    probe.register()
    local fd, got, vain = darksidesync.getfd(), 0, 0
    probe.start(1, 300, function() got = got + 1 end, { pause = 300 })
    while got < 300 do
        ok(host.readable(fd, 30), "a notification")
        if darksidesync.dispatch() == 0 then vain = vain + 1 end
    end
    ok(probe.join(30))
    -- The thread that writes may be put aside when it wakes this one. Before that was seen to, there were thousands.
    ok(vain <= 300, vain)
end)

scenario("a descriptor that is asked for late tells of what waits, beside a port", { on = "unix: the test waits on a descriptor" }, function()
    probe.register()
    deliver(2, function() end)
    local fd, socket = darksidesync.getfd(), host.udp()
    eq(host.readable(fd, 30), true)
    darksidesync.setport(socket:port())
    eq(socket:receive(30), "2")
    eq(darksidesync.dispatch(), 2)
    eq(host.readable(fd, 0), false)
    deliver(1, function() end)
    ok(socket:receive(30))
    eq(host.readable(fd, 30), true)
    darksidesync.setport(0)
    eq(darksidesync.dispatch(), 1)
    deliver(1, function() end)
    eq(host.readable(fd, 30), true)
    eq(darksidesync.dispatch(), 1)
    ok(not socket:receive(0.02))
end)

scenario("a dispatch may be limited in time, and handles one item at least", function()
    probe.register()
    local got = 0
    deliver(5, function() got = got + 1 end)
    local handled, remaining = darksidesync.dispatch(nil, 0)
    eq(handled, 1) eq(remaining, 4)
    eq(darksidesync.dispatch(2, 3600), 2)
    eq(darksidesync.dispatch(nil, math.huge), 2)
    eq(got, 5)
    for _, wrong in ipairs { "1", -1, {}, 0 / 0 } do
        raises("bad argument #2 to 'dispatch': wanted how many seconds", darksidesync.dispatch, nil, wrong)
    end
end)

scenario("a loop that looks until nothing is ready comes round under load", { on = "unix: the test waits on a descriptor" }, function()
    probe.register()
    local fd, got, rounds, most = darksidesync.getfd(), 0, 0, 4000
    local function work()
        got = got + 1
        local till = host.now() + 50e-6
        while host.now() < till do end
    end
    probe.start(2, most / 2, work)
    while got < most do
        ok(host.readable(fd, 30), "a notification")
        -- The way of a loop that starves its timers.
        while host.readable(fd, 0) do darksidesync.dispatch(8) end
        rounds = rounds + 1
    end
    ok(probe.join(30))
    -- 0.2 s of work, with a pause due each millisecond. Without pauses it is one round, or two.
    ok(rounds >= 20, rounds .. " rounds")
end)

scenario("a port where nobody listens takes no notification from the descriptor", { on = "unix: the test waits on a descriptor" }, function()
    probe.register()
    local fd, socket = darksidesync.getfd(), host.udp()
    darksidesync.setport(socket:port())
    socket:close()
    local got, limit = 0, host.now() + 2
    local function work()
        got = got + 1
        local till = host.now() + 30e-6
        while host.now() < till do end
    end
    while host.now() < limit do
        got = 0
        probe.start(3, 20, work)
        while got < 60 do
            ok(host.readable(fd, 30), darksidesync.queuesize() .. " queued, and no notification")
            darksidesync.dispatch(2)
        end
        ok(probe.join(30))
    end
end)

scenario("DSS's own threads get no signals of the process", { needs = "linux" }, function()
    probe.register()
    local fd, got = darksidesync.getfd(), 0
    probe.start(1, 500, function()
        got = got + 1
        local till = host.now() + 50e-6
        while host.now() < till do end
    end)
    while got < 500 do
        ok(host.readable(fd, 30))
        darksidesync.dispatch(8)
    end
    ok(probe.join(30))
    local listing = io.popen(("for t in /proc/%d/task/*; do cat $t/comm; grep SigBlk $t/status; done"):format(host.pid())):read "*a"
    -- SIGTERM is the 15th.
    local blocked = ok(listing:match "dss pacer\nSigBlk:%s*%x+(%x)%x%x%x\n", listing)
    ok(tonumber(blocked, 16) % 8 >= 4, listing)
end)

scenario("what the program closes is not written to, and asked for again", { needs = "linux" }, function()
    probe.register()
    local fd = darksidesync.getfd()
    ok(host.closefd(fd))
    -- Its number is now the file's.
    local name = os.tmpname()
    local file = assert(io.open(name, "w+b"))
    eq(host.readable(fd, 0), true, "the file")
    deliver(1, function() end)
    eq(darksidesync.dispatch(), 1)
    file:seek "set"
    eq(file:read "*a", "")
    local other = darksidesync.getfd()
    ok(other ~= fd)
    file:write "still open"
    file:close()
    os.remove(name)
    deliver(1, function() end)
    eq(host.readable(other, 30), true)
    eq(darksidesync.dispatch(), 1)
end)

scenario("a deliver says that the program closed the descriptor", { on = "unix: the test waits on a descriptor" }, function()
    local faults = require "faults"
    faults.register()
    faults.setcallback(function() end)
    local fd = darksidesync.getfd()
    host.closefd(fd)
    eq(faults.deliver(), -99)
    eq(darksidesync.dispatch(), 1)
    ok(darksidesync.getfd())
    eq(faults.deliver(), -100)
    eq(darksidesync.dispatch(), 1)
end)

scenario("the descriptor closes with its state", { on = "unix: the test waits on a descriptor" }, function()
    local state = host.newstate()
    local fd = state:dostring "return require('darksidesync').getfd()"
    eq(host.readable(fd, 0), false)
    state:close()
    local readable, why = host.readable(fd, 0)
    eq(readable, nil) eq(why, "closed")
end)

scenario("states have descriptors of their own", { on = "unix: the test waits on a descriptor" }, function()
    probe.register()
    local state = host.newstate()
    local other = state:dostring [[
        probe = require "probe"
        probe.register()
        return require("darksidesync").getfd()
    ]]
    local fd = darksidesync.getfd()
    ok(fd ~= other)
    deliver(1, function() end)
    eq(host.readable(fd, 30), true)
    eq(host.readable(other, 0), false)
    eq(darksidesync.dispatch(), 1)
    state:close()
end)

scenario("a child that was forked leaves the parent's descriptor alone", { needs = "linux" }, function()
    probe.register()
    local fd = darksidesync.getfd()
    deliver(1, function() end)
    local pid = host.fork()
    if pid == 0 then
        local fine, message = pcall(darksidesync.getfd)
        os.exit(not fine and message:find "fork" and not pcall(darksidesync.dispatch) and 0 or 1)
    end
    eq(table.concat({ host.waitpid(pid, 30) }, " "), "exited 0")
    eq(host.readable(fd, 0), true)
    eq(darksidesync.dispatch(), 1)
    eq(host.readable(fd, 0), false)
end)

scenario("a loop hears when it may end, and when it may not", { on = "unix: the test waits on a descriptor", with = "probe_v2" }, function()
    local v2 = darksidesync.load "probe_v2"
    local fd = darksidesync.getfd()
    v2.keep_alive(false)
    eq(darksidesync.alive(), false)
    eq(host.readable(fd, 0), false)
    v2.keep_alive(true)
    eq(host.readable(fd, 30), true)
    eq(darksidesync.dispatch(), 0)
    eq(darksidesync.alive(), true)
    eq(host.readable(fd, 0), false)
    v2.keep_alive(false)
    eq(host.readable(fd, 30), true)
    eq(darksidesync.dispatch(), 0)
    eq(darksidesync.alive(), false)
    -- What is queued keeps it going, and is announced as ever.
    v2.deliver(function() end)
    eq(darksidesync.alive(), true)
    eq(host.readable(fd, 30), true)
    eq(darksidesync.dispatch(), 1)
    eq(darksidesync.alive(), false)
    -- A library of 1.0 keeps it going as long as it is registered.
    probe.register()
    eq(host.readable(fd, 30), true)
    eq(darksidesync.dispatch(), 0)
    eq(darksidesync.alive(), true)
    probe.unregister()
    eq(host.readable(fd, 30), true)
    eq(darksidesync.dispatch(), 0)
    eq(darksidesync.alive(), false)
end)

-- A state of its own with a descriptor, and a function that makes that readable.
local function other_descriptor()
    local state = host.newstate()
    local fd = state:dostring [[
        dss, probe = require "darksidesync", require "probe"
        probe.register()
        return dss.getfd()
    ]]
    return fd, function() ok(state:dostring "probe.start(1, 1, function() end) return true") end,
        function() while state:dostring "return dss.dispatch()" == 0 do end end
end

scenario("wait waits on descriptors of the program's, too", { on = "unix: the test waits on a descriptor" }, function()
    probe.register()
    local fd, ring, clear = other_descriptor()
    local queued, ready = darksidesync.wait(0, { fd })
    eq(queued, false) eq(#ready, 0)
    eq(select("#", darksidesync.wait(0)), 1)
    ring()
    queued, ready = darksidesync.wait(nil, { fd })
    eq(queued, false) eq(#ready, 1) eq(ready[1], fd)
    deliver(1, function() end)
    queued, ready = darksidesync.wait(0, { fd })
    eq(queued, true) eq(ready[1], fd)
    clear()
    queued, ready = darksidesync.wait(nil, { fd })
    eq(queued, true) eq(#ready, 0)
    eq(darksidesync.dispatch(), 1)
    queued, ready = darksidesync.wait(0.01, { fd })
    eq(queued, false) eq(#ready, 0)
    for _, wrong in ipairs { 1, "x", { "1" }, { 1.5 }, { -1 }, { {} } } do
        raises("bad argument #2 to 'wait': wanted a list of descriptors", darksidesync.wait, 0, wrong)
    end
    local many = {}
    for at = 1, 65 do many[at] = fd end
    raises("more than 64 descriptors", darksidesync.wait, 0, many)
    local closed = 1000
    raises("a descriptor to wait on is not open", darksidesync.wait, 0, { closed })
    eq(darksidesync.dispatch(), 0)
end)

scenario("run calls the functions of descriptors that are ready, as they are in its table", { on = "unix: the test waits on a descriptor" }, function()
    local fd, ring, clear = other_descriptor()
    local other, ring_other = other_descriptor()
    local calls, fds = {}, {}
    fds[fd] = function(number)
        eq(number, fd)
        calls[#calls + 1] = "one"
        clear()
        if #calls == 1 then
            fds[other] = function()
                calls[#calls + 1] = "other"
                fds[other], fds[fd] = nil, nil
            end
            ring()
            ring_other()
        end
    end
    ring()
    -- Ends when no descriptor is left: no library keeps it going.
    eq(darksidesync.run(60, fds), 0)
    local text = table.concat(calls, " ")
    ok(text:find "^one" and text:find "other$", text)
    -- Items are handled beside them, and neither keeps the other from it.
    probe.register()
    local items, looks = 0, 0
    probe.start(1, 2000, function()
        items = items + 1
        if items == 2000 then probe.unregister() end
    end)
    ring()
    ok(host.readable(fd, 30))
    fds = { [fd] = function() looks = looks + 1 if items == 2000 then fds[fd] = nil end end }
    eq(darksidesync.run(60, fds), 2000)
    ok(looks > 1, looks)
    clear()
    -- Looked at once, also without time.
    ring()
    ok(host.readable(fd, 30))
    local called = 0
    darksidesync.run(0, { [fd] = function() called = called + 1 end })
    eq(called, 1)
    clear()
    for _, wrong in ipairs { 1, { print }, { [fd] = 1 }, { x = print } } do
        if type(wrong) ~= "table" or wrong[1] == nil then
            raises("bad argument #2 to 'run': wanted a table from descriptors", darksidesync.run, 0, wrong)
        end
    end
end)

scenario("an error in a descriptor's function is told, and run goes on", { on = "unix: the test waits on a descriptor" }, function()
    local fd, ring, clear = other_descriptor()
    local errors, calls, fds = {}, 0, {}
    darksidesync.seterrorhandler(function(err) errors[#errors + 1] = tostring(err) end)
    fds[fd] = function()
        calls = calls + 1
        if calls == 2 then fds[fd] = nil end
        error("on purpose " .. calls, 0)
    end
    ring()
    darksidesync.run(60, fds)
    clear()
    eq(table.concat(errors, ","), "on purpose 1,on purpose 2")
    -- A run in a callback has descriptors of its own, and the outer one has its own again.
    local order = {}
    fds[fd] = function()
        order[#order + 1] = "outer"
        if #order > 1 then fds[fd] = nil return end
        local inner = {}
        inner[fd] = function() order[#order + 1] = "inner" inner[fd] = nil end
        darksidesync.run(60, inner)
    end
    ring()
    darksidesync.run(60, fds)
    eq(table.concat(order, " "), "outer inner outer")
    eq(#errors, 2)
end)

-- How often the main thread has gone to sleep.
local function sleeps()
    local file = assert(io.open "/proc/self/status")
    local text = file:read "*a"
    file:close()
    return tonumber(text:match "\nvoluntary_ctxt_switches:%s*(%d+)")
end

scenario("wait and run sleep without waking in between", { needs = "linux" }, function()
    probe.register()
    for _, sleep in ipairs { darksidesync.wait, darksidesync.run } do
        sleep(0.01)
        local before = sleeps()
        sleep(1)
        ok(sleeps() - before <= 4, sleeps() - before)
    end
end)
