---@meta dss.mpv

-- DarkSideSync in scripts of mpv.

---@class dss.mpv
local mpv = {}

---Has the script handle what is queued, from now on. Best called while the script is loaded.
function mpv.install() end

---Takes that back.
function mpv.remove() end

return mpv
