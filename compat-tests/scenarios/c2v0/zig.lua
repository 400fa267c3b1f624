-- zigsum, a library in Zig: the sum of a file, a thread that an object owns.

local dss = require "darksidesync"
local zigsum = dss.load "zigsum"

-- Calls `use` with the path of a file that has this text, and removes it.
local function file(text, use)
    local path = os.tmpname()
    local made = assert(io.open(path, "wb"))
    made:write(text)
    made:close()
    local fine, err = pcall(use, path)
    os.remove(path)
    if not fine then error(err, 0) end
end

-- What the function of a job gets. The job keeps `run` going.
local function sum(path)
    local got
    local job = zigsum.start(path, function(...) got = { n = select("#", ...), ... } end)
    eq(dss.run(30), 1)
    ok(job)
    return unpack(got, 1, got.n)
end

-- The inputs and sums of BLAKE3's test vectors.
local function counted(length)
    local bytes = {}
    for n = 0, 250 do bytes[n + 1] = string.char(n) end
    return table.concat(bytes):rep(math.ceil(length / 251)):sub(1, length)
end

scenario("zigsum computes the sum of a file", { needs = "zigsum", with = "zigsum" }, function()
    for text, wanted in pairs {
        [""] = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        abc = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        [counted(102400)] = "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
    } do
        file(text, function(path)
            local err, found, size = sum(path)
            eq(err, nil) eq(found, wanted) eq(size, #text)
        end)
    end
end)

scenario("zigsum says what is wrong", { needs = "zigsum", with = "zigsum" }, function()
    raises("bad argument #1 to 'zigsum%.start': wanted a string, found nothing", zigsum.start)
    raises("bad argument #2 to 'zigsum%.start': wanted a function, found a string", zigsum.start, ".", ".")
    raises("bad argument #2 to 'zigsum%.start': wanted a function, found nothing", zigsum.start, ".")
    raises("FileNotFound", zigsum.start, "/no/such/file", nothing)
    raises("BadPathName", zigsum.start, "zero \0 byte", nothing)
    raises("NameTooLong", zigsum.start, ("x"):rep(100000), nothing)
    eq(dss.run(30), 0)
    -- What only the thread finds.
    local err, found, size = sum(".")
    eq(err, "IsDir") eq(found, nil) eq(size, nil)
end)

scenario("many sums at once come to a Lua that takes them late", { needs = "zigsum", with = "zigsum" }, function()
    file("abc", function(path)
        local jobs, found = {}, 0
        for n = 1, 200 do
            jobs[n] = zigsum.start(path, function(err, _, size)
                eq(err, nil) eq(size, 3)
                found = found + 1
            end)
        end
        host.sleep(0.2)
        eq(found, 0)
        eq(dss.run(30), 200)
        eq(found, 200)
    end)
end)

scenario("a job ends early if it is closed", { needs = "zigsum", with = "zigsum" }, function()
    local got
    -- This file never ends.
    local job = zigsum.start("/dev/zero", function(...) got = { ... } end)
    matches(tostring(job), "^Job")
    host.sleep(0.05)
    dss.dispatch()
    eq(got, nil)
    job:close()
    eq(dss.run(30), 1)
    eq(got[1], "Closed") eq(got[2], nil)
    job:close()
end)

scenario("a job ends early if its object is collected", { needs = "zigsum", with = "zigsum" }, function()
    local ended = 0
    for _ = 1, 5 do
        zigsum.start("/dev/zero", function(err)
            eq(err, "Closed")
            ended = ended + 1
        end)
    end
    collectgarbage() collectgarbage()
    eq(dss.run(30), 5)
    eq(ended, 5)
end)

scenario("a state closes under jobs", { needs = "zigsum", with = "zigsum" }, function()
    file(("x"):rep(1000), function(path)
        for round = 1, 6 do
            local state = host.newstate()
            inside(state, [[
                local path, closed = ...
                dss = require "darksidesync"
                local function nothing() end
                jobs = {}
                for n = 1, 8 do jobs[n] = dss.load "zigsum".start(n % 2 == 0 and path or "/dev/zero", nothing) end
                if closed then jobs[1]:close() end
            ]], path, round % 2 == 0)
            host.sleep(0.01 * (round - 1))
            inside(state, "for _ = 1, ... do dss.poll() end", round)
            state:close()
        end
    end)
end)
