---@meta dss.glib

-- DarkSideSync in GLib's main loop.

---@class dss.glib
local glib = {}

---Makes the loop handle queued items from now on.
function glib.install() end

---Undoes `install`.
function glib.remove() end

return glib
