-- One state: v1 and v2 alternately deliver two integers to a callback. Measures from deliver to the callback, through dispatch.
-- Prints a line for each measurement: what, which, nanoseconds per item.
local rounds, items = tonumber(arg[1]), tonumber(arg[2])

local dss = require "darksidesync"
local v1 = require "probe_v1"
local v2 = dss.load "probe_v2"
v1.register()

local handled = 0
local function callback(at, seven) handled = handled + seven end

local function measure(deliver)
    handled = 0
    collectgarbage()
    collectgarbage()
    local delivering = deliver(callback, items)
    local start = host.now()
    local count = dss.dispatch()
    local dispatching = (host.now() - start) * 1e9
    assert(count == items and handled == 7 * items)
    return delivering / items, dispatching / items
end

for round = 0, rounds do
    local first = { "v1", v1.fast, "v2", v2.fast_from_thread }
    if round % 2 == 1 then first = { first[3], first[4], first[1], first[2] } end
    for at = 1, 3, 2 do
        local delivering, dispatching = measure(first[at + 1])
        -- Round 0 warms everything up.
        if round > 0 then
            print(("deliver, two integers|%s|%.3f"):format(first[at], delivering))
            print(("dispatch, two integers|%s|%.3f"):format(first[at], dispatching))
            print(("deliver to callback|%s|%.3f"):format(first[at], delivering + dispatching))
        end
    end
end
