-- A configuration of kresd's. It answers no DNS, and asks nobody.
for _, name in ipairs { "ta_update", "ta_signal_query", "priming", "detect_time_skew" } do modules.unload(name) end
trust_anchors.remove "."
cache.size = 1 * MB
net.listen(env.DSS_HOSTS_SOCKET, nil, { kind = "control" })

local dss = require "dss.kresd"
dss.install()
dofile(env.DSS_HOSTS_PROGRAM)(function(seconds, f)
    event.recurrent(seconds * sec, f)
end, function()
    dss.remove()
    quit()
end, true, function()
    dss.remove()
    dss.install()
end)
