-- Two states on two threads. One delivers items and takes them, and is measured while the other computes or does the same with its
-- own DSS. Prints a line for each measurement: what, what the other state does, nanoseconds per item.
local rounds, items = tonumber(arg[1]), tonumber(arg[2])

-- What the other state does until the file is gone: plain Lua, or items of its own.
local neighbour = [[
    local does, stop = ...
    local dss, probe = require "darksidesync", require "probe2"
    probe.register()
    probe.setcallback(function() end)
    local rounds = 0
    while not io.open(stop) do
        if does == "DSS" then
            probe.fast(1000)
            dss.dispatch()
        else
            local sum = 0
            for at = 1, 20000 do sum = sum + at % 7 end
        end
        rounds = rounds + 1
    end
    return rounds
]]

local dss, probe = require "darksidesync", require "probe"
probe.register()

local function measure()
    local handled = 0
    probe.setcallback(function() handled = handled + 1 end)
    collectgarbage()
    collectgarbage()
    local start = host.now()
    for _ = 1, items, 1000 do
        probe.fast(1000)
        dss.dispatch()
    end
    local ns = (host.now() - start) * 1e9
    assert(handled >= items, handled)
    return ns / handled
end

local stop = os.tmpname()
for round = 0, rounds do
    for _, does in ipairs(round % 2 == 0 and { "computes", "DSS" } or { "DSS", "computes" }) do
        os.remove(stop)
        local thread = host.thread(neighbour, does, stop)
        host.sleep(0.02)
        local ns = measure()
        assert(io.open(stop, "w")):close()
        local fine, done = thread:join()
        assert(fine and done > 0, done)
        -- Round 0 warms everything up.
        if round > 0 then print(("deliver to callback, beside another state|%s|%.3f"):format(does, ns)) end
    end
end

-- As many items in one state, and half of them in each of two.
local work = [[
    local items, library = ...
    local dss, probe = require "darksidesync", require(library)
    probe.register()
    probe.setcallback(function() end)
    for _ = 1, items, 1000 do
        probe.fast(1000)
        dss.dispatch()
    end
]]
for round = 0, rounds do
    for _, threads in ipairs(round % 2 == 0 and { 1, 2 } or { 2, 1 }) do
        local start, running = host.now(), {}
        for at = 1, threads do running[at] = host.thread(work, items * 4 / threads, ({ "probe2", "probe3" })[at]) end
        for _, thread in ipairs(running) do assert(thread:join()) end
        local ns = (host.now() - start) * 1e9 / (items * 4)
        if round > 0 then print(("two states on two cores|%s|%.3f"):format(threads == 1 and "computes" or "DSS", ns)) end
    end
end
os.remove(stop)
