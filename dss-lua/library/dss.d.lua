---@meta dss

-- DarkSideSync on LuaSocket.

---@class dss
---@field _VERSION string
local dss = {}

---A UDP socket that a notification makes readable, and its port. Made once.
---@return table? socket
---@return integer|string port or the message
function dss.getsocket() end

---A function of that socket: reads one notification, polls once, and runs the callback protected.
---@return fun(socket: table)
function dss.gethandler() end

---How many items are queued.
---@return integer
function dss.queuesize() end

---Sets the function that is told of a callback's error.
---@param handler? fun(err: any)
function dss.seterrorhandler(handler) end

return dss
