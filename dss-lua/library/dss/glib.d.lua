---@meta dss.glib

-- DarkSideSync in the loop of glib.

---@class dss.glib
local glib = {}

---Has the loop handle what is queued, from now on.
function glib.install() end

---Takes that back.
function glib.remove() end

return glib
