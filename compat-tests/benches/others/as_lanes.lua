-- A queue as in Lua Lanes, written for this comparison: `as_lanes.lua ITEMS TRIPS`. The main thread waits in `receive`, and can do nothing else
-- meanwhile.
local items, trips = tonumber(arg[1]), tonumber(arg[2])
local measure = dofile((arg[0]:match "^.*/" or "") .. "measure.lua")

local keeper = require "keeper"

local contender, callback, asks = { report = keeper.report }, nil, false

function contender.items(given, count)
    callback, asks = given, false
    keeper.start(count, false)
end

function contender.trips(given, count)
    callback, asks = given, true
    keeper.start(count, true)
end

function contender.go(state)
    local receive, answer = keeper.receive, keeper.answer
    if asks then
        while state.count < state.wanted do answer(callback(receive())) end
    else
        while state.count < state.wanted do callback(receive()) end
    end
end

measure(contender, items, trips)
