-- v2: objects of a library, as userdata.

local v2 = shared "v2"
local load_probe, reports = v2.load_probe, v2.reports

scenario("an object has methods, a text and an end", function()
    local dss, probe = load_probe()
    local thing = probe.thing "one"
    eq(type(thing), "userdata")
    eq(thing:name(), "one")
    eq(tostring(thing), "thing one")
    raises("on purpose", thing.fail, thing, "on purpose")
    raises("bad argument #1 to 'thing:fail'.*found nothing", thing.fail, thing)
    raises("'thing:name'.*thing", thing.name)
    raises("'thing:name'.*thing", thing.name, {})
    raises("'thing:name'.*thing", thing.name, io.stdout)
    eq(thing.nowhere, nil)
    eq(getmetatable(thing), false)
    eq(thing:same(thing), true)
    eq(thing:same(probe.thing "one"), false)
    local more = thing:again(3)
    eq(#more, 3)
    eq(more[2]:name(), "one 1")
    eq(probe.take_thing(thing, "!"), "one!")
    raises("bad argument #1 to 'probe_v2%.take_thing'", probe.take_thing, 5)
    raises("bad argument #1 to 'probe_v2%.echo'.*object within a table", probe.echo, { thing })
    thing:close()
    thing:close()
    raises("closed", thing.name, thing)
    local delivered
    eq(probe.deliver_thing(function(it, n) delivered = it:name() .. n end, "sent"), nil)
    dss.dispatch()
    eq(delivered, "sent1")
    thing, more = nil, nil
    collectgarbage()
    collectgarbage()
    eq(probe.things(), 0)
end)

scenario("an object of another library is refused by name", function()
    local dss, probe = load_probe()
    -- A small folder: what is watched of it is the system's, and others want some of it too.
    local watcher = dss.load "fswatch".watch(os.getenv "DSS_TEST_FOLDER", nothing)
    local thing, nought = probe.thing "one", probe.nought()
    raises("bad argument #1 to 'probe_v2%.take_thing': found an object 'watcher' of the library fswatch", probe.take_thing, watcher)
    raises("bad argument #1 to 'probe_v2%.take_thing': wanted a 'thing' object, found a 'nought' object", probe.take_thing, nought)
    raises("bad self of 'thing:name'.*found an object 'watcher' of the library fswatch", thing.name, watcher)
    raises("bad self of 'thing:name'.*found an object 'nought'", thing.name, nought)
    raises("bad argument #1 to 'thing:same'.*watcher", thing.same, thing, watcher)
    -- An answer has no objects: they are lent for a call, and a request is none.
    local told
    dss.seterrorhandler(function(err) told = tostring(err) end)
    probe.request(function() return thing end, 1)
    matches(reports(dss, probe, 1)[1], "^Failed: .*bad answer #1.*thing")
    matches(told, "bad answer #1")
    probe.unregister()
    local again = dss.load "probe_v2"
    local fresh = again.thing "two"
    raises("bad self of 'thing:name'.*from an earlier or later load", fresh.name, thing)
    watcher:close()
end)

scenario("a method gives its own object back, or an argument's", function()
    local _, probe = load_probe()
    local thing = probe.thing "chained"
    eq(thing:itself(), thing)
    eq(thing:itself(probe.thing "argument"):itself(), thing)
    eq(thing:itself():name(), "chained")
    eq(probe.thing "short":itself():itself():name(), "short")
    raises("not called on or with", thing.other, thing)
    eq(thing:name(), "chained")
end)

scenario("what a call was the last to have is collected after it", function()
    local _, probe = load_probe()
    for _ = 1, 50 do
        eq(probe.take_thing(probe.thing "lent", "!"), "lent!")
        eq(probe.thing "self":itself(probe.thing "other"):name(), "self")
        collectgarbage "step"
    end
    collectgarbage()
    collectgarbage()
    eq(probe.things(), 0)
end)

scenario("an object is dropped on the Lua thread", function()
    local dss, probe = load_probe()
    probe.thing "collected"
    collectgarbage()
    collectgarbage()
    eq(probe.last_drop_here(), true)
    probe.drop_elsewhere()
    eq(probe.last_drop_here(), false)
    local state = host.newstate()
    inside(state, [[thing = require "darksidesync".load "probe_v2".thing "closed"]])
    state:close()
    eq(probe.last_drop_here(), true)
end)

scenario("an object that closes badly is closed where its block ends", { only = "lua54 lua55" }, function()
    local _, probe = load_probe()
    local message = raises("'thing:close' panicked", load [[
        local probe = ...
        local thing <close> = probe.thing "scoped"
        thing["close-badly"](thing)
    ]], probe)
    matches(message, "closes badly")
end)

scenario("objects that take no room are told apart", function()
    local _, probe = load_probe()
    local before = probe.noughts()
    local noughts, zero = { probe.nought(), probe.nought(), probe.nought() }, probe.zero()
    noughts[2] = nil
    collectgarbage()
    collectgarbage()
    eq(probe.noughts(), before + 1)
    eq(noughts[1]:name(), "nought")
    eq(noughts[3]:name(), "nought")
    eq(zero:name(), "zero")
    zero = nil
    collectgarbage()
    collectgarbage()
    eq(noughts[1]:name(), "nought")
    probe.unregister()
    eq(require "darksidesync".load("probe_v2").noughts(), before + 3)
end)

scenario("an object is closed where its block ends", { only = "lua54 lua55" }, function()
    local _, probe = load_probe()
    local kept
    load([[
        local probe, keep = ...
        local thing <close> = probe.thing "scoped"
        keep(thing)
        thing:name()
    ]])(probe, function(thing) kept = thing end)
    raises("closed", kept.name, kept)
end)

scenario("what is queued and never comes to Lua is dropped", function()
    local dss, probe = load_probe()
    local ticketless = probe.deliver_thing(nothing, "never")
    eq(ticketless, nil)
    eq(probe.things(), 1)
    probe.unregister()
    raises("the library probe_v2 .+ this Lua state: load it again", probe.things)
    local again = dss.load "probe_v2"
    eq(again.things(), 0)
end)
