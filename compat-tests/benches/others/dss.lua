-- DSS: `dss.lua ITEMS TRIPS LOOP`. A library of v2 delivers and makes requests. LOOP is "wait" or "luv".
local items, trips, loop = tonumber(arg[1]), tonumber(arg[2]), arg[3]
local measure = dofile((arg[0]:match "^.*/" or "") .. "measure.lua")

local dss = require "darksidesync"
local probe = dss.load "probe_v2"

local contender = { items = probe.items, trips = probe.round_trips }

function contender.report()
    local report = probe.reports()
    return type(report) == "table" and report[1] or ""
end

if loop == "luv" then
    local uv = require "luv"
    require("dss.luv").install()
    function contender.go(state)
        while state.count < state.wanted do uv.run "once" end
    end
else
    function contender.go(state)
        while state.count < state.wanted do
            dss.wait(1)
            dss.dispatch()
        end
    end
end

measure(contender, items, trips)
