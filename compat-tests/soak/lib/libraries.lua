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

-- A state keeps the memory of up to 110,000 queued items in each of its queues, and less after a library has left with much queued; and
-- 6 MiB of ended deliveries of each of two sizes. This fills all of it, so that two measurements compare like with like.
function of.fill()
    local function drain()
        while dss.dispatch() > 0 do end
    end
    for _ = 1, 2 do
        local _, taken = of.c2v0.fast_from_thread(nothing, 240000)
        assert(taken == 240000, "c2v0: a delivery was refused")
        drain()
    end
    for _ = 1, 15 do
        assert(of.v2.deliver_many(nothing, 10000) == 10000, "v2: a delivery with a text was refused")
    end
    drain()
    -- Every other one of these has three values.
    of.v2.storm(nothing, 1, 200000)
    local ended = of.v2.join()
    assert(ended[1] == "200000 0 0 0", "v2: a delivery was refused: " .. ended[1])
    drain()
end

return of
