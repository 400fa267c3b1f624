---@meta dss.copas

-- DarkSideSync in the loop of copas.

---@class dss.copas
local copas = {}

---Has the loop handle what is queued, from now on.
function copas.install() end

---Takes that back.
function copas.remove() end

return copas
