-- gozip, a library in Go: goroutines that compress, and ask Lua for what they compress.

local dss = require "darksidesync"
local gozip = dss.load "gozip"

-- Calls a function that ends in a callback, and waits for what that gets.
local function await(f, ...)
    local got
    local given, count = { ... }, select("#", ...)
    given[count + 1] = function(...) got = { ... } end
    f(unpack(given, 1, count + 1))
    eventually(function() dss.dispatch() return got end, "the callback")
    return got[1], got[2]
end

local function gzip(data)
    local err, packed = await(gozip.gzip, data)
    eq(err, nil)
    return packed
end

local function gunzip(packed)
    local err, data = await(gozip.gunzip, packed)
    eq(err, nil)
    return data
end

-- The files of a ZIP archive, by its directory: each, made a gzip file, is unpacked by the library.
local function unzip(archive)
    local function number(at, size)
        local sum = 0
        for n = at + size - 1, at, -1 do sum = sum * 256 + archive:byte(n) end
        return sum
    end
    local files, count, at = {}, 0, archive:find("PK\1\2", 1, true)
    while at and archive:sub(at, at + 3) == "PK\1\2" do
        local packed, name, here = number(at + 20, 4), number(at + 28, 2), number(at + 42, 4) + 1
        local from = here + 30 + number(here + 26, 2) + number(here + 28, 2)
        local head, tail = "\31\139\8\0\0\0\0\0\0\255", archive:sub(at + 16, at + 19) .. archive:sub(at + 24, at + 27)
        files[archive:sub(at + 46, at + 45 + name)] = gunzip(head .. archive:sub(from, from + packed - 1) .. tail)
        count = count + 1
        at = at + 46 + name + number(at + 30, 2) + number(at + 32, 2)
    end
    return files, count
end

scenario("gozip compresses and gives back", { needs = "gozip", with = "gozip" }, function()
    for _, data in ipairs { "", "a", "zero \0 byte", ("hello "):rep(100000) } do eq(gunzip(gzip(data)), data) end
    ok(#gzip(("x"):rep(1000000)) < 10000, "it does not compress")
    -- Many at once. They keep `run` going.
    local sum = 0
    for n = 1, 500 do gozip.gzip(("x"):rep(n), function(err) sum = sum + (err and 0 or n) end) end
    eq(dss.run(60), 500)
    eq(sum, 125250)
end)

scenario("gozip says what is wrong", { needs = "gozip", with = "gozip" }, function()
    raises("bad argument #1 to 'gozip%.gzip': wanted a string, found nothing", gozip.gzip)
    raises("bad argument #2 to 'gozip%.gunzip': wanted a function, found a string", gozip.gunzip, "", "")
    raises("bad argument #3 to 'gozip%.zip': wanted a function, found nothing", gozip.zip, {}, nothing)
    -- A panic of Go's.
    raises("gozip: name 2 is not a string", gozip.zip, { "a", true }, nothing, nothing)
    eq((await(gozip.gunzip, "what is this, that is no gzip?")), "gzip: invalid header")
    eq((await(gozip.gunzip, gzip(("hello "):rep(100)):sub(1, -9))), "unexpected EOF")
    -- More than the library may have queued.
    eq((await(gozip.gunzip, gzip(("x"):rep(65 * 2 ^ 20)))), "one delivery is more than the limit in bytes")
    eq(dss.run(30), 0)
end)

scenario("gozip makes an archive of what Lua gives", { needs = "gozip", with = "gozip" }, function()
    local asked = {}
    local err, archive = await(gozip.zip, { "a", "none", "sub/zero \0 byte", "empty" }, function(name)
        asked[#asked + 1] = name
        if name == "empty" then return "" end
        return name ~= "none" and name:rep(1000) or nil
    end)
    eq(err, nil)
    eq(table.concat(asked, " "), "a none sub/zero \0 byte empty")
    local files, count = unzip(archive)
    eq(count, 3)
    eq(files.a, ("a"):rep(1000))
    eq(files["sub/zero \0 byte"], ("sub/zero \0 byte"):rep(1000))
    eq(files.empty, "")
    err, archive = await(gozip.zip, {}, nothing)
    eq(err, nil)
    eq(select(2, unzip(archive)), 0)
end)

scenario("what Lua's function does wrong ends the archive", { needs = "gozip", with = "gozip" }, function()
    local function ends(content)
        local err, archive = await(gozip.zip, { "a", "b" }, content)
        eq(archive, nil)
        return err
    end
    matches(ends(function(name) error("no " .. name) end), "no content %(2%): .*no a$")
    eq(ends(function() return {} end), "a content must be a string, or nil")
    local count = 0
    local function forget()
        dss.defer()
        count = count + 1
    end
    gozip.zip({ "a", "b" }, forget, function(err) count = err end)
    eventually(function() dss.dispatch() collectgarbage() return type(count) == "string" end, "the end")
    matches(count, "no content %(3%)")
    eq(gunzip(gzip("it goes on")), "it goes on")
end)

scenario("a state closes under goroutines", { needs = "gozip", with = "gozip" }, function()
    for round = 1, 6 do
        local state = host.newstate()
        inside(state, [[
            dss = require "darksidesync"
            local gozip = dss.load "gozip"
            local function nothing() end
            for n = 1, 4 do
                gozip.gzip(("x"):rep(10000000), nothing)
                gozip.zip({ "a", "b" }, function(name) return name:rep(1000000) end, nothing)
                gozip.zip({ "a", "b" }, function() later = dss.defer() end, nothing)
            end
            -- More than may be queued: they wait for room.
            for n = 1, 300 do gozip.gzip("x", nothing) end
        ]])
        host.sleep(0.02 * (round - 1))
        inside(state, "for _ = 1, ... do dss.poll() end", 50 * (round - 1))
        state:close()
    end
    eq(gunzip(gzip("this state goes on")), "this state goes on")
end)

scenario("libraries in Go and in Zig work in one state", { needs = "gozip zigsum", with = "gozip zigsum" }, function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute(("mkdir '%s'"):format(folder))
    local names, sums, packed = {}, {}, 0
    for n = 1, 100 do names[n] = "file " .. n end
    gozip.zip(names, function(name) return name end, function(err, archive)
        eq(err, nil)
        for _, name in ipairs(names) do
            local file = assert(io.open(folder .. "/" .. name, "wb"))
            file:write(archive)
            file:close()
        end
        dss.load "zigsum".start(folder, function(_, sum)
            sums[sum] = (sums[sum] or 0) + 1
            gozip.gzip(sum, function(why) packed = packed + (why and 0 or 1) end)
        end, nothing)
    end)
    local fine, err = pcall(dss.run, 60)
    os.execute(("rm -r '%s'"):format(folder))
    ok(fine, err)
    eq(packed, 100)
    local _, count = next(sums)
    eq(count, 100)
end)
