-- More is produced than the limits allow, under each policy, and deliveries are taken back. Every item is accounted for.

local soak, of = require "lib.account", require "lib.libraries"

local THREADS, ITEMS, LIMIT, KEYS = 3, 1500, 100, 70
local POLICIES = { "refuse", "wait", "drop", "latest" }

-- The items of a key replace each other, so they are ascending among themselves alone.
local function take(sequence, keyed)
    if not keyed then return sequence.take_item end
    return function(thread, number, text) sequence.take_item(thread .. "/" .. number % KEYS, number, text) end
end

-- Compares what the threads report with what came, and with DSS's figures.
local function settle(name, policy, got, reports, before, after, first)
    local sums = soak.sums(reports)
    local taken, full, timed_out, other = sums[first], sums[first + 1], sums[first + 2], sums[first + 3]
    local dropped, coalesced = after.dropped - before.dropped, after.coalesced - before.coalesced
    local what = name .. " under " .. policy .. ": "
    soak.eq(taken + full + timed_out, THREADS * ITEMS, what .. "taken, refused and timed out")
    soak.eq(other, 0, what .. "refused for another reason")
    soak.eq(got + dropped + coalesced, taken, what .. "delivered, dropped and replaced")
    soak.eq(after.delivered - before.delivered, got, what .. "delivered in stats()")
    soak.eq(after.refused - before.refused, full, what .. "refused in stats()")
    soak.eq(after.timedout - before.timedout, timed_out, what .. "timed out in stats()")
    soak.eq(after.queued, 0, what .. "queued at the end")
    if policy ~= "drop" then soak.eq(dropped, 0, what .. "dropped") end
    if policy ~= "latest" then soak.eq(coalesced, 0, what .. "replaced") end
    if policy == "wait" then soak.eq(full, 0, what .. "refused") end
    soak.count("refused", full)
    soak.count("dropped", dropped)
    soak.count("replaced", coalesced)
    soak.count("timed out", timed_out)
end

local function at_the_bound(at, wait)
    local policy = POLICIES[at]
    local keyed = policy == "latest"
    local v2, c2v0 = soak.sequence("v2 under " .. policy, 0, true), soak.sequence("c2v0 under " .. policy, 0, true)
    local before_v2, before_c2v0 = soak.stats("v2", "probe_v2"), soak.stats "c2v0"
    of.v2.limit(LIMIT, 10000000, policy, wait)
    local channel = soak.ok(of.c2v0.open_channel("soak", at, LIMIT, 10000000, wait), "c2v0: no channel could be opened")
    of.v2.storm(take(v2, keyed), THREADS, ITEMS, keyed and KEYS or nil)
    for thread = 1, THREADS do of.c2v0.storm(take(c2v0, keyed), channel, thread, ITEMS, keyed and KEYS or 0) end
    local reports_v2, reports_c2v0 = soak.reports(of.v2, THREADS), soak.reports(of.c2v0, THREADS)
    soak.drain()
    settle("v2", policy, v2.got, reports_v2, before_v2, soak.stats("v2", "probe_v2"), 1)
    settle("c2v0", policy, c2v0.got, reports_c2v0, before_c2v0, soak.stats "c2v0", 2)
    soak.eq(of.c2v0.close_channel(channel), true, "c2v0: closing the channel")
end

local function withdrawn()
    of.v2.limit(1000000, 1000000000, "refuse")
    local v2, c2v0 = soak.sequence("v2, withdrawing", 0, true), soak.sequence("c2v0, withdrawing", 0, true)
    local before_v2, before_c2v0 = soak.stats("v2", "probe_v2").cancelled, soak.stats "c2v0".cancelled
    of.v2.withdraw(v2.take_item, THREADS, ITEMS)
    for thread = 1, THREADS do of.c2v0.withdraw(c2v0.take_item, thread, ITEMS) end
    local sums_v2, sums_c2v0 = soak.sums(soak.reports(of.v2, THREADS)), soak.sums(soak.reports(of.c2v0, THREADS))
    soak.drain()
    for name, one in pairs {
        v2 = { sums_v2, v2.got, soak.stats("v2", "probe_v2").cancelled - before_v2 },
        c2v0 = { sums_c2v0, c2v0.got, soak.stats "c2v0".cancelled - before_c2v0 },
    } do
        local sums, got, cancelled = one[1], one[2], one[3]
        soak.eq(sums[2], THREADS * ITEMS, name .. ", withdrawing: taken")
        soak.eq(sums[4], 0, name .. ", withdrawing: refused")
        soak.eq(got + sums[3], sums[2], name .. ", withdrawing: delivered and cancelled")
        soak.eq(cancelled, sums[3], name .. ", withdrawing: cancelled in stats()")
        soak.count("cancelled", cancelled)
    end
end

return function(round)
    -- Those that wait find room, or in every other round no room in time.
    for at = 1, #POLICIES do at_the_bound(at, round % 2 == 0 and 0.0001 or 60.5) end
    withdrawn()
end
