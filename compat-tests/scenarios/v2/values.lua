-- v2: values to and from Lua.

local v2 = shared "v2"
local load_probe, until_true, reports = v2.load_probe, v2.until_true, v2.reports

scenario("values come back as they went", function()
    local _, probe = load_probe()
    eq(select("#", probe.echo()), 0)
    eq(select("#", probe.echo(nil, nil)), 2)
    eq(probe.echo(true), true)
    eq(probe.echo(false), false)
    eq(probe.echo(42), 42)
    eq(probe.echo(-0.5), -0.5)
    eq(probe.echo(2 ^ 53), 2 ^ 53)
    eq(probe.echo(1e300), 1e300)
    eq(probe.echo(1 / 0), 1 / 0)
    local nan = probe.echo(0 / 0)
    ok(nan ~= nan)
    eq(probe.echo("a\0b\255"), "a\0b\255")
    eq(probe.echo(""), "")
    local list = probe.echo { 1, "two", { 3 } }
    eq(#list, 3)
    eq(list[2], "two")
    eq(list[3][1], 3)
    local map = probe.echo { x = 1, [7] = "seven", inner = { y = true } }
    eq(map.x, 1)
    eq(map[7], "seven")
    eq(map.inner.y, true)
    eq(next(probe.echo {}), nil)
    local shared = {}
    eq(#probe.echo { shared, shared }, 2)
    eq(probe.echo(nothing), nothing)
    eq(math.type and math.type(probe.echo(3)) or "integer", "integer")
    eq(math.type and math.type(probe.echo(3.0)) or "float", "float")
end)

scenario("what cannot cross is refused by argument", function()
    local _, probe = load_probe()
    local cycle = {}
    cycle.again = { cycle }
    raises("bad argument #2 to 'probe_v2%.echo'.*contains itself", probe.echo, 1, cycle)
    local deep = {}
    for _ = 1, 200 do deep = { deep } end
    raises("bad argument #1 to 'probe_v2%.echo'.*deep", probe.echo, deep)
    raises("bad argument #1 to 'probe_v2%.echo'.*coroutine", probe.echo, coroutine.create(nothing))
    raises("bad argument #1 to 'probe_v2%.echo'.*userdata", probe.echo, io.stdout)
    raises("bad argument #1 to 'probe_v2%.text'.*wanted a string, found a boolean", probe.text, true, 1)
    raises("bad argument #2 to 'probe_v2%.text'.*found nothing", probe.text, "x")
    raises("bad argument #2 to 'probe_v2%.text'.*300", probe.text, "x", 300)
    raises("bad argument #2 to 'probe_v2%.text'.*1%.5", probe.text, "x", 1.5)
    raises("bad argument #1 to 'probe_v2%.text'.*UTF%-8", probe.text, "\255\254", 1)
    raises("bad argument #1 to 'probe_v2%.deliver'.*function", probe.deliver, "no function")
    eq(probe.text("ab", 2), "abab")
end)

local integers = math.type ~= nil

scenario("an integer past 2^53 is not rounded, whichever way it goes", function()
    local dss, probe = load_probe()
    local message
    dss.seterrorhandler(function(err) message = tostring(err) end)
    eq(probe.past "largest", 2 ^ 53)
    local got, answered
    ok(probe.deliver_past(function(value) got = value end))
    dss.dispatch()
    probe.request_past(function(value) answered = value return 1 end)
    local report = reports(dss, probe, 1)[1]
    if integers then
        eq(("%d"):format(probe.past "alone"), "9007199254740993")
        eq(("%d"):format(probe.past "list"[2]), "-9007199254740993")
        eq(("%d"):format(next(probe.past "key")), "9007199254740993")
        eq(("%d"):format(got), "9007199254740993")
        eq(("%d"):format(answered), "9007199254740993")
        eq(report, "answered 1")
        eq(probe.integer(math.maxinteger), "9223372036854775807")
    else
        for _, how in ipairs { "alone", "list", "key" } do raises("past 2%^53", probe.past, how) end
        eq(got, nil)
        matches(message, "past 2%^53.*Lua 5%.3")
        eq(answered, nil)
        matches(report, "^Failed: .*past 2%^53")
    end
    -- What comes from Lua as a float may be an integer that was rounded.
    eq(probe.integer(2 ^ 53), "9007199254740992")
    eq(probe.integer(-2 ^ 53), "-9007199254740992")
    raises("bad argument #1 to 'probe_v2%.integer'.*past 2%^53", probe.integer, 2 ^ 53 + 2)
    raises("bad argument #1 to 'probe_v2%.integer'.*past 2%^53", probe.integer, -2 ^ 63)
end)

scenario("what no Lua can have is an error of its own", function()
    local dss, probe = load_probe()
    raises("nil or NaN as a key", probe.no_key, true)
    raises("nil or NaN as a key", probe.no_key, false)
    raises("does not declare.*objects", probe.undeclared)
    raises("more than 64 deep", probe.nested, 66)
    eq(type(probe.nested(60)), "table")
    eq(probe.echo(1), 1)
end)

scenario("too many values are refused, in arguments and in answers", function()
    local dss, probe = load_probe()
    local many = {}
    for _ = 1, 21 do many = { many, many } end
    local cycle = {}
    cycle[1] = cycle
    local deep = {}
    for _ = 1, 70 do deep = { deep } end
    local wrong = { { many, "more than 1048576 values" }, { cycle, "contains itself" }, { deep, "64 deep" } }
    for _, each in ipairs(wrong) do
        local value, pattern = each[1], each[2]
        expects("bad answer #2 .*" .. pattern)
        raises("bad argument #2 to 'probe_v2%.echo'.*" .. pattern, probe.echo, 1, value)
        probe.request(function() return 1, value end, 1)
        matches(reports(dss, probe, 1)[1], "^Failed: .*bad answer #2 .*" .. pattern)
        local reply
        probe.request(function() reply = dss.defer() end, 1)
        until_true(dss, function() return reply end, "the callback")
        raises("bad answer #1 .*" .. pattern, reply, value)
        matches(reports(dss, probe, 1)[1], "^Failed: .*bad answer #1 .*" .. pattern)
    end
    eq(dss.pending(), 0)
end)

scenario("a string is copied once on its way", function()
    local dss, probe = load_probe()
    local size = 256 * 1024 * 1024
    probe.limit(10, 2 * size, "refuse")
    collectgarbage()
    local before, within = host.rss(), nil
    eq(probe.deliver_bytes(function(text)
        eq(#text, size)
        within = host.rss()
    end, size), nil)
    dss.dispatch()
    -- The library's and Lua's: a third would be another 256 MiB.
    ok(within - before < 2.5 * size, ("%d bytes more"):format(within - before))
end)

scenario("what serde knows goes both ways", function()
    local _, probe = load_probe()
    eq(probe.shape { circle = { radius = 1.5 } }.circle.radius, 3)
    eq(probe.shape { square = 4 }.square, 8)
    eq(probe.shape "nothing", "nothing")
    raises("triangle", probe.shape, "triangle")
    raises("radius", probe.shape, { circle = {} })
end)

scenario("an error may be any value", function()
    local dss, probe = load_probe()
    local done, raised = pcall(probe.raise_value, { code = 404, reasons = { "gone" } })
    eq(done, false)
    eq(raised.code, 404)
    eq(raised.reasons[1], "gone")
    done, raised = pcall(probe.raise_value, 7)
    eq(raised, 7)
    matches(raises("plain", probe.raise_value, "plain"), "plain")
    done, raised = pcall(probe.raise_value, nil)
    -- Lua 5.5 has a text in the place of a nil.
    ok(raised == nil or _VERSION == "Lua 5.5" and type(raised) == "string")
    -- And what a callback raises is its requester's, with the value where it is no text.
    probe.request(function() error({ 7, 8 }) end, 1)
    matches(reports(dss, probe, 1)[1], "^Failed with %[7 8%]: table")
    probe.request(function() error(setmetatable({}, { __tostring = function() return "as text" end })) end, 1)
    matches(reports(dss, probe, 1)[1], "^Failed with .*: as text")
    probe.request(function() error(io.stdout) end, 1)
    matches(reports(dss, probe, 1)[1], "^Failed: .*file")
end)

scenario("a struct is a table", function()
    local _, probe = load_probe()
    local point = probe.point { x = 1, y = 2, label = "here" }
    eq(point.x, 2)
    eq(point.y, 1)
    eq(point.label, "HERE")
    eq(probe.point { x = 1, y = 2 }.label, nil)
    raises("bad argument #1 to 'probe_v2%.point'.*y", probe.point, { x = 1 })
    raises("bad argument #1 to 'probe_v2%.point'.*x", probe.point, { x = "one", y = 2 })
end)

scenario("errors and panics of a library are Lua errors", function()
    local _, probe = load_probe()
    raises("on purpose", probe.raise, "on purpose")
    raises("panicked.*out of order", probe.panic, "out of order")
    local thing = probe.thing "one"
    raises("'thing:panic' panicked: out of luck", thing.panic, thing, "out of luck")
    thing["close-badly"](thing)
    raises("'thing:close' panicked: it closes badly", thing.close, thing)
    eq(probe.echo(1), 1)
end)

scenario("a string of a megabyte comes whole", function()
    local dss, probe = load_probe()
    local text = ("0123456789abcdef"):rep(65536)
    local got
    probe.deliver(function(value) got = value end, text)
    dss.dispatch()
    eq(got, text)
    eq(probe.echo(text), text)
end)

scenario("what is delivered arrives as it was, however few values there are", function()
    local dss, probe = load_probe()
    shared "few"(dss, probe.deliver)
end)

scenario("a delivery that has ended holds its function no longer, however it ended", function()
    local dss, probe = load_probe()
    local deliver = probe.deliver
    -- Runs `work` with that limit.
    local function bounded(policy, items, work)
        probe.limit(items, 1000000, policy)
        work()
        probe.limit(1000, 1000000, "refuse")
    end
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
            probe.request(f, value)
            v2.reports(dss, probe, 1)
        end,
        cancelled = function(f, value)
            ok(probe.cancel((deliver(f, value))))
        end,
        ["all cancelled"] = function(f)
            probe.let_go()
            probe.hold(f)
            eq(probe.held(7) + probe.held(8), 2)
            eq(probe.cancel_held(), 2)
        end,
        ["of an integer that some Lua cannot have"] = function(f)
            ok(probe.deliver_past(f))
            dss.dispatch()
        end,
        refused = function(f, value)
            bounded("refuse", 1, function()
                ok(deliver(nothing))
                eq((deliver(f, value)), nil)
                eq(dss.dispatch(), 1)
            end)
        end,
        ["refused in part"] = function(f)
            bounded("refuse", 3, function()
                eq(probe.deliver_many(f, 5), 3)
                eq(dss.dispatch(), 3)
            end)
        end,
        dropped = function(f, value)
            bounded("drop", 1, function()
                ok(deliver(f, value))
                ok(deliver(nothing))
                eq(dss.dispatch(), 1)
            end)
        end,
        replaced = function(f)
            bounded("latest", 2, function()
                eq(probe.deliver_keyed(f, { "a", "b", "a", "b", "a" }), 5)
                eq(dss.dispatch(), 2)
            end)
        end,
    }
    local library = { hold = probe.hold, let_go = probe.let_go, deliver_held = function() return probe.held(1) == 1 end }
    shared "ends"(dss, library, ends, function(f, value)
        ok(deliver(f, value))
        ok(deliver(f, "text"))
        probe.unregister()
    end)
end)
