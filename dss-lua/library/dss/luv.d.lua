---@meta dss.luv

-- DarkSideSync in luv's loop, and in Neovim's.

---@class dss.luv
local luv = {}

---@class dss.luv.Options
---@field schedule? fun(f: function) runs a function later, like `vim.schedule`

---Makes the loop handle queued items from now on.
---@param options? dss.luv.Options
function luv.install(options) end

---Undoes `install`.
function luv.remove() end

return luv
