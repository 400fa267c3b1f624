--- DarkSideSync in scripts of mpv.
--
--     require("dss.mpv").install()
--
-- Each script has a thread and a Lua state of its own. Call `install` while the script is loaded: the script then waits for
-- items as it waits for mpv's events. If `install` is called later, or mpv has no wake-up pipe (as on Windows), the script checks
-- for items now and then.

local mp = require "mp"
local darksidesync = require "darksidesync"
local slice = require "dss.slice"

local mpv = {}

-- Whether `run` is the loop that runs, and the timer that checks now and then if it is not. The timer exists while this is installed.
local is_running, timer = false

-- mpv's timers, as `dss.slice` needs them.
local loop = {}

function loop.after(seconds, f)
    local due = mp.add_timeout(seconds, f)
    return function() due:kill() end
end

-- The pipe's number, and a file that reads what mpv wrote into it; or nothing.
local function wake_up_pipe()
    local fd = mp.get_wakeup_pipe and mp.get_wakeup_pipe()
    local file = fd and fd >= 0 and io.open("/dev/fd/" .. fd, "rb")
    if not file then return end
    -- A larger read would wait until mpv writes more.
    file:setvbuf "no"
    return fd, file
end

-- mpv calls this instead of its own loop, once the script is loaded.
local function run(fd, file, before)
    is_running = true
    while true do
        mp.dispatch_events()
        if not (timer and mp.keep_running) then break end
        local left = mp.get_next_timeout()
        local queued, ready = darksidesync.wait(left and math.max(0, left), { fd })
        if ready[1] then file:read(1) end
        if queued then slice.handle() end
    end
    is_running = false
    file:close()
    return before()
end

--- Makes the script handle queued items from now on. Does nothing if it is installed already.
function mpv.install()
    if timer then return end
    slice.loop = loop
    local fd, file = wake_up_pipe()
    if file then
        local before = mp_event_loop
        function _G.mp_event_loop() return run(fd, file, before) end
    end
    local look = require("dss.poll").new()
    local function look_again()
        if is_running then return end
        local own = timer
        local pause = look()
        -- A callback may have called `remove`.
        if timer == own then timer = mp.add_timeout(pause, look_again) end
    end
    timer = mp.add_timeout(0, look_again)
end

--- Undoes `install`.
function mpv.remove()
    if not timer then return end
    timer:kill()
    timer = nil
    if slice.loop == loop then slice.loop = nil end
end

return mpv
