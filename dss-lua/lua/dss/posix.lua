--- DarkSideSync with luaposix's `poll`.
--
--     local poll = require("dss.posix").poll      -- in place of `require("posix.poll").poll`
--     local ready = poll({ [fd] = { events = { IN = true } } }, 1000)

local slice = require "dss.slice"

local posix = {}

local real = require("posix.poll").poll

--- Like luaposix's `poll`, but also handles queued items.
-- @param fds a table of what to wait for, by descriptor. Only the `revents` in it are changed, by `poll`
-- @param timeout in milliseconds; -1 or nil for no limit
-- @return how many of `fds` are ready, which is also 0 if only items were handled; or nil and an error
function posix.poll(fds, timeout)
    local own = slice.descriptor()
    -- Removed again below, so that the program does not wait on it.
    fds[own] = { events = { IN = true } }
    local left = slice.left()
    if left and (not timeout or timeout < 0 or left * 1000 < timeout) then timeout = math.ceil(left * 1000) end
    local ready, message, code = real(fds, timeout or -1)
    local is_own = fds[own].revents and fds[own].revents.IN
    fds[own] = nil
    if is_own then
        slice.handle()
        ready = ready - 1
    else
        slice.fire()
    end
    return ready, message, code
end

return posix
