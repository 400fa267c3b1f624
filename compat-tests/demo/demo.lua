-- The Lua half of the demo: one state, one module, seven libraries (six on Windows), and a callback for everything that they
-- deliver.
--
--   demo.lua tour FOLDER     the other half, in Rust, writes files, makes requests and sends signals
--   demo.lua serve FOLDER    the user does
--
-- It prints lines of fields with tabs between them. tally.rs reads them.

local mode, folder = ...
local tour = mode == "tour"
local windows = package.config:sub(1, 1) == "\\"
local darksidesync = require "darksidesync"
local timer = require "timer" -- written in C for the interface of 2013
local luaexit = not windows and require "luaexit" -- these three are written in Rust for revision v1; luaexit is for Unix's signals
local fswatch = require "fswatch"
local httpd = require "httpd"
local v2 = { -- these are written in Rust for v2: each is one file for every Lua
    fswatch = darksidesync.load "fswatch",
    httpd = darksidesync.load "httpd",
    sqlite = darksidesync.load "sqlite",
}

-- Windows has no buffer of one line.
io.stdout:setvbuf(windows and "no" or "line")

local function say(...)
    local fields = table.pack(...)
    for i = 1, fields.n do fields[i] = tostring(fields[i]):gsub("%c", " ") end
    io.write(table.concat(fields, "\t"), "\n")
end

-- A callback runs. `seconds` is how long it took to arrive, if that is known.
local function called(library, revision, seconds, what) say("callback", library, revision, seconds, what) end

-- Callbacks will run because of what this half does. `fate` is what becomes of them: delivered, replied or cancelled.
local function announce(library, revision, fate, what, count) say("announce", library, revision, fate, what, count) end

darksidesync.seterrorhandler(function(err) say("error", debug.traceback(tostring(err), 2)) end)

-- The other half compares these times with its own clock. In the pauses it can read them at once.
for _ = 1, 100 do
    say(host.now())
    host.sleep(0.001)
end

-- ---- timer ----

local function after(seconds, callback)
    announce("timer", "c1v0", "delivered", "after", 1)
    timer.after(seconds, function(_, late)
        called("timer", "c1v0", late, "after")
        if callback then callback() end
    end)
end

-- This timer also ends the demo. It cancels itself in its own callback, so no tick is left over.
local ending = false
timer.every(tour and 0.01 or 0.1, function(id, late)
    called("timer", "c1v0", late, "every")
    if ending and timer.cancel(id) then darksidesync.stop() end
end)

-- A thread of the library waits for each answer, which says when to ask again. The last one is never given.
local ANSWERS = 10
local asked, unanswered = 0, {}
timer.ask(0.1, function(reply, _, late)
    called("timer", "c1v0", late, "ask")
    asked = asked + 1
    if asked <= ANSWERS then reply(0.2) else table.insert(unanswered, reply) end
end)

-- ---- luaexit ----

if luaexit then
    assert(luaexit.start(function(name)
        called("luaexit", "v1", host.now(), name) -- the other half knows when it sent the signal
        ending = ending or name == "SIGINT"
    end))
end

-- ---- fswatch ----

-- A file of the demo contains the time at which it was written. It is removed when both revisions have read it.
local read = { v1 = {}, v2 = {} }

local function changed(revision, kind, path)
    local seconds
    if tour and kind == "modify" and not read[revision][path] then
        local file = io.open(path)
        local written = file and file:read "n"
        if file then file:close() end
        if written then
            kind, seconds = "read", host.now() - written
            read[revision][path] = true
        end
    end
    called("fswatch", revision, seconds, kind .. " " .. path:match "[^/\\]*$")
    if kind == "read" and read.v1[path] and read.v2[path] then os.remove(path) end
end

local watch = assert(fswatch.watch(folder, function(kind, path) changed("v1", kind, path) end)) -- open while it is kept
local watch2 = v2.fswatch.watch(folder, function(event) changed("v2", event.kind, event.path) end)

-- ---- sqlite ----

local function fibonacci(n)
    local a, b = 0, 1
    for _ = 1, n do a, b = b, a + b end
    return a
end

local db = v2.sqlite.open ":memory:"

-- The database's thread calls this in the middle of a statement, and waits for the result.
db:func("fibonacci", 1, function(n)
    called("sqlite", "v2", nil, "fibonacci")
    return fibonacci(n)
end)

-- Runs a statement with `db:exec` or `db:query`.
local function run(method, what, sql, params, callback)
    db[method](db, sql, params, function(err, result)
        called("sqlite", "v2", nil, what)
        assert(not err, err)
        if callback then callback(result) end
    end)
end

local ROWS, BATCH = 2000, 25

-- Inserts some rows and reads them back. After a pause, it goes on with the next.
local function fill(first)
    local last = first + BATCH - 1
    for n = first, last do
        run("exec", "insert", "insert into numbers values (?1, fibonacci(?1 % 50))", { n })
        run("query", "select", "select value from numbers where n = ?", { n }, function(rows)
            assert(rows[1].value == fibonacci(n % 50), "this is not the value that was inserted")
            if n == last and n < ROWS then after(0.05, function() fill(n + 1) end) end
            if n == ROWS then
                run("query", "select", "select count(*) as count from numbers", {}, function(all)
                    assert(all[1].count == ROWS, "the database lost a row")
                end)
            end
        end)
    end
end

-- ---- httpd ----

-- How long a request to v2's server may take. After that its client gets a 503.
local FINISH = 2

local function number(request) return math.min(tonumber((request.query or ""):match "^n=(%d+)$") or 0, 90) end

-- A page returns its answer, or calls `defer` for a function that takes the answer later.
local pages = {
    ["GET /"] = function() return 200, "Answered by " .. _VERSION .. ", through DarkSideSync.\n" end,
    ["GET /fibonacci"] = function(request) return 200, fibonacci(number(request)) .. "\n" end,
    ["POST /sum"] = function(request)
        local sum = 0
        for digits in request.body:gmatch "%d+" do sum = sum + math.tointeger(digits) end
        return 200, sum .. "\n"
    end,
    ["GET /metrics"] = function() return 200, darksidesync.metrics() end,
    -- Answered from the callback of a timer.
    ["GET /later"] = function(request, defer)
        local reply = defer()
        after(tour and 0.05 or 1, function() reply(200, fibonacci(number(request)) .. "\n") end)
    end,
    -- Answered from the callback of a query, which calls Lua from the database's thread.
    ["GET /sql"] = function(request, defer)
        local reply = defer()
        announce("sqlite", "v2", "replied", "fibonacci", 1)
        announce("sqlite", "v2", "delivered", "select", 1)
        run("query", "select", "select fibonacci(?) as value", { number(request) }, function(rows)
            reply(200, rows[1].value .. "\n")
        end)
    end,
    -- Never answered: it is in flight when v1's server stops, and when the client of v2's leaves.
    ["GET /never"] = function(_, defer) table.insert(unanswered, defer()) end,
    -- Answered too late if the server has a deadline.
    ["GET /slow"] = function(_, defer)
        local reply = defer()
        after(FINISH + 0.4, function() assert(not reply(200, "at last\n"), "a reply after the deadline was taken") end)
    end,
}

-- Without signals, a request ends the demo.
if not luaexit then
    pages["POST /stop"] = function()
        ending = true
        return 200, "good bye\n"
    end
end

local function answer(revision, request, defer)
    local name = request.method .. " " .. request.path
    local sent = tonumber(request.headers["x-sent"])
    called("httpd", revision, sent and host.now() - sent, name)
    local page = pages[name]
    if not page or revision == "v1" and name == "GET /slow" then return 404, "There is no such page.\n" end
    return page(request, defer)
end

local server = assert(httpd.serve {
    threads = 8,
    handler = function(request, reply)
        return answer("v1", request, function() return reply end)
    end,
})
local server2 = v2.httpd.serve {
    finish = FINISH,
    handler = function(request) return answer("v2", request, darksidesync.defer) end,
}

-- ---- from here on, everything happens in callbacks ----

say("ready", server:port(), server2:port(), darksidesync._VERSION, _VERSION)
announce("sqlite", "v2", "delivered", "create", 1)
run("exec", "create", "create table numbers (n integer primary key, value integer)", {})
if tour then
    announce("timer", "c1v0", "replied", "ask", ANSWERS)
    announce("timer", "c1v0", "cancelled", "ask", 1)
    for i = 1, 60 do after(i * 0.05) end
    announce("sqlite", "v2", "delivered", "insert", ROWS)
    announce("sqlite", "v2", "replied", "fibonacci", ROWS)
    announce("sqlite", "v2", "delivered", "select", ROWS + 1)
    fill(1)
end
darksidesync.run()

-- ---- the end ----

-- What is queued still arrives. Then the libraries are stopped, and DSS cancels what still waits for an answer.
repeat
    local _, remaining = darksidesync.dispatch()
until remaining == 0

-- A percentile of the waiting times: the upper end of a bucket of DSS's histogram. Only libraries of v2 have one.
local function waited(wait, percent)
    for _, bucket in ipairs(wait and wait.count > 0 and wait.buckets or {}) do
        if bucket.count * 100 >= wait.count * percent then return bucket.le end
    end
    return nil
end

for _, library in ipairs(darksidesync.stats()) do
    -- A library of the 1.0 interface has no name; here that is the timer.
    say("counts", library.name or "timer", library.revision, library.delivered, library.replied,
        library.cancelled + library.queued + library.waiting, library.timedout, waited(library.wait, 50),
        waited(library.wait, 99))
end
for _, library in pairs { timer, luaexit or nil, fswatch, httpd } do library.stop() end
for _, object in ipairs { watch2, server2, db } do object:close() end
for _, library in ipairs(darksidesync.libraries()) do
    -- Libraries of v2 stay until the state closes.
    assert(library.revision == "v2", "a library is still registered after its stop")
end
