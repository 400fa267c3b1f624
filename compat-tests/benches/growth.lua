-- Items pile up while Lua is busy: what one costs then, to deliver and to take. Prints a line for each measurement: how many are queued,
-- a thousand or that many, nanoseconds per item.
local rounds = tonumber(arg[1])

local dss, probe = require "darksidesync", require "probe"
probe.register()

local handled = 0
probe.setcallback(function() handled = handled + 1 end)

-- `items` in all, `queued` at a time.
local function measure(items, queued)
    handled = 0
    collectgarbage()
    collectgarbage()
    local start = host.now()
    for _ = 1, items, queued do
        probe.fast(queued)
        dss.dispatch()
    end
    local ns = (host.now() - start) * 1e9
    assert(handled == items, handled)
    return ns / items
end

for _, row in ipairs { { "10^4 queued", 1e4 }, { "10^5 queued", 1e5 }, { "10^6 queued", 1e6 }, { "10^7 queued", 1e7 } } do
    local name, queued = row[1], row[2]
    -- The largest takes a second a round.
    for round = 0, math.ceil(rounds / math.max(1, queued / 1e6)) do
        local items = math.max(queued, 1e5)
        for _, at in ipairs(round % 2 == 0 and { 1e3, queued } or { queued, 1e3 }) do
            local ns = measure(items, at)
            -- Round 0 warms everything up.
            if round > 0 then print(("%s|%s|%.3f"):format(name, at == queued and "many" or "1000", ns)) end
        end
    end
end
