-- Lua states are opened, used by all revisions, and closed while threads deliver to them, wait for room, and wait for answers: one on
-- this thread and one on a thread of its own, in each round. Each thread is released, each item ends once, and nothing of a state stays.

local soak, of = require "lib.account", require "lib.libraries"

local STORM, ASKED = 2, 20

-- How many items each thread delivers: more than fit in every other round. In the others there is room for requests.
local function items(round) return round % 2 == 0 and 500 or 100 end

-- Runs in each state. Returns how many callbacks were called.
local CODE = [[
    local round, items, storm, asked = ...
    local policy = math.floor(round / 2) % 4 + 1
    local dss, probe, v1 = require "darksidesync", require "probe", require "probe_v1"
    local v2, c2v0 = dss.load "probe_v2", dss.load "probe_c2v0"
    local got, answers, fault = 0, 0, nil
    dss.seterrorhandler(function(err) fault = fault or tostring(err) end)

    local function sequence(what)
        local latest = {}
        return function(producer, number)
            if number <= (latest[producer] or -1) then fault = what .. ": out of order" end
            latest[producer] = number
            got = got + 1
        end
    end

    -- In most rounds, a reply is kept, for which a thread waits until the state closes.
    local keeps = round * 7 % (asked + 5)
    kept = {}
    local function answer(n)
        got, answers = got + 1, answers + 1
        if n == keeps then kept[#kept + 1] = dss.defer() end
        return n
    end
    local function reply_to(reply, n)
        got, answers = got + 1, answers + 1
        if n == keeps then kept[#kept + 1] = reply else reply(n) end
    end

    probe.register { reuse = true, cancel = ({ "unregister", "nothing", "block_join" })[round % 3 + 1] }
    v1.register()
    v2.limit(400, 1000000, ({ "refuse", "wait", "drop", "latest" })[policy], 60)
    c2v0.limit(0, policy, 400, 1000000, 60)
    probe.start(2, 300, sequence "c1v0")
    if round % 2 == 0 then probe.start(1, 3, function(reply, _, n) reply_to(reply, n) end, { ret = "values" }) end
    v1.start(1, function(n) got = got + 1 end, 300)
    v1.asks(reply_to, asked)
    v2.storm(sequence "v2", storm, items)
    v2.asks(answer, 1, asked, 60)
    c2v0.storm(sequence "c2v0", 0, 1, items)
    c2v0.asks(answer, asked, 60.5)
    things = { v2.thing "left behind", c2v0.thing(7) }
    v2.hold(function() end)
    local wanted = round % 10 * 6
    for _ = 1, 100 do
        if answers >= wanted then break end
        dss.wait(0.0005)
        dss.dispatch(10)
    end
    if round % 7 == 0 then dss.stats() dss.metrics() dss.libraries() end
    if fault then error(fault, 0) end
    return got
]]

of.c1v0.register()
of.v1.register()
-- Otherwise it panics in its second closing.
of.v1.calm()

return function(round)
    of.c1v0.reset()
    local thread = host.thread(CODE, round + 2, items(round), STORM, ASKED)
    local state = host.newstate()
    local got, message = state:dostring(CODE, round, items(round), STORM, ASKED)
    soak.ok(got, "in a state: " .. tostring(message))
    state:close()
    local fine, of_thread = thread:join()
    soak.ok(fine, "in a state of another thread: " .. tostring(of_thread))
    soak.count("delivered", got + of_thread)
    soak.count("states", 2)

    -- Every thread ends, and each request was answered, or told why not.
    local v2, c2v0 = soak.reports(of.v2, 2 * (STORM + 1)), soak.reports(of.c2v0, 4)
    for name, reports in pairs { v2 = v2, c2v0 = c2v0 } do
        local asks = 0
        for _, words in ipairs(reports) do
            if words[1] == "asked" then
                asks = asks + 1
                local sum = 0
                for at = 2, 10 do sum = sum + words[at] end
                soak.eq(sum, ASKED, name .. ": ends of requests")
                soak.eq(words[3] + words[5] + words[10], 0, name .. ": requests that failed, timed out, or have a wrong answer")
                soak.count("answered", words[2])
                soak.count("collected", words[4])
                soak.count("cancelled", words[6])
                soak.count("closed", words[7])
                soak.count("refused", words[8])
                soak.count("dropped", words[9])
            else
                local first = name == "v2" and 1 or 2
                soak.eq(words[first] + words[first + 1] + words[first + 2] + words[first + 3], items(round), name .. ": ends of deliveries")
            end
        end
        soak.eq(asks, 2, name .. ": threads that asked")
    end
    soak.until_true(function() return of.c1v0.live() == 0 and of.v1.live() == 0 end, "the end of what 1.0 and v1 had queued")
    local results = of.c1v0.results()
    for _, fault in ipairs { "ended_twice", "wrong_utilid", "inside_after_unregister", "unclean_stack" } do
        soak.eq(results[fault], 0, "c1v0: " .. fault)
    end
    local openings, _, releases, things = of.c2v0.counts()
    soak.eq(openings - releases, 1, "c2v0: states that are not released")
    soak.eq(things + of.v2.things(), 0, "objects that are not dropped")
    soak.eq(#soak.dss.libraries(), 5, "libraries of this state")
end
