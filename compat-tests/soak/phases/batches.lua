-- Batches, and bursts of many thousand items that are queued before Lua takes the first.

local soak, of = require "lib.account", require "lib.libraries"

local THREADS, ITEMS, BURST, SINGLE = 2, 3000, 20000, 60
of.c1v0.register()
of.v1.register()

-- The callback of all bursts: (at, 7), but for c1v0 from 1 on and with 42, and for one from 1 on and with a text.
local burst, ending
local function take_burst(at, mark)
    soak.eq(mark, ending, "the second value of a burst")
    burst.take("burst", at)
end
of.c1v0.setcallback(take_burst)

local function a_burst(name, first, mark, make)
    burst, ending = soak.sequence(name .. "'s burst", first), mark
    make()
    soak.eq(soak.dss.queuesize(), BURST, name .. ": queued by a burst")
    soak.drain()
    soak.eq(burst.got, BURST, name .. ": callbacks of a burst")
end

return function()
    local v2, c2v0 = soak.sequence("v2", 0), soak.sequence("c2v0", 0)
    of.v2.batches(v2.take_item, THREADS, ITEMS)
    for thread = 1, THREADS do of.c2v0.batches(c2v0.take_item, thread, ITEMS) end
    for _, report in ipairs(soak.reports(of.v2, THREADS)) do
        soak.eq(report[2] .. " " .. report[3], ITEMS .. " none", "v2: batches of a thread")
    end
    for _, report in ipairs(soak.reports(of.c2v0, THREADS)) do
        soak.eq(report[2] .. " " .. report[3], ITEMS .. " 0", "c2v0: batches of a thread")
    end
    soak.drain()
    soak.eq(v2.got, THREADS * ITEMS, "v2: callbacks of batches")
    soak.eq(c2v0.got, THREADS * ITEMS, "c2v0: callbacks of batches")

    -- From the Lua thread.
    local one, other = soak.sequence("v2's batch", 1), soak.sequence("c2v0's batch", 1)
    soak.eq(of.v2.deliver_many(function(at) one.take("batch", at) end, SINGLE), SINGLE, "v2: taken of a batch")
    soak.eq(of.c2v0.deliver_many(function(at) other.take("batch", at) end, SINGLE, 0), SINGLE, "c2v0: taken of a batch")
    soak.drain()
    soak.eq(one.got + other.got, 2 * SINGLE, "callbacks of single batches")

    a_burst("c1v0", 1, 42, function()
        local _, code = of.c1v0.fast(BURST)
        soak.ok(code == 0 or code == -100, "c1v0: the worst code of a burst is " .. code)
    end)
    a_burst("v1", 0, 7, function() of.v1.fast(take_burst, BURST) end)
    a_burst("v2", 0, 7, function() soak.eq(select(2, of.v2.fast_from_thread(take_burst, BURST)), BURST, "v2: taken") end)
    a_burst("v2, with a text", 1, "many", function() soak.eq(of.v2.deliver_many(take_burst, BURST), BURST, "v2: taken") end)
    a_burst("c2v0", 0, 7, function() soak.eq(select(2, of.c2v0.fast_from_thread(take_burst, BURST)), BURST, "c2v0: taken") end)
end
