local cqueues = require "cqueues"
local queue, over = cqueues.new(), false
dofile(arg[1])(function(seconds, f)
    queue:wrap(function()
        while not over do
            f()
            cqueues.sleep(seconds)
        end
    end)
end, function()
    over = true
    require("dss.cqueues").remove(queue)
end)
require("dss.cqueues").install(queue)
assert(queue:loop())
