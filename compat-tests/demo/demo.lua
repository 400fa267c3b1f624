-- The Lua half of the demo: one state, one module, four libraries, and a callback for all that they deliver.
--
--   demo.lua tour FOLDER     the other half writes files, sends requests and signals
--   demo.lua serve FOLDER    whoever is there does
--
-- It says what it hears on stdout, one line each, fields between tabs. The first field is the line's kind.

local mode, folder = ...
local darksidesync = require "darksidesync"
local timer = require "timer" -- in C, for the interface of 2013
local luaexit = require "luaexit" -- these three in Rust, for revision v1
local fswatch = require "fswatch"
local httpd = require "httpd"

local now = host.now
-- One write a line: the other half may be told of an end at any time.
io.stdout:setvbuf "line"

local function say(...)
    local fields = table.pack(...)
    for i = 1, fields.n do
        local field = fields[i]
        if math.type(field) == "float" then field = string.format("%.9f", field) end
        fields[i] = tostring(field):gsub("%c", " ")
    end
    io.write(table.concat(fields, "\t"), "\n")
end

darksidesync.seterrorhandler(function(err) say("error", debug.traceback(tostring(err), 2)) end)

-- The two halves compare their clocks first, so that a time taken in one means something in the other.
for line in io.lines() do
    if line ~= "clock" then break end
    say("clock", now())
end

-- What DSS itself counts. A library of the 1.0 interface has no name; here that is the timer.
local function libraries(moment)
    for _, library in ipairs(darksidesync.libraries()) do
        say("library", moment, library.name or "timer", library.revision, library.delivered, library.replied,
            library.queued, library.waiting)
    end
end

-- ---- timer ----

local armed = 0

local function after(seconds, callback)
    armed = armed + 1
    timer.after(seconds, function(_, late)
        say("timer", "after", late)
        if callback then callback() end
    end)
end

local ending, ticking = false, 0

-- Each ends itself when it is time, and the last one ends it all: so no delivery is left without its callback.
local function every(seconds, callback)
    ticking = ticking + 1
    timer.every(seconds, function(id, late)
        say("timer", "every", late)
        callback()
        if ending and timer.cancel(id) then
            ticking = ticking - 1
            if ticking == 0 then darksidesync.stop() end
        end
    end)
end

every(mode == "tour" and 0.01 or 0.1, function() end)
every(0.2, function() libraries "live" end)

-- A thread of the library waits for each of these answers. The last one it never gets: it is held here until the end.
local answers, held = 10, {}
timer.ask(0.1, function(reply, _, late)
    say("timer", "ask", late)
    if answers == 0 then
        held[#held + 1] = reply
        return
    end
    answers = answers - 1
    reply(0.2)
end)

if mode == "tour" then
    for i = 1, 60 do after(i * 0.05) end
end

-- ---- luaexit ----

assert(luaexit.start(function(name)
    say("signal", now(), name)
    ending = ending or name == "SIGINT"
end))

-- ---- fswatch ----

local watch = assert(fswatch.watch(folder, function(kind, path)
    local at = now()
    local content = ""
    if kind == "modify" then
        local file = io.open(path)
        content = file and file:read(80) or ""
        if file then file:close() end
    end
    say("file", at, kind, path:match "[^/]*$", content)
end))

-- ---- httpd ----

local function fibonacci(n)
    local a, b = 0, 1
    for _ = 1, n do a, b = b, a + b end
    return tostring(a)
end

local function asked_for(request)
    return math.min(tonumber((request.query or ""):match "^n=(%d+)$") or 0, 90)
end

local pages = {
    ["GET /"] = function() return 200, "Answered by Lua " .. _VERSION:match "%S+$" .. ", through DarkSideSync.\n" end,
    ["GET /fibonacci"] = function(request) return 200, fibonacci(asked_for(request)) .. "\n" end,
    ["POST /sum"] = function(request)
        local sum = 0
        for number in request.body:gmatch "%d+" do sum = sum + math.tointeger(number) end
        return 200, sum .. "\n"
    end,
    -- One library's request, answered from another one's callback.
    ["GET /later"] = function(request, reply)
        after(mode == "tour" and 0.05 or 1, function() reply(200, fibonacci(asked_for(request)) .. "\n") end)
    end,
    -- Answered by nobody: it is in flight when the server stops.
    ["GET /never"] = function(_, reply) held[#held + 1] = reply end,
    ["GET /libraries"] = function()
        local lines = {}
        for i, library in ipairs(darksidesync.libraries()) do
            lines[i] = string.format("%s (%s): delivered %d, replied %d, waiting %d\n", library.name or "timer",
                library.revision, library.delivered, library.replied, library.waiting)
        end
        return 200, table.concat(lines)
    end,
}

local server = assert(httpd.serve {
    threads = 8,
    handler = function(request, reply)
        say("request", now(), request.method .. " " .. request.path, request.headers["x-sent"] or "")
        local page = pages[request.method .. " " .. request.path]
        if not page then return 404, "There is no such page.\n" end
        return page(request, reply)
    end,
})

-- ---- from here on, callbacks alone ----

say("ready", server:port(), darksidesync._VERSION, _VERSION)
darksidesync.run()

-- What was on its way arrives; then the libraries are stopped with what they still wait for: DSS cancels that.
repeat
    local _, remaining = darksidesync.dispatch()
until remaining == 0
say("armed", armed)
libraries "last"
server:close()
watch:close()
httpd.stop()
fswatch.stop()
timer.stop()
luaexit.stop()
say("stopped", #darksidesync.libraries())
