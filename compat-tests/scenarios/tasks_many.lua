-- dss.task: ten thousand tasks over two libraries of v2, half of them cancelled at random, wherever a task can wait.

local dss, task = require "darksidesync", require "dss.task"

-- How many waves, and how many tasks of each kind are alive in a wave before the first one can end.
local WAVES, QUERIES, REQUESTS = 5, 400, 200

-- The same numbers in every Lua. A scenario that failed is run again with its seed in this variable.
local seed = tonumber(os.getenv "DSS_TEST_SEED") or os.time()
local state = seed % 2147483647
local function random(n)
    state = state * 16807 % 2147483647
    return state % n + 1
end

scenario("ten thousand tasks end once each, half of them cancelled", { with = "sqlite httpd" }, function()
    print("the seed is " .. seed)
    local sqlite, httpd = dss.load "sqlite", dss.load "httpd"
    -- The statements of the first are behind a gate. The second one answers meanwhile.
    local gated = sqlite.open(":memory:", { queue = 10000, answer = 60 })
    local other = sqlite.open(":memory:", { queue = 10000, answer = 60 })
    local gate
    gated:func("gate", 0, function() gate = dss.defer() end)

    local function query(db, n, sql)
        local rows = task.await(db.query, db, sql or "select ? as n", { n })
        return rows[1].n
    end

    -- A function of SQL that a task answers, while the thread of the first database waits.
    gated:func("ask", 1, task.handler(function(n) return query(other, n) end))

    -- The tasks of a wave, and those of them that are running; how many a wave still cancels; how often each ended.
    local all, running, left, ends
    local begun, done, cancelled, most = 0, 0, 0, 0

    -- Cancels one task that is running, and not the one that calls.
    local function cancel_one(mine)
        if left == 0 or #running < 2 then return end
        local at = random(#running)
        if running[at] == mine then at = at % #running + 1 end
        if running[at].task:cancel() then left = left - 1 end
    end

    local function ended(one, fine, err)
        ends[one.number] = (ends[one.number] or 0) + 1
        if fine then done = done + 1 else cancelled = cancelled + 1 end
        if not fine and err ~= task.CANCELLED then error(err, 0) end
        local last = table.remove(running)
        if last ~= one then running[one.at], last.at = last, one.at end
    end

    -- Begins a task that waits twice. Between the two, it cancels another.
    local function begin(n, first, second)
        begun = begun + 1
        local one = { number = begun, at = #running + 1 }
        running[one.at], all[#all + 1] = one, one
        one.task = task.spawn(function()
            eq(first(n), n)
            cancel_one(one)
            eq(second(n), n)
            return n
        end)
        most = math.max(most, #running)
        -- Another task sees its end.
        task.spawn(function() ended(one, task.pcall(task.await, one.task)) end)
        return one.task
    end

    local function gated_query(n) return query(gated, n) end
    local function free_query(n) return query(other, n) end
    local function asked(n) return query(gated, n, "select ask(?) as n") end
    local function caught(n)
        local fine, value = task.pcall(gated_query, n)
        if not fine then error(value, 0) end
        return value
    end
    local function timed(n) return task.timeout(60, gated_query, n) end
    local function slept(n)
        task.sleep(random(10) / 1000)
        return n
    end
    local kinds = {
        { gated_query, free_query }, { asked, slept }, { caught, asked }, { timed, caught },
    }

    local server = httpd.serve {
        start = 60,
        finish = 60,
        handler = task.handler(function(request)
            return tostring(task.await(begin(tonumber(request.path:sub(2)), gated_query, free_query)))
        end),
    }

    local function wave()
        all, running, ends = {}, {}, {}
        local before, requests = begun, {}
        local wanted = #kinds * QUERIES + 2 * REQUESTS
        left = wanted / 2
        gated:query("select gate()", nothing)
        for at = 1, QUERIES do
            for _, kind in ipairs(kinds) do begin(at, kind[1], kind[2]) end
        end
        for half = 0, REQUESTS, REQUESTS do
            for at = half + 1, half + REQUESTS do requests[at] = host.http(server:port(), "GET /" .. at, 60) end
            eventually(function() dss.dispatch() return begun - before == #kinds * QUERIES + half + REQUESTS end, "the requests")
        end
        eventually(function() dss.dispatch() return gate end, "the gate")
        eq(#running, wanted, "alive")
        -- One quarter before anything is answered, another one by tasks that go on.
        for _ = 1, wanted / 4 do cancel_one() end
        gate(0)
        gate = nil
        eventually(function() task.run(0.01) return #running == 0 end, "the ends")

        eq(begun - before, wanted)
        eq(left, 0, "not cancelled")
        for _, one in ipairs(all) do
            eq(ends[one.number], 1, "ends of a task")
            ok(one.task:status() ~= "running", "one that ended runs")
            eq(one.task:cancel(), false, "one that ended was cancelled")
        end
        for at, request in ipairs(requests) do
            eventually(function() dss.dispatch() return request:done() end, "the answer")
            local status, body = request:wait(1)
            ok(status == 200 and body == tostring(at) or status == 500, "the answer was " .. tostring(status))
        end
        -- What was asked for tasks that were cancelled comes as well.
        local last = 0
        for _, db in ipairs { gated, other } do db:query("select 1", function() last = last + 1 end) end
        eventually(function() dss.dispatch() return last == 2 and dss.queuesize() == 0 end, "what nobody waits for")
        all, running, ends = nil, nil, nil
    end

    local function kept()
        -- LuaJIT compiles more of the scenario as it goes on.
        if jit then jit.flush() end
        for _ = 1, 4 do collectgarbage() end
        return collectgarbage "count"
    end

    local counts = {}
    for at = 1, WAVES do
        wave()
        counts[at] = kept()
    end
    eq(begun, 10000)
    eq(most, 2000)
    eq(cancelled, 5000)
    eq(done, 5000)
    for _, library in ipairs(dss.stats()) do
        eq(library.queued, 0, library.name)
        eq(library.waiting, 0, library.name)
        eq(library.bytes, 0, library.name)
    end
    eq(server:stats().waiting, 0)
    eq(server:stats().answered + server:stats().failed, WAVES * 2 * REQUESTS)
    -- A table for each task would be 100 KB a wave. A table that more tasks share than in the first wave doubles once: 8 KB were seen, in LuaJIT.
    for at = 2, WAVES do
        local found = ("%.1f KB were in use after one wave, and %.1f KB after %d"):format(counts[1], counts[at], at)
        ok(counts[at] - counts[1] < 16, found)
    end
    server:close()
    gated:close()
    other:close()
    eventually(function() task.run(1) return not dss.alive() end, "the end of what keeps it alive")
end)
