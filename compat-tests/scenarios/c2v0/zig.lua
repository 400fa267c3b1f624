-- zigsum, a library in Zig: sums of all files in a folder, a thread that waits for Lua, an object that ends it early.

local dss = require "darksidesync"
local zigsum = dss.load "zigsum"

-- Calls `use` with a folder that has these files, and removes it.
local function folder(files, use)
    local path = os.tmpname()
    os.remove(path)
    os.execute(("mkdir -p '%s/sub/sub'"):format(path))
    for name, text in pairs(files) do
        local file = assert(io.open(path .. "/" .. name, "wb"))
        file:write(text)
        file:close()
    end
    local fine, err = pcall(use, path)
    os.execute(("rm -r '%s'"):format(path))
    if not fine then error(err, 0) end
end

local function many(count)
    local files = {}
    for n = 1, count do files[n % 2 == 0 and "sub/" .. n or tostring(n)] = ("x"):rep(n) end
    return files
end

scenario("zigsum computes the sums of all files in a folder", { needs = "zigsum", with = "zigsum" }, function()
    folder({ empty = "", ["sub/abc"] = "abc", ["sub/sub/large"] = ("\0"):rep(200000) }, function(path)
        local sums, sizes, total = {}, {}, nil
        zigsum.start(path, function(file, sum, size) sums[file], sizes[file] = sum, size end, function(...) total = { ... } end)
        -- The walk keeps `run` going.
        eq(dss.run(30), 4)
        eq(sums.empty, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
        eq(sums["sub/abc"], "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85")
        eq(#sums["sub/sub/large"], 64)
        eq(sizes["sub/sub/large"], 200000)
        eq(total[1], nil) eq(total[2], 3) eq(total[3], 200003)
    end)
end)

scenario("zigsum says which argument is wrong", { needs = "zigsum", with = "zigsum" }, function()
    raises("bad argument #1 to 'zigsum%.start': wanted a folder, found nothing", zigsum.start)
    raises("bad argument #2 to 'zigsum%.start': wanted a function, found a string", zigsum.start, ".", ".", nothing)
    raises("bad argument #3 to 'zigsum%.start': wanted a function, found nothing", zigsum.start, ".", nothing)
    raises("zigsum: cannot open /no/such/folder: FileNotFound", zigsum.start, "/no/such/folder", nothing, nothing)
    raises("zigsum: cannot open .*: BadPathName", zigsum.start, "zero \0 byte", nothing, nothing)
    raises("zigsum: cannot open x+: NameTooLong", zigsum.start, ("x"):rep(100000), nothing, nothing)
    eq(dss.run(30), 0)
end)

scenario("zigsum waits for a Lua that takes too little, and loses nothing", { needs = "zigsum", with = "zigsum" }, function()
    folder(many(1000), function(path)
        local found, total = 0, nil
        local function file(_, sum) found = found + #sum / 64 end
        zigsum.start(path, file, function(err, files) eq(err, nil) total = files end)
        host.sleep(0.2)
        eq(dss.run(30), 1001)
        eq(found, 1000) eq(total, 1000)
    end)
end)

scenario("a walk ends early if it is closed", { needs = "zigsum", with = "zigsum" }, function()
    folder(many(1000), function(path)
        local found, err, walk = 0, nil, nil
        local function file()
            found = found + 1
            walk:close()
        end
        walk = zigsum.start(path, file, function(why) err = why end)
        matches(tostring(walk), "^Walk")
        dss.run(30)
        eq(err, "Closed")
        -- What was queued came, and no more.
        ok(found > 0 and found < 1000, found)
        walk:close()
    end)
end)

scenario("a walk goes on if its object is collected", { needs = "zigsum", with = "zigsum" }, function()
    folder(many(50), function(path)
        local ended = 0
        for _ = 1, 5 do
            zigsum.start(path, nothing, function(err, files)
                eq(err, nil) eq(files, 50)
                ended = ended + 1
            end)
            collectgarbage() collectgarbage()
        end
        dss.run(30)
        eq(ended, 5)
    end)
end)

scenario("a state closes under walks", { needs = "zigsum", with = "zigsum" }, function()
    folder(many(1000), function(path)
        for round = 1, 6 do
            local state = host.newstate()
            inside(state, [[
                local path, closed = ...
                dss = require "darksidesync"
                local function nothing() end
                walks = {}
                for n = 1, 4 do walks[n] = dss.load "zigsum".start(path, nothing, nothing) end
                if closed then walks[1]:close() end
            ]], path, round % 2 == 0)
            host.sleep(0.01 * (round - 1))
            inside(state, "for _ = 1, ... do dss.poll() end", round)
            state:close()
        end
    end)
end)
