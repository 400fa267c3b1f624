-- Handlers of nginx's that await, in a worker that has a burst to take.
local task, probe = require "dss.task", require "probe"
local sqlite = require("darksidesync").load "sqlite"

local awaits, db, begun = {}, nil, false

--- For `init_worker_by_lua`.
function awaits.begin()
    require("dss.ngx").install()
    db = sqlite.open ":memory:"
    probe.register()
    probe.start(2, 100000, function() end)
    -- A task may be spawned where nginx makes no threads.
    task.spawn(function() begun = true end)
end

--- For `content_by_lua`: ends while tasks of its wait in each way.
function awaits.leave()
    task.spawn(task.sleep, 60)
    task.spawn(task.await, db.query, db, "select 1")
    task.spawn(task.timeout, 60, task.sleep, 60)
    task.spawn(task.pcall, task.values, function() end)
    -- To sleep for no time lets others run.
    local rested = false
    task.spawn(function()
        task.sleep(0.01)
        rested = true
    end)
    while not rested do task.sleep(0) end
    ngx.say(begun and "left" or "the task of the beginning did not run")
    ngx.exit(200)
end

--- For `content_by_lua`: awaits a library, by itself and in a task, sleeps in both ways, runs into a limit, an error and a task that nginx ends.
function awaits.answer()
    local rows = task.await(db.query, db, "select ? as n", { 40 })
    task.sleep(0.02)
    local two = task.spawn(function()
        task.sleep(0.01)
        ngx.sleep(0.001)
        return task.await(db.query, db, "select 2 as n")[1].n
    end)
    local _, late = task.pcall(task.timeout, 0.01, task.sleep, 60)
    local _, failure = pcall(task.await, db.query, db, "select from nothing")
    -- A task whose request ends without it.
    local abandoned
    ngx.timer.at(0, function()
        abandoned = task.spawn(task.sleep, 60)
        ngx.exit(200)
    end)
    while not abandoned do task.sleep(0.001) end
    ngx.thread.spawn(function()
        ngx.sleep(0.005)
        collectgarbage()
    end)
    local _, lost = task.pcall(task.await, abandoned)
    ngx.say(
        rows[1].n + task.await(two), ", ", tostring(late), ", ", tostring(failure):match "syntax error" or failure, ", ",
        lost:match "the loop ended the task" or lost
    )
end

--- For `content_by_lua`: a task that a callback spawned ends the request that it runs in, which is not this one.
function awaits.exit()
    db:query("select 1", function() task.spawn(function() ngx.exit(200) end) end)
    ngx.sleep(0.05)
    ngx.say(task.await(db.query, db, "select 3 as n")[1].n)
end

--- For `content_by_lua`: keeps the worker busy after the receiver was asked for a sign of life, until it seems to be dead.
function awaits.busy()
    local now, wake = require("darksidesync").now
    ngx.thread.spawn(function()
        task.values(function(callback) wake = callback end)
        local till = now() + 1.2
        while now() < till do end
        task.sleep(0.001)
    end)
    -- The thread asks itself after a second, and then after two more.
    ngx.sleep(2.2)
    wake()
    task.sleep(0.01)
    ngx.say(task.await(db.query, db, "select 4 as n")[1].n)
end

--- For `content_by_lua`: awaits for the first time when the worker exits, and spawns a task in a callback then.
function awaits.late()
    ngx.sleep(1)
    local spawned
    task.await(function(callback)
        db:query("select 1", function()
            callback()
            task.spawn(function() spawned = true end)
        end)
    end)
    while not spawned do ngx.sleep(0.001) end
    ngx.say "late"
end

return awaits
