---@meta dss.event

-- DarkSideSync in the loop of event.

---@class dss.event
local event = {}

---@class dss.event.Options
---@field ends? boolean whether the loop may end once a library has kept it going and none does any more

---Has the loop handle what is queued, from now on.
---@param base table
---@param options? dss.event.Options
function event.install(base, options) end

---Takes that back.
---@param base table
function event.remove(base) end

return event
