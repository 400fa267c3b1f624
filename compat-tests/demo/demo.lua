-- The Lua half of the demo: one state, one module, seven libraries, and a callback for all that they deliver.
--
--   demo.lua tour FOLDER ROWS    the other half writes files, sends requests and signals; so many rows go to the database
--   demo.lua serve FOLDER 0      whoever is there does
--
-- It says what it hears on stdout, one line each, fields between tabs. The first field is the line's kind.

local mode, folder, rows = ...
local tour = mode == "tour"
local darksidesync = require "darksidesync"
local timer = require "timer" -- in C, for the interface of 2013
local luaexit = require "luaexit" -- these three in Rust, for revision v1
local fswatch = require "fswatch"
local httpd = require "httpd"
local v2 = { -- these in Rust too, for v2: each is one file for every Lua
    fswatch = darksidesync.load "fswatch",
    httpd = darksidesync.load "httpd",
    sqlite = darksidesync.load "sqlite",
}

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

-- The time that this share of a library's deliveries did not wait longer than: the upper end of a bucket of DSS's. Only
-- libraries of v2 have a histogram.
local function waited(wait, percent)
    if not wait or wait.count == 0 then return "-" end
    for _, bucket in ipairs(wait.buckets) do
        if bucket.count * 100 >= wait.count * percent then return bucket.le end
    end
end

-- What DSS itself counts. A library of the 1.0 interface has no name; here that is the timer.
local function libraries(moment)
    for _, library in ipairs(darksidesync.stats()) do
        say("library", moment, library.name or "timer", library.revision, library.delivered, library.replied,
            library.queued, library.waiting, library.cancelled, library.timedout, waited(library.wait, 50),
            waited(library.wait, 99))
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

every(tour and 0.01 or 0.1, function() end)
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

if tour then
    for i = 1, 60 do after(i * 0.05) end
end

-- ---- luaexit ----

assert(luaexit.start(function(name)
    say("signal", now(), name)
    ending = ending or name == "SIGINT"
end))

-- ---- fswatch, for both revisions ----

local function happened(revision, kind, path)
    local at = now()
    local content = ""
    if kind == "modify" then
        local file = io.open(path)
        content = file and file:read(80) or ""
        if file then file:close() end
    end
    say("file", revision, at, kind, path:match "[^/]*$", content)
end

local watch = assert(fswatch.watch(folder, function(kind, path) happened("v1", kind, path) end))
local watch2 = v2.fswatch.watch(folder, function(event) happened("v2", event.kind, event.path) end)

-- ---- sqlite ----

local function fibonacci(n)
    local a, b = 0, 1
    for _ = 1, n do a, b = b, a + b end
    return a
end

local db = v2.sqlite.open ":memory:"

-- The database's thread calls this in the midst of a statement, and waits for what it returns.
db:func("fibonacci", 1, function(n)
    say("sql", "function", ("fibonacci(%d)"):format(n))
    return fibonacci(n)
end)

local function exec(kind, what, sql, params, callback)
    db:exec(sql, params, function(err)
        say("sql", kind, what)
        assert(not err, err)
        if callback then callback() end
    end)
end

local function query(kind, what, sql, params, callback)
    db:query(sql, params, function(err, found)
        say("sql", kind, what)
        assert(not err, err)
        callback(found[1])
    end)
end

-- So many rows are inserted and read back, then there is a pause.
local BATCH = 25
rows = math.tointeger(rows)

local function fill(first)
    if first > rows then
        query("select", "all rows", "select count(*) as count, sum(value) as sum from numbers", {}, function(all)
            say("database", all.count, all.sum)
        end)
        return
    end
    local last = math.min(first + BATCH - 1, rows)
    for n = first, last do
        exec("insert", "row " .. n, "insert into numbers values (?1, fibonacci(?1 % 50))", { n })
    end
    for n = first, last do
        query("select", "row " .. n, "select value from numbers where n = ?", { n }, function(row)
            assert(row.value == fibonacci(n % 50), "another value than was inserted")
            if n == last then after(0.05, function() fill(last + 1) end) end
        end)
    end
end

exec("create", "numbers", "create table numbers (n integer primary key, value integer)", {}, function()
    if tour then fill(1) end
end)

-- ---- httpd, for both revisions ----

local function asked_for(request)
    return math.min(tonumber((request.query or ""):match "^n=(%d+)$") or 0, 90)
end

-- What both answer at once.
local pages = {
    ["GET /"] = function() return 200, "Answered by Lua " .. _VERSION:match "%S+$" .. ", through DarkSideSync.\n" end,
    ["GET /fibonacci"] = function(request) return 200, fibonacci(asked_for(request)) .. "\n" end,
    ["POST /sum"] = function(request)
        local sum = 0
        for number in request.body:gmatch "%d+" do sum = sum + math.tointeger(number) end
        return 200, sum .. "\n"
    end,
    ["GET /libraries"] = function()
        local lines = {}
        for i, library in ipairs(darksidesync.libraries()) do
            lines[i] = string.format("%s (%s): delivered %d, replied %d, waiting %d\n", library.name or "timer",
                library.revision, library.delivered, library.replied, library.waiting)
        end
        return 200, table.concat(lines)
    end,
}

-- What is answered later gets a function for that: in v1 each handler has one, in v2 it asks DSS for it.
local deferred = {
    -- One library's request, answered from another one's callback.
    ["GET /later"] = function(request, reply)
        after(tour and 0.05 or 1, function() reply(200, fibonacci(asked_for(request)) .. "\n") end)
    end,
    -- Answered by nobody: it is in flight when v1's server stops, and when the client of v2's leaves.
    ["GET /never"] = function(_, reply) held[#held + 1] = reply end,
}

-- How long a request to v2's server may take. After that its client is told so, whatever Lua is at.
local FINISH = 2

local deferred2 = setmetatable({
    -- Too late for its client; and the reply says so.
    ["GET /slow"] = function(_, reply)
        after(FINISH + 0.4, function() say("late", reply(200, "at last\n")) end)
    end,
    -- Answered from the callback of a query, which calls Lua from the database's thread.
    ["GET /sql"] = function(request, reply)
        local n = asked_for(request)
        query("select", ("fibonacci(%d)"):format(n), "select fibonacci(?) as value", { n }, function(row)
            reply(200, row.value .. "\n")
        end)
    end,
}, { __index = deferred })

local function answer(revision, request, later, reply)
    local name = request.method .. " " .. request.path
    say("request", revision, now(), name, request.headers["x-sent"] or "")
    if pages[name] then return pages[name](request) end
    if later[name] then return later[name](request, reply or darksidesync.defer()) end
    if revision == "v2" and name == "GET /metrics" then return 200, darksidesync.metrics() end
    return 404, "There is no such page.\n"
end

local server = assert(httpd.serve {
    threads = 8,
    handler = function(request, reply) return answer("v1", request, deferred, reply) end,
})
local server2 = v2.httpd.serve {
    finish = FINISH,
    handler = function(request) return answer("v2", request, deferred2) end,
}

-- ---- from here on, callbacks alone ----

say("ready", server:port(), server2:port(), darksidesync._VERSION, _VERSION)
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
server2:close()
watch2:close()
db:close()
-- Libraries of v2 stay until the state closes.
local left = 0
for _, library in ipairs(darksidesync.libraries()) do
    if library.revision ~= "v2" then left = left + 1 end
end
say("stopped", left)
