-- v2: what authors have from 1.0.1 of dss-abi-v2 on, in a library that is loaded.

local v2 = shared "v2"

local function load_authors()
    local dss = require "darksidesync"
    return dss, dss.load "authors"
end

scenario("deliveries that are awaited find room as Lua takes items, each once and in order", function()
    local dss, authors = load_authors()
    local next_number, got, wrong = {}, 0, nil
    authors.trickle(5, 60, function(thread, number)
        if number ~= (next_number[thread] or 1) then wrong = thread .. ": " .. number end
        next_number[thread] = number + 1
        got = got + 1
    end)
    local told = v2.reports(dss, authors, 5)
    dss.dispatch()
    eq(wrong, nil)
    eq(got, 300)
    for _, report in ipairs(told) do matches(report, "^%d: all$") end
    local stats = dss.stats()[1]
    eq(stats.delivered, 300)
    ok(stats.highwater <= 4, "its bound is 4")
end)

scenario("a delivery that waits for room is refused when its library leaves", function()
    local dss, authors = load_authors()
    authors.trickle(2, 60, nothing)
    eventually(function() return dss.queuesize() == 4 end, "a full queue")
    authors.unregister()
    -- The functions are the library's, and it has left this state.
    eq(dss.queuesize(), 0)
    eq(#dss.libraries(), 0)
    authors = dss.load "authors"
    local told = v2.reports(dss, authors, 2)
    for _, report in ipairs(told) do matches(report, "^%d: %d+ of [23]: the library is not registered") end
end)

scenario("names of the author's are the author's, and a library is taken by value", function()
    local _, authors = load_authors()
    eq(authors.run(), "run")
    eq(authors.call(), true)
    local counter = authors.make(40)
    eq(counter:run(), true)
    eq(counter:plus(authors.make(2)), 42)
end)

scenario("a nil comes before other results", function()
    local _, authors = load_authors()
    local found, why = authors.find "x"
    eq(found, nil)
    eq(why, "no such file: x")
    eq(select("#", authors.find "x"), 2)
end)

scenario("serde's errors name the argument and the place", function()
    local _, authors = load_authors()
    local options = authors.options { ports = { 1, 2, 3 }, name = "a" }
    eq(options.ports[1], 3)
    eq(options.name, "a")
    raises("bad argument #1 to 'authors.options': field 'ports': item 2: wanted an integer, found a string",
        authors.options, { ports = { 1, "x" } })
    raises("bad argument #1 to 'authors.options': field 'ports': wanted a value, found nothing", authors.options, {})
    raises("bad argument #1 to 'authors.options': wanted a table, found nothing", authors.options)
end)

scenario("tables far too deep within each other are refused, as results and deliveries", function()
    local dss, authors = load_authors()
    for _, depth in ipairs { 65, 1000, 100000 } do
        raises("lists and maps are nested more than 64 deep", authors.nested, depth)
        matches(authors.deliver_nested(depth, nothing), "value 2: lists and maps are nested more than 64 deep")
    end
    local depth, value = 0, authors.nested(64)
    while type(value) == "table" do depth, value = depth + 1, value[1] end
    eq(depth, 64)
    eq(dss.queuesize(), 0)
end)
