--- DarkSideSync with LuaSocket: a socket that wakes the program, and a handler that polls.
--
-- Any loop that can wait for a UDP socket to become readable can run this; with copas:
--
--     local copas, dss = require "copas", require "dss"
--     local socket = dss.getsocket()
--     copas.addthread(function()
--         local wrapped, handler = copas.wrap(socket), dss.gethandler()
--         while true do handler(wrapped) end
--     end)
--     copas.loop()

local darksidesync = require "darksidesync"

local dss = { _VERSION = darksidesync._VERSION }

local HOST = "127.0.0.1"
local FIRST_PORT, LAST_PORT = 50000, 50200
-- A notification is a count in decimal text: this is more than enough.
local DATAGRAM = 64

local unpack = table.unpack or unpack
local socket, port

local function printerror(err)
    io.stderr:write(debug.traceback("dss: " .. tostring(err), 2), "\n")
end

local errorhandler = printerror

--- Returns the socket that a notification makes readable, and its port. They are made once, and `setport` is called with the port.
-- Reading it blocks until a notification comes, so `while true do handler(socket) end` is a loop that sleeps.
-- @return the socket and the port; nil and a message if LuaSocket is missing or no port is free
function dss.getsocket()
    if socket then return socket, port end
    local found, luasocket = pcall(require, "socket")
    if not found then
        return nil, "dss.getsocket needs LuaSocket, and `require 'socket'` failed: " .. tostring(luasocket)
    end
    local candidate, message = luasocket.udp()
    if not candidate then return nil, "no UDP socket could be opened: " .. tostring(message) end
    for number = FIRST_PORT, LAST_PORT do
        local bound
        bound, message = candidate:setsockname(HOST, number)
        if bound then
            local set, refused = pcall(darksidesync.setport, number)
            if not set then
                candidate:close()
                return nil, tostring(refused)
            end
            socket, port = candidate, number
            return socket, port
        end
    end
    candidate:close()
    return nil, ("no port from %d to %d is free on %s: %s"):format(FIRST_PORT, LAST_PORT, HOST, tostring(message))
end

-- The highest index in use: a delivery may hold nils, at which `#` could stop.
local function highest(args)
    local last = 0
    for index in pairs(args) do
        if index > last then last = index end
    end
    return last
end

--- Returns a function of the socket, which reads one notification, polls once, and runs the callback protected.
-- It takes the socket itself, or what `copas.wrap` returns for it.
function dss.gethandler()
    return function(readable)
        -- copas resumes other threads only if the socket itself does not block, and older versions do not set that.
        if type(readable) == "table" and readable.socket == socket then socket:settimeout(0) end
        readable:receive(DATAGRAM)
        local _, callback, args = darksidesync.poll()
        if callback then
            -- Not passed itself: the error handler that is set when the error is raised is used.
            xpcall(function() return callback(unpack(args, 1, highest(args))) end, function(err) return errorhandler(err) end)
        end
    end
end

--- How many items are queued.
dss.queuesize = darksidesync.queuesize

--- Sets the function that receives a callback's error, as a message handler.
-- @param handler a function; nil restores the default, which prints the error and a traceback to stderr
function dss.seterrorhandler(handler)
    if handler ~= nil and type(handler) ~= "function" then
        error("bad argument #1 to 'seterrorhandler': wanted a function, or nil for the default; found a " .. type(handler), 2)
    end
    errorhandler = handler or printerror
end

return dss
