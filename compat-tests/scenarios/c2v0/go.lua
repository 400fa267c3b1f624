-- gozip, a library in Go: goroutines that compress, and ask Lua for what they compress.

local dss = require "darksidesync"
local gozip = dss.load "gozip"

-- A function that gives data in pieces of that size, and nil at the end.
local function pieces(data, size)
    local at = 1
    return function()
        local piece = data:sub(at, at + size - 1)
        at = at + size
        return piece ~= "" and piece or nil
    end
end

-- Compresses what `read` gives, and waits for the error or for what comes of it.
local function await(read)
    local got
    gozip.gzip(read, function(...) got = { ... } end)
    eventually(function() dss.dispatch() collectgarbage() return got end, "the end")
    return got[1], got[2]
end

local function gzip(read)
    local err, packed = await(read)
    eq(err, nil)
    return packed
end

-- Unpacks by the command, which compares the checksums.
local function gunzip(packed)
    local from, to = os.tmpname(), os.tmpname()
    local file = assert(io.open(from, "wb"))
    file:write(packed)
    file:close()
    local status = os.execute(("gzip -dc <'%s' >'%s'"):format(from, to))
    file = assert(io.open(to, "rb"))
    local data = file:read "*a"
    file:close()
    os.remove(from) os.remove(to)
    ok(status == 0 or status == true, "gzip finds it damaged")
    return data
end

scenario("gozip compresses what Lua gives", { needs = "gozip", with = "gozip" }, function()
    for _, data in ipairs { "", "a", "zero \0 byte", ("hello "):rep(100000) } do
        eq(gunzip(gzip(pieces(data, 1000))), data)
        eq(gunzip(gzip(pieces(data, #data + 1))), data)
    end
    ok(#gzip(pieces(("x"):rep(1000000), 65536)) < 10000, "it does not compress")
    -- An empty piece is no end, and nobody is asked after the end.
    local given, asked = { "one", "", "", "two" }, 0
    local packed = gzip(function()
        asked = asked + 1
        return given[asked]
    end)
    eq(gunzip(packed), "onetwo")
    eq(asked, 5)
end)

scenario("many goroutines ask one Lua", { needs = "gozip", with = "gozip" }, function()
    local sum = 0
    for n = 1, 500 do
        gozip.gzip(pieces(("x"):rep(n), 1000), function(err) sum = sum + (err and 0 or n) end)
    end
    -- They keep `run` going. Each asks twice, and has an end.
    eq(dss.run(60), 1500)
    eq(sum, 125250)
end)

scenario("gozip says what is wrong", { needs = "gozip", with = "gozip" }, function()
    raises("bad argument #1 to 'gozip%.gzip': wanted a function, found nothing", gozip.gzip)
    raises("bad argument #1 to 'gozip%.gzip': wanted a function, found a string", gozip.gzip, "", nothing)
    raises("bad argument #2 to 'gozip%.gzip': wanted a function, found nothing", gozip.gzip, nothing)
    eq(dss.run(30), 0)
end)

scenario("what Lua's function does wrong ends the work", { needs = "gozip", with = "gozip" }, function()
    local function ends(second)
        local asked = 0
        local err, packed = await(function()
            asked = asked + 1
            if asked == 1 then return "a piece" end
            return second()
        end)
        eq(packed, nil)
        eq(asked, 2)
        return err
    end
    matches(ends(function() error("no more") end), "^no data: .*no more$")
    matches(ends(function() error("", 0) end), "^no data: ")
    eq(ends(function() return {} end), "no data: wanted a string or nil")
    eq(ends(function() return 1 end), "no data: wanted a string or nil")
    matches(ends(function() dss.defer() end), "^no data: .*never gave it$")
    eq(gunzip(gzip(pieces("it goes on", 3))), "it goes on")
end)

scenario("a state closes under goroutines", { needs = "gozip", with = "gozip" }, function()
    for round = 1, 6 do
        local state = host.newstate()
        inside(state, [[
            dss = require "darksidesync"
            local gozip = dss.load "gozip"
            local function nothing() end
            for n = 1, 4 do
                gozip.gzip(function() return ("x"):rep(1000000) end, nothing)
                gozip.gzip(function() later = dss.defer() end, nothing)
            end
            for n = 1, 300 do gozip.gzip(nothing, nothing) end
        ]])
        host.sleep(0.02 * (round - 1))
        inside(state, "for _ = 1, ... do dss.poll() end", 50 * (round - 1))
        state:close()
    end
    eq(gunzip(gzip(pieces("this state goes on", 5))), "this state goes on")
end)

scenario("libraries in Go and in Zig work in one state", { needs = "gozip zigsum", with = "gozip zigsum" }, function()
    local zigsum = dss.load "zigsum"
    local paths, jobs, sums, packed = {}, {}, {}, 0
    for n = 1, 100 do paths[n] = os.tmpname() end
    gozip.gzip(pieces(("text "):rep(1000), 500), function(err, archive)
        eq(err, nil)
        for n, path in ipairs(paths) do
            local file = assert(io.open(path, "wb"))
            file:write(archive)
            file:close()
            jobs[n] = zigsum.start(path, function(_, sum)
                sums[sum] = (sums[sum] or 0) + 1
                gozip.gzip(pieces(sum, 10), function(why) packed = packed + (why and 0 or 1) end)
            end)
        end
    end)
    local fine, err = pcall(dss.run, 60)
    for _, path in ipairs(paths) do os.remove(path) end
    ok(fine, err)
    eq(packed, 100)
    local _, count = next(sums)
    eq(count, 100)
end)
