---@meta dss.posix

-- DarkSideSync beside luaposix's `poll`.

---@class dss.posix
local posix = {}

---As luaposix's `poll`, and handles what is queued.
---@param fds table<integer, table>
---@param timeout? integer milliseconds
---@return integer? ready
---@return string? message
---@return integer? code
function posix.poll(fds, timeout) end

return posix
