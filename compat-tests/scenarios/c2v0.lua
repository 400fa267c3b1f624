-- c2v0, the interface in C: values, calls, objects, deliveries, requests, channels, identity. `c2v0/edges.lua` has what is refused.

local dss = require "darksidesync"
local probe = dss.load "probe_c2v0"

local function reports(count)
    local lines = {}
    eventually(function()
        dss.dispatch()
        for line in probe.reports():gmatch "[^\n]+" do lines[#lines + 1] = line end
        return #lines >= count
    end, count .. " reports")
    return unpack(lines)
end

scenario("values come back as they went", { with = "probe_c2v0" }, function()
    local f = function() end
    local n, b, i, x, s, g = probe.echo(nil, true, 7, 0.5, "a\0b", f)
    eq(n, nil) eq(b, true) eq(i, 7) eq(x, 0.5) eq(s, "a\0b") eq(g, f)
    eq(select("#", probe.echo(nil, nil)), 2)
    local t = probe.echo { 1, { "two", {} }, x = { y = false } }
    eq(t[1], 1) eq(t[2][1], "two") eq(#t[2][2], 0) eq(t.x.y, false)
    eq(#probe.echo(("x"):rep(2 ^ 20)), 2 ^ 20)
    local deep = {}
    for _ = 1, 40 do deep = { deep } end
    ok(probe.echo(deep))
    eq(probe.kinds(nil, false, 1, 0.5, "abc", { 1, 2 }, { a = 1 }, f), "0:0:0 1:0:0 2:0:0 3:0:0 4:0:3 5:2:0 6:1:0 7:0:0 ")
    eq(probe.kinds(), "")
end)

scenario("what is delivered arrives as it was, however few values there are", { with = "probe_c2v0" }, function()
    shared "few"(dss, probe.deliver)
end)

scenario("a delivery that has ended holds its function no longer, however it ended", { with = "probe_c2v0" }, function()
    local deliver = probe.deliver
    local REFUSE, DROP_OLDEST, LATEST = 1, 3, 4
    local function channel(policy, items) return ok(probe.open_channel("of a test", policy, items)) end
    local ends = {
        dispatched = function(f, value)
            ok(deliver(f, value))
            eq(dss.dispatch(), 1)
        end,
        polled = function(f, value)
            ok(deliver(f, value))
            eq(dss.poll(), 0)
        end,
        ["with an error"] = function(f)
            ok(deliver(f, "raise"))
            eq(dss.dispatch(), 1)
        end,
        ["given as a value"] = function(f, value)
            ok(deliver(nothing, f, value))
            eq(dss.dispatch(), 1)
        end,
        ["asked to answer"] = function(f, value)
            ok(probe.request(f, 0, 0, value))
            eq(dss.dispatch(), 1)
            matches(probe.reports(), "answered")
        end,
        cancelled = function(f, value)
            eq(probe.cancel(deliver(f, value)), true)
        end,
        ["all cancelled"] = function(f, value)
            ok(deliver(f, value))
            ok(deliver(f, value))
            eq(probe.cancel_all(f), 2)
        end,
        refused = function(f, value)
            local of = channel(REFUSE, 1)
            ok(probe.deliver_keyed(nothing, of, nil, 1))
            eq((probe.deliver_keyed(f, of, nil, value)), nil)
            eq(dss.dispatch(), 1)
            probe.close_channel(of)
        end,
        ["refused in part"] = function(f)
            eq(probe.deliver_many(f, 5, 3), 2)
            eq(dss.dispatch(), 2)
        end,
        dropped = function(f, value)
            local of = channel(DROP_OLDEST, 1)
            ok(probe.deliver_keyed(f, of, nil, value))
            ok(probe.deliver_keyed(nothing, of, nil, 1))
            eq(dss.dispatch(), 1)
            probe.close_channel(of)
        end,
        replaced = function(f, value)
            local of = channel(LATEST, 2)
            for _ = 1, 3 do ok(probe.deliver_keyed(f, of, "key", value)) end
            eq(dss.dispatch(), 1)
            probe.close_channel(of)
        end,
        ["closed with its channel"] = function(f, value)
            local of = channel(REFUSE, 2)
            ok(probe.deliver_keyed(f, of, nil, value))
            probe.close_channel(of)
            eq(dss.dispatch(), 0)
        end,
    }
    local library = { hold = probe.keep, let_go = probe.keep, deliver_held = function() return probe.deliver_kept(1) end }
    shared "ends"(dss, library, ends, function(f, value)
        ok(deliver(f, value))
        ok(deliver(f, "text"))
        probe.unregister()
    end)
end)

scenario("a string of any length comes as it went", { with = "probe_c2v0" }, function()
    -- Short ones are kept where longer ones have an address.
    local got
    local function take(...) got = { ... } end
    for length = 0, 70 do
        local text = ("\0a\255"):rep(length):sub(1, length)
        eq(probe.echo(text), text)
        ok(probe.deliver(take, text, { text, text }, { [text] = text }))
        eq(dss.dispatch(), 1)
        eq(got[1], text) eq(got[2][1], text) eq(got[2][2], text) eq(got[3][text], text)
    end
end)

scenario("a delivery calls its function with its values", { with = "probe_c2v0" }, function()
    local got = {}
    local function take(...) got = { n = select("#", ...), ... } end
    ok(probe.deliver(take, 1, "two", { 3 }, nil) > 0)
    eq(dss.dispatch(), 1)
    eq(got.n, 4) eq(got[1], 1) eq(got[2], "two") eq(got[3][1], 3)
    -- More values than need no memory of their own.
    ok(probe.deliver(take, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "eleven"))
    eq(dss.dispatch(), 1)
    eq(got.n, 11) eq(got[11], "eleven")
    local sum = 0
    probe.start(function(n) sum = sum + n end, 1000)
    eventually(function() dss.dispatch() return sum == 500500 end, "all of them")
end)

scenario("a batch is taken as far as it is well formed, and as far as it fits", { with = "probe_c2v0" }, function()
    local got = {}
    local function take(n) got[#got + 1] = n end
    local taken, first, all = probe.deliver_many(take, 5, 0)
    eq(taken, 5) ok(first > 0) eq(all, true)
    local some, _, none, why = probe.deliver_many(take, 5, 3)
    eq(some, 2) eq(none, nil) matches(why, "invalid value")
    eq(dss.dispatch(), 7)
    eq(table.concat(got, " "), "1 2 3 4 5 1 2")
    ok(probe.limit(0, 1, 3))
    some, _, none, why = probe.deliver_many(take, 5, 0)
    eq(some, 3) eq(none, nil) matches(why, "queue is full")
    eq(dss.dispatch(), 3)
end)

scenario("a function has its library's state, and its own word", { with = "probe_c2v0" }, function()
    eq(probe.state(), 1)
    eq(probe.word(), "of its own")
    local other = host.newstate()
    local state = other:dostring [[return require("darksidesync").load("probe_c2v0").state()]]
    eq(state, 2)
    eq(probe.state(), 1)
    local _, _, releases = probe.counts()
    eq(releases, 0)
    other:close()
    local openings, closings, released = probe.counts()
    eq(openings, 2) eq(closings, 1) eq(released, 1)
end)

scenario("errors are values, texts and codes", { with = "probe_c2v0" }, function()
    raises("c2v0.lua:%d+: failed: so$", function() probe.fail "so" end)
    local succeeded, error = pcall(probe.fail, { code = 5 })
    eq(succeeded, false) eq(error.code, 5)
    raises("queue is full", probe.fail, 9)
    raises("the library returned a code that this DSS does not know", probe.fail, 4711)
    raises("bad argument #1 to 'probe_c2v0.deliver': wanted a function, found nothing", probe.deliver)
    raises("bad argument #1 to 'probe_c2v0.deliver': wanted a function, found an integer", probe.deliver, 1)
    raises("bad argument #1 to 'thing:add': wanted a thing, found a table", function() probe.thing(1):add {} end)
end)

scenario("an object has methods, a text and an end", { with = "probe_c2v0" }, function()
    local thing, other = probe.thing(3), probe.thing(4)
    eq(thing:number(), 3)
    eq(tostring(thing), "thing 3")
    eq(thing:same(), thing)
    eq(thing:add(other), other)
    eq(thing:number(), 7)
    thing:close()
    eq(thing:number(), 0)
    local _, _, _, live = probe.counts()
    eq(live, 2)
    thing, other = nil, nil
    collectgarbage() collectgarbage()
    _, _, _, live = probe.counts()
    eq(live, 0)
    raises("thing %-1 does not close", function() probe.thing(-1):close() end)
    -- What is queued and never comes to Lua is dropped, and what comes is Lua's.
    local got
    ok(probe.deliver_thing(function(it) got = it:number() end, 5))
    dss.dispatch()
    eq(got, 5)
    for n = 1, 3 do ok(probe.deliver_thing(print, n)) end
    eq(probe.cancel_all(print), 3)
    got = nil
    collectgarbage() collectgarbage()
    _, _, _, live = probe.counts()
    eq(live, 0)
end)

scenario("the same function is the same callback for as long as it is kept", { with = "probe_c2v0" }, function()
    local function f() end
    local function g() end
    local alike, kept = probe.same(f, f)
    eq(alike, true) eq(kept, false)
    alike = probe.same(f, g)
    eq(alike, false)
    ok(probe.keep(f))
    -- After others came and went it is still that one.
    for _ = 1, 100 do probe.same(function() end, g) end
    collectgarbage() collectgarbage()
    alike, kept = probe.same(f, g)
    eq(alike, false) eq(kept, true)
    -- What is delivered to it by both is cancelled by one.
    ok(probe.deliver(f, 1)) ok(probe.deliver_kept(2)) ok(probe.deliver(g, 3))
    eq(probe.cancel_all(f), 2)
    eq(dss.dispatch(), 1)
    -- Two libraries that are handed one function have it apart: one is done with it, and the other still has it.
    probe.keep()
    alike, kept = probe.same(f, f)
    eq(alike, true) eq(kept, false)
end)

scenario("a function that nobody refers to is collected", { with = "probe_c2v0" }, function()
    local gone = setmetatable({}, { __mode = "k" })
    do
        local x = 0
        local function f() x = x + 1 end
        gone[f] = true
        probe.same(f, f)
        ok(probe.deliver(f))
        eq(dss.dispatch(), 1)
    end
    dss.dispatch()
    collectgarbage() collectgarbage()
    probe.same(print, print)
    collectgarbage() collectgarbage()
    eq(next(gone), nil)
end)

scenario("a request is answered by what the function returns", { with = "probe_c2v0" }, function()
    ok(probe.request(function(a, b) return a + b end, 0, 0, 2, 3))
    eq(dss.dispatch(), 1)
    eq(reports(1), "answered 5")
    ok(probe.request(function() error("no", 0) end, 0, 0))
    dss.dispatch()
    eq(reports(1), "failed: no (traceback)")
    local reply
    ok(probe.request(function() reply = dss.defer() end, 0, 0))
    dss.dispatch()
    eq(reply "later", true)
    eq(reports(1), "answered later")
    ok(probe.request(function() dss.defer() end, 0, 0))
    dss.dispatch()
    collectgarbage() collectgarbage()
    eq(reports(1), "collected: Lua deferred the answer with `defer()` and never gave it")
    local ticket = ok(probe.request(print, 0, 0))
    ok(probe.cancel(ticket))
    eq(reports(1), "cancelled: the library cancelled the request")
    eq(select(2, probe.cancel(ticket)), "the delivery has ended, or Lua has already taken it")
    eq(dss.dispatch(), 0)
end)

scenario("a thread waits for the answer", { with = "probe_c2v0" }, function()
    probe.wait(function(n) return n * 2 end, 21)
    eq(reports(1), "answered 42")
    probe.wait(function() error("no", 0) end, 1)
    eq(reports(1), "failed: no (traceback)")
    eq(select(2, probe.wait_here(print)), "the call would wait for the thread that it is made on")
    local answered = 0
    for n = 1, 20 do probe.wait(function() answered = answered + 1 return n end, n) end
    reports(20)
    eq(answered, 20)
end)

scenario("deadlines end what Lua is too slow for, to start and to finish", { with = "probe_c2v0" }, function()
    -- Lua does not look until all are over.
    local called = 0
    local function count() called = called + 1 end
    probe.wait(count, 1, 0.01, 0)
    probe.wait(count, 1, 0, 0.01)
    ok(probe.request(count, 0.01, 0))
    ok(probe.request(count, 0, 0.01))
    local lines = {}
    eventually(function()
        for line in probe.reports():gmatch "([^\n:]+):[^\n]*" do lines[#lines + 1] = line end
        return #lines == 4
    end, "four ends")
    table.sort(lines)
    eq(table.concat(lines, ", "), "late, late, not started, not started")
    eq(dss.dispatch(), 0)
    eq(called, 0)
    -- One that Lua has begun with is not ended by its first deadline, and its answer comes too late after the second.
    local reply
    ok(probe.request(function() reply = dss.defer() end, 30, 0.05))
    dss.dispatch()
    eq(reports(1), "late: Lua did not answer before the deadline")
    eq(reply(1), false)
    -- A thousand deadlines that are never reached.
    for n = 1, 1000 do ok(probe.request(function() return n end, 60, 120)) end
    eq(dss.dispatch(), 1000)
    reports(1000)
end)

scenario("a channel has limits, a policy and keys of its own", { with = "probe_c2v0" }, function()
    local got = {}
    local function take(n) got[#got + 1] = n end
    local progress = ok(probe.open_channel("progress", 4, 100))
    local noisy = ok(probe.open_channel("noisy", 1, 2))
    ok(progress ~= noisy and progress ~= 0)
    for n = 1, 5 do ok(probe.deliver_keyed(take, progress, "a", n)) end
    ok(probe.deliver_keyed(take, progress, "b", 6))
    ok(probe.deliver_keyed(take, 0, nil, "done"))
    ok(probe.deliver_keyed(take, noisy, nil, 7))
    ok(probe.deliver_keyed(take, noisy, nil, 8))
    local none, why = probe.deliver_keyed(take, noisy, nil, 9)
    eq(none, nil) matches(why, "queue is full")
    ok(probe.deliver_keyed(take, 0, nil, "done too"), "one full channel does not keep the others from delivering")
    local shown = {}
    for _, library in ipairs(dss.stats()) do
        for _, channel in ipairs(library.channels or {}) do
            shown[channel.name] = ("%d %d %d"):format(channel.queued, channel.refused, channel.coalesced)
        end
    end
    eq(shown.progress, "2 0 4") eq(shown.noisy, "2 1 0")
    dss.dispatch()
    eq(table.concat(got, " "), "5 6 done 7 8 done too")
    ok(probe.deliver_keyed(take, noisy, nil, 10))
    ok(probe.close_channel(noisy))
    eq(dss.dispatch(), 0)
    none, why = probe.deliver_keyed(take, noisy, nil, 11)
    eq(none, nil) eq(why, "the library has no such channel")
    none, why = probe.close_channel(0)
    eq(none, nil) eq(why, "the library has no such channel")
end)

scenario("a full channel makes its threads wait, drops its oldest, or refuses", { with = "probe_c2v0" }, function()
    local got = {}
    local function take(n) got[#got + 1] = n end
    ok(probe.limit(0, 3, 3))
    for n = 1, 5 do ok(probe.deliver(take, n)) end
    dss.dispatch()
    eq(table.concat(got, " "), "3 4 5")
    got = {}
    ok(probe.limit(0, 2, 10, 0, 60))
    probe.start(take, 500)
    eventually(function() dss.dispatch() return #got == 500 end, "all of them, each in its turn")
    for n = 1, 500 do eq(got[n], n) end
    ok(probe.limit(0, 2, 1, 0, 0.01))
    got = {}
    probe.start(take, 2)
    eventually(function() return probe.reports() == "deliver: there was no room in the queue in time\n" end, "a refusal")
end)

scenario("run goes on while the library holds it, or says so", { with = "probe_c2v0" }, function()
    local sum = 0
    probe.start(function(n) sum = sum + n end, 10)
    dss.run()
    eq(sum, 55)
    ok(probe.keep_alive(1))
    ok(probe.deliver(function() ok(probe.keep_alive(0)) end))
    dss.run()
    eq(probe.on_lua_thread(), 1)
end)

scenario("a library that left is not called any more, and comes back", { with = "probe_c2v0" }, function()
    local thing = probe.thing(1)
    ok(probe.deliver(print, 1))
    probe.unregister()
    eq(dss.dispatch(), 0)
    raises("the library probe_c2v0 is no longer registered in this Lua state: load it again", probe.echo)
    raises("is no longer registered in this Lua state", function() thing:number() end)
    local again = dss.load "probe_c2v0"
    eq(again.echo(1), 1)
    local openings, _, releases, live = again.counts()
    eq(openings, 2) eq(releases, 1) eq(live, 0)
end)

scenario("a state closes under threads that deliver and wait", { with = "probe_c2v0" }, function()
    for _ = 1, 20 do
        local state = host.newstate()
        local _, message = state:dostring [[
            local dss = require "darksidesync"
            local probe = dss.load "probe_c2v0"
            for n = 1, 4 do
                probe.start(function() end, 10000)
                probe.wait(function() return 1 end, n)
                probe.request(function() end, 0.001, 0.002)
                probe.deliver_thing(print, n)
            end
        ]]
        ok(not message, message)
        state:close()
    end
    eventually(function()
        local openings, closings, releases, live = probe.counts()
        return openings == 21 and closings == 20 and releases == 20 and live == 0
    end, "all of them are released")
end)

scenario("an open that refuses says why, and nothing is registered", { with = "probe_c2v0 probe_refuses" }, function()
    for _ = 1, 2 do
        raises("probe_refuses 1.0.0 %(.*%): refused, as the test wants$", dss.load, "probe_refuses")
        eq(#dss.libraries(), 1)
    end
end)

scenario("a function that c2v0 keeps is another's to v2", { with = "probe_c2v0 probe_v2" }, function()
    local v2 = dss.load "probe_v2"
    local got = {}
    local function take(n) got[#got + 1] = n end
    ok(probe.keep(take))
    v2.deliver(take, 1)
    ok(probe.deliver_kept(2))
    v2.deliver(take, 3)
    eq(probe.cancel_all(take), 1)
    dss.dispatch()
    eq(table.concat(got, " "), "1 3")
end)
