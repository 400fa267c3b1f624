-- From a deliver to its callback, where Lua sleeps until then: through `wait`, and through `run`, UDP, or the descriptor in three loops. Prints
-- two lines for each round and way: which loop, which way, the median of its nanoseconds; and the same of the slowest of 100.
local rounds = tonumber(arg[1])

local dss = require "darksidesync"
local probe = dss.load "probe_c2v0"

-- How many items a round has, and how many microseconds lie between them.
local ITEMS, PAUSE = 200, 300

local times = {}
local function callback(delivered) times[#times + 1] = probe.now() - delivered end

local function by_wait()
    while #times < ITEMS do
        dss.wait(1)
        dss.dispatch()
    end
end

-- Each loop that this Lua has: goes round until all items have come.
local loops = {}

local function add(name, needs, make)
    local found, module = pcall(require, needs)
    if found then loops[#loops + 1] = { name = name, run = make(module) } end
end

add("luv", "luv", function(uv)
    local installed = require "dss.luv"
    return function()
        installed.install()
        while #times < ITEMS do uv.run "once" end
        installed.remove()
        uv.run "nowait"
    end
end)

add("cqueues", "cqueues", function(cqueues)
    local installed = require "dss.cqueues"
    return function()
        local queue = cqueues.new()
        installed.install(queue)
        while #times < ITEMS do assert(queue:step(1)) end
        installed.remove(queue)
        queue:step(0)
    end
end)

add("luaposix", "posix.poll", function()
    local poll = require("dss.posix").poll
    return function()
        while #times < ITEMS do poll({}, 1000) end
    end
end)

loops[#loops + 1] = {
    name = "run",
    run = function()
        while #times < ITEMS do dss.run(0.1) end
    end,
}

local socket = host.udp()
loops[#loops + 1] = {
    name = "UDP",
    run = function()
        dss.setport(socket:port())
        while #times < ITEMS do
            socket:receive(1)
            dss.dispatch()
        end
        dss.setport(0)
        socket:drain()
    end,
}

-- The median of a round and its 99th percentile, in nanoseconds.
local function measure(run)
    times = {}
    collectgarbage()
    probe.paced(callback, ITEMS, PAUSE)
    run()
    table.sort(times)
    return times[ITEMS / 2] * 1e9, times[ITEMS * 99 / 100] * 1e9
end

for round = 0, rounds do
    for _, loop in ipairs(loops) do
        local ways = { { "wait", by_wait }, { "descriptor", loop.run } }
        if round % 2 == 1 then ways[1], ways[2] = ways[2], ways[1] end
        for _, way in ipairs(ways) do
            local took, slowest = measure(way[2])
            -- Round 0 warms everything up.
            if round > 0 then
                print(("%s|%s|%.0f"):format(loop.name, way[1], took))
                print(("%s, p99|%s|%.0f"):format(loop.name, way[1], slowest))
            end
        end
    end
end
