---@meta dss.kresd

-- DarkSideSync in Knot Resolver, for its configuration.

---@class dss.kresd
local kresd = {}

---Has kresd handle what is queued, from now on.
function kresd.install() end

---Takes that back.
function kresd.remove() end

return kresd
