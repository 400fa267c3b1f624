---@meta dss.posix

-- DarkSideSync with luaposix's `poll`.

---@class dss.posix
local posix = {}

---Like luaposix's `poll`, but also handles queued items.
---@param fds table<integer, table>
---@param timeout? integer milliseconds
---@return integer? ready
---@return string? message
---@return integer? code
function posix.poll(fds, timeout) end

return posix
