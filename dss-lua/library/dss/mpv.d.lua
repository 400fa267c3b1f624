---@meta dss.mpv

-- DarkSideSync in scripts of mpv.

---@class dss.mpv
local mpv = {}

---Makes the script handle queued items from now on. Call it while the script is loaded, if possible.
function mpv.install() end

---Undoes `install`.
function mpv.remove() end

return mpv
