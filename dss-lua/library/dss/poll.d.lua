---@meta dss.poll

-- DarkSideSync in programs that cannot wait for anything.

---@class dss.poll
local poll = {}

---@class dss.poll.Options
---@field shortest? number
---@field longest? number

---Returns a function that handles queued items, and returns how many seconds to sleep before the next call.
---@param options? dss.poll.Options
---@return fun(): number
function poll.new(options) end

return poll
