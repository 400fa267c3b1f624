-- curl for c2v0: HTTP transfers on a thread, from a server of v2 in the same state.

local dss = require "darksidesync"
local curl, httpd = dss.load "curl", dss.load "httpd"

-- A server whose paths are functions, and its address.
local function serve(paths)
    local server = httpd.serve { handler = function(request) return paths[request.path](request) end }
    return server, "http://127.0.0.1:" .. server:port()
end

local function text(body) return function() return body end end

-- A path that leads to another place.
local function to(place, status)
    return function() return status or 302, { Location = place }, "moved" end
end

local function dispatch_until(f, what)
    return eventually(function() dss.dispatch() return f() end, what)
end

-- Starts a transfer. `ends` gets what `done` gets, once for each call.
local function start(url, options)
    local ends = {}
    return curl.fetch(url, options, function(...) ends[#ends + 1] = { ... } end), ends
end

-- Makes a transfer and waits for its end: err, status, body, headers, the transfer.
local function fetch(url, options)
    local transfer, ends = start(url, options)
    dispatch_until(function() return ends[1] end, "the end of the transfer")
    eq(#ends, 1)
    return ends[1][1], ends[1][2], ends[1][3], ends[1][4], transfer
end

local function gets(wanted, url, options)
    local err, status, body = fetch(url, options)
    eq(err, nil)
    eq(status, 200)
    eq(body, wanted)
end

-- Makes a transfer that fails.
local function fails(pattern, url, options)
    local err, status, body, headers = fetch(url, options)
    matches(err, pattern)
    eq(status, nil) eq(body, nil) eq(headers, nil)
end

-- What DSS counts for the library.
local function count(what)
    for _, library in ipairs(dss.stats()) do
        if library.name == "curl" then return library[what] end
    end
end

scenario("curl gets what a server sends, whatever bytes it has", { needs = "curl" }, function()
    local seen
    local server, url = serve {
        ["/"] = function(request) seen = request return 200, { ["X-Name"] = { "one", "two" } }, "a\0b\255" end,
        ["/none"] = function() return 404 end,
        ["/empty"] = text "",
        ["/large"] = text(("x\0"):rep(2 ^ 21)),
    }
    local err, status, body, headers, transfer = fetch(url .. "/", {
        method = "PUT", body = "sent\0too", headers = { "X-Own: 1", "Content-Type: text/plain" }, timeout = 60,
    })
    eq(err, nil) eq(status, 200) eq(body, "a\0b\255")
    matches(table.concat(headers, "\n"):lower(), "x%-name: one\nx%-name: two")
    eq(seen.method, "PUT") eq(seen.body, "sent\0too") eq(seen.headers["x-own"], "1")
    eq(tostring(transfer), "curl transfer of " .. url .. "/")
    gets("a\0b\255", url .. "/")
    eq(seen.method, "GET") eq(seen.body, "")
    gets("a\0b\255", url .. "/", { body = "" })
    eq(seen.method, "POST") eq(seen.body, "")
    -- The response to HEAD has a length and no body.
    gets("", url .. "/", { method = "HEAD" })
    eq(seen.method, "HEAD")
    err, status, body = fetch(url .. "/none")
    eq(err, nil) eq(status, 404) eq(body, "")
    gets("", url .. "/empty", {})
    gets(("x\0"):rep(2 ^ 21), url .. "/large", nil)
    server:close()
end)

scenario("curl says which argument is wrong", { needs = "curl" }, function()
    raises("bad argument #1 to 'curl%.fetch': wanted a URL, found nothing", curl.fetch)
    raises("bad argument #1 to 'curl%.fetch': wanted a URL, found a string", curl.fetch, "http://x\0y", nothing)
    local second = "bad argument #2 to 'curl%.fetch': wanted a table of options, or a function, found "
    raises(second .. "nothing", curl.fetch, "http://x")
    raises(second .. "a boolean", curl.fetch, "http://x", true, nothing)
    raises("bad argument #3 to 'curl%.fetch': wanted a function, found nothing", curl.fetch, "http://x", {})
    raises("bad argument #3 to 'curl%.fetch': wanted a function, found a string", curl.fetch, "http://x", {}, "f")
    local function wrong(pattern, options)
        raises("bad argument #2 to 'curl%.fetch': " .. pattern, curl.fetch, "http://x", options, nothing)
    end
    wrong("wanted a table of options, found a list", { "GET" })
    wrong("an option without a name", { [2] = "GET" })
    wrong("no option 'proxy'", { proxy = "no" })
    wrong("field 'method': wanted a name of letters", { method = "GET / HTTP/1.0\r\n" })
    wrong("field 'body': wanted a string", { body = {} })
    wrong("field 'redirect': wanted a function", { redirect = true })
    wrong("field 'progress': wanted a function", { progress = "f" })
    for _, headers in ipairs { "X: 1", { 1 }, { x = "1" }, { "X: 1\r\nY: 2" }, { "X: 1\0" } } do
        wrong("field 'headers': wanted a list of strings without line ends", { headers = headers })
    end
    for _, timeout in ipairs { "1", -1, 0, 0 / 0, 1 / 0 } do
        wrong("field 'timeout': wanted a number of seconds that is more than 0", { timeout = timeout })
    end
    -- Nothing was started.
    eq(dss.run(30), 0)
end)

scenario("curl tells what went wrong with a transfer", { needs = "curl" }, function()
    local kept = {}
    local server, url = serve { ["/held"] = function() kept[#kept + 1] = dss.defer() end }
    local other, closed = serve {}
    other:close()
    eventually(function() return host.http(tonumber(closed:match "%d+$"), "GET /", 30):wait(30) == nil end, "the server's end")
    fails("[Cc]onnect", closed .. "/")
    fails("[Pp]rotocol", "file:///etc/passwd")
    fails("URL", "no url at all")
    fails("URL", "")
    fails("[Tt]imed out", url .. "/held", { timeout = 0.05 })
    fails("[Tt]imed out", url .. "/held", { timeout = 1e-9 })
    server:close()
end)

scenario("curl asks Lua about each redirect", { needs = "curl" }, function()
    local server, url = serve {
        ["/a"] = to "/b", ["/b"] = to "/c", ["/c"] = text "here", ["/other"] = text "there", ["/round"] = to "/round",
        ["/file"] = to "file:///etc/passwd",
    }
    local asked = {}
    local function follow(from, place)
        asked[#asked + 1] = from:gsub("^" .. url, "") .. place:gsub("^" .. url, "")
        return true
    end
    gets("here", url .. "/a", { redirect = follow })
    eq(table.concat(asked, " "), "/a/b /b/c")
    -- Another place, whole or as a page would name it.
    gets("there", url .. "/a", { redirect = function() return url .. "/other" end })
    gets("there", url .. "/a", { redirect = function() return "other" end })
    -- No further, and not asked at all.
    for _, options in ipairs { { redirect = function() return false end }, { redirect = nothing }, {} } do
        local err, status, body, headers = fetch(url .. "/a", options)
        eq(err, nil) eq(status, 302) eq(body, "moved")
        matches(table.concat(headers, "\n"):lower(), "location: /b")
    end
    fails("^too many redirects$", url .. "/round", { redirect = follow })
    fails("[Pp]rotocol", url .. "/file", { redirect = follow })
    server:close()
end)

scenario("curl fails a transfer whose redirect function fails", { needs = "curl" }, function()
    local server, url = serve { ["/a"] = to "/b", ["/b"] = text "b" }
    local function raise(what) return { redirect = function() error(what, 0) end } end
    fails("^not there$", url .. "/a", raise "not there")
    fails("^" .. ("x"):rep(1000) .. "$", url .. "/a", raise(("x"):rep(1000)))
    fails(".", url .. "/a", raise "")
    fails(".", url .. "/a", raise {})
    fails(".", url .. "/a", raise(nil))
    for _, answer in ipairs { {}, 1, nothing } do
        fails("neither a boolean, a URL nor nil", url .. "/a", { redirect = function() return answer end })
    end
    fails("neither a boolean, a URL nor nil", url .. "/a", { redirect = function() return url .. "/b\0c" end })
    fails("not a URL", url .. "/a", { redirect = function() return "http://" end })
    -- An answer that was put off, and dropped.
    local kept
    local _, ends = start(url .. "/a", { redirect = function() kept = dss.defer() end })
    dispatch_until(function() return kept end, "the question")
    kept = nil
    collectgarbage() collectgarbage()
    dispatch_until(function() return ends[1] end, "the end")
    ok(ends[1][1])
    gets("b", url .. "/a", { redirect = function() return true end })
    server:close()
end)

scenario("curl keeps from a redirect's place what is not meant for it", { needs = "curl" }, function()
    local seen
    local function see(request) seen = request return "seen" end
    local there, other = serve { ["/"] = see }
    local paths = { ["/here"] = see, ["/there"] = to(other .. "/", 307) }
    for _, status in ipairs { 301, 302, 303, 307, 308 } do paths["/" .. status] = to("/here", status) end
    local server, url = serve(paths)
    local function follow() return true end
    local function post(path)
        gets("seen", url .. path, {
            method = "POST", body = "a\0b", redirect = follow,
            headers = { "Content-Type: text/x-own", "Authorization: secret", "Cookie: secret", "X-Own: 1" },
        })
    end
    for _, path in ipairs { "/301", "/302", "/303" } do
        post(path)
        eq(seen.method, "GET", path) eq(seen.body, "", path) eq(seen.headers["content-type"], nil, path)
        eq(seen.headers.authorization, "secret", path) eq(seen.headers.cookie, "secret", path)
    end
    for _, path in ipairs { "/307", "/308" } do
        post(path)
        eq(seen.method, "POST", path) eq(seen.body, "a\0b", path) eq(seen.headers["content-type"], "text/x-own", path)
        eq(seen.headers.authorization, "secret", path)
    end
    post "/there"
    eq(seen.method, "POST") eq(seen.body, "a\0b") eq(seen.headers["x-own"], "1")
    eq(seen.headers.authorization, nil) eq(seen.headers.cookie, nil)
    gets("seen", url .. "/302", { method = "PUT", body = "c", redirect = follow })
    eq(seen.method, "PUT") eq(seen.body, "c")
    gets("", url .. "/303", { method = "HEAD", redirect = follow })
    eq(seen.method, "HEAD")
    server:close() there:close()
end)

scenario("curl lets other transfers go on while Lua decides on a redirect", { needs = "curl" }, function()
    local server, url = serve { ["/a"] = to "/b", ["/b"] = text "b" }
    local replies = {}
    local options = { redirect = function() replies[#replies + 1] = dss.defer() end }
    local _, first = start(url .. "/a", options)
    local _, second = start(url .. "/a", options)
    dispatch_until(function() return #replies == 2 end, "the questions")
    for _ = 1, 5 do gets("b", url .. "/b") end
    eq(#first + #second, 0)
    replies[1](true) replies[2](true)
    dispatch_until(function() return first[1] and second[1] end, "both ends")
    eq(first[1][3], "b") eq(second[1][3], "b")
    -- The transfer's time is the decision's, too.
    local late
    fails("[Tt]imed out", url .. "/a", { timeout = 0.3, redirect = function() late = dss.defer() end })
    if late then pcall(late, true) end
    gets("b", url .. "/b")
    server:close()
end)

scenario("curl tells the newest progress, and the end after it", { needs = "curl" }, function()
    local server, url = serve { ["/a"] = to "/large", ["/large"] = text(("x"):rep(2 ^ 22)) }
    local calls = {}
    local function progress(received, expected) calls[#calls + 1] = { received, expected, #calls } end
    local _, ends = start(url .. "/large", { progress = progress })
    eventually(function() return dss.dispatch(1) == 1 end, "the server's request")
    -- Lua looks at nothing until all has come.
    eventually(function() return count "queued" == 2 end, "the end")
    eq(dss.dispatch(1), 1)
    eq(#calls, 1) eq(#ends, 0)
    eq(calls[1][1], 2 ^ 22) eq(calls[1][2], 2 ^ 22)
    eq(dss.dispatch(), 1)
    eq(#calls, 1) eq(#ends, 1)
    eq(#ends[1][3], 2 ^ 22)
    -- Several share a function. Each has its last progress, and a redirect has none.
    local left = 5
    local last = {}
    for n = 1, left do
        curl.fetch(url .. "/a", {
            redirect = function() return true end,
            progress = function(received, expected)
                ok(received > (last[n] or 0)) eq(expected, 2 ^ 22)
                last[n] = received
            end,
        }, function(err)
            eq(err, nil) eq(last[n], 2 ^ 22)
            left = left - 1
        end)
    end
    dispatch_until(function() return left == 0 end, "the ends")
    -- Its error is not the transfer's.
    expects "on purpose"
    local _, after = start(url .. "/large", { progress = function() error("on purpose", 0) end })
    dispatch_until(function() return after[1] end, "the end")
    eq(#after[1][3], 2 ^ 22)
    server:close()
end)

scenario("curl ends a transfer that Lua cancels", { needs = "curl" }, function()
    local held = {}
    local server, url = serve {
        ["/held"] = function() held[#held + 1] = dss.defer() end, ["/a"] = to "/b", ["/b"] = text "b",
    }
    local function ends_once(ends, err)
        dispatch_until(function() return ends[1] end, "the end")
        gets("b", url .. "/b")
        eq(#ends, 1) eq(ends[1][1], err) eq(#ends[1], err and 1 or 4)
    end
    -- Before it begins, or soon after.
    for n = 1, 20 do
        local transfer, ends = start(url .. "/held")
        if n % 2 == 0 then transfer:cancel() else transfer:close() end
        transfer:cancel()
        ends_once(ends, "cancelled")
    end
    -- While the server has the request.
    held = {}
    local transfer, ends = start(url .. "/held")
    dispatch_until(function() return held[1] end, "the request")
    transfer:cancel()
    ends_once(ends, "cancelled")
    -- While the question waits for Lua, which is then not asked.
    local asked = 0
    transfer, ends = start(url .. "/a", { redirect = function() asked = asked + 1 return true end })
    eventually(function() return dss.dispatch(1) == 1 end, "the server's request")
    eventually(function() return count "queued" == 1 end, "the question")
    transfer:cancel()
    eventually(function() return count "cancelled" == 1 end, "the question's end")
    ends_once(ends, "cancelled")
    eq(asked, 0)
    -- While Lua decides, and in the decision.
    local reply
    transfer, ends = start(url .. "/a", { redirect = function() reply = dss.defer() end })
    dispatch_until(function() return reply end, "the question")
    transfer:cancel()
    ends_once(ends, "cancelled")
    pcall(reply, true)
    transfer, ends = start(url .. "/a", { redirect = function() transfer:cancel() return true end })
    ends_once(ends, "cancelled")
    -- After the end there is nothing to cancel; what is queued comes.
    transfer, ends = start(url .. "/b")
    ends_once(ends, nil)
    transfer:cancel() transfer:close() transfer:cancel()
    ends_once(ends, nil)
    eq(tostring(transfer), "curl transfer of " .. url .. "/b")
    server:close()
end)

scenario("curl keeps run going until the transfers have ended", { needs = "curl" }, function()
    local server, url = serve { ["/"] = text "all", ["/a"] = to "/" }
    local bodies = 0
    for _, path in ipairs { "/", "/a", "/" } do
        curl.fetch(url .. path, { redirect = function() return true end }, function(err, _, body)
            eq(err, nil) eq(body, "all")
            bodies = bodies + 1
            if bodies == 3 then server:close() end
        end)
    end
    -- Nobody keeps the objects, and the transfers go on.
    collectgarbage() collectgarbage()
    dss.run(30)
    eq(bodies, 3)
    eq(dss.run(30), 0)
end)

scenario("curl makes many transfers at once, each with its own end", { needs = "curl" }, function()
    local paths = setmetatable({}, { __index = function(_, path)
        local n = tonumber(path:match "%d+")
        if n % 3 == 0 then return to("/" .. n + 1) end
        return text(path)
    end })
    local server, url = serve(paths)
    local ends, total = {}, 0
    for n = 1, 300 do
        local transfer = curl.fetch(url .. "/" .. n, {
            redirect = function(_, place) return place end,
            progress = function() eq(ends[n], nil) end,
        }, function(err, status, body)
            eq(ends[n], nil)
            ends[n], total = { err, status, body }, total + 1
        end)
        if n % 10 == 5 then transfer:cancel() end
    end
    dispatch_until(function() return total == 300 end, "all of them")
    for n = 1, 300 do
        local err, status, body = ends[n][1], ends[n][2], ends[n][3]
        if err == nil then
            eq(status, 200) eq(body, "/" .. (n % 3 == 0 and n + 1 or n))
        else
            eq(err, "cancelled") eq(n % 10, 5)
        end
    end
    server:close()
end)

scenario("a state closes under transfers, redirects and their ends", { needs = "curl" }, function()
    for round = 1, 12 do
        local state = host.newstate()
        inside(state, [[
            local round = ...
            -- Where nobody waits for the answer any more.
            expects "on purpose"
            local dss = require "darksidesync"
            local curl, httpd = dss.load "curl", dss.load "httpd"
            kept = {}
            local function keep() kept[#kept + 1] = dss.defer() end
            local server = httpd.serve { handler = function(request)
                if request.path == "/redirect" then return 302, { Location = "/body" } end
                if request.path == "/body" then return ("x"):rep(100000) end
                return keep()
            end }
            local url = "http://127.0.0.1:" .. server:port()
            local decide = { keep, function() return true end, function() error "on purpose" end }
            for n = 1, 12 do
                local path = n % 3 == 0 and "/body" or n % 3 == 1 and "/held" or "/redirect"
                local options = { redirect = decide[n % 4 % 3 + 1], progress = function() end }
                local transfer = curl.fetch(url .. path, options, function() end)
                if n % 2 == 0 then kept[#kept + 1] = transfer end
                if n % 5 == 0 then transfer:cancel() end
            end
            for _ = 1, 3 * round do dss.dispatch(1) end
        ]], round)
        if round % 3 == 0 then host.sleep(0.003 * round) end
        state:close()
    end
end)
