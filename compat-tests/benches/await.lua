-- A call that is answered from another thread, again and again: by a callback that makes the next call, and by a task that
-- awaits. Prints a line for each measurement: what, which, nanoseconds a call.
local rounds, items = tonumber(arg[1]), tonumber(arg[2]) / 100

local dss, task = require "darksidesync", require "dss.task"
local db = dss.load("sqlite").open ":memory:"

local left

local function go_round()
    while left > 0 do
        dss.wait(1)
        dss.dispatch()
    end
end

local ways = {}

function ways.callback()
    local function step(err)
        if err then error(err) end
        left = left - 1
        if left > 0 then db:query("select 1", step) end
    end
    db:query("select 1", step)
    go_round()
end

function ways.await()
    task.spawn(function()
        while left > 0 do
            task.await(db.query, db, "select 1")
            left = left - 1
        end
    end)
    go_round()
end

for round = 0, rounds do
    for _, name in ipairs(round % 2 == 0 and { "callback", "await" } or { "await", "callback" }) do
        left = items
        collectgarbage()
        collectgarbage()
        local start = host.now()
        ways[name]()
        local took = host.now() - start
        -- Round 0 warms everything up.
        if round > 0 then print(("a call and its answer|%s|%.0f"):format(name, took / items * 1e9)) end
    end
end
