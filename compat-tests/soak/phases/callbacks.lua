-- Callbacks are made, delivered to by all revisions, held by libraries and let go, on this thread and on others. Each is called as often
-- as it was delivered to, and is collected when nobody needs it.

local soak, of = require "lib.account", require "lib.libraries"
local dss = soak.dss

local CALLBACKS = 150
of.c1v0.register()
of.v1.register()

-- What is alive of the callbacks that were made: each refers to one of these.
local alive = setmetatable({}, { __mode = "k" })

local function make(calls, at)
    local mark = {}
    alive[mark] = true
    soak.count("made", 1)
    return function()
        mark.called = true
        calls[at] = (calls[at] or 0) + 1
        soak.count("delivered", 1)
    end
end

local function count_alive()
    local count = 0
    for _ in pairs(alive) do count = count + 1 end
    return count
end

local function deliver_to_all(calls, wanted)
    for at = 1, CALLBACKS do
        local f = make(calls, at)
        soak.ok(of.v2.deliver(f, at), "v2: deliver")
        soak.ok(of.c2v0.deliver(f, at), "c2v0: deliver")
        soak.eq(of.c1v0.deliver(f, at) >= -100, true, "c1v0: deliver")
        soak.ok(of.v1.deliver(f, at) ~= nil, "v1: deliver")
        wanted[at] = 4
        if at % 3 == 0 then of.v2.hold(f) end
        if at % 50 == 0 then of.c2v0.keep(f) end
        if at % 5 == 0 then
            -- As a value, which comes back as the same function.
            soak.eq(of.v2.echo(f), f, "v2: echo of a function")
            soak.eq(of.c2v0.echo(f), f, "c2v0: echo of a function")
        end
        if at % 10 == 0 then
            -- Threads of their own, which have the last reference.
            of.v2.storm(f, 1, 3)
            of.c2v0.storm(f, 0, 1, 3, 0)
            wanted[at] = 10
        end
    end
end

return function(round)
    local calls, wanted = {}, {}
    deliver_to_all(calls, wanted)
    local threads = math.floor(CALLBACKS / 10)
    soak.reports(of.v2, threads)
    soak.reports(of.c2v0, threads)
    soak.drain()
    collectgarbage()
    -- Those that are held can still be delivered to.
    soak.eq(of.v2.held(round), math.floor(CALLBACKS / 3), "v2: callbacks that are held")
    for at = 3, CALLBACKS, 3 do wanted[at] = wanted[at] + 1 end
    if round % 2 == 0 then
        soak.ok(of.c2v0.deliver_kept(round), "c2v0: delivering to the callback that is kept")
        wanted[CALLBACKS] = wanted[CALLBACKS] + 1
    end
    soak.drain()
    if round % 2 == 0 then of.v2.let_go() else of.v2.let_go_elsewhere() end
    of.c2v0.keep()
    for at = 1, CALLBACKS do soak.eq(calls[at], wanted[at], "calls of a callback") end

    of.v1.expire()
    -- 1.0's library releases what it has when it is called next.
    of.c1v0.live()
    soak.until_true(function()
        dss.dispatch()
        collectgarbage()
        of.c1v0.live()
        of.v1.expire()
        return count_alive() == 0
    end, "the end of all callbacks", function() return false end)
    soak.count("collected", CALLBACKS)
    soak.eq(of.c1v0.live() + of.v1.live(), 0, "items that are not freed")
end
