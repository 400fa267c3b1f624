-- luv's `uv_async`: `async.lua ITEMS TRIPS THREAD`. THREAD is the language of the thread that hands over the items: "C" or "Lua".
--
-- Sends of a `uv_async` coalesce, and the values of a send overwrite those of the one before, without a lock. So the items wait in the queue of
-- `queue.c`, and the handle only wakes the loop. A thread in Lua is one of luv's.
local items, trips, language = tonumber(arg[1]), tonumber(arg[2]), arg[3]
local measure = dofile((arg[0]:match "^.*/" or "") .. "measure.lua")

local uv, queue = require "luv", require "queue"

local contender = {}

function contender.go(state)
    while state.count < state.wanted do uv.run "once" end
end

if language == "C" then
    local callback
    local async = uv.new_async(function() queue.drain(callback) end)
    function contender.items(given, count)
        callback = given
        queue.start(async, count, false)
    end
    function contender.trips(given, count)
        callback = given
        queue.start(async, count, true)
    end
    contender.report = queue.report
    return measure(contender, items, trips)
end

local callback, said, thread
local wake = uv.new_async(function() queue.drain(callback) end)
local ended = uv.new_async(function(report) said = report end)
local texts = "wind water light pressure door temperature noise sun"

-- Both run in another Lua state, which knows nothing of this one.
local function hand_over(wake, ended, count, texts, path)
    package.cpath = path
    local queue, list = require "queue", {}
    for text in texts:gmatch "%a+" do list[#list + 1] = text end
    local push = queue.push
    for at = 1, count do
        if push(at, list[at % 8 + 1], false) then wake:send() end
    end
    ended:send "taken"
end

local function ask(wake, ended, count, texts, path)
    package.cpath = path
    local uv, queue, list, times = require "luv", require "queue", {}, {}
    for text in texts:gmatch "%a+" do list[#list + 1] = text end
    local push, wait, now = queue.push, queue.wait, uv.hrtime
    for at = 1, count do
        local began = now()
        if push(at, list[at % 8 + 1], true) then wake:send() end
        local answer = wait()
        times[at] = now() - began
        if answer ~= at then return ended:send(("request %d was answered with %d"):format(at, answer)) end
    end
    table.sort(times)
    ended:send(("%d %d"):format(times[math.floor(count / 2) + 1], times[math.floor(count * 99 / 100) + 1]))
end

local function start(work, given, count)
    callback, said = given, ""
    thread = uv.new_thread(work, wake, ended, count, texts, package.cpath)
end

function contender.items(given, count) start(hand_over, given, count) end
function contender.trips(given, count) start(ask, given, count) end

function contender.report()
    if thread then thread:join() end
    thread = nil
    uv.run "nowait"
    return said
end

measure(contender, items, trips)
