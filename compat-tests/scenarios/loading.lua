-- Loading the module in programs that have changed their globals, and in Lua states that run out of memory.

local OF_51 = host.lua == "lua51" or host.lua == "luajit"

-- What is left in a state of a `require` that failed, and whether DSS works there.
local WORKS = [[
    local dss = require "darksidesync"
    assert(require "darksidesync" == dss)
    assert(dss.poll() == -1 and dss.queuesize() == 0)
    local probe, got = require "probe"
    assert(probe.register())
    probe.deliver(function(n) got = n end, 7)
    assert(dss.dispatch() == 1 and got == 7)
    probe.unregister()
    local reply
    dss.load "probe_v2".request(function() reply = dss.defer() end, 1)
    while not reply do dss.dispatch() end
    assert(reply(1) == true)
]]

scenario("require where undeclared globals raise", { with = "probe probe_v2" }, function()
    local state = host.newstate()
    inside(state, [[
        setmetatable(_G, {
            __index = function(_, name) error("the global '" .. tostring(name) .. "' is not declared", 2) end,
            __newindex = function(_, name) error("the global '" .. tostring(name) .. "' is not declared", 2) end,
        })
    ]] .. WORKS)
    state:close()
end)

scenario("which Lua this is, no global says", { with = "probe probe_v2" }, function()
    for _, change in ipairs {
        "_VERSION = nil",
        "_VERSION = 'Game 7'",
        "_VERSION = 'Lua 4.0'",
        "_VERSION = {}",
        "jit = nil",
        "jit = { version = 'LuaJIT 9' }",
        "jit = true",
        "getmetatable('').__index = nil",
        "load, loadstring = nil",
        "string, table, math = nil",
    } do
        local state = host.newstate()
        inside(state, change .. "\n" .. WORKS)
        state:close()
    end
end)

scenario("require with no standard library but package", function()
    local state = host.newstate { bare = true }
    inside(state, [[
        local dss = require "darksidesync"
        local count = dss.poll()
        host.missing = count == -1 and dss.dispatch() == 0 and dss.run(0) == 0 and dss.revisions()[1].name
        if host.missing ~= "c1v0" then host.sleep "this is not what was wanted" end
    ]])
    state:close()
end)

scenario("the global darksidesync is there where 1.0 set it", function()
    local dss = require "darksidesync"
    eq(rawget(_G, "darksidesync"), OF_51 and dss or nil)
    -- What a program has under that name stays.
    local state = host.newstate()
    inside(state, [[
        darksidesync = "a program's own"
        assert(type(require "darksidesync") == "table")
        assert(darksidesync == "a program's own")
    ]])
    state:close()
end)

scenario("require after package.loaded was cleared gives the same table", function()
    local dss = require "darksidesync"
    local poll = dss.poll
    package.loaded.darksidesync = nil
    local again = require "darksidesync"
    eq(again, dss)
    eq(again.poll, poll)
    if OF_51 then
        darksidesync, package.loaded.darksidesync = nil, nil
        require "darksidesync"
        eq(darksidesync, dss)
    end
end)

scenario("a finalizer requires the module while that is required", { only = "lua52 lua53 lua54 lua55", with = "probe probe_v2" }, function()
    local met = 0
    for at = 1, 80 do
        local state = host.newstate()
        local meets, message = state:dostring([[
            local at, calls, inner, running, meets = ..., 0
            -- A cycle of the collector at each step, and at each a finalizer.
            local function again()
                setmetatable({}, { __gc = function()
                    if running then calls = calls + 1 end
                    if calls < at then return again() end
                    inner, meets = require "darksidesync", running
                end })
            end
            if _VERSION == "Lua 5.5" then
                for name, value in pairs { pause = 0, stepmul = 100000, stepsize = 16 } do collectgarbage("param", name, value) end
            else
                collectgarbage("setpause", 0)
                collectgarbage("setstepmul", 1000)
                if _VERSION == "Lua 5.4" then collectgarbage("incremental", 0, 1000, 4) end
            end
            -- It paces itself by that from the end of a cycle on.
            collectgarbage()
            again()
            running = true
            local outer = require "darksidesync"
            running = false
            assert(inner == nil or inner == outer, "two tables")
        ]] .. WORKS .. "return meets == true", at)
        ok(meets ~= nil, ("finalizer %d: %s"):format(at, tostring(message)))
        if meets then met = met + 1 end
        state:close()
    end
    -- 5.2's collector takes larger steps.
    ok(met >= (host.lua == "lua52" and 1 or 20), met .. " times a finalizer ran in `require`")
end)

scenario("setport takes a port in decimal text", function()
    local dss = require "darksidesync"
    for _, port in ipairs { "50000", "65535", "1" } do
        eq(dss.setport(port), 1)
        eq(dss.getport(), tonumber(port))
    end
    for _, wrong in ipairs {
        "", " 5", "5 ", "0x10", "5.0", "5e3", "+5", "-5", "65536", "99999999999999999999", "five", "5\0", "\0",
    } do
        local message = raises("wanted a UDP port", dss.setport, wrong)
        ok(message:find('found "', 1, true), message)
    end
    eq(dss.getport(), 1)
    local long = raises("wanted a UDP port", dss.setport, ("9"):rep(100000))
    ok(#long < 300, #long .. " bytes")
    eq(dss.setport "0", 1)
    eq(dss.getport(), 0)
end)

scenario("a wrong argument is told with the caller's place and no word of anybody else's", function()
    local dss = require "darksidesync"
    local calls = {
        { "setport", {} },
        { "setport", 1.5 },
        { "setport", 65536 },
        { "seterrorhandler", 5 },
        { "seterrorhandler", "x" },
        { "setrequesthandler", 5 },
        { "load", nil },
        { "load", 5 },
        { "load", "nowhere" },
        { "load", "x", {} },
        { "load", "x", "latest" },
        { "load", "a/b" },
    }
    for _, call in ipairs(calls) do
        local message = raises("", dss[call[1]], unpack(call, 2, 3))
        ok(not message:find "runtime error", message)
        message = raises("", function() dss[call[1]](unpack(call, 2, 3)) end)
        matches(message, "^[^\n]*loading.lua:%d+: ")
        ok(not message:find "runtime error", message)
    end
    matches(raises("", dss.setport, 65536), "found 65536$")
    matches(raises("", dss.setport, 1.5), "found 1.5$")
    matches(raises("", dss.setport, {}), "found a table$")
    matches(raises("", dss.setport), "found nothing$")
    matches(raises("", dss.setport, nil), "found nil$")
    matches(raises("", dss.seterrorhandler, 5), "found a number$")
    matches(raises("", dss.load, 5), "found a number$")
    matches(raises("", dss.load, "x", {}), "found a table$")
end)

scenario("a second DSS is refused in words of its own, and served once the first has gone", { with = "probe probe_v2" }, function()
    local state = host.newstate()
    local message = state:dostring [[
        debug.getregistry()["DSS.DarkSideSync"] = { Version = "9.9" }
        return select(2, pcall(require, "darksidesync"))
    ]]
    matches(message, "^another DSS already serves this Lua state %(version 9%.9%): require only one of them$")
    inside(state, [[debug.getregistry()["DSS.DarkSideSync"] = nil ]] .. WORKS)
    state:close()
end)

scenario("searcher says that there is nothing to install it in", function()
    local dss = require "darksidesync"
    local searchers = package.searchers and "searchers" or "loaders"
    local kept = package[searchers]
    package[searchers] = nil
    raises("this Lua state has neither `package.searchers`", dss.searcher)
    package[searchers] = kept
    local before = #kept
    eq(dss.searcher(), true)
    eq(dss.searcher(), false)
    eq(#kept, before + 1)
end)

scenario("a second load does not read the file again", { with = "probe_v2", on = "unix: descriptors are limited" }, function()
    local dss = require "darksidesync"
    local probe = dss.load "probe_v2"
    local before = host.setrlimit("nofile", 0)
    local done, again = pcall(dss.load, "probe_v2")
    local fits, wanted = pcall(dss.load, "probe_v2", "^" .. probe._VERSION)
    local named, file = pcall(dss.load, probe._FILE)
    host.setrlimit("nofile", before)
    ok(done, again)
    ok(fits, wanted)
    ok(named, file)
    eq(again, probe)
    eq(wanted, probe)
    eq(file, probe)
    raises("probe_v2 ^99 is wanted", function() dss.load("probe_v2", "^99") end)
    raises("wanted a version requirement", dss.load, "probe_v2", "latest")
end)

-- In a fresh state: prepares, runs `work` with the n-th request for memory refused, and the retry of it, or with all from
-- then on, and then `after`. Returns whether it ran to its end without being refused.
local function with_failure(n, forever, prepare, work, after)
    local state = host.newstate { failing = true }
    local code = ([[
        local n, forever = ...
        %s
        local function work() %s end
        -- A collection frees what Lua keeps for calls, so that each run begins alike: the call itself may want memory.
        collectgarbage()
        host.fail(n, forever)
        local done, message = pcall(work)
        local asked = host.asked()
        if not done and message ~= "not enough memory" then error("wanted Lua's own error, found " .. tostring(message)) end
        %s
        return done, asked
    ]]):format(prepare, work, after)
    local done, asked = state:dostring(code, n, forever)
    if done == nil then error(("request %d%s: %s"):format(n, forever and " and all after it" or "", tostring(asked)), 2) end
    state:close()
    return done and asked < n
end

-- Returns how many requests there were at least.
local function each_failure(prepare, work, after)
    local n
    for _, forever in ipairs { false, true } do
        n = 0
        repeat n = n + 1 until with_failure(n, forever, prepare, work, after)
    end
    return n - 1
end

scenario("no memory in require", { with = "probe probe_v2" }, function()
    local count = each_failure("", [[require "darksidesync"]], [[
        local registry = debug.getregistry()
        if not done then
            assert(registry["DSS.DarkSideSync"] == nil, "something is left in the registry")
            assert(rawget(_G, "darksidesync") == nil, "something is left in the globals")
            assert(not package.loaded.darksidesync, "something is left in package.loaded")
        end
    ]] .. WORKS)
    ok(count > 50, count .. " requests")
end)

scenario("no memory in require, again and again in one state", { with = "probe probe_v2" }, function()
    require "darksidesync"
    local state = host.newstate { failing = true }
    local done, last = state:dostring [[
        local n = 0
        repeat
            n = n + 1
            -- And all after it: Lua does without some that is refused once, as a larger table of strings.
            host.fail(n, true)
            local done, message = pcall(require, "darksidesync")
            host.asked()
            if not done and message ~= "not enough memory" then error(message) end
        until done
        return n, tostring(require "probe".register())
    ]]
    ok(done, last)
    ok(done > 50, done)
    -- The first state's dispatcher is the first, and no failure has left one claimed between that and this state's.
    local first = tostring(require "probe".register())
    eq(tonumber(last:sub(-8), 16) - tonumber(first:sub(-8), 16), 0x1000)
    state:close()
end)

-- Calls of the module's functions that are not about deliveries. Each raises for want of memory, or does all that it is to do.
local PREPARED = [[local dss = require "darksidesync" require "probe".register() dss.getport()]]

local function no_memory_in(work, after)
    each_failure(PREPARED, work, (after or "") .. [[
        assert(dss.poll() == -1)
        require "probe".unregister()
    ]] .. WORKS)
end

scenario("no memory in setport, getport and listen", { with = "probe probe_v2" }, function()
    -- A call that found no memory to begin with has set nothing.
    local after = "local port = dss.getport() assert(port == 50123 or not done and port == 0, port) dss.setport(0)"
    no_memory_in("dss.setport(50123) dss.getport()", after)
    no_memory_in("assert(dss.setport '50123' == 1)", after)
    no_memory_in("local port, hello = dss.listen() assert(port > 0 and #hello == 32)", "dss.setport(0)")
end)

scenario("no memory for a sentence", { with = "probe probe_v2" }, function()
    for _, call in ipairs { "dss.setport({})", "dss.seterrorhandler(5)", "dss.load()", "dss.load 'nowhere'", "dss.load 'a/b'" } do
        no_memory_in([[
            local fine, message = pcall(function() ]] .. call .. [[ end)
            assert(not fine)
            if message == "not enough memory" then error(message, 0) end
            assert(#message > 40, message)
        ]])
    end
end)

scenario("no memory in libraries, stats, metrics and revisions", { with = "probe probe_v2" }, function()
    no_memory_in [[assert(dss.libraries()[1].queued == 0)]]
    no_memory_in [[assert(dss.stats()[1].queued == 0)]]
    no_memory_in [[assert(#dss.metrics() > 100)]]
    no_memory_in [[assert(dss.revisions()[3].name == "v2")]]
end)

scenario("no memory in seterrorhandler and searcher", { with = "probe probe_v2" }, function()
    no_memory_in("assert(dss.seterrorhandler(print))", "dss.seterrorhandler(nil)")
    no_memory_in("dss.searcher()", [[
        local list = package.searchers or package.loaders
        assert(#list == (done and 5 or 4), #list)
        for at = 1, #list do assert(type(list[at]) == "function") end
        assert(dss.searcher() ~= done)
        assert(#list == 5)
    ]])
end)

scenario("no memory in load and in what the searcher does", { with = "probe_v2" }, function()
    each_failure([[local dss = require "darksidesync"]], [[dss.load "probe_v2"]], [[
        local probe, got = dss.load "probe_v2"
        probe.deliver(function(n) got = n end, 7)
        assert(dss.dispatch() == 1 and got == 7)
    ]])
    each_failure([[local dss = require "darksidesync" dss.searcher()]], [[require "probe_v2"]], [[
        package.loaded.probe_v2 = nil
        local probe, got = require "probe_v2"
        probe.deliver(function(n) got = n end, 7)
        assert(dss.dispatch() == 1 and got == 7)
    ]])
end)
