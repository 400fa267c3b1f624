-- httpd for v2: answers by deadline, and a 503 for those who come too many or wait too long.

local dss = require "darksidesync"
local httpd = dss.load "httpd"

local function serve(options)
    local server = httpd.serve(options)
    return server, server:port()
end

-- Dispatches until a request is answered.
local function answer(request)
    eventually(function() dss.dispatch() return request:done() end, "the answer")
    return request:wait(1)
end

local function get(port, path) return answer(host.http(port, "GET " .. path, 30)) end

scenario("httpd answers with what the handler returns", function()
    local forms = {
        ["/text"] = function() return "text" end,
        ["/status"] = function() return 404 end,
        ["/both"] = function() return 201, "both" end,
        ["/headers"] = function() return 202, { ["X-One"] = "1", ["X-Two"] = { "1", "2" } }, "headers" end,
        ["/table"] = function() return { status = 203, headers = {}, body = "table" } end,
        ["/bytes"] = function() return "\0\255" end,
    }
    local server, port = serve { handler = function(request) return forms[request.path](request) end }
    local function is(path, status, body)
        local found, text = get(port, path)
        eq(found, status, path)
        eq(text, body, path)
    end
    is("/text", 200, "text")
    is("/status", 404, "")
    is("/both", 201, "both")
    is("/headers", 202, "headers")
    is("/table", 203, "table")
    is("/bytes", 200, "\0\255")
    local counts = server:stats()
    eq(counts.answered, 6)
    eq(counts.waiting + counts.refused + counts.failed, 0)
    server:close()
end)

scenario("httpd hands the handler the whole request", function()
    local seen
    local server, port = serve { handler = function(request) seen = request return "ok" end }
    -- The host's own end of the line is a trailer's value.
    local request = "POST /a%20b?c=d HTTP/1.1\r\nHost: here\r\nConnection: close\r\nX-Name: 1\r\nX-Name: 2\r\n" ..
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Rest:"
    eq((answer(host.http(port, request, 30))), 200)
    eq(seen.method, "POST")
    eq(seen.path, "/a%20b")
    eq(seen.query, "c=d")
    eq(seen.body, "hello")
    eq(seen.headers["x-name"], "1, 2")
    get(port, "/")
    eq(seen.query, nil)
    eq(seen.body, "")
    server:close()
end)

scenario("httpd says which argument is wrong", function()
    local function wrong(pattern, options) raises("bad argument #1 to 'httpd%.serve': " .. pattern, httpd.serve, options) end
    raises("bad argument #1 to 'httpd%.serve': wanted a table, found nothing", httpd.serve)
    wrong("wanted a table, found a number", 80)
    wrong("field 'handler': wanted a function, found nothing", {})
    wrong("field 'port': wanted an integer, found a string", { handler = nothing, port = "x" })
    wrong("field 'port': wanted an integer from 0 to 65535, found 65536", { handler = nothing, port = 65536 })
    wrong("field 'start': wanted a number of seconds that is not negative, found %-1", { handler = nothing, start = -1 })
    local server, port = serve { handler = nothing }
    raises("httpd cannot serve on 127%.0%.0%.1, port " .. port, httpd.serve, { handler = nothing, port = port })
    server:close()
    eq(dss.run(30), 0)
end)

scenario("httpd gives a 503 where Lua does not begin in time", function()
    local calls = 0
    local server, port = serve { start = 0.1, handler = function() calls = calls + 1 return "ok" end }
    local start = host.now()
    local status, body = host.http(port, "GET /", 30):wait(30)
    eq(status, 503)
    matches(body, "too long")
    local took = host.now() - start
    ok(took > 0.09 and took < 5, "it took " .. took)
    dss.dispatch()
    eq(calls, 0)
    eq((get(port, "/")), 200)
    eq(calls, 1)
    eq(server:stats().refused, 1)
    server:close()
end)

scenario("httpd gives a 503 where the answer does not come in time, and serves the others", function()
    local late
    local server, port = serve {
        finish = 0.2,
        handler = function(request)
            if request.path == "/slow" then late = dss.defer() return end
            return "quick"
        end,
    }
    local slow = host.http(port, "GET /slow", 30)
    eventually(function() dss.dispatch() return late end, "the request")
    for _ = 1, 5 do eq((get(port, "/quick")), 200) end
    eq((answer(slow)), 503)
    -- Nobody hears this any more.
    pcall(late, 200, "late")
    eq((get(port, "/quick")), 200)
    server:close()
end)

scenario("httpd lets a handler answer later", function()
    local kept
    local server, port = serve { handler = function() kept = dss.defer() end }
    local request = host.http(port, "GET /", 30)
    eventually(function() dss.dispatch() return kept end, "the request")
    eq(request:done(), false)
    kept(201, "later")
    local status, body = request:wait(30)
    eq(status, 201)
    eq(body, "later")
    kept = nil
    -- A reply that is dropped is an answer, too.
    request = host.http(port, "GET /", 30)
    eventually(function() dss.dispatch() return kept end, "the request")
    kept = nil
    collectgarbage() collectgarbage()
    eq((request:wait(30)), 500)
    server:close()
end)

scenario("httpd logs what a handler does wrong, and keeps it from the client", function()
    local logged = {}
    local function log(text) logged[#logged + 1] = text end
    local answers = {
        ["/raises"] = function() error("a secret") end,
        ["/nothing"] = function() end,
        ["/status"] = function() return 99 end,
        ["/body"] = function() return 200, {}, 5 end,
        ["/header"] = function() return 200, { ["a b"] = "c" }, "" end,
    }
    local server, port = serve { log = log, handler = function(request) return answers[request.path]() end }
    local function fails(path, pattern)
        local status, body = get(port, path)
        eq(status, 500, path)
        eq(body, "the server failed", path)
        eventually(function() dss.dispatch() return #logged > 0 end, "the log's line")
        matches(table.remove(logged), "^httpd could not answer GET " .. path .. ": .*" .. pattern)
    end
    fails("/raises", "a secret")
    fails("/nothing", "wanted a status, a body or a table, found nil")
    fails("/status", "wanted a status from 200 to 599, found 99")
    fails("/body", "the body: wanted a string, found a number")
    fails("/header", "names that HTTP allows")
    eq(server:stats().failed, 5)
    server:close()
end)

scenario("httpd refuses requests past its bound, and bodies past theirs", function()
    local server, port = serve { max = 2, max_body = 10, handler = function(request) return request.body end }
    local first, second = host.http(port, "GET /1", 30), host.http(port, "GET /2", 30)
    eventually(function() return server:stats().waiting == 2 end, "both")
    local status, body = host.http(port, "GET /3", 30):wait(30)
    eq(status, 503)
    matches(body, "too many")
    eq((answer(first)), 200)
    eq((answer(second)), 200)
    eq((get(port, "/4")), 200)
    -- The host's own end of the line is this header's value.
    local long = host.http(port, "POST / HTTP/1.1\r\nContent-Length: 11\r\nX-Rest:", 30)
    eq((long:wait(30)), 413, "announced")
    local chunked = "POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nHost: here\r\n\r\n" ..
        "b\r\nhello world\r\n0\r\nX-Rest:"
    status, body = host.http(port, chunked, 30):wait(30)
    eq(status, 413, "in chunks: " .. tostring(body))
    server:close()
end)

scenario("httpd serves until it is closed, whoever keeps it", function()
    local server, port = serve { handler = function() return "ok" end }
    matches(tostring(server), "^httpd on port " .. port .. "$")
    server = nil
    collectgarbage() collectgarbage()
    eq((get(port, "/")), 200)
    local other, free = serve { handler = function() return "ok" end }
    -- What is in is answered.
    local request = host.http(free, "GET /", 30)
    eventually(function() return other:stats().waiting == 1 end, "the request")
    other:close()
    other:close()
    matches(tostring(other), " %(closed%)$")
    eq(other:port(), free)
    eq((answer(request)), 200)
    eventually(function()
        local status = host.http(free, "GET /", 30):wait(30)
        return status == nil
    end, "the end of the server")
    raises("", other.port, io.stdout)
end)

scenario("a state closes with clients waiting, and each is told", function()
    for round = 1, 5 do
        local state = host.newstate()
        inside(state, [[
            dss = require "darksidesync"
            httpd = dss.load "httpd"
            kept = {}
            server = httpd.serve { handler = function() kept[#kept + 1] = dss.defer() end }
        ]])
        local port = state:dostring "return server:port()"
        local requests = {}
        for n = 1, 20 do requests[n] = host.http(port, "GET /" .. n, 30) end
        inside(state, [[
            local rounds = ...
            while server:stats().waiting < 20 do end
            for n = 1, rounds do dss.poll() end
        ]], round)
        local start = host.now()
        state:close()
        ok(host.now() - start < 5, "the close took too long")
        for n = 1, 20 do
            local status, message = requests[n]:wait(30)
            -- A kept reply that Lua collects first is an answer of its own.
            ok(status == 503 or status == 500, "the answer: " .. tostring(status) .. " " .. tostring(message))
        end
    end
end)
