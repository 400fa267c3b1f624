---@meta dss.poll

-- DarkSideSync in programs that have nothing to wait on.

---@class dss.poll
local poll = {}

---@class dss.poll.Options
---@field shortest? number
---@field longest? number

---A function that handles what is queued, and returns how many seconds to sleep before the next call.
---@param options? dss.poll.Options
---@return fun(): number
function poll.new(options) end

return poll
