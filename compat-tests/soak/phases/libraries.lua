-- Libraries leave while their threads deliver, in each of the ways, and come back. What was taken before was delivered or cancelled, and
-- nothing comes after.

local soak, of = require "lib.account", require "lib.libraries"
local dss = soak.dss

local THREADS, ITEMS = 2, 3000

-- Whether the library is registered.
local function is_here(revision, name)
    for _, one in ipairs(dss.libraries()) do
        if one.revision == revision and (not name or one.name == name) then return true end
    end
    return false
end

-- For each revision: how it comes, produces, and leaves; and how many items were taken, when its threads have ended.
local kinds = {
    c1v0 = {
        come = function() soak.ok(of.c1v0.register(), "c1v0: register failed") end,
        produce = function(take)
            of.c1v0.reset()
            of.c1v0.start(THREADS, ITEMS, take)
        end,
        leave = {
            now = function() soak.eq(of.c1v0.unregister(), -100, "c1v0: unregister") end,
            thread = function() of.c1v0.unregister_from_thread() end,
            decode = function() of.c1v0.deliver(function() end, nil, { decode = "unregister" }) end,
        },
        taken = function()
            soak.until_true(function() return of.c1v0.join(0) end, "c1v0: the end of the threads")
            local results = of.c1v0.results()
            soak.eq(results.decoded + results.decode_cancelled, results.taken, "c1v0: decoded and cancelled")
            for _, fault in ipairs { "ended_twice", "wrong_utilid", "inside_after_unregister", "unclean_stack" } do
                soak.eq(results[fault], 0, "c1v0: " .. fault)
            end
            soak.eq(of.c1v0.live(), 0, "c1v0: items that are not freed")
            return results.taken
        end,
        first = 1,
    },
    v1 = {
        come = function() of.v1.register() end,
        produce = function(take)
            for thread = 1, THREADS do of.v1.start(1, function(number) take(thread, number) end, ITEMS) end
        end,
        leave = {
            now = function() soak.eq(of.v1.unregister(), "done", "v1: unregister") end,
            thread = function() of.v1.unregister_from_thread() end,
            decode = function() of.v1.deliver(function() end, 0, "unregister") end,
        },
        taken = function()
            soak.until_true(of.v1.done, "v1: the end of the threads")
            local taken = 0
            for _, report in ipairs(of.v1.join()) do taken = taken + (tonumber(report:match "^sent (%d+)$") or 0) end
            of.v1.expire()
            soak.eq(of.v1.live(), 0, "v1: items that are not freed")
            return taken
        end,
        first = 1,
        name = "probe_v1",
    },
    v2 = {
        come = function() of.v2 = dss.load "probe_v2" end,
        produce = function(take) of.v2.storm(take, THREADS, ITEMS) end,
        leave = {
            now = function() of.v2.unregister() end,
            thread = function() of.v2.unregister(true) end,
            decode = function()
                local leaving = of.v2
                leaving.deliver(function() leaving.unregister() end)
            end,
        },
        -- With the report of a thread that unregisters.
        taken = function(how) return soak.sums(soak.reports(of.v2, THREADS + (how == "thread" and 1 or 0)))[1] or 0 end,
        first = 0,
        name = "probe_v2",
    },
    c2v0 = {
        come = function() of.c2v0 = dss.load "probe_c2v0" end,
        produce = function(take)
            for thread = 1, THREADS do of.c2v0.storm(take, 0, thread, ITEMS) end
        end,
        leave = {
            now = function() of.c2v0.unregister() end,
            decode = function()
                local leaving = of.c2v0
                leaving.deliver(function() leaving.unregister() end)
            end,
        },
        taken = function() return soak.sums(soak.reports(of.c2v0, THREADS))[2] end,
        first = 0,
        name = "probe_c2v0",
    },
}
local WAYS = { "now", "thread", "decode" }
local NAMES = { "c1v0", "v1", "v2", "c2v0" }

-- DSS's figures of a library go on where they were when it registers again.
local before = {}

return function(round)
    local rows = {}
    for at, name in ipairs(NAMES) do
        local kind = kinds[name]
        local how = WAYS[(round + at) % #WAYS + 1]
        if not kind.leave[how] then how = "now" end
        if not is_here(name, kind.name) then kind.come() end
        local row = { kind = kind, name = name, how = how, sequence = soak.sequence(name, kind.first), gone = false }
        before[name] = soak.stats(name, kind.name)
        kind.produce(function(producer, number)
            soak.ok(not row.gone, name .. ": a callback after the library had left")
            row.sequence.take(producer, number)
        end)
        rows[at] = row
    end
    for _ = 1, round % 12 do soak.work() end
    for _, row in ipairs(rows) do
        row.kind.leave[row.how]()
        soak.until_true(function() return not is_here(row.name, row.kind.name) end, row.name .. ": leaving by " .. row.how)
        row.gone = true
        soak.count("left", 1)
    end
    soak.eq(dss.queuesize(), 0, "queued when all have left")
    for _, row in ipairs(rows) do
        local name, kind = row.name, row.kind
        kind.come()
        local taken = kind.taken(row.how)
        local after = soak.stats(name, kind.name)
        -- What unregisters in its own decode or callback was delivered as well.
        local own = row.how == "decode" and 1 or 0
        if name ~= "c1v0" then taken = taken + own end
        local delivered, cancelled = after.delivered - before[name].delivered, after.cancelled - before[name].cancelled
        soak.eq(delivered + cancelled, taken, name .. " by " .. row.how .. ": delivered and cancelled")
        soak.eq(row.sequence.got + own, delivered, name .. " by " .. row.how .. ": callbacks")
        soak.count("cancelled", cancelled)
    end
end
