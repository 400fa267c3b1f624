--- DarkSideSync in the workers of nginx, with its Lua module or as OpenResty.
--
--     init_worker_by_lua_block { require("dss.ngx").install() }
--
-- A handler may then await, for each thread of nginx's can wait:
--
--     content_by_lua_block { ngx.say(#require("dss.task").await(db.query, db, "SELECT 1")) }
--
-- Leave it to this to poll: a callback that runs in a `dispatch` of the program's cannot spawn tasks.
--
-- A worker that exits, as after `nginx -s reload`, first ends what waits for something of DSS's; `worker_shutdown_timeout` limits that.
-- `lua_code_cache off` is not for this: it makes a new Lua state for each request.

local darksidesync = require "darksidesync"
local ffi = require "ffi"
local semaphore = require "ngx.semaphore"
local slice = require "dss.slice"

local module = {}

-- The shortest wait and the longest, in seconds: waits without a limit are made of these. How often a worker that exits looks whether it may.
-- And when what failed is tried again.
local SHORTEST, LONGEST, LOOK, AGAIN = 0.001, 3600, 0.2, 1

-- How long the receiver sleeps at most, in seconds: it looks then whether the worker exits, should the timer for that have been dropped.
local RECEIVER_SLEEPS = 60

-- How many threads one request of nginx's may have had. It keeps a note of each until it ends, and goes through all of them to find one.
local MOST_THREADS = 200

-- The phases in which a thread can be made.
local HAVE_THREADS = {
    rewrite = true, access = true, content = true, timer = true, preread = true,
    ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true,
}

-- What receives: the timer's request that `serve` runs in. Each is followed by another after so many threads.
local receiver

local serve

-- When a timer for `serve` may be made again: nginx drops those that are due while too many others run.
local again = 0

local function start_serving()
    if darksidesync.now() < again then return true end
    again = darksidesync.now() + AGAIN
    return ngx.timer.at(0, serve)
end

local function wake_receiver()
    if receiver and receiver.wakes then receiver.wakes:post(1) end
end

-- Checks that somebody receives, and starts a receiver if nobody does. Every thread that waits calls this. A task that calls `ngx.exit` may have ended
-- the request of the receiver, which is not told; so it is asked for a sign of life, at most once a second.
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

-- Threads that are to be made, for callbacks of DSS's cannot make any: they cannot yield.
local waiting = {}

-- What threads wait on. A thread that nginx kills says nothing: it is collected.
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

-- Threads of nginx's as `dss.slice` wants them.
local loop = {}

-- Where none can be made, the receiver makes it.
function loop.thread(f)
    if not slice.is_handling and HAVE_THREADS[ngx.get_phase()] then return ngx.thread.spawn(f) end
    waiting[#waiting + 1] = f
    ensure()
    if not slice.is_handling then wake_receiver() end
end

-- Waits in a thread for so many seconds, or until `semaphore` is posted. Returns whether it was.
local function wait(posted, seconds)
    local till, is_posted, at_most = darksidesync.now() + seconds, false, AGAIN
    waits[posted] = true
    -- nginx counts from when it woke up, so this may come early.
    repeat
        ensure()
        -- A wait of no length would let nothing else run.
        is_posted = posted:wait(math.max(SHORTEST, math.min(till - darksidesync.now(), at_most)))
        at_most = math.min(2 * at_most, LONGEST)
    until is_posted or darksidesync.now() >= till
    waits[posted] = nil
    return is_posted
end

-- A wait of a thread's, for so many seconds if they are given, and what ends it.
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

-- nginx does not tell when it ends a thread, but collects what only that thread refers to.
function loop.watch(lost)
    local kept = newproxy(true)
    watched = watched + 1
    local function forget()
        if lost then watched = watched - 1 end
        lost = nil
    end
    getmetatable(kept).__gc = function()
        if not lost or is_closing or not closing then return end
        -- A finalizer runs anywhere: what is to be done is left to a thread.
        waiting[#waiting + 1] = lost
        forget()
        wake_receiver()
    end
    return kept, forget
end

-- Whether nothing waits any more: not a library for Lua, nor a thread for a library.
local function is_over()
    if darksidesync.pending() > 0 or darksidesync.queuesize() > 0 then return false end
    if next(waits) then collectgarbage() end
    return not next(waits) and not waiting[1]
end

-- A socket of nginx's can send alone until it knows a port: it says hello, and gets the notifications in answer.
local function greet()
    local socket = ngx.socket.udp()
    local port, hello = darksidesync.listen()
    local fine, message = socket:setpeername("127.0.0.1", port)
    if fine then fine, message = socket:send(hello) end
    if fine and not darksidesync.notify() then fine, message = false, "it was lost on the way" end
    if not fine then error(("nginx's socket could not say hello to port %d of 127.0.0.1 (%s)"):format(port, message), 0) end
    -- Some weeks: nginx writes each end of such a wait to its log.
    socket:settimeout(2 ^ 31 - 1)
    return socket
end

-- Looks, and waits for the next notification, until it is killed. It makes no threads: those of a thread that is killed stay with nginx.
local function receive(own)
    while true do
        local fine, message = pcall(slice.handle)
        if not fine then ngx.log(ngx.ERR, "DarkSideSync: ", message) end
        if waiting[1] then wake_receiver() end
        local _, closed = own.socket:receive()
        if closed and closed ~= "timeout" then
            ngx.log(ngx.ERR, "DarkSideSync: nginx's socket for notifications failed (", closed, "): another is made")
            own.socket = nil
            return wake_receiver()
        end
    end
end

-- Has a request a socket to receive from. Not more often than so often.
local function connect(own)
    if own.socket or darksidesync.now() < own.again then return end
    own.again = darksidesync.now() + AGAIN
    local fine, socket = pcall(greet)
    if not fine then return ngx.log(ngx.ERR, "DarkSideSync: ", socket, "; it is tried again") end
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
    while receiver == own do
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
        -- A worker with nothing to do collects nothing, and would not find that a thread was ended.
        pause = is_woken and AGAIN or math.min(2 * pause, RECEIVER_SLEEPS)
        if not is_woken and watched > 0 then collectgarbage() end
    end
    own.wakes = nil
    if own.socket then
        ngx.thread.kill(own.thread)
        own.socket:close()
    end
    -- A request may still come to await something, in a worker that exits.
    again = 0
end

-- A timer that nginx calls early when the worker exits. What is posted there nginx sees with the next event, so it gets one.
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

--- Has this worker handle what is queued, from now on. Does nothing if it does already. For `init_worker_by_lua`, or later.
function module.install()
    if receiver then return end
    again = 0
    assert(start_serving())
    is_watching = is_watching or assert(ngx.timer.at(24 * LONGEST, watch_exit))
    receiver = {}
    slice.loop = loop
end

--- Takes that back.
function module.remove()
    if not receiver then return end
    local own = receiver
    receiver = nil
    if own.wakes then own.wakes:post(1) end
    darksidesync.setport(0)
    if slice.loop == loop then slice.loop = nil end
end

return module
