---@meta dss.cqueues

-- DarkSideSync in the loop of a cqueues controller.

---@class dss.cqueues
local cqueues = {}

---@class dss.cqueues.Options
---@field ends? boolean whether the loop may end once a library has kept it going and none does any more

---Makes the loop handle queued items from now on.
---@param queue table
---@param options? dss.cqueues.Options
function cqueues.install(queue, options) end

---Undoes `install`.
---@param queue table
function cqueues.remove(queue) end

return cqueues
