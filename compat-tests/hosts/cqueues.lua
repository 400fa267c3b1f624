local cqueues = require "cqueues"
local queue, over = cqueues.new(), false
local ended = require("cqueues.condition").new()
local server = require("cqueues.socket").listen { path = os.getenv "DSS_HOSTS_SOCKET" }
dofile(arg[1])(function(seconds, f)
    queue:wrap(function()
        while not over do
            f()
            cqueues.sleep(seconds)
        end
    end)
end, function()
    over = true
    ended:signal()
    require("dss.cqueues").remove(queue)
end, true, function()
    require("dss.cqueues").remove(queue)
    require("dss.cqueues").install(queue)
end)
queue:wrap(function()
    while not over do
        cqueues.poll({ pollfd = server:pollfd(), events = "r" }, ended)
        local client = server:accept(0)
        if client then
            client:read "*l"
            client:write "here\n"
            client:flush()
            client:close()
        end
    end
end)
require("dss.cqueues").install(queue)
assert(queue:loop())
