---@meta darksidesync

-- The module that connects background threads to Lua. For LuaLS: add the folder of this file to `workspace.library`.

---@class darksidesync
---@field _VERSION string "DarkSideSync" and the version
local darksidesync = {}

---The function that `defer` returns. Calling it answers the request.
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

---Handles the items that were queued when it began. Runs their callbacks protected.
---@param max? integer how many items at most
---@param seconds? number how long at most; at least one item is handled
---@return integer handled
---@return integer remaining
function darksidesync.dispatch(max, seconds) end

---Takes one item. Returns -1 if nothing was queued; n if the item needs no call; or n, callback, arguments: call it.
---@return integer remaining
---@return function? callback
---@return table? arguments may contain nils
function darksidesync.poll() end

---Sleeps until something is queued.
---@param seconds? number how long at most
---@param fds? integer[] descriptors that end the sleep as well
---@return boolean queued
---@return integer[]? ready the descriptors that are readable
function darksidesync.wait(seconds, fds) end

---Waits and dispatches while something keeps it going.
---@param seconds? number how long at most
---@param fds? table<integer, fun(fd: integer)> functions by descriptor, called when that is readable
---@return integer handled
function darksidesync.run(seconds, fds) end

---Ends the innermost `run` that is running, after the current callback.
---@return true
function darksidesync.stop() end

---Whether something keeps the program going. After the first call, a notification also reports when that changes.
---@return boolean
function darksidesync.alive() end

---Returns a descriptor that is readable while items wait. DSS reads from it and closes it.
---@return integer fd a socket's handle on Windows
function darksidesync.getfd() end

---Sends notifications to a UDP port of 127.0.0.1.
---@param port integer|string 0 for none
---@return integer
function darksidesync.setport(port) end

---The port of `setport`, or of `listen`.
---@return integer port 0 for none
function darksidesync.getport() end

---Use this instead of `setport` for UDP sockets that cannot be bound. Notifications go to the socket that says hello.
---@return integer port of 127.0.0.1, to which the socket says hello
---@return string hello what it sends
function darksidesync.listen() end

---Sends a notification now, even if nothing is queued.
---@return boolean sent false if there is no way to notify the program, one of them is broken, or no socket has said hello yet
function darksidesync.notify() end

---How many items are queued.
---@return integer
function darksidesync.queuesize() end

---How many requests and deliveries wait for Lua's reply.
---@return integer
function darksidesync.pending() end

---Loads a library that knows nothing of Lua, and returns a table of its functions.
---@param name string
---@param requirement? string a version requirement as in Cargo, such as "^1.2"
---@return table
function darksidesync.load(name, requirement) end

---Makes `require` find such libraries.
---@return boolean installed
function darksidesync.searcher() end

---Called in the callback of a request, to answer it later.
---@return darksidesync.Reply
function darksidesync.defer() end

---Sets the function that receives a callback's error.
---@param handler? fun(err: any)
---@return true
function darksidesync.seterrorhandler(handler) end

---Makes DSS call `handler(callback, ...)` instead of the callback of each request. What it returns is the answer.
---@param handler? fun(callback: function, ...: any): ... nil: callbacks are called directly
---@return function? before the previous handler, if there was one
function darksidesync.setrequesthandler(handler) end

---Like `pcall`, but as if no callback of a request were running: `defer` raises an error in `f`. For schedulers.
---@param f function
---@param ... any
---@return boolean succeeded
---@return any ...
function darksidesync.outside(f, ...) end

---Passes an error to the error handler, like the error of a callback.
---@param err any
---@return true
function darksidesync.reporterror(err) end

---Seconds of a monotonic clock.
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
