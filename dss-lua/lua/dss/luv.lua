--- DarkSideSync in luv's loop, and in Neovim's.
--
--     require("dss.luv").install()                             -- luv, or Neovim
--     require("dss.luv").install { schedule = vim.schedule }   -- callbacks may use all of Neovim's functions
--
-- The loop goes on while a library keeps it going. Otherwise it ends as if this module were not installed.

local slice = require "dss.slice"

local luv = {}

local uv = vim and (vim.uv or vim.loop) or require "luv"
local handle, schedule

-- The loop, as `dss.slice` needs it.
local loop = {}

function loop.after(seconds, f)
    local timer = assert(uv.new_timer())
    local function stop()
        if not timer then return end
        timer:close()
        timer = nil
    end
    timer:start(math.ceil(seconds * 1000), 0, function()
        stop()
        if schedule then schedule(f) else f() end
    end)
    return stop
end

local function keep()
    if not handle then return end
    if slice.alive() then handle:ref() else handle:unref() end
end

local function look()
    slice.handle()
    keep()
end

-- While a scheduled call waits for its turn, the descriptor is not watched, because it would wake the loop again and again.
local function watch()
    handle:start("r", function()
        if not schedule then return look() end
        handle:stop()
        schedule(function()
            if not handle then return end
            look()
            if handle then watch() end
        end)
    end)
end

--- Makes the loop handle queued items from now on. Does nothing if it is installed already.
-- @param options a table, or nil: `schedule` is a function that runs another one later, when more is allowed than in a callback of the loop
function luv.install(options)
    if handle then return end
    schedule = options and options.schedule
    handle = assert(uv.new_poll(slice.descriptor()))
    slice.loop = loop
    watch()
    keep()
end

--- Undoes `install`.
function luv.remove()
    if not handle then return end
    handle:close()
    handle = nil
    if slice.loop == loop then slice.loop = nil end
end

return luv
