---@meta dss.luv

-- DarkSideSync in luv's loop, and in Neovim's.

---@class dss.luv
local luv = {}

---@class dss.luv.Options
---@field schedule? fun(f: function) runs a function later, as `vim.schedule`

---Has the loop handle what is queued, from now on.
---@param options? dss.luv.Options
function luv.install(options) end

---Takes that back.
function luv.remove() end

return luv
