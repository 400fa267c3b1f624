---@meta darksidesync

-- The module that connects background threads to Lua. For LuaLS: add the folder of this file to `workspace.library`.

---@class darksidesync
---@field _VERSION string "DarkSideSync" and the version
local darksidesync = {}

---A function that answers a request later, from `defer`.
---@class darksidesync.Reply
---@overload fun(...: any): boolean
local Reply = {}

---Fails the request, as if its callback had raised the error.
---@param err any
---@param traceback? string
---@return boolean in_time
function Reply:fail(err, traceback) end

---A library in this state, as `libraries` lists it.
---@class darksidesync.Library
---@field name? string
---@field revision string
---@field version? string
---@field file? string
---@field keeps_alive? boolean
---@field queued integer items in the queue
---@field waiting integer threads and requests that wait for Lua
---@field delivered integer
---@field replied integer
---@field failed integer
---@field cancelled integer
---@field refused integer

---@class darksidesync.Revision
---@field revision integer
---@field name string
---@field version string
---@field status "supported"|"deprecated"|"preview"

---Handles what was queued when it began, in callbacks that run protected.
---@param max? integer how many items at most
---@param seconds? number for how long at most; one item is handled in any case
---@return integer handled
---@return integer remaining
function darksidesync.dispatch(max, seconds) end

---Takes one item. -1: nothing was queued. n: an item was handled that needs no call. n, callback, arguments: call it.
---@return integer remaining
---@return function? callback
---@return table? arguments it may hold nils
function darksidesync.poll() end

---Sleeps until something is queued.
---@param seconds? number for how long at most
---@param fds? integer[] descriptors that end the sleep as well
---@return boolean queued
---@return integer[]? ready those that are readable
function darksidesync.wait(seconds, fds) end

---Waits and dispatches while something keeps it going.
---@param seconds? number for how long at most
---@param fds? table<integer, fun(fd: integer)> functions by descriptor, called when that is readable
---@return integer handled
function darksidesync.run(seconds, fds) end

---Ends the innermost `run` that is running, after the callback at hand.
---@return true
function darksidesync.stop() end

---Whether something keeps the program going. From the first call on a notification also tells when that changes.
---@return boolean
function darksidesync.alive() end

---A descriptor that is readable while items wait. DSS clears and closes it.
---@return integer fd a socket's handle on Windows
function darksidesync.getfd() end

---Sends notifications to a UDP port of 127.0.0.1.
---@param port integer|string 0 for none
---@return integer
function darksidesync.setport(port) end

---The port of `setport`, or of `listen`.
---@return integer port 0 for none
function darksidesync.getport() end

---In place of `setport`, for UDP sockets that cannot be bound: sends notifications to the one that says hello.
---@return integer port of 127.0.0.1, where it says that
---@return string hello what it sends
function darksidesync.listen() end

---Sends a notification now, also if nothing is queued.
---@return boolean sent false: one of the ways to tell the program is broken, nobody has said hello yet, or there is no way
function darksidesync.notify() end

---How many items are queued.
---@return integer
function darksidesync.queuesize() end

---How many requests and deliveries wait for Lua's reply.
---@return integer
function darksidesync.pending() end

---The table of functions of a library that knows nothing of Lua.
---@param name string
---@param requirement? string as cargo's: "^1.2"
---@return table
function darksidesync.load(name, requirement) end

---Has `require` find such libraries.
---@return boolean installed
function darksidesync.searcher() end

---In the callback of a request: answers it later.
---@return darksidesync.Reply
function darksidesync.defer() end

---Sets the function that is told of a callback's error.
---@param handler? fun(err: any)
---@return true
function darksidesync.seterrorhandler(handler) end

---Has `handler(callback, ...)` called in the place of the callback of each request. What it returns is the answer.
---@param handler? fun(callback: function, ...: any): ... nil: callbacks are called themselves
---@return function? before the handler before, if there was one
function darksidesync.setrequesthandler(handler) end

---As `pcall`, as if no request's callback ran: `defer` raises an error in there. For schedulers.
---@param f function
---@param ... any
---@return boolean succeeded
---@return any ...
function darksidesync.outside(f, ...) end

---Tells the error handler, as of a callback's error.
---@param err any
---@return true
function darksidesync.reporterror(err) end

---Seconds by a clock that is never set.
---@return number
function darksidesync.now() end

---@return darksidesync.Library[]
function darksidesync.libraries() end

---@return table[]
function darksidesync.stats() end

---The figures as OpenMetrics text.
---@return string
function darksidesync.metrics() end

---@return darksidesync.Revision[]
function darksidesync.revisions() end

return darksidesync
