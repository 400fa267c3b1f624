---@meta dss.copas

-- DarkSideSync in copas.

---@class dss.copas
local copas = {}

---Makes the loop handle queued items from now on.
function copas.install() end

---Undoes `install`.
function copas.remove() end

return copas
