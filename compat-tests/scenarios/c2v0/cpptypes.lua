-- dss.hpp, by a library that has each type once.

local dss = require "darksidesync"
local types = dss.load "cpptypes"

local function collect() for _ = 1, 3 do collectgarbage() end end

-- Runs what a library delivers until `f` returns a true value.
local function dispatch(f, what)
    return eventually(function() dss.dispatch() return f() end, what)
end

-- A function that keeps what it is called with, and one that waits for that and returns it.
local function receiver(what)
    local got
    return function(...) got = { n = select("#", ...), ... } end, function()
        dispatch(function() return got end, what or "the callback")
        return unpack(got, 1, got.n)
    end
end

scenario("cpp values go there and back", { needs = "cpptypes", with = "cpptypes" }, function()
    local function same(name, ...)
        for n = 1, select("#", ...) do
            local value = select(n, ...)
            eq(types[name](value), value, name)
        end
    end
    same("boolean", true, false)
    same("int8", -128, 0, 127)
    same("uint8", 0, 255)
    same("int32", -2147483648, 2147483647)
    same("int64", 0, 2 ^ 53, -2 ^ 53)
    same("uint64", 0, 2 ^ 53)
    same("number", 0.5, -3, 1 / 0)
    same("float", 0.5)
    same("text", "", "zero \0 byte", ("x"):rep(100000))
    same("view", "", "zero \0 byte")
    same("optional", nil, 3)
    same("callback", print, nothing)
    same("value", nil, true, 1, 0.5, "text", print)
    eq(types.optional(), nil)
    if math.type then
        eq(math.type(types.int64(3.0)), "integer")
        eq(math.type(types.number(3)), "float")
        eq(types.int64(math.mininteger), math.mininteger)
    end
    eq(table.concat(types.list { 3, 1, 2 }, ","), "3,1,2")
    eq(#types.list {}, 0)
    local truths = types.booleans { true, false, true }
    ok(#truths == 3 and truths[1] and not truths[2] and truths[3])
    local lists = types.lists { { "a", "b" }, {}, { "c" } }
    eq(#lists, 3)
    eq(lists[1][2], "b")
    eq(#lists[2], 0)
    local map = types.map { one = 1, two = 2 }
    eq(map.one, 1)
    eq(map.two, 2)
    eq(next(types.map {}), nil)
    -- A list is a map, too.
    eq(types.numbered({ "a", "b" })[2], "b")
    eq(types.numbered({ [7] = "g" })[7], "g")
    local deep = types.value { 1, { a = { true, "x" } } }
    eq(deep[1], 1)
    eq(deep[2].a[1], true)
    eq(deep[2].a[2], "x")
    local point = types.point { x = 1, y = 2.5 }
    eq(point.x + point.y, 3.5)
    eq(select("#", types.rest()), 0)
    eq(select("#", types.rest(nil, "x", nil)), 3)
    eq(select(2, types.rest(nil, "x", nil)), "x")
    eq(select("#", types.several()), 3)
    local one, two, three = types.several()
    ok(one == 1 and two == "two" and three == nil)
    eq(types.lambda "text", "text on Lua's")
end)

scenario("cpp arguments that are wrong are named", { needs = "cpptypes", with = "cpptypes" }, function()
    local function wrong(name, wanted, found, ...)
        raises("bad argument #1 to 'cpptypes%." .. name .. "': wanted " .. wanted .. ", found " .. found, types[name], ...)
    end
    wrong("boolean", "a boolean", "nothing")
    wrong("boolean", "a boolean", "an? %a+", 1)
    wrong("int8", "an integer from %-128 to 127", "an? %a+", 128)
    wrong("int8", "an integer from %-128 to 127", "an? %a+", -129)
    wrong("uint8", "an integer from 0 to 255", "an? %a+", -1)
    wrong("int64", "an integer", "a number", 0.5)
    wrong("int64", "an integer", "a number", 2 ^ 63)
    wrong("int64", "an integer", "a number", 0 / 0)
    wrong("int64", "an integer", "a string", "3")
    wrong("uint64", "an integer from 0 on", "an? %a+", -1)
    wrong("number", "a number", "a string", "3")
    wrong("text", "a string", "an? %a+", 3)
    wrong("view", "a string", "nil", nil)
    wrong("optional", "an integer from %-2147483648 to 2147483647 or nil", "a table", {})
    wrong("list", "a list", "nothing")
    wrong("list", "a list", "a table", { a = 1 })
    wrong("list", "a list whose item 2 is an integer from %-2147483648 to 2147483647", "a table", { 1, "x" })
    wrong("lists", "a list whose item 1 is a list whose item 2 is a string", "a table", { { "a", 1 } })
    wrong("map", "a table", "a string", "x")
    wrong("map", "a table whose every key is a string", "a table", { 1 })
    wrong("map", "a table whose every value is an integer from %-2147483648 to 2147483647", "a table", { a = "x" })
    wrong("callback", "a function", "an? %a+", 3)
    wrong("point", "a point: a table with x and y", "a table", { x = 1 })
    wrong("same", "an object of the class thing", "an object", types.other())
    raises("bad argument #1 to 'thing:sum': wanted an object of the class thing, found nothing", types.thing(1).sum, types.thing(1))
    raises("bad argument #2 to 'thing:sum': wanted an object of the class thing or nil, found a string", types.thing(1).sum, types.thing(1),
        types.thing(2), "x")
    raises("bad self of 'thing:number'", types.thing(1).number, types.other())
end)

scenario("cpp exceptions become Lua errors", { needs = "cpptypes", with = "cpptypes" }, function()
    raises("^[^:]+:%d+: on purpose$", function() types.fail "exception" end)
    raises("no std::exception", types.fail, "number")
    raises("has as much queued as its limits allow", types.fail, "error")
    raises("bad_alloc", types.fail, "memory")
    local done, value = pcall(types.fail, "value")
    eq(done, false)
    eq(value.code, 7)
    eq(select("#", types.fail "not at all"), 0)
    eq(select("#", types.refuse(0)), 0)
    raises("has as much queued as its limits allow", types.refuse, 9)
    raises("an integer is too large for Lua", types.large)
    -- The object was a result already: it is not lost.
    raises("an integer is too large for Lua", types.lose)
    collect()
    eq(types.alive(), 0)
end)

scenario("cpp objects live as long as Lua wants them", { needs = "cpptypes", with = "cpptypes" }, function()
    do
        local thing, seven = types.thing(5), nil
        eq(types.alive(), 1)
        eq(thing:number(), 5)
        eq(thing:add(3), thing)
        eq(thing:number(), 8)
        eq(thing:twice(), 16)
        eq(thing:sum(thing), 16)
        eq(thing:sum(thing, thing), 24)
        eq(types.same(thing), thing)
        eq(types.none(thing), false)
        eq(types.none(), true)
        eq(types.none(nil), true)
        eq(tostring(thing), "thing 8")
        thing, seven = types.pair()
        eq(thing:number(), seven)
        local all = types.things(3)
        eq(#all, 3)
        eq(all[3]:number(), 3)
        thing:close()
        thing:close()
        eq(tostring(thing), "thing 7 (closed)")
        local take, taken = receiver()
        types.deliver_thing(take, 9)
        local new, text = taken()
        eq(new:number(), 9)
        eq(text, "new")
        eq(types.deliver_refused(4), 4)
        raises("its class is not listed", types.deliver, nothing, new)
        raises("its class is not listed", types.unlisted)
    end
    collect()
    eq(types.alive(), 0)
    -- One that Lua never sees.
    types.deliver_thing(nothing, 1)
    eq(types.alive(), 1)
    dss.dispatch()
    collect()
    eq(types.alive(), 0)
end)

scenario("cpp callbacks keep their identity", { needs = "cpptypes", with = "cpptypes" }, function()
    local function first() end
    local function second() return first end
    types.keep(first)
    eq(types.is_kept(first), true)
    eq(types.is_kept(second), false)
    eq(types.kept(), first)
    types.keep(second)
    eq(types.kept(), second)
    first, second = nil, nil
    collect()
    eq(type(types.kept()()), "nil")
    -- What nobody keeps is collected.
    local weak = setmetatable({ function() return weak end }, { __mode = "v" })
    types.keep(weak[1])
    collect()
    ok(weak[1], "the library has it")
    types.keep(nothing)
    eventually(function() dss.dispatch() collect() return not weak[1] end, "the end of the function")
end)

scenario("cpp deliveries come as they were sent", { needs = "cpptypes", with = "cpptypes" }, function()
    local take, taken = receiver()
    types.deliver(take, 1, nil, "x", { 1, 2 })
    local one, two, three, four = taken()
    ok(one == 1 and two == nil and three == "x" and #four == 2)
    local seen = {}
    types.latest(function(n) seen[#seen + 1] = n end, 5)
    dispatch(function() return #seen > 0 end)
    eq(#seen, 1)
    eq(seen[1], 5)
    eq(types.cancel(function() error "it was cancelled" end), true)
    eq(dss.dispatch(), 0)
    local held
    types.hold_until_called(function(value) held = value end, 0.1)
    dss.run(30)
    eq(held, true)
end)

scenario("cpp requests tell how they ended", { needs = "cpptypes", with = "cpptypes" }, function()
    local function ends(question, seconds)
        local take, taken = receiver()
        types.request(question, take, seconds)
        if seconds then host.sleep(2 * seconds) end
        return taken()
    end
    local err, number, text = ends(function(what) return 3, what end)
    ok(err == nil and number == 3 and text == "how many")
    eq((ends(function() return 3 end)), "wanted a string as result #2 of the Lua function")
    err, number = ends(function() error "on purpose" end)
    matches(err, "on purpose")
    eq(number, 2)
    err, number = ends(function() dss.defer() collect() end)
    eq(err, "Lua put the answer off by `defer()`, and dropped it")
    eq(number, 3)
    local answer
    eq((ends(function() answer = dss.defer() end, 0.05)), "Lua had not answered at the deadline")
    pcall(answer, 3, "late")
    eq((ends(function() error "it is too late" end, 0.05)), "Lua had not answered at the deadline")
    -- On a thread that waits.
    local take, taken = receiver()
    types.wait(function(...) return select("#", ...), ... end, take, 30)
    local none, count, one, half, three = taken()
    ok(none == nil and count == 3 and one == 1 and half == 2.5 and three == "three")
    take, taken = receiver()
    types.wait(function() error "on purpose" end, take, 30)
    matches((taken()), "on purpose")
    raises("would wait for the thread that it is made on", types.wait_here, nothing)
    eq(types.alive(), 0)
end)
