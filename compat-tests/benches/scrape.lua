-- A million items are queued, and a thread delivers more: its slowest deliver, in nanoseconds, while Lua reads `metrics()` again and again,
-- and while it computes. Prints a line for each measurement: what, what Lua does, nanoseconds.
local rounds = tonumber(arg[1])

local dss = require "darksidesync"
local probe = dss.load "probe_c2v0"

local QUEUED, MORE = 1000000, 20000

local function measure(scrape)
    local slowest
    local function callback(it) slowest = it end
    probe.slowest(callback, QUEUED)
    while dss.queuesize() < QUEUED do host.sleep(0.001) end
    collectgarbage()
    probe.slowest(callback, MORE)
    while dss.queuesize() < QUEUED + MORE do scrape() end
    while dss.dispatch() > 0 do end
    -- The last item of a thread says how long its slowest one took.
    return assert(slowest)
end

local ways = {
    computes = function()
        local sum = 0
        for at = 1, 1000 do sum = sum + at % 7 end
    end,
    scrapes = function() dss.metrics() end,
}
for round = 0, rounds do
    for _, does in ipairs(round % 2 == 0 and { "computes", "scrapes" } or { "scrapes", "computes" }) do
        local ns = measure(ways[does])
        -- Round 0 warms everything up.
        if round > 0 then print(("slowest deliver of 20,000|%s|%.3f"):format(does, ns)) end
    end
end
