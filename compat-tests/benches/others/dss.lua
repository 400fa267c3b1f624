-- DSS: `dss.lua ITEMS TRIPS LOOP`. A library delivers and makes requests: one in Rust, of v2, or, if LOOP begins with "C ", one in C, of c2v0.
-- Then LOOP is "wait" or "luv".
local items, trips = tonumber(arg[1]), tonumber(arg[2])
local in_c, loop = arg[3]:match "^(C?) ?(%l+)$"
local measure = dofile((arg[0]:match "^.*/" or "") .. "measure.lua")

local dss = require "darksidesync"
local contender

if in_c == "C" then
    local sender = dss.load "dss_sender"
    contender = { items = sender.items, trips = sender.round_trips, report = sender.report }
else
    local probe = dss.load "probe_v2"
    contender = { items = probe.items, trips = probe.round_trips }
    function contender.report()
        local report = probe.reports()
        return type(report) == "table" and report[1] or ""
    end
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
