-- Threads of all revisions deliver at the same time. Everything comes, in order, once.

local soak, of = require "lib.account", require "lib.libraries"

local THREADS, ITEMS, AWAITED = 2, 400, 60
of.c1v0.register()
of.v1.register()

-- What a round adds to DSS's count of each library.
local function delivered()
    return {
        c1v0 = soak.stats "c1v0".delivered,
        v1 = soak.stats "v1".delivered,
        v2 = soak.stats("v2", "probe_v2").delivered,
        c2v0 = soak.stats "c2v0".delivered,
        authors = soak.stats("v2", "authors").delivered,
    }
end

return function()
    local before, all = delivered(), {}
    for _, name in ipairs { "c1v0", "v1", "v2", "c2v0", "authors" } do
        all[name] = soak.sequence(name, (name == "v2" or name == "c2v0") and 0 or 1)
    end
    of.c1v0.reset()
    of.c1v0.start(THREADS, ITEMS, all.c1v0.take)
    of.v2.storm(all.v2.take_item, THREADS, ITEMS)
    for thread = 1, THREADS do
        of.v1.start(1, function(number) all.v1.take(thread, number) end, ITEMS)
        of.c2v0.storm(all.c2v0.take_item, 0, thread, ITEMS)
    end
    of.authors.trickle(THREADS, AWAITED, all.authors.take_item)

    for _, report in ipairs(soak.reports(of.authors, THREADS)) do soak.eq(report[2], "all", "authors: thread " .. report[1]) end
    for _, report in ipairs(soak.reports(of.v2, THREADS)) do soak.eq(report[1], ITEMS, "v2: taken of a thread") end
    for _, report in ipairs(soak.reports(of.c2v0, THREADS)) do soak.eq(report[2], ITEMS, "c2v0: taken of a thread") end
    soak.until_true(function() return of.c1v0.join(0) and of.v1.done() end, "the end of the threads")
    for _, report in ipairs(of.v1.join()) do soak.eq(report, "sent " .. ITEMS, "v1: a thread") end
    soak.drain()

    local after = delivered()
    for name, one in pairs(all) do
        local wanted = THREADS * (name == "authors" and AWAITED or ITEMS)
        soak.eq(one.got, wanted, name .. ": callbacks")
        soak.eq(after[name] - before[name], wanted, name .. ": delivered in stats()")
    end
    local results = of.c1v0.results()
    soak.eq(results.taken, THREADS * ITEMS, "c1v0: taken")
    soak.eq(results.decoded, results.taken, "c1v0: decoded")
    soak.eq(results.refused + results.ended_twice + results.wrong_utilid, 0, "c1v0: refused, ended twice, or another's")
    soak.eq(of.c1v0.live(), 0, "c1v0: items that are not freed")
    of.v1.expire()
    soak.eq(of.v1.live(), 0, "v1: items that are not freed")
end
