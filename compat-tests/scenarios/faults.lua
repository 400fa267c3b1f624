-- What can run out, be refused or go wrong around DSS: the process goes on, and so does its host.

local SUCCESS, SEND_FAILED, OUT_OF_MEMORY = -100, -99, -104

-- Delivers until there is no memory for more; the limit stays. Returns how many items were taken.
local function fill_up(faults, ...)
    local ballast = ("x"):rep(2 ^ 20)
    host.setrlimit("as", faults.vmsize() + 64 * 2 ^ 20)
    local taken, code = faults.fill(...)
    eq(code, OUT_OF_MEMORY)
    ok(taken > 100000, "there was memory for " .. taken .. " items")
    -- For the scenario's own Lua.
    ballast = nil
    collectgarbage()
    return taken
end

local function ends(faults, which, decoded, cancelled)
    local taken, was_decoded, was_cancelled, amiss = faults.ends(which)
    eq(was_decoded, decoded, "decoded")
    eq(was_cancelled, cancelled, "cancelled")
    eq(taken, decoded + cancelled, "taken")
    eq(amiss, 0, "items that did not end once")
end

scenario("out of memory: unregister cancels what was taken", { needs = "linux" }, function()
    local dss, faults = require "darksidesync", require "faults"
    eq(faults.register(), SUCCESS)
    local taken = fill_up(faults, 1)
    eq(dss.queuesize(), taken)
    eq(faults.unregister(), SUCCESS)
    ends(faults, 1, 0, taken)
    eq(dss.queuesize(), 0)
    eq(faults.register(), SUCCESS)
    eq(faults.deliver(), SUCCESS)
    eq(dss.dispatch(), 1)
    ends(faults, 1, 1, taken)
end)

scenario("out of memory: closing the state cancels what was taken", { needs = "linux" }, function()
    local faults, state = require "faults", host.newstate()
    inside(state, [[
        dss, faults = require "darksidesync", require "faults"
        faults.register()
    ]])
    local taken = fill_up(faults, 1)
    state:close()
    ends(faults, 1, 0, taken)
end)

scenario("out of memory: what was taken is decoded", { needs = "linux" }, function()
    local dss, faults = require "darksidesync", require "faults"
    faults.register()
    local taken = fill_up(faults, 1)
    local half = math.floor(taken / 2)
    for _ = 1, 10 do ok(dss.poll() >= 0) end
    eq(dss.dispatch(half), half)
    eq(dss.dispatch(), taken - half - 10)
    ends(faults, 1, taken, 0)
    eq(faults.deliver(), SUCCESS)
    eq(dss.dispatch(), 1)
end)

scenario("out of memory: one of two libraries in one queue unregisters", { needs = "linux" }, function()
    local dss, faults = require "darksidesync", require "faults"
    faults.register(1)
    faults.register(2)
    fill_up(faults, 1, 2)
    -- Some lie where the Lua thread has taken them over, some where they came.
    for _ = 1, 1000 do dss.poll() end
    local taken, decoded = faults.ends(1)
    eq(faults.unregister(1), SUCCESS)
    ends(faults, 1, decoded, taken - decoded)
    local others = faults.ends(2)
    while dss.dispatch() > 0 do end
    ends(faults, 2, others, 0)
    eq(faults.unregister(2), SUCCESS)
end)

-- A state that two threads deliver to, as fast as it can be taken.
local function busy_state()
    local state = host.newstate()
    inside(state, [[
        dss, faults = require "darksidesync", require "faults"
        faults.register()
        faults.produce(2, 20)
    ]])
    return state
end

-- Ends its threads and takes what is left: nothing is lost.
local function end_busy(state)
    eq(require("faults").halt(), 0)
    ok(state:dostring "while dss.dispatch() > 0 do end return true")
    local taken, decoded = require("faults").ends()
    eq(decoded, taken)
    state:close()
end

-- Runs `f` in a forked child, which then exits; how it ended: "exited 0" if all was well.
local function forked(f)
    local pid = host.fork()
    if pid == 0 then
        local fine, message = pcall(f)
        if not fine then io.stderr:write("in the child: ", tostring(message), "\n") end
        os.exit(fine and 0 or 1)
    end
    return table.concat({ host.waitpid(pid, 30) }, " ")
end

scenario("a state that was open at a fork says so in the child", { needs = "linux" }, function()
    local state = busy_state()
    for _, call in ipairs { "poll()", "dispatch()", "dispatch(10)", "queuesize()", "wait(0.01)", "run(0.01)" } do
        for _ = 1, 3 do
            local ended = forked(function()
                local result, message = state:dostring("return true, dss." .. call)
                eq(result, nil, call)
                matches(message, "fork")
            end)
            eq(ended, "exited 0", call)
        end
        ok(state:dostring "return dss.dispatch(100000)")
    end
    end_busy(state)
end)

scenario("programs that are started while others deliver disturb nothing", { needs = "linux" }, function()
    -- By posix_spawn, as the C library starts them: the child has this process's memory until it is another program.
    local state = busy_state()
    for _ = 1, 30 do
        local pipe = io.popen "echo started"
        eq(pipe:read "*l", "started")
        pipe:close()
        ok(os.execute "exit 0")
        ok(state:dostring "return dss.dispatch(100000)")
    end
    end_busy(state)
end)

scenario("a state that had only required DSS at a fork is served in the child", { needs = "linux", with = "faults probe probe_v2" }, function()
    -- Another state's threads are at it meanwhile.
    local busy, state = busy_state(), host.newstate()
    inside(state, [[
        dss = require "darksidesync"
        assert(dss.poll() == -1 and dss.queuesize() == 0 and dss.setport(0) == 1)
        assert(not pcall(dss.load, "nowhere"))
    ]])
    local works = [[
        local probe, got = require "probe", 0
        assert(probe.register())
        assert(probe.deliver(function(value) got = got + value end, 7) == -100)
        dss.dispatch()
        assert(got == 7)
        assert(dss.setport(50123) == 1 and dss.getport() == 50123 and dss.getfd() > 0)
    ]]
    local first = { "", "dss.poll()", "dss.load 'probe_v2'", "require 'darksidesync'", "assert(dss.setport(50124) == 1) dss.setport(0)", "dss.wait(0.01)" }
    for _, call in ipairs(first) do
        ok(busy:dostring "return dss.dispatch(100000)")
        eq(forked(function()
            inside(state, call .. works:gsub("^%s+", " "))
            -- What has been opened since is not served in a child of the child.
            eq(forked(function()
                local result, message = state:dostring "return dss.poll()"
                eq(result, nil)
                matches(message, "fork")
            end), "exited 0", call)
            state:close()
        end), "exited 0", call)
    end
    -- And a child's child, where neither has used it.
    eq(forked(function() eq(forked(function() inside(state, works) end), "exited 0") end), "exited 0")
    end_busy(busy)
    -- The parent's is as it was.
    inside(state, works)
    for _, call in ipairs { "poll()", "dispatch()" } do
        eq(forked(function() matches(select(2, state:dostring("return dss." .. call)), "fork") end), "exited 0", call)
    end
    state:close()
end)

scenario("a child that was forked while others deliver closes, exits, and opens states of its own", { needs = "linux", long = "true" }, function()
    local state = busy_state()
    local function child(round)
        -- Whatever they return; some children have not called since the fork.
        if round % 3 == 1 then state:dostring "dss.poll()" end
        if round % 3 == 2 then state:dostring "dss.dispatch(10)" end
        -- Some leave the state to the end of the process.
        if round % 2 == 0 then state:close() end
        local own = host.newstate()
        inside(own, [[
            dss, probe = require "darksidesync", require "probe"
            assert(probe.register())
            local got = 0
            assert(probe.deliver(function(value) got = got + value end, 7) == -100)
            probe.start(2, 10, function(reply) got = got + 1 reply(1) end, { ret = "values" })
            local limit = host.now() + 30
            while got < 27 and host.now() < limit do dss.wait(1) dss.dispatch() end
            assert(got == 27, got)
            assert(probe.join(30))
        ]])
        own:close()
    end
    local hung = 0
    for round = 1, 200 do
        ok(state:dostring "return dss.dispatch(100000)")
        local ended = forked(function() child(round) end)
        if ended == "hung" then
            hung = hung + 1
            -- It has failed, and takes long enough.
            if hung == 3 then break end
        else
            eq(ended, "exited 0", "round " .. round)
        end
    end
    eq(hung, 0, "children that hung")
    end_busy(state)
end)

scenario("no membarrier in steady state", { needs = "linux" }, function()
    local dss, probe, faults = require "darksidesync", require "probe", require "faults"
    local socket, counts = host.udp(), {}
    probe.register()
    faults.register()
    host.count_membarriers()
    local function count(what, f)
        f(0)
        local before = host.membarriers()
        for at = 1, 1000 do f(at) end
        counts[#counts + 1] = what .. ": " .. host.membarriers() - before
    end
    count("deliver and poll", function()
        faults.deliver()
        dss.poll()
    end)
    count("getutilid", function() ok(probe.getutilid()) end)
    count("setport", function() dss.setport(socket:port()) end)
    dss.setport(0)
    local replies = 0
    probe.start(4, 300, function(reply)
        replies = replies + 1
        reply(replies)
    end, { ret = "values" })
    count("replies", function(at)
        while replies <= at do
            dss.wait(1)
            dss.dispatch(1)
        end
    end)
    while replies < 1200 do
        dss.wait(1)
        dss.dispatch()
    end
    ok(probe.join(30))
    eq(table.concat(counts, ", "), "deliver and poll: 0, getutilid: 0, setport: 0, replies: 0")
end)

scenario("dispatch handles what was queued when it began, and callbacks deliver again", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local calls = 0
    local function again()
        calls = calls + 1
        -- The bound only ends a test that has failed.
        if calls < 1000 then probe.deliver(again, 1) end
    end
    for _ = 1, 10 do probe.deliver(again, 1) end
    for round = 1, 3 do
        local handled, remaining = dss.dispatch()
        eq(handled, 10)
        eq(remaining, 10)
        eq(calls, 10 * round)
    end
    local handled, remaining = dss.dispatch(25)
    eq(handled, 10)
    eq(remaining, 10)
    handled, remaining = dss.dispatch(4)
    eq(handled, 4)
    eq(remaining, 10)
end)

scenario("dispatch handles what was queued when it began, while producers keep up", { needs = "linux" }, function()
    local dss, faults = require "darksidesync", require "faults"
    faults.register()
    local calls, queued
    faults.setcallback(function()
        -- What comes between the beginning and the first callback counts as queued.
        queued = queued or dss.queuesize() + 1
        calls = calls + 1
        -- Only a dispatch that does not come to its end gets here.
        if calls == queued + 1000000 then faults.halt() end
    end)
    faults.produce(2)
    -- Few rounds: producers are faster than a dispatch, so each round has more to do than the one before.
    for _ = 1, 4 do
        calls, queued = 0, nil
        eventually(function() return dss.queuesize() > 0 end, "an item")
        local handled = dss.dispatch()
        eq(handled, calls)
        ok(handled > 0 and handled <= queued, handled .. " were handled where " .. queued .. " were queued")
    end
    eq(faults.halt(), 0)
    while dss.dispatch() > 0 do end
    local taken, decoded = faults.ends()
    eq(decoded, taken)
end)

scenario("nested run: stop ends the innermost alone", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local later = 0
    probe.deliver(function()
        probe.deliver(function() dss.stop() end, 1)
        dss.run(10)
        probe.start(1, 20, function()
            later = later + 1
            if later == 20 then dss.stop() end
        end, { pause = 1000 })
    end, 1)
    dss.run(10)
    eq(later, 20)
    ok(probe.join(30))
end)

scenario("nested run: a stop before the inner one ends the outer", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local inner, outer = false, true
    probe.deliver(function()
        dss.stop()
        dss.run(0.05)
        inner = true
        probe.deliver(function() outer = false end, 1)
    end, 1)
    -- Were the stop lost, the outer run would handle the second item too.
    dss.run(1)
    ok(inner, "the inner run did not end")
    ok(outer, "the outer run went on after its stop")
    eq(dss.queuesize(), 1)
end)

scenario("a reply that is dropped ends its delivery while run is idle", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local calls = 0
    probe.start(1, 2, function(reply)
        calls = calls + 1
        -- The thread delivers the second only when the first has ended.
        if calls == 2 then
            reply()
            dss.stop()
        end
    end, { ret = "values" })
    -- What a collector does by itself is not what this is about: it has just been through, and there is little to come.
    collectgarbage()
    dss.run(10)
    eq(calls, 2, "deliveries of a thread whose first reply was dropped")
    eq(probe.results().garbage, 1)
    ok(probe.join(30))
end)

scenario("a reply that is dropped ends its delivery while a loop of waits is idle", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local calls = 0
    probe.start(1, 2, function(reply)
        calls = calls + 1
        if calls == 2 then reply() end
    end, { ret = "values" })
    collectgarbage()
    for _ = 1, 100 do
        dss.wait(0.1)
        dss.dispatch()
        if calls == 2 then break end
    end
    eq(calls, 2, "deliveries of a thread whose first reply was dropped")
    eq(probe.results().garbage, 1)
    ok(probe.join(30))
end)

scenario("a reply that is dropped after a while of idling ends its delivery too", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local kept
    probe.start(1, 1, function(reply) kept = reply end, { ret = "values" })
    eventually(function() return dss.dispatch() > 0 end, "the delivery")
    -- All there is to collect is collected by then, and the reply is not.
    for _ = 1, 12 do dss.wait(0.1) end
    eq(probe.results().garbage, 0)
    kept = nil
    -- Nothing is allocated meanwhile, which would have garbage collected too.
    for _ = 1, 50 do dss.wait(0.1) end
    eq(probe.results().garbage, 1, "replies that were collected")
    ok(probe.join(30))
end)

scenario("the handler of dss blocks on the plain socket", { needs = "socket" }, function()
    local dss, probe = require "dss", require "probe"
    probe.register()
    local socket = ok(dss.getsocket())
    local handler = dss.gethandler()
    local got, turns = 0, 0
    probe.start(1, 3, function() got = got + 1 end, { pause = 200000 })
    while got < 3 and turns < 100000 do
        handler(socket)
        turns = turns + 1
    end
    ok(turns <= 6, turns .. " turns for " .. got .. " items")
    eq(got, 3)
    ok(probe.join(30))
end)

-- The descriptors that DSS opens in `setport`, and for a first notification through it.
local function notifying(dss, faults, socket)
    faults.register()
    local before, own = faults.descriptors(), {}
    dss.setport(socket:port())
    eq(faults.deliver(), SUCCESS)
    ok(socket:receive(10), "a notification")
    eq(dss.dispatch(), 1)
    for number in pairs(faults.descriptors()) do
        if not before[number] then own[#own + 1] = number end
    end
    ok(#own > 0, "no descriptor is DSS's")
    return own
end

-- The deliver that meets the fault may say that nothing was sent; the next one has recovered.
local function recovers(dss, faults, socket)
    local code = faults.deliver()
    ok(code == SUCCESS or code == SEND_FAILED, "deliver: " .. code)
    socket:drain()
    eq(dss.dispatch(), 1)
    for _ = 1, 3 do
        eq(faults.deliver(), SUCCESS)
        ok(socket:receive(10), "a notification")
        eq(dss.dispatch(), 1)
    end
    local taken, decoded = faults.ends()
    eq(decoded, taken)
end

scenario("the notifier recovers from a closed descriptor", { needs = "linux" }, function()
    local dss, faults, socket = require "darksidesync", require "faults", host.udp()
    for _, number in ipairs(notifying(dss, faults, socket)) do ok(faults.close(number)) end
    recovers(dss, faults, socket)
end)

scenario("the notifier recovers where a file has its descriptor's number", { needs = "linux" }, function()
    local dss, faults, socket = require "darksidesync", require "faults", host.udp()
    local numbers = notifying(dss, faults, socket)
    for _, number in ipairs(numbers) do ok(faults.close(number)) end
    local name, files = os.tmpname(), {}
    for at = 1, #numbers do
        files[at] = assert(io.open(name, "a+"))
        files[at]:write "hello"
        files[at]:flush()
    end
    local open = faults.descriptors()
    for _, number in ipairs(numbers) do ok(open[number], "no file has the number " .. number) end
    recovers(dss, faults, socket)
    dss.setport(0)
    for _, file in ipairs(files) do ok(file:close(), "DSS has closed the file") end
    local file = assert(io.open(name))
    eq(file:read "*a", ("hello"):rep(#numbers))
    file:close()
    os.remove(name)
end)

scenario("polling without reading leaves one notification at most", { needs = "linux" }, function()
    local dss, faults, socket = require "darksidesync", require "faults", host.udp()
    faults.register()
    dss.setport(socket:port())
    for _ = 1, 200 do eq(faults.deliver(), SUCCESS) end
    for _ = 1, 100 do ok(dss.poll() >= 0) end
    eq(socket:drain(), 1, "datagrams")
    -- The documented handler still gets every item.
    ok(dss.poll() >= 0)
    local polls = 101
    while polls < 200 do
        ok(socket:receive(10), "a notification with " .. dss.queuesize() .. " items queued")
        ok(dss.poll() >= 0)
        polls = polls + 1
    end
    eq(dss.queuesize(), 0)
    eq(faults.deliver(), SUCCESS)
    ok(socket:receive(10), "a notification")
end)

scenario("who reads one datagram and polls once gets every item", function()
    local dss, probe, socket = require "darksidesync", require "probe", host.udp()
    probe.register()
    dss.setport(socket:port())
    local got = 0
    probe.start(2, 1000, function() got = got + 1 end, { pause = 10 })
    while got < 2000 do
        ok(socket:receive(30), "a notification with " .. dss.queuesize() .. " items queued")
        local _, callback = dss.poll()
        if callback then callback() end
    end
    ok(probe.join(30))
    eq(dss.queuesize(), 0)
end)

scenario("deliver is no point of cancellation", { needs = "linux" }, function()
    local dss, faults, socket = require "darksidesync", require "faults", host.udp()
    faults.register()
    dss.setport(socket:port())
    local how, code = faults.cancel_in_deliver()
    socket:receive(0.2)
    for _ = 1, 3 do
        -- Nothing polls: a notification that nobody has sent stays missing.
        faults.deliver()
    end
    local queued = dss.queuesize()
    dss.poll()
    ok(socket:receive(10), "a notification after a poll that left items")
    eq(dss.dispatch(), queued - 1)
    eq(faults.deliver(), SUCCESS)
    ok(socket:receive(10), "a notification")
    eq(how, "returned", "a deliver in a thread that is to be cancelled")
    eq(code, SUCCESS)
    eq(queued, 4)
end)

scenario("a notification that a cancelled thread was to send is not lost", { needs = "linux" }, function()
    local dss, faults, socket = require "darksidesync", require "faults", host.udp()
    faults.register()
    dss.setport(socket:port())
    for _ = 1, 10 do
        faults.cancel_in_deliver()
        if socket:receive(0.2) == nil then
            faults.deliver()
            ok(socket:receive(10), "a notification of the deliver after it")
        end
        dss.dispatch()
        socket:drain()
    end
end)

scenario("a thread that is cancelled while it waits goes on waiting until it is released", { needs = "linux" }, function()
    local dss, faults = require "darksidesync", require "faults"
    faults.register()
    local how, code
    local function released()
        how, code = faults.waits()
        return how ~= "waits"
    end
    -- Released by what decode says; by a reply; by unregister.
    for round = 1, 3 do
        faults.wait()
        eventually(function() return dss.queuesize() == 1 end, "its item")
        eq(faults.cancel_wait(), 0)
        host.sleep(0.05)
        eq(faults.waits(), "waits")
        if round == 1 then
            eq(dss.dispatch(), 1)
            faults.setcallback(nothing)
        elseif round == 2 then
            local _, _, args = dss.poll()
            host.sleep(0.05)
            eq(faults.waits(), "waits")
            args[1]()
        else
            eq(faults.unregister(), SUCCESS)
        end
        eventually(released, "its end")
        eq(how, "returned")
        eq(code, SUCCESS)
    end
    ends(faults, 1, 2, 1)
end)

-- Signals come to the Lua thread and to one that delivers, and their handler delivers, while Lua does `work` again and again.
local function storm(work)
    local dss, faults = require "darksidesync", require "faults"
    faults.register()
    -- The queue keeps room from this, so that a handler seldom comes to the allocator, which may be what it interrupts.
    for _ = 1, 50000 do faults.deliver() end
    while dss.dispatch() > 0 do end
    -- A hang is an end by SIGALRM.
    faults.limit(100)
    faults.produce(1, 20)
    faults.storm(5000)
    repeat work(dss) until not faults.storms()
    eq(faults.halt(), 0)
    while dss.dispatch() > 0 do end
    local taken, decoded, cancelled, amiss = faults.ends()
    eq(decoded, taken)
    eq(cancelled, 0)
    eq(amiss, 0)
    -- It is refused where the interrupted thread stands in DSS, and not as a rule.
    ok(faults.storm_refused() < 5000, "every deliver of the handler was refused")
    faults.limit(0)
end

scenario("a handler of signals delivers while others deliver and Lua dispatches", { needs = "linux", long = "true" }, function()
    storm(function(dss)
        for _ = 1, 10 do dss.poll() end
        dss.dispatch(1000)
    end)
end)

scenario("a handler of signals delivers while Lua falls asleep and is woken", { needs = "linux", long = "true" }, function()
    storm(function(dss)
        dss.wait(1)
        dss.dispatch(1000)
    end)
end)

scenario("membarrier is forbidden after DSS was loaded", { needs = "linux" }, function()
    local dss, probe, other = require "darksidesync", require "probe", require "probe2"
    local state = host.newstate()
    inside(state, [[
        dss, probe3 = require "darksidesync", require "probe3"
        probe3.register()
        probe3.start(2, 10, function(reply) reply() end, { ret = "values" })
    ]])
    probe.register()
    probe.deliver(nothing, 1)
    dss.dispatch()
    host.forbid_membarrier()
    ok(probe.getutilid())
    eq(#dss.libraries(), 1)
    ok(other.register())
    eq(#dss.libraries(), 2)
    for _ = 1, 30 do
        probe.reset()
        other.start(2, 100000, nothing)
        probe.start(1, 3, function(reply) reply() end, { ret = "values" })
        for _ = 1, 50 do
            local _, callback, args = dss.poll()
            if callback then callback(args[1]) end
        end
        other.unregister_from_thread()
        local joined = false
        eventually(function()
            dss.dispatch(1000)
            joined = joined or other.join(0)
            return joined and probe.join(0)
        end, "the threads")
        while dss.dispatch() > 0 do end
        eq(probe.results().returned, 3)
        eq(other.live(), 0)
        eq(probe.live(), 0)
        ok(other.register())
    end
    inside(state, "dss.dispatch(5)")
    state:close()
    all_ended(require "probe3")
    state = host.newstate()
    inside(state, "dss = require 'darksidesync' require('probe3').register()")
    state:close()
    eq(probe.unregister(), SUCCESS)
    eq(other.unregister(), SUCCESS)
end)

scenario("a real-time thread on the Lua thread's processor does not hang", { needs = "linux realtime", long = "true" }, function()
    local dss, faults = require "darksidesync", require "faults"
    faults.register()
    local fine, message = faults.fifo(10000)
    ok(fine, message)
    -- 10,000 rounds of 150 microseconds. A round that spins until the kernel stops real-time threads takes a second.
    faults.limit(100)
    while faults.fifo_runs() do
        for _ = 1, 1000 do faults.deliver() end
        dss.dispatch()
    end
    faults.limit(0)
    while dss.dispatch() > 0 do end
    local taken, decoded = faults.ends()
    eq(decoded, taken)
end)
