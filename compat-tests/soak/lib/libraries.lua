-- The libraries of all revisions, as the phases use them.

local dss = require "darksidesync"

local of = {
    c1v0 = require "probe",
    v1 = require "probe_v1",
    v2 = dss.load "probe_v2",
    c2v0 = dss.load "probe_c2v0",
    authors = dss.load "authors",
}

local function nothing() end

-- The queues of a state keep the memory of up to 110,000 items each, and less after a library has left with much queued. This fills both,
-- so that two measurements compare like with like.
function of.fill()
    for _ = 1, 2 do
        local _, taken = of.c2v0.fast_from_thread(nothing, 240000)
        assert(taken == 240000, "c2v0: a delivery was refused")
        while dss.dispatch() > 0 do end
    end
end

return of
