-- v2 and c2v0 in one state, in turn: deliveries, requests and calls of two integers and less. Prints a line for each measurement: what, which,
-- nanoseconds per item.
local rounds, items = tonumber(arg[1]), tonumber(arg[2])

local dss = require "darksidesync"
local probes = { v2 = dss.load "probe_v2", c2v0 = dss.load "probe_c2v0" }

local handled = 0
local function callback(at, seven) handled = handled + seven end
local answered = 0
local function answer(at) answered = answered + 1 return at end

-- Answers all requests, and returns what their thread reports. It does nothing else meanwhile: what it allocated would be in the way of
-- what the other thread frees.
local function report(probe, count)
    while answered < count do dss.dispatch() end
    while true do
        local said = probe.reports()
        if type(said) == "table" then said = said[1] or "" end
        if said ~= "" then return assert(tonumber(said), said) end
        host.sleep(0.001)
    end
end

local measures = {}

measures["deliver, two integers"] = function(probe)
    handled = 0
    local took = probe.fast_from_thread(callback, items)
    assert(dss.dispatch() == items and handled == 7 * items)
    return took
end

measures["dispatch, two integers"] = function(probe)
    probe.fast_from_thread(callback, items)
    local start = host.now()
    dss.dispatch()
    return (host.now() - start) * 1e9
end

measures["request and answer"] = function(probe)
    local count = math.floor(items / 50)
    answered = 0
    probe.fast_requests(answer, count)
    return report(probe, count) * 50
end

measures["call, an integer"] = function(probe)
    local echo, start = probe.echo, host.now()
    for at = 1, items do echo(at) end
    return (host.now() - start) * 1e9
end

local rows = { "deliver, two integers", "dispatch, two integers", "request and answer", "call, an integer" }
for round = 0, rounds do
    for _, row in ipairs(rows) do
        for _, name in ipairs(round % 2 == 0 and { "v2", "c2v0" } or { "c2v0", "v2" }) do
            collectgarbage()
            collectgarbage()
            local took = measures[row](probes[name])
            -- Round 0 warms everything up.
            if round > 0 then print(("%s|%s|%.3f"):format(row, name, took / items)) end
        end
    end
end
