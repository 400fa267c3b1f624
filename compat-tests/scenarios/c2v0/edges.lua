-- What a library of c2v0 must not do: each is an error, and nothing of it is taken.

local dss = require "darksidesync"
local probe = dss.load "probe_c2v0"

local NOT_A_VALUE = "the library passed an invalid value, or a record of the wrong size"

local function refused(why, what, ...)
    local result, sentence = probe.edge(what, ...)
    eq(result, nil, what)
    eq(sentence, why, what)
end

local called = 0
local function take() called = called + 1 end

scenario("values that are none are refused", { with = "probe_c2v0" }, function()
    for _, what in ipairs {
        "kind", "string without memory", "list without memory", "map without memory", "object without memory", "object without data", "nil as a key",
        "values",
        "too many values", "key", "delivery", "deliveries", "older delivery", "done", "limits", "older limits", "channel without a name",
    } do
        refused(NOT_A_VALUE, what, take)
    end
    refused(NOT_A_VALUE, "result")
    refused(NOT_A_VALUE, "error")
    refused("lists and maps are nested more than 64 deep", "list in itself", take)
    refused("the delivery is larger than the limit in bytes", "string too long", take)
    local _, twice = probe.edge("list in itself twice", take)
    ok(twice == "the delivery is larger than the limit in bytes" or twice == "lists and maps are nested more than 64 deep", twice)
    eq(dss.dispatch(), 0)
    eq(called, 0)
    eq(probe.edge("empty string without memory", take), true)
    eq(probe.edge("newer delivery", take), true)
    eq(dss.dispatch(), 2)
end)

scenario("objects that are not the library's to give are refused", { with = "probe_c2v0" }, function()
    local NOT_YOURS = "the object was given away before, or its class is not listed by the library"
    local thing = probe.thing(3)
    refused(NOT_YOURS, "object of a stranger", take)
    refused(NOT_YOURS, "object of no class", take)
    refused(NOT_YOURS, "object of Lua's", take, thing)
    local none, why, given = probe.edge("object twice", take)
    eq(none, nil) eq(why, NOT_YOURS) eq(given:number(), 1)
    eq(thing:number(), 3)
    raises("a userdata that is not an object of a library", probe.edge, "object of Lua's", take, io.stdout)
    eq(dss.dispatch(), 0)
end)

scenario("handles that are made up, or too old, are refused", { with = "probe_c2v0" }, function()
    refused("the library is not registered in a Lua state: it was unregistered, or the state has closed", "library", take)
    refused("the Lua function is gone, or belongs to another Lua state", "callback", take)
    refused("the Lua function is gone, or belongs to another Lua state", "dead callback")
    refused("the library has no such channel", "channel", take)
    probe.edge "keep call"
    for _, what in ipairs { "old call", "made-up call", "call of another thread" } do
        refused("the call from Lua has ended, or belongs to another thread", what)
    end
    eq(dss.dispatch(), 0)
    eq(probe.edge "extension", false)
end)

scenario("a function that says nothing of its error raises one", { with = "probe_c2v0" }, function()
    raises("the library raised an error without a message", probe.edge, "raised without an error")
    raises("what was raised", probe.edge, "raised, and nothing said")
    raises("bad argument #3 to 'probe_c2v0.edge': wanted another value, found nothing", probe.edge, "bad argument without words")
end)

scenario("a library of one revision is not another's to unregister", { with = "probe_c2v0 probe_v2" }, function()
    local v2 = dss.load "probe_v2"
    for handle = 0, 200 do probe.edge("other library", handle) end
    eq(v2.echo(1), 1)
end)
