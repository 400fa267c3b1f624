---@meta dss.event

-- DarkSideSync in the loop of lua-event.

---@class dss.event
local event = {}

---@class dss.event.Options
---@field ends? boolean whether the loop may end once a library has kept it going and none does any more

---Makes the loop handle queued items from now on.
---@param base table
---@param options? dss.event.Options
function event.install(base, options) end

---Undoes `install`.
---@param base table
function event.remove(base) end

return event
