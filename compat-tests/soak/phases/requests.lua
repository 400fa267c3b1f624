-- Threads wait for Lua's answers. How a request ends is decided by its number, and each must end as it should. The last digit says:
--     0 to 3, 9   answered at once
--     4           answered later
--     5           the callback raises
--     6           the reply is dropped without being called
--     7           v2 and c2v0: answered after its deadline. Others: answered later
--     8           v2: the library drops the future after it was asked, so that Lua may see it or not. Others: answered at once

local soak, of = require "lib.account", require "lib.libraries"
local dss = soak.dss

local THREADS, ASKED, OLD = 2, 50, 30
local LATE = 0.02
of.c1v0.register()
of.v1.register()

-- Replies that are called later, and those whose request should be over before.
local later, late

-- How often callbacks with each last digit were called.
local function counter()
    local seen = {}
    for digit = 0, 9 do seen[digit] = 0 end
    return seen
end

local function reply_later()
    local some = later
    later = {}
    for _, one in ipairs(some) do soak.ok(one.reply(one.number) ~= false, "a reply came too late for a request without a deadline") end
    return #some > 0
end

-- What to do about number `n`. `reply` is the reply function, or is made by `defer`.
local function answer(seen, n, has_deadline, reply)
    local digit = n % 10
    seen[digit] = seen[digit] + 1
    soak.count("delivered", 1)
    if digit == 5 then error(soak.ON_PURPOSE) end
    if digit == 4 or digit == 7 then
        local list = digit == 7 and has_deadline and late or later
        list[#list + 1] = { reply = reply or dss.defer(), number = n }
    elseif digit == 6 then
        -- Dropped: the next collection ends the request.
        if not reply then dss.defer() end
    elseif reply then
        reply(n)
    else
        return n
    end
end

local turn = 0
local function work()
    turn = turn + 1
    local did = soak.work()
    did = reply_later() or did
    if not did then collectgarbage() end
    return did
end

-- What v2 and c2v0 report, compared with what Lua saw.
local function settle(name, reports, seen, before)
    local s = soak.sums(reports)
    local answered, failed, collected, timed_out, cancelled, elsewhere = s[2], s[3], s[4], s[5], s[6], s[7] + s[8] + s[9] + s[10]
    local each = THREADS * ASKED / 10
    soak.eq(elsewhere, 0, name .. ": closed, refused, dropped, or with a wrong answer")
    soak.eq(failed, each, name .. ": failed")
    soak.eq(collected, each, name .. ": collected")
    soak.eq(timed_out, each, name .. ": timed out")
    soak.eq(answered + cancelled, 7 * each, name .. ": answered and cancelled")
    for digit = 0, 9 do
        -- One with a deadline may be over before Lua sees it, and one that is dropped may be taken back.
        if digit == 7 or digit == 8 then
            soak.ok(seen[digit] <= each, ("%s: %d callbacks for %d requests"):format(name, seen[digit], each))
        else
            soak.eq(seen[digit], each, ("%s: callbacks with last digit %d"):format(name, digit))
        end
    end
    local after = soak.stats(name, "probe_" .. name)
    soak.eq(after.timedout - before.timedout, timed_out, name .. ": timed out in stats()")
    -- A future may have its answer when it is dropped.
    local replied = after.replied - before.replied
    soak.ok(replied >= answered, name .. ": fewer replied in stats() than were answered")
    soak.eq(after.cancelled - before.cancelled + replied, cancelled + answered, name .. ": cancelled and replied in stats()")
    soak.eq(after.waiting + after.queued, 0, name .. ": waiting at the end")
    soak.count("answered", answered)
    soak.count("failed", failed)
    soak.count("collected", collected)
    soak.count("timed out", timed_out)
    soak.count("cancelled", cancelled)
end

return function()
    later, late = {}, {}
    local seen = { v2 = counter(), c2v0 = counter(), v1 = counter(), c1v0 = counter() }
    local before = { v2 = soak.stats("v2", "probe_v2"), c2v0 = soak.stats "c2v0" }
    local raised = soak.raised()
    of.c1v0.reset()
    of.v2.asks(function(n) return answer(seen.v2, n, true) end, THREADS, ASKED, LATE)
    for _ = 1, THREADS do
        of.c2v0.asks(function(n) return answer(seen.c2v0, n, true) end, ASKED, LATE)
        of.v1.asks(function(reply, n) answer(seen.v1, n, false, reply) end, OLD)
    end
    of.c1v0.start(THREADS, OLD, function(reply, _, n) answer(seen.c1v0, n, false, reply) end, { ret = "values" })

    local v2, c2v0 = soak.reports(of.v2, THREADS, work), soak.reports(of.c2v0, THREADS, work)
    soak.until_true(function() return of.c1v0.join(0) and of.v1.done() end, "the end of the threads", work)
    soak.drain()
    settle("v2", v2, seen.v2, before.v2)
    settle("c2v0", c2v0, seen.c2v0, before.c2v0)
    for _, one in ipairs(late) do soak.eq(one.reply(one.number), false, "a reply after the deadline") end
    soak.eq(#later, 0, "replies that were not called")
    soak.eq(dss.pending(), 0, "pending at the end")

    -- 1.0's and v1's have no deadlines. What is raised is the error handler's, and the reply is collected.
    local each = THREADS * OLD / 10
    for _, report in ipairs(of.v1.join()) do
        local one = OLD / 10
        soak.eq(report, ("asked %d 0 %d 0 0 0"):format(8 * one, 2 * one), "v1: a thread")
    end
    local results = of.c1v0.results()
    soak.eq(results.returned, THREADS * OLD, "c1v0: requests that came back")
    soak.eq(results.replies, 8 * each, "c1v0: answered")
    soak.eq(results.garbage, 2 * each, "c1v0: collected")
    soak.eq(results.refused + results.ended_twice + results.wrong_utilid, 0, "c1v0: refused, ended twice, or another's")
    soak.eq(soak.raised() - raised, 2 * each, "errors that the handler got")
    for digit = 0, 9 do soak.eq(seen.v1[digit] + seen.c1v0[digit], 2 * each, "v1 and c1v0: callbacks with last digit " .. digit) end
    soak.count("answered", 16 * each)
    soak.count("collected", 4 * each)
    late = nil
    collectgarbage()
    collectgarbage()
    of.v1.expire()
    soak.eq(of.c1v0.live() + of.v1.live(), 0, "c1v0 and v1: requests that are not freed")
end
