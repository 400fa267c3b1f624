---@meta dss

-- DarkSideSync with LuaSocket.

---@class dss
---@field _VERSION string
local dss = {}

---Returns a UDP socket that a notification makes readable, and its port. They are made once.
---@return table? socket
---@return integer|string port or the message
function dss.getsocket() end

---Returns a function of that socket, which reads one notification, polls once, and runs the callback protected.
---@return fun(socket: table)
function dss.gethandler() end

---How many items are queued.
---@return integer
function dss.queuesize() end

---Sets the function that receives a callback's error.
---@param handler? fun(err: any)
function dss.seterrorhandler(handler) end

return dss
