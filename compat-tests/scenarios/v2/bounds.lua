-- v2: how much a library may have queued, and what happens there.

local v2 = shared "v2"
local load_probe, reports = v2.load_probe, v2.reports

scenario("at its bound a delivery is refused and gives its values back", function()
    local dss, probe = load_probe()
    probe.limit(3, 1000000, "refuse")
    local got = 0
    local function take() got = got + 1 end
    for _ = 1, 3 do ok(probe.deliver(take, 1)) end
    local first, reason, back = probe.deliver(take, "mine", 7)
    eq(first, nil)
    matches(reason, "^the library.+: try again when Lua has taken some")
    eq(back[1], "mine")
    eq(back[2], 7)
    eq(dss.dispatch(), 3)
    eq(got, 3)
    ok(probe.deliver(take, 1))
    local stats = dss.stats()[1]
    eq(stats.refused, 1)
    eq(stats.highwater, 3)
    eq(stats.queued, 1)
    probe.limit(10, 100, "refuse")
    local _, too_large = probe.deliver(take, ("x"):rep(1000))
    matches(too_large, "the item alone is .+ than the .*library")
end)

scenario("the oldest make room, or the latest of a key stays", function()
    local dss, probe = load_probe()
    local got = {}
    local function take(value) got[#got + 1] = value end
    probe.limit(3, 1000000, "drop")
    for at = 1, 10 do probe.deliver(take, at) end
    eq(dss.dispatch(), 3)
    eq(table.concat(got, " "), "8 9 10")
    eq(dss.stats()[1].dropped, 7)
    got = {}
    probe.limit(3, 1000000, "latest")
    eq(probe.deliver_keyed(take, { "a", "b", "a" }), 3)
    eq(dss.queuesize(), 2)
    eq(dss.dispatch(), 2)
    -- The later one has the place of the first of its key.
    eq(table.concat(got, " "), "3 2")
    eq(dss.stats()[1].coalesced, 1)
end)

scenario("a queued delivery can be cancelled, once", function()
    local dss, probe = load_probe()
    local got = 0
    local ticket = probe.deliver(function() got = got + 1 end)
    probe.deliver(function() got = got + 10 end)
    eq(probe.cancel(ticket), true)
    eq(probe.cancel(ticket), false)
    eq(dss.queuesize(), 1)
    eq(dss.dispatch(), 1)
    eq(got, 10)
    local taken = probe.deliver(nothing)
    dss.dispatch()
    eq(probe.cancel(taken), false)
    eq(dss.libraries()[1].cancelled, 1)
end)

scenario("all of a callback is cancelled, and what is others' stays", function()
    local dss, probe = load_probe()
    local got, other = 0, 0
    probe.hold(function() got = got + 1 end)
    eq(probe.held(1), 1)
    probe.deliver(function() other = other + 1 end)
    eq(probe.held(2), 1)
    eq(dss.queuesize(), 3)
    eq(probe.cancel_held(), 2)
    eq(probe.cancel_held(), 0)
    eq(dss.queuesize(), 1)
    eq(dss.libraries()[1].cancelled, 2)
    eq(probe.held(3), 1)
    eq(dss.dispatch(), 2)
    eq(got, 1)
    eq(other, 1)
    -- Taken by poll, it is past that: the program has the call in hand.
    probe.held(4)
    local _, f, arguments = dss.poll()
    eq(probe.cancel_held(), 0)
    f(unpack(arguments))
    eq(got, 2)
end)

scenario("a batch is taken as far as it fits", function()
    local dss, probe = load_probe()
    probe.limit(100, 1000000, "refuse")
    local sum = 0
    local taken, reason, rest = probe.deliver_many(function(at) sum = sum + at end, 150)
    eq(taken, 100)
    matches(reason, "^the library.+: try again when Lua has taken some")
    eq(rest, 50)
    eq(dss.dispatch(), 100)
    eq(sum, 5050)
end)

scenario("the four policies account for every item", { long = "true" }, function()
    local dss, probe = load_probe()
    -- Ten million items in all, in one of the Luas.
    local producers, each = 10, _VERSION == "Lua 5.4" and 250000 or 20000
    for _, policy in ipairs { "refuse", "wait", "drop", "latest" } do
        probe.limit(1000, 100000000, policy, 30)
        local before = dss.stats()[1]
        local got = 0
        probe.storm(function() got = got + 1 end, producers, each, policy == "latest" and 700 or nil)
        local taken, full, timed_out, other = 0, 0, 0, 0
        for _, report in ipairs(reports(dss, probe, producers)) do
            local a, b, c, d = report:match "(%d+) (%d+) (%d+) (%d+)"
            taken, full, timed_out, other = taken + a, full + b, timed_out + c, other + d
        end
        while dss.dispatch() > 0 do end
        local after = dss.stats()[1]
        eq(taken + full + timed_out, producers * each, policy)
        eq(other, 0, policy)
        local dropped, coalesced = after.dropped - before.dropped, after.coalesced - before.coalesced
        eq(got + dropped + coalesced, taken, policy)
        eq(after.delivered - before.delivered, got, policy)
        eq(after.refused - before.refused, full, policy)
        eq(after.queued, 0, policy)
        ok(after.highwater <= 1000, policy .. " let " .. after.highwater .. " queue")
        if policy == "wait" then eq(full + timed_out, 0, policy) end
        if policy ~= "drop" then eq(dropped, 0, policy) end
        if policy ~= "latest" then eq(coalesced, 0, policy) end
    end
end)

-- The bytes are those of the whole process, with Lua and all libraries in it.
local function a_million_take(megabytes, mark, deliver_all)
    local dss, probe = load_probe()
    probe.limit(2000000, 1000000000, "refuse")
    local got, latest = 0, nil
    local function add(at, marked)
        if marked == mark and (got == 0 or at == latest + 1) then got = got + 1 end
        latest = at
    end
    eq(deliver_all(probe, add, 1000), 1000)
    eq(dss.dispatch(), 1000)
    eq(deliver_all(probe, add, 1000000), 1000000)
    ok(host.rss() < megabytes * 1000 * 1000, ("%d bytes while they are queued"):format(host.rss()))
    got = 0
    eq(dss.dispatch(), 1000000)
    eq(got, 1000000)
    ok(host.rss() < megabytes * 1000 * 1000, ("%d bytes when all came"):format(host.rss()))
end

-- On 64 bits, two numbers have no memory of their own.
scenario("a million deliveries of two numbers take little more than their places in the queue", function()
    a_million_take(host.bits() == 64 and 100 or 160, 7, function(probe, add, count) return select(2, probe.fast_from_thread(add, count)) end)
end)

scenario("a million deliveries of a number and a text take less than 250 MB", function()
    a_million_take(250, "many", function(probe, add, count) return (probe.deliver_many(add, count)) end)
end)
