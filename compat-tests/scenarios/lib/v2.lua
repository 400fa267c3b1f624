-- Functions that the scenarios of v2 share.

local v2 = {}

function v2.load_probe()
    local dss = require "darksidesync"
    return dss, dss.load "probe_v2"
end

-- Dispatches until `f` returns a true value.
function v2.until_true(dss, f, what)
    local delivered
    return eventually(function()
        delivered = dss.dispatch()
        return f()
    end, what, function() return delivered > 0 end)
end

-- Dispatches until the threads of `probe` have made `count` reports, and returns the reports.
function v2.reports(dss, probe, count)
    local all = {}
    v2.until_true(dss, function()
        for _, report in ipairs(probe.reports()) do all[#all + 1] = report end
        return #all >= count
    end, count .. " reports")
    return all
end

return v2
