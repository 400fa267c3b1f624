-- The linda of Lua Lanes 3: `linda.lua ITEMS TRIPS`. A lane, which has a state of its own, sends; the main thread waits in `receive`, and can do
-- nothing else meanwhile. It takes up to 128 items at a time, which is the fastest way that Lanes has.
local items, trips = tonumber(arg[1]), tonumber(arg[2])
local measure = dofile((arg[0]:match "^.*/" or "") .. "measure.lua")

local lanes = require("lanes").configure()
local linda = lanes.linda()

local function hand_over(linda, count, texts)
    local list = {}
    for text in texts:gmatch "%a+" do list[#list + 1] = text end
    for at = 1, count do linda:send("items", at, list[at % 8 + 1]) end
    return "taken"
end

local function ask(linda, count, texts)
    local now = require("queue").now
    local list, times = {}, {}
    for text in texts:gmatch "%a+" do list[#list + 1] = text end
    for at = 1, count do
        local began = now()
        linda:send("items", at, list[at % 8 + 1])
        local _, answer = linda:receive "answers"
        times[at] = now() - began
        if answer ~= at then return ("request %d was answered with %s"):format(at, tostring(answer)) end
    end
    table.sort(times)
    local half, slow = times[math.floor(count / 2) + 1], times[math.floor(count * 99 / 100) + 1]
    return ("%.0f %.0f"):format(half, slow)
end

local start = { items = lanes.gen("*", hand_over), trips = lanes.gen("*", ask) }
local contender, callback, lane, asks = {}, nil, nil, false

for what, generate in pairs(start) do
    contender[what] = function(given, count)
        callback, asks = given, what == "trips"
        lane = generate(linda, count, "wind water light pressure door temperature noise sun")
    end
end

function contender.go(state)
    while state.count < state.wanted do
        local got = { linda:receive(nil, linda.batched, "items", 2, 256) }
        for at = 2, #got, 2 do
            local answer = callback(got[at], got[at + 1])
            if asks then linda:send("answers", answer) end
        end
    end
end

function contender.report() return (lane:join()) end

measure(contender, items, trips)

-- A lane that was joined may still be ending its thread. Closing the state meanwhile can crash, so the state is not closed.
os.exit(0)
