-- fswatch for v2: events as tables, one for many while Lua is busy, and the owning up to what was lost.

local dss = require "darksidesync"
local fswatch = dss.load "fswatch"

local slash = package.config:sub(1, 1)

local function write(path, text)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
end

local function stats()
    for _, library in ipairs(dss.stats()) do
        if library.name == "fswatch" then return library end
    end
end

-- Waits until the queue has not grown for a while.
local function settled()
    local last, since
    eventually(function()
        local now = dss.queuesize()
        if now ~= last then last, since = now, host.now() end
        return host.now() - since > 0.2
    end, "the end of the events")
end

scenario("fswatch tells of files as they come, change and go", function()
    local place = host.newfolder()
    local seen = {}
    local watcher = fswatch.watch(place, function(event)
        seen[event.kind] = event
        eq(event.watched, place)
    end)
    eq(watcher:path(), place)
    matches(tostring(watcher), "^fswatch of " .. place:gsub("%p", "%%%0") .. "$")
    write(place .. slash .. "one", "1")
    eventually(function() dss.dispatch() return seen.create end, "the file's creation")
    eq(seen.create.path, place .. slash .. "one")
    eventually(function() dss.dispatch() return seen.modify end, "the file's change")
    os.rename(place .. slash .. "one", place .. slash .. "two")
    eventually(function() dss.dispatch() return seen.rename end, "the file's new name")
    os.remove(place .. slash .. "two")
    eventually(function() dss.dispatch() return seen.remove end, "the file's removal")
    eq(seen.remove.path, place .. slash .. "two")
    eq(seen.lost, nil)
    watcher:close()
    host.removefolder(place)
end)

scenario("fswatch looks below folders unless told otherwise", function()
    local place = host.newfolder()
    local below = host.newfolder(place)
    local deep, flat = {}, {}
    local all = fswatch.watch(place, function(event) deep[event.path] = true end)
    local own = fswatch.watch(place, function(event) flat[event.path] = true end, { recursive = false })
    write(below .. slash .. "file", "text")
    write(place .. slash .. "file", "text")
    eventually(function()
        dss.dispatch()
        return deep[below .. slash .. "file"] and deep[place .. slash .. "file"] and flat[place .. slash .. "file"]
    end, "both files")
    eq(flat[below .. slash .. "file"], nil)
    all:close() own:close()
    host.removefolder(place)
end)

scenario("fswatch says which argument is wrong", function()
    raises("bad argument #1 to 'fswatch%.watch': wanted a path, found nothing", fswatch.watch)
    raises("bad argument #1 to 'fswatch%.watch': wanted a path, found a number", fswatch.watch, 5, nothing)
    raises("bad argument #2 to 'fswatch%.watch': wanted a function, found a string", fswatch.watch, "/", "f")
    raises("bad argument #3 to 'fswatch%.watch': wanted a table", fswatch.watch, "/", nothing, true)
    raises("bad argument #3 to 'fswatch%.watch': field 'recursive': wanted a boolean, found a number",
        fswatch.watch, "/", nothing, { recursive = 1 })
    raises("there is no such file or folder", fswatch.watch, "/there/is/no/such/folder", nothing)
    raises("bad argument #1 to 'fswatch%.limit'", fswatch.limit, -1)
    raises("must be at least 1", fswatch.limit, 0)
    eq(dss.run(), 0)
end)

scenario("fswatch makes many changes of one file one event while Lua is busy", function()
    local place = host.newfolder()
    write(place .. slash .. "file", "0")
    local each, one = 0, 0
    local own = fswatch.watch(place, function(event)
        if event.kind == "modify" then each = each + 1 end
    end, { coalesce = false })
    local coalescing = fswatch.watch(place, function(event)
        if event.kind == "modify" then one = one + 1 end
    end)
    for n = 1, 100 do write(place .. slash .. "file", tostring(n)) end
    settled()
    dss.dispatch()
    eq(one, 1)
    ok(each >= 50, "each change, and only " .. each .. " came")
    ok(stats().coalesced >= 50, "counted were " .. stats().coalesced)
    eq(stats().refused, 0)
    own:close() coalescing:close()
    host.removefolder(place)
end)

scenario("fswatch owns up to what it lost at its bound", function()
    local place = host.newfolder()
    fswatch.limit(5)
    local came, lost = 0, 0
    local watcher = fswatch.watch(place, function(event)
        if event.kind == "lost" then
            lost = lost + event.count
            eq(event.path, place)
        else
            came = came + 1
        end
    end)
    for n = 1, 100 do write(place .. slash .. n, "text") end
    settled()
    eq(dss.queuesize(), 5)
    eventually(function() dss.dispatch() return lost > 0 end, "word of what was lost")
    settled()
    dss.dispatch()
    ok(came >= 5 and came + lost >= 100, came .. " came and " .. lost .. " were lost")
    -- The next ones come as ever.
    came = 0
    write(place .. slash .. "last", "text")
    eventually(function() dss.dispatch() return came > 0 end, "an event after")
    watcher:close()
    host.removefolder(place)
end)

scenario("fswatch calls nothing for a watcher that is closed or collected", function()
    local place = host.newfolder()
    local calls = 0
    local function count() calls = calls + 1 end
    local watcher = fswatch.watch(place, count)
    watcher:close()
    watcher:close()
    eq(watcher:path(), place)
    matches(tostring(watcher), " %(closed%)$")
    fswatch.watch(place, count)
    collectgarbage() collectgarbage()
    write(place .. slash .. "file", "text")
    host.sleep(0.1)
    dss.dispatch()
    eq(calls, 0)
    eq(dss.run(), 0)
    raises("", watcher.path)
    raises("", watcher.path, io.stdout)
    host.removefolder(place)
end)

scenario("fswatch closes a watcher at the end of its block", function()
    local load = loadstring or load
    local code = load "local fswatch, place, nothing = ... do local watcher <close> = fswatch.watch(place, nothing) end"
    if not code then return end -- a Lua without `<close>`
    local place = host.newfolder()
    code(fswatch, place, nothing)
    eq(dss.run(), 0)
    host.removefolder(place)
end)

scenario("fswatch keeps run going while a watcher is open", function()
    local place = host.newfolder()
    local watcher
    watcher = fswatch.watch(place, function() watcher:close() end)
    write(place .. slash .. "file", "text")
    ok(dss.run(30) >= 1)
    host.removefolder(place)
end)

scenario("a state closes while files change", function()
    local place = host.newfolder()
    for round = 1, 10 do
        local state = host.newstate()
        inside(state, [[
            local place = ...
            dss = require "darksidesync"
            fswatch = dss.load "fswatch"
            fswatch.limit(10)
            watchers = {}
            for n = 1, 4 do watchers[n] = fswatch.watch(place, function() end, { coalesce = n % 2 == 0 }) end
        ]], place)
        local writing = host.thread([[
            local place = ...
            for n = 1, 300 do
                local file = io.open(place .. "/" .. n % 20, "w")
                file:write(n)
                file:close()
            end
        ]], place)
        host.sleep(0.002 * round)
        local start = host.now()
        state:close()
        ok(host.now() - start < 5, "the close took too long")
        ok(writing:join())
    end
    host.removefolder(place)
end)

scenario("fswatch is silent once it is closed", function()
    local place = host.newfolder()
    local came = 0
    local watcher = fswatch.watch(place, function() came = came + 1 end)
    for n = 1, 50 do write(place .. slash .. "file" .. n, "text") end
    eventually(function() return dss.queuesize() > 0 end, "an event")
    watcher:close()
    eq(dss.queuesize(), 0)
    write(place .. slash .. "late", "text")
    host.sleep(0.1)
    eq(dss.dispatch(), 0)
    eq(came, 0)
    eq(dss.run(), 0)
    host.removefolder(place)
end)

-- The watchers' own threads are in deliver while their state closes, which drops the watchers.
scenario("fswatch ends with its state while its threads deliver", function()
    local place = host.newfolder()
    for round = 1, 20 do
        local state = host.newstate()
        inside(state, [[
            local place = ...
            local fswatch = require "darksidesync".load "fswatch"
            watchers = {}
            for at = 1, 4 do watchers[at] = fswatch.watch(place, function() end) end
        ]], place)
        for n = 1, 40 do write(place .. slash .. "file", tostring(n)) end
        state:close()
    end
    host.removefolder(place)
end)
