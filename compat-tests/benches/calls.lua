-- Two states in one process: Lua calls a function of a v2 library in one, and a plain C function in the other. Both read their
-- arguments into their own values and return them. Prints a line for each measurement: what, which, nanoseconds per call.
local rounds, items = tonumber(arg[1]), tonumber(arg[2])

local code = [[
    local name, items = ...
    local echo = name == "C" and require("floor").echo or require("darksidesync").load("probe_v2").echo
    local text = ("x"):rep(100)

    function measure(what)
        collectgarbage()
        collectgarbage()
        local start = host.now()
        if what == "call, no argument" then
            for _ = 1, items do echo() end
        elseif what == "call, an integer" then
            for at = 1, items do echo(at) end
        elseif what == "call, two integers and a string" then
            for at = 1, items do echo(at, 7, text) end
        end
        local ns = (host.now() - start) * 1e9
        local first, second, third = echo(1, 7, text)
        assert(first == 1 and second == 7 and third == text)
        return ns / items
    end
]]

local states = {}
for _, name in ipairs { "C", "v2" } do
    states[name] = host.newstate()
    local _, message = states[name]:dostring(code, name, items)
    assert(not message, message)
end

for round = 0, rounds do
    for _, what in ipairs { "call, no argument", "call, an integer", "call, two integers and a string" } do
        for _, name in ipairs(round % 2 == 0 and { "C", "v2" } or { "v2", "C" }) do
            local ns, message = states[name]:dostring("return measure(...)", what)
            assert(ns, message)
            -- Round 0 warms everything up.
            if round > 0 then print(("%s|%s|%.3f"):format(what, name, ns)) end
        end
    end
end
