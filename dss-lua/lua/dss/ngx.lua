--- DarkSideSync in the workers of nginx, with its Lua module or with OpenResty.
--
--     init_worker_by_lua_block { require("dss.ngx").install() }
--
-- A handler may then await, because every thread of nginx can wait:
--
--     content_by_lua_block { ngx.say(#require("dss.task").await(db.query, db, "SELECT 1")) }
--
-- Let this module poll: a callback that runs in the program's own `dispatch` cannot spawn tasks.
--
-- A worker that exits, such as after `nginx -s reload`, first finishes what waits for DSS; `worker_shutdown_timeout` limits that.
-- Do not use `lua_code_cache off`: it makes a new Lua state for each request.

local darksidesync = require "darksidesync"
local ffi = require "ffi"
local semaphore = require "ngx.semaphore"
local slice = require "dss.slice"

local module = {}

-- In seconds: the shortest and the longest wait (a wait without a limit consists of these), how often a worker that exits checks whether
-- it may, and after how long a failed attempt is repeated.
local SHORTEST, LONGEST, LOOK, AGAIN = 0.001, 3600, 0.2, 1

-- How long the receiver sleeps at most, in seconds. It then checks whether the worker exits, in case nginx dropped the timer for that.
local RECEIVER_SLEEPS = 60

-- How many threads one nginx request may make. nginx keeps a record of each until the request ends, and searches all of them for one.
local MOST_THREADS = 200

-- The phases in which a thread can be made.
local HAVE_THREADS = {
    rewrite = true, access = true, content = true, timer = true, preread = true,
    ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true,
}

-- The receiver: the timer's request that `serve` runs in. After `MOST_THREADS` threads, another one takes over.
local receiver

local serve

-- When a timer for `serve` may be made again: nginx drops timers that are due while too many others run.
local again = 0

local function start_serving()
    if darksidesync.now() < again then return true end
    again = darksidesync.now() + AGAIN
    return ngx.timer.at(0, serve)
end

local function wake_receiver()
    if receiver and receiver.wakes then receiver.wakes:post(1) end
end

-- Checks that there is a receiver, and starts one if not. Every thread that waits calls this. If a task calls `ngx.exit`, that may end the
-- receiver's request without notice. So the receiver is asked for a sign of life, at most once a second.
local function ensure()
    local own = receiver
    if not own then return end
    local now = darksidesync.now()
    if own.wakes and now >= own.asked + AGAIN then
        if own.is_asked then
            own.wakes = nil
        else
            own.asked, own.is_asked = now, true
            own.wakes:post(1)
        end
    end
    if not own.wakes then start_serving() end
end

-- Functions of threads to be made. Callbacks of DSS cannot make threads, because they cannot yield.
local waiting = {}

-- The semaphores that threads wait on. If nginx kills a thread, its semaphore stays here until it is collected.
local waits = setmetatable({}, { __mode = "k" })

-- Whether the worker exits, and whether a timer watches for that.
local exits, is_watching = false, false

local function flush()
    while waiting[1] do
        local list = waiting
        waiting = {}
        for at = 1, #list do ngx.thread.spawn(list[at]) end
    end
end

-- nginx's threads, as `dss.slice` needs them.
local loop = {}

-- If no thread can be made here, the receiver makes it.
function loop.thread(f)
    if not slice.is_handling and HAVE_THREADS[ngx.get_phase()] then return ngx.thread.spawn(f) end
    waiting[#waiting + 1] = f
    ensure()
    if not slice.is_handling then wake_receiver() end
end

-- Waits in a thread for that many seconds, or until the semaphore `posted` is posted. Returns whether it was.
local function wait(posted, seconds)
    local till, is_posted, at_most = darksidesync.now() + seconds, false, AGAIN
    waits[posted] = true
    -- nginx counts from the time when it woke up, so a wait may end early.
    repeat
        ensure()
        -- A wait of 0 seconds would let nothing else run.
        is_posted = posted:wait(math.max(SHORTEST, math.min(till - darksidesync.now(), at_most)))
        at_most = math.min(2 * at_most, LONGEST)
    until is_posted or darksidesync.now() >= till
    waits[posted] = nil
    return is_posted
end

-- Returns a function that waits in a thread, for that many seconds if they are given, and a function that ends the wait.
function loop.condition()
    local ended = semaphore.new()
    return function(seconds) wait(ended, seconds or math.huge) end, function() ended:post(1) end
end

function loop.after(seconds, f)
    local stopped = semaphore.new()
    loop.thread(function()
        if not wait(stopped, seconds) then f() end
    end)
    return function() stopped:post(1) end
end

-- True once the Lua state closes. LuaJIT finalizes C data before userdata, and the semaphores are C data.
local is_closing = false
local closing = ffi.gc(ffi.new "char[1]", function() is_closing = true end)

-- How many threads are watched.
local watched = 0

-- nginx does not report that it ended a thread, but what only that thread refers to is collected.
function loop.watch(lost)
    local kept = newproxy(true)
    watched = watched + 1
    local function forget()
        if lost then watched = watched - 1 end
        lost = nil
    end
    getmetatable(kept).__gc = function()
        if not lost or is_closing or not closing then return end
        -- A finalizer runs anywhere, so the work is left to a thread.
        waiting[#waiting + 1] = lost
        forget()
        wake_receiver()
    end
    return kept, forget
end

-- Whether nothing waits any more: no library for Lua, and no thread for a library.
local function is_over()
    if darksidesync.pending() > 0 or darksidesync.queuesize() > 0 then return false end
    if next(waits) then collectgarbage() end
    return not next(waits) and not waiting[1]
end

-- An nginx socket can only send until it knows a port. So it says hello, and gets the notifications in answer.
local function greet()
    local socket = ngx.socket.udp()
    local port, hello = darksidesync.listen()
    local fine, message = socket:setpeername("127.0.0.1", port)
    if fine then fine, message = socket:send(hello) end
    if fine and not darksidesync.notify() then fine, message = false, "the packet was lost" end
    if not fine then error(("nginx's socket could not send to port %d of 127.0.0.1 (%s)"):format(port, message), 0) end
    -- Some weeks, because nginx logs each end of such a wait.
    socket:settimeout(2 ^ 31 - 1)
    return socket
end

-- Handles items and waits for the next notification, until it is killed. Makes no threads: those of a killed thread stay with nginx.
local function receive(own)
    while true do
        local fine, message = pcall(slice.handle)
        if not fine then ngx.log(ngx.ERR, "DarkSideSync: ", message) end
        if waiting[1] then wake_receiver() end
        local _, closed = own.socket:receive()
        if closed and closed ~= "timeout" then
            ngx.log(ngx.ERR, "DarkSideSync: nginx's socket for notifications failed (", closed, "): opening another")
            own.socket = nil
            return wake_receiver()
        end
    end
end

-- Makes the receiver's socket, if it has none. Tries again after `AGAIN` seconds at the earliest.
local function connect(own)
    if own.socket or darksidesync.now() < own.again then return end
    own.again = darksidesync.now() + AGAIN
    local fine, socket = pcall(greet)
    if not fine then return ngx.log(ngx.ERR, "DarkSideSync: ", socket, "; trying again") end
    own.socket = socket
    own.thread = ngx.thread.spawn(receive, own)
end

function serve(premature)
    if not receiver or premature and receiver.wakes then return end
    local own = { wakes = semaphore.new(), again = 0, asked = 0 }
    local before = receiver
    receiver = own
    if before.wakes then before.wakes:post(1) end
    local threads, pause = 0, AGAIN
    -- A receiver that was busy for long may have been taken for dead: then it has no `wakes`, and another one is on its way.
    while receiver == own and own.wakes do
        own.is_asked = false
        exits = exits or ngx.worker.exiting()
        if exits and is_over() then break end
        connect(own)
        threads = threads + #waiting
        flush()
        if threads >= MOST_THREADS then start_serving() end
        local is_woken = own.wakes:wait(
            not own.socket and AGAIN or exits and LOOK or watched > 0 and pause or RECEIVER_SLEEPS
        )
        -- An idle worker collects no garbage, so it would not notice that a thread was ended.
        pause = is_woken and AGAIN or math.min(2 * pause, RECEIVER_SLEEPS)
        if not is_woken and watched > 0 then collectgarbage() end
    end
    own.wakes = nil
    if own.socket then
        ngx.thread.kill(own.thread)
        own.socket:close()
    end
    -- A request may still await something in a worker that exits.
    again = 0
end

-- A timer that nginx calls early when the worker exits. nginx notices what is posted there at the next event, so another timer makes one.
local function watch_exit(premature)
    is_watching = false
    if not receiver then return end
    if not premature then
        is_watching = ngx.timer.at(24 * LONGEST, watch_exit)
        return
    end
    exits = true
    ngx.timer.at(0, wake_receiver)
end

--- Makes this worker handle queued items from now on. Does nothing if it is installed already. For `init_worker_by_lua`, or later.
function module.install()
    if receiver then return end
    again = 0
    assert(start_serving())
    is_watching = is_watching or assert(ngx.timer.at(24 * LONGEST, watch_exit))
    receiver = {}
    slice.loop = loop
end

--- Undoes `install`.
function module.remove()
    if not receiver then return end
    local own = receiver
    receiver = nil
    if own.wakes then own.wakes:post(1) end
    darksidesync.setport(0)
    if slice.loop == loop then slice.loop = nil end
end

return module
