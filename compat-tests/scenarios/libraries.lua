-- The four real libraries, each as its users use it, and all at once.

local slash = package.config:sub(1, 1)

local function write(path, text)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
end

scenario("fswatch tells of files as they come, change and go", function()
    local dss, fswatch = require "darksidesync", require "fswatch"
    local none, message = fswatch.watch("/there/is/no/such/folder", nothing)
    eq(none, nil)
    matches(message, "there is no such file or folder")
    local place = host.newfolder()
    local seen = {}
    local watch = assert(fswatch.watch(place, function(kind, path) seen[kind] = path end))
    write(place .. slash .. "one", "1")
    eventually(function() dss.dispatch() return seen.create end, "the file's creation")
    matches(seen.create, "one$")
    os.remove(place .. slash .. "one")
    eventually(function() dss.dispatch() return seen.remove end, "the file's removal")
    watch:close()
    watch:close()
    seen = {}
    write(place .. slash .. "two", "2")
    host.sleep(0.05)
    dss.dispatch()
    eq(next(seen), nil)
    fswatch.stop()
    eq(#dss.libraries(), 0)
    host.removefolder(place)
end)

scenario("httpd answers with what the handler returns", function()
    local dss, httpd = require "darksidesync", require "httpd"
    local server = assert(httpd.serve {
        handler = function(request) return 200, request.method .. " " .. request.path .. "?" .. tostring(request.query) end,
    })
    local requests = {}
    for n = 1, 20 do requests[n] = host.http(server:port(), "GET /page?n=" .. n, 30) end
    eventually(function()
        dss.dispatch()
        for n = 1, 20 do if not requests[n]:done() then return false end end
        return true
    end, "the answers")
    for n = 1, 20 do
        local status, body = requests[n]:wait(1)
        eq(status, 200)
        eq(body, "GET /page?n=" .. n)
    end
    server:close()
    httpd.stop()
    eq(#dss.libraries(), 0)
end)

scenario("httpd answers 500 for a handler that fails and goes on", function()
    local dss, httpd = require "darksidesync", require "httpd"
    local errors = 0
    dss.seterrorhandler(function() errors = errors + 1 end)
    local server = assert(httpd.serve {
        handler = function(request)
            if request.path == "/bad" then error("on purpose") end
            return 200, "good"
        end,
    })
    local function get(path)
        local request = host.http(server:port(), "GET " .. path, 30)
        eventually(function() dss.dispatch() return request:done() end, "the answer")
        return request:wait(1)
    end
    eq((get "/bad"), 500)
    eq(errors, 1)
    local status, body = get "/good"
    eq(status, 200)
    eq(body, "good")
    httpd.stop()
end)

scenario("httpd lets a handler answer later", function()
    local dss, httpd = require "darksidesync", require "httpd"
    local kept
    local server = assert(httpd.serve { handler = function(_, reply) kept = reply end })
    local request = host.http(server:port(), "GET /", 30)
    eventually(function() dss.dispatch() return kept end, "the request")
    eq(request:done(), false)
    kept(201, "later")
    local status, body = request:wait(30)
    eq(status, 201)
    eq(body, "later")
    httpd.stop()
end)

scenario("closing the state answers those who wait", function()
    local state = host.newstate()
    inside(state, [[
        dss, httpd = require "darksidesync", require "httpd"
        server = assert(httpd.serve { handler = function(_, reply) kept = reply end })
        request = host.http(server:port(), "GET /", 30)
    ]])
    local port = state:dostring "return server:port()"
    local mine = host.http(port, "GET /mine", 30)
    inside(state, "while not kept do dss.dispatch() end while dss.queuesize() == 0 and dss.libraries()[1].waiting < 2 do end")
    state:close()
    local status = mine:wait(30)
    ok(status == 503 or status == 500, "the status: " .. tostring(status))
end)

scenario("all four at once, of two revisions, in one state", { on = "unix: a signal is sent" }, function()
    local dss = require "darksidesync"
    local timer, luaexit, fswatch, httpd = require "timer", require "luaexit", require "fswatch", require "httpd"
    local seen = {}
    local function note(what) return function() seen[what] = (seen[what] or 0) + 1 end end
    local place = host.newfolder()
    timer.every(0.01, note "timer")
    luaexit.start(note "signal")
    local watch = assert(fswatch.watch(place, note "file"))
    local server = assert(httpd.serve { handler = function() note "request" () return 200, "ok" end })
    write(place .. slash .. "file", "text")
    host.kill(host.pid(), 15)
    local request = host.http(server:port(), "GET /", 30)
    eventually(function()
        dss.dispatch()
        return seen.timer and seen.signal and seen.file and seen.request and request:done()
    end, "a callback of each")
    local revisions = {}
    for _, library in ipairs(dss.libraries()) do
        revisions[library.revision] = (revisions[library.revision] or 0) + 1
        ok(library.delivered > 0, (library.name or "the 1.0 library") .. " delivered nothing")
    end
    eq(revisions.c1v0, 1)
    eq(revisions.v1, 3)
    watch:close()
    timer.stop() luaexit.stop() fswatch.stop() httpd.stop()
    eq(#dss.libraries(), 0)
    eq(dss.run(), 0)
    host.removefolder(place)
end)
