-- curl for c2v0: HTTP transfers on a thread, from a server of v2 in the same state.

local dss = require "darksidesync"
local curl, httpd = dss.load "curl", dss.load "httpd"

-- A server whose paths are functions, and its address.
local function serve(paths)
    local server = httpd.serve { handler = function(request) return paths[request.path](request) end }
    return server, "http://127.0.0.1:" .. server:port()
end

-- Makes a transfer and waits for its end: err, status, body, headers, the transfer.
local function fetch(url, options)
    local got
    local transfer = curl.fetch(url, options or {}, function(...) got = { n = select("#", ...), ... } end)
    eventually(function() dss.dispatch() return got end, "the end of the transfer")
    return got[1], got[2], got[3], got[4], transfer
end

scenario("curl gets what a server sends, whatever bytes it has", { needs = "curl" }, function()
    local seen
    local server, url = serve {
        ["/"] = function(request) seen = request return 200, { ["X-Name"] = "value" }, "a\0b\255" end,
        ["/none"] = function() return 404 end,
        ["/large"] = function() return ("x"):rep(3 * 2 ^ 20) end,
    }
    local err, status, body, headers, transfer = fetch(url .. "/", {
        method = "PUT", body = "sent\0too", headers = { "X-Own: 1", "Content-Type: text/plain" }, timeout = 60,
    })
    eq(err, nil) eq(status, 200) eq(body, "a\0b\255")
    matches(table.concat(headers, "\n"):lower(), "x%-name: value")
    eq(seen.method, "PUT") eq(seen.body, "sent\0too") eq(seen.headers["x-own"], "1")
    eq(tostring(transfer), "curl transfer of " .. url .. "/")
    err, status, body = fetch(url .. "/none")
    eq(err, nil) eq(status, 404) eq(body, "")
    err, status, body = fetch(url .. "/large")
    eq(err, nil) eq(#body, 3 * 2 ^ 20)
    server:close()
end)

scenario("curl says which argument is wrong", { needs = "curl" }, function()
    local f = function() end
    raises("bad argument #1 to 'curl.fetch': wanted a URL, found nothing", curl.fetch)
    raises("bad argument #2 to 'curl.fetch': wanted a function, found nothing", curl.fetch, "http://x")
    raises("bad argument #2 to 'curl.fetch': wanted a table of options, found an integer", curl.fetch, "http://x", 1, f)
    raises("bad argument #3 to 'curl.fetch': wanted a function, found a string", curl.fetch, "http://x", {}, "f")
    raises("the option `timeout` is to be a number of seconds", curl.fetch, "http://x", { timeout = "1" }, f)
    raises("the option `timeout` is to be a number of seconds", curl.fetch, "http://x", { timeout = -1 }, f)
    raises("the option `headers` is to be a list of strings", curl.fetch, "http://x", { headers = { 1 } }, f)
    raises("the option `redirect` is to be a function", curl.fetch, "http://x", { redirect = true }, f)
    raises("the option `proxy` is to be one that is known", curl.fetch, "http://x", { proxy = "no" }, f)
end)

scenario("curl tells what went wrong with a transfer", { needs = "curl" }, function()
    local server, url = serve { ["/slow"] = function() return nil, dss.defer() end }
    matches(fetch "http://127.0.0.1:1/", "[Cc]onnect")
    matches(fetch "file:///etc/passwd", "[Pp]rotocol")
    matches(fetch "no url at all", "URL")
    matches(fetch(url .. "/slow", { timeout = 0.05 }), "[Tt]imed out")
    server:close()
end)

scenario("Lua decides on each redirect", { needs = "curl" }, function()
    local function to(place) return function() return 302, { Location = place }, "moved" end end
    local server, url = serve {
        ["/a"] = to "/b", ["/b"] = to "/c", ["/c"] = function() return "here" end, ["/other"] = function() return "there" end,
        ["/round"] = to "/round",
    }
    local asked = {}
    local function follow(from, location)
        asked[#asked + 1] = from:match "/[^/]*$" .. location:match "/[^/]*$"
        return true
    end
    local err, status, body = fetch(url .. "/a", { redirect = follow })
    eq(err, nil) eq(status, 200) eq(body, "here")
    eq(table.concat(asked, " "), "/a/b /b/c")
    -- Another place, no further, and not asked at all.
    err, status, body = fetch(url .. "/a", { redirect = function() return url .. "/other" end })
    eq(err, nil) eq(body, "there")
    err, status, body = fetch(url .. "/a", { redirect = function() return false end })
    eq(err, nil) eq(status, 302) eq(body, "moved")
    err, status = fetch(url .. "/a")
    eq(err, nil) eq(status, 302)
    -- What is wrong in there is the transfer's error.
    eq((fetch(url .. "/a", { redirect = function() error("not there", 0) end })), "not there")
    matches((fetch(url .. "/a", { redirect = function() return {} end })), "neither a boolean, a URL nor nil")
    eq((fetch(url .. "/round", { redirect = follow })), "too many redirects")
    server:close()
end)

scenario("a transfer whose redirect is put off does not keep others waiting", { needs = "curl" }, function()
    local server, url = serve {
        ["/a"] = function() return 302, { Location = "/b" } end, ["/b"] = function() return "b" end,
    }
    local reply, got
    curl.fetch(url .. "/a", { redirect = function() reply = dss.defer() end }, function(_, _, body) got = body end)
    eventually(function() dss.dispatch() return reply end, "the question")
    for _ = 1, 5 do
        local _, _, body = fetch(url .. "/b")
        eq(body, "b")
    end
    eq(got, nil)
    reply(true)
    eventually(function() dss.dispatch() return got end, "the end")
    eq(got, "b")
    server:close()
end)

scenario("progress comes as it is newest, and the end always comes", { needs = "curl" }, function()
    local server, url = serve { ["/large"] = function() return ("x"):rep(2 ^ 22) end }
    local calls, last, whole, got = 0, 0, nil, nil
    local ended = false
    curl.fetch(url .. "/large", {
        progress = function(received, expected)
            ok(not ended and received >= last, "in order, and not after the end")
            calls, last, whole = calls + 1, received, expected
        end,
    }, function(err, _, body)
        eq(err, nil)
        ended, got = true, #body
    end)
    -- The server's handler runs; then Lua looks at nothing until all is there.
    eventually(function() dss.dispatch(1) return got end, "the end")
    eq(got, 2 ^ 22)
    ok(calls >= 1 and last <= 2 ^ 22)
    ok(whole == nil or whole == 2 ^ 22)
    server:close()
end)

scenario("a transfer is cancelled by Lua, once", { needs = "curl" }, function()
    local held = {}
    local server, url = serve { ["/held"] = function() held[#held + 1] = dss.defer() end }
    local ends = {}
    local transfer = curl.fetch(url .. "/held", {}, function(err) ends[#ends + 1] = err end)
    eventually(function() dss.dispatch() return held[1] end, "the request")
    transfer:cancel()
    transfer:cancel()
    eventually(function() dss.dispatch() return ends[1] end, "the end")
    eq(table.concat(ends, " "), "cancelled")
    -- In the middle of a redirect, and closed at the end of a block or collected.
    local second = curl.fetch(url .. "/held", {}, function(err) ends[#ends + 1] = err end)
    second:close()
    eventually(function() dss.dispatch() return ends[2] end, "the end")
    eq(ends[2], "cancelled")
    held = nil
    server:close()
end)

scenario("a transfer goes on if its object is collected", { needs = "curl" }, function()
    local server, url = serve { ["/"] = function() return "all" end }
    local got
    curl.fetch(url .. "/", {}, function(_, _, body) got = body end)
    collectgarbage() collectgarbage()
    eventually(function() dss.dispatch() return got end, "the end")
    eq(got, "all")
    server:close()
end)

scenario("many transfers at once, each with its own end", { needs = "curl" }, function()
    local paths = setmetatable({}, { __index = function(_, path) return function() return path end end })
    local server, url = serve(paths)
    local got, count = {}, 0
    for n = 1, 100 do
        curl.fetch(url .. "/" .. n, {}, function(err, status, body)
            eq(err, nil) eq(status, 200)
            got[n], count = body, count + 1
        end)
    end
    eventually(function() dss.dispatch() return count == 100 end, "all of them")
    for n = 1, 100 do eq(got[n], "/" .. n) end
    server:close()
end)

scenario("run goes on while transfers do, and ends with them", { needs = "curl" }, function()
    local server, url = serve { ["/"] = function() return "all" end }
    local got
    curl.fetch(url .. "/", {}, function(_, _, body)
        got = body
        server:close()
    end)
    dss.run()
    eq(got, "all")
end)

scenario("a state closes under transfers", { needs = "curl" }, function()
    for _ = 1, 10 do
        local state = host.newstate()
        local _, message = state:dostring [[
            local dss = require "darksidesync"
            local curl, httpd = dss.load "curl", dss.load "httpd"
            local server = httpd.serve { handler = function(request)
                if request.path == "/redirect" then return 302, { Location = "/" } end
                return dss.defer()
            end }
            local url = "http://127.0.0.1:" .. server:port()
            for n = 1, 8 do
                curl.fetch(url .. (n % 2 == 0 and "/redirect" or "/"), { redirect = function() return true end }, function() end)
            end
            for _ = 1, 50 do dss.dispatch() end
        ]]
        ok(not message, message)
        state:close()
    end
end)
