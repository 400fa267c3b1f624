---@meta dss.kresd

-- DarkSideSync in Knot Resolver, for its configuration.

---@class dss.kresd
local kresd = {}

---Makes kresd handle queued items from now on.
function kresd.install() end

---Undoes `install`.
function kresd.remove() end

return kresd
