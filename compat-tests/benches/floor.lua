-- Two states in one process: the floor in one, DSS in the other. The same library drives them alternately.
-- Prints a line for each measurement: what, which, nanoseconds per item.
local rounds, items = tonumber(arg[1]), tonumber(arg[2])

local code = [[
    local name, items = ...
    dss, probe = require(name), require "probe"
    probe.register()
    local handled = 0
    probe.setcallback(function() handled = handled + 1 end)

    function measure(what)
        probe.setcallback(function() handled = handled + 1 end)
        collectgarbage()
        collectgarbage()
        if what == "deliver, 1 thread" then
            local ns, worst = probe.fast(items)
            assert(worst == -100, worst)
            dss.dispatch()
            return ns / items
        elseif what == "deliver, 4 threads" then
            local ns, worst = probe.fast_threads(4, items / 4)
            assert(worst == -100, worst)
            dss.dispatch()
            return ns / items
        elseif what:find "^poll" then
            probe.fast(items)
            local poll = what == "poll" and dss.poll or dss.poll_protected or dss.poll
            local start = host.now()
            for _ = 1, items do poll() end
            local ns = (host.now() - start) * 1e9
            assert(dss.poll() == -1)
            return ns / items
        elseif what == "dispatch" then
            probe.fast(items)
            handled = 0
            local start = host.now()
            dss.dispatch()
            local ns = (host.now() - start) * 1e9
            assert(handled == items, handled)
            return ns / items
        elseif what:find "^reply" then
            -- From one answer to the next, of all threads together.
            local threads, count = tonumber(what:match "%d+"), items / 5
            handled = 0
            local function answer(reply, thread, at)
                handled = handled + 1
                reply(at)
            end
            local start = host.now()
            probe.start(threads, count / threads, answer, { ret = "values" })
            while handled < count do dss.dispatch() end
            local ns = (host.now() - start) * 1e9
            assert(probe.join(60))
            return ns / count
        end
    end
]]

local states = {}
for _, name in ipairs { "floor", "darksidesync" } do
    states[name] = host.newstate()
    local _, message = states[name]:dostring(code, name, items)
    assert(not message, message)
end

for round = 0, rounds do
    local rows = {
        "deliver, 1 thread", "deliver, 4 threads", "poll", "poll, floor protected", "dispatch",
        "reply, 1 waiting thread", "reply, 4 waiting threads",
    }
    for _, what in ipairs(rows) do
        for _, name in ipairs(round % 2 == 0 and { "floor", "darksidesync" } or { "darksidesync", "floor" }) do
            local ns, message = states[name]:dostring("return measure(...)", what)
            assert(ns, message)
            -- Round 0 warms everything up.
            if round > 0 then print(("%s|%s|%.3f"):format(what, name, ns)) end
        end
    end
end
