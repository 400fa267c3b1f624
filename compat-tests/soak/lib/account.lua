-- What the phases share: counts, checks, and ways to let Lua work. DSS is `soak.dss`.

local dss = require "darksidesync"

local soak = { dss = dss }

-- The time limit without any progress. It only ends a run that has failed.
local LIMIT = 60
local ON_PURPOSE = "the soak raises this"

soak.unpack = table.unpack or unpack
soak.ON_PURPOSE = ON_PURPOSE

-- A test seeds a fault here, to see that the soak finds it: "lose", "twice", "swap", "leak".
local seeded = os.getenv "DSS_SOAK_FAULT"
local leak = {}

-- Counts, in the order in which they were first named.
local names, numbers = {}, {}

function soak.count(name, number)
    if not numbers[name] then
        names[#names + 1] = name
        numbers[name] = 0
    end
    numbers[name] = numbers[name] + number
end

function soak.counted()
    local all = {}
    for at, name in ipairs(names) do all[at] = { name = name, number = numbers[name] } end
    return all
end

-- How many callbacks were called so far.
function soak.items() return numbers.delivered or 0 end

function soak.sabotage()
    if seeded == "leak" then leak[#leak + 1] = ("x"):rep(300000) .. #leak end
end

function soak.ok(value, sentence)
    if not value then error(sentence, 2) end
    return value
end

function soak.eq(found, wanted, what)
    if found ~= wanted then
        error(("%s: %s, and it should be %s"):format(what, tostring(found), tostring(wanted)), 2)
    end
end

-- The first fault that was found in a callback, where nobody else would see an error.
local fault

function soak.checked()
    if fault then error(fault, 0) end
end

-- What callbacks raise. What is raised on purpose is counted.
local raised = 0
dss.seterrorhandler(function(err)
    if type(err) == "string" and err:find(ON_PURPOSE, 1, true) then
        raised = raised + 1
    else
        fault = fault or "a callback raised " .. tostring(err)
    end
end)

function soak.raised() return raised end

-- Returns a function of a producer and a number, which must be called with the numbers of each producer in order: 1, 2, ... or,
-- where some may be left out, ascending. The function's second result, `got`, is the count so far.
function soak.sequence(what, first, gaps)
    local latest, self = {}, { got = 0 }
    local function one(producer, number)
        local before = latest[producer] or first - 1
        if gaps and number <= before or not gaps and number ~= before + 1 then
            fault = fault or ("%s: %s came after %s from producer %s"):format(what, number, before, tostring(producer))
        end
        latest[producer] = number
        self.got = self.got + 1
        soak.count("delivered", 1)
    end
    local seen = 0
    function self.take(producer, number)
        seen = seen + 1
        if seeded == "lose" and seen == 7 then return end
        if seeded == "twice" and seen == 7 then one(producer, number) end
        if seeded == "swap" and seen == 7 then number = number + 1 end
        one(producer, number)
    end
    -- The same for a producer whose odd numbers come with their text.
    function self.take_item(producer, number, text)
        local wanted = number % 2 == 1 and ("%d"):format(number) or nil
        if text ~= wanted then
            fault = fault or ("%s: %s came with %s from producer %s"):format(what, number, tostring(text), tostring(producer))
        end
        self.take(producer, number)
    end
    return self
end

-- DSS's own figures. They are read while other threads deliver, and must agree with each other and never go back.
local before = {}
local COUNTERS = { "delivered", "replied", "failed", "cancelled", "refused", "dropped", "coalesced", "timedout" }
function soak.look()
    local text, stats, libraries = dss.metrics(), {}, dss.libraries()
    for _, one in ipairs(dss.stats()) do stats[(one.name or "unnamed") .. one.revision] = one end
    soak.count("looked", 1)
    soak.ok(text:sub(-6) == "# EOF\n", "metrics() does not end with # EOF")
    for _, listed in ipairs(libraries) do
        local name = listed.name or "unnamed"
        local one = stats[name .. listed.revision]
        -- A thread may unregister its library between the calls.
        if one then
            local sample = ('darksidesync_delivered_total{library="%s",revision="%s"} (%%d+)'):format(name, one.revision)
            -- Only this thread delivers, so nothing has come between.
            soak.eq(tonumber(text:match(sample)), one.delivered, name .. ": delivered in metrics()")
            soak.eq(listed.delivered, one.delivered, name .. ": delivered in libraries()")
            local last = before[name .. one.revision] or {}
            for _, field in ipairs(COUNTERS) do
                soak.ok(one[field] >= (last[field] or 0),
                    ("%s: %s went back from %s to %d"):format(name, field, tostring(last[field]), one[field]))
            end
            before[name .. one.revision] = one
        end
    end
end

-- The figures of one library.
function soak.stats(revision, name)
    for _, one in ipairs(dss.stats()) do
        if one.revision == revision and (not name or one.name == name) then return one end
    end
    error("stats() does not have the library of " .. revision, 2)
end

-- Ways to let callbacks run. Each returns whether any did.
local function polled()
    local _, callback, arguments = dss.poll()
    if not callback then return false end
    local fine, err = pcall(callback, soak.unpack(arguments))
    if not fine then dss.reporterror(err) end
    return true
end
local ways = {
    function() return dss.dispatch() > 0 end,
    function() return dss.dispatch(7) > 0 end,
    polled,
    function() return dss.dispatch(nil, 0.001) > 0 end,
    function()
        dss.wait(0.001)
        return dss.dispatch(100) > 0
    end,
    function() return dss.run(0.001) > 0 end,
}
local turn = 0

-- Lets callbacks run in one of the ways, one after the other. Looks at DSS's figures now and then.
function soak.work()
    turn = turn + 1
    if turn % 40 == 0 then soak.look() end
    return ways[turn % #ways + 1]()
end

-- Works until `f` returns a true value.
function soak.until_true(f, what, work)
    local limit = host.now() + LIMIT
    while true do
        soak.checked()
        local value = f()
        if value then return value end
        if (work or soak.work)() then
            limit = host.now() + LIMIT
        else
            host.sleep(0.0001)
        end
        if host.now() > limit then error(what .. (" did not come within %d s"):format(LIMIT), 2) end
    end
end

-- Works until the queue is empty.
function soak.drain()
    soak.until_true(function() return dss.queuesize() == 0 end, "the end of the queue")
    soak.eq(dss.queuesize(), 0, "queued at the end of a round")
end

-- Works until the threads of a library of v2 or c2v0 have made `count` reports. Returns a list of lists: the words of each.
function soak.reports(library, count, work)
    local all = {}
    local function add(line)
        local words = {}
        for word in line:gmatch "%S+" do words[#words + 1] = tonumber(word) or word end
        all[#all + 1] = words
    end
    soak.until_true(function()
        local some = library.reports()
        if type(some) == "string" then
            for line in some:gmatch "[^\n]+" do add(line) end
        else
            for _, line in ipairs(some) do add(line) end
        end
        return #all >= count
    end, count .. " reports", work)
    soak.eq(#all, count, "reports of threads")
    -- Threads of v2 are joined; they have ended.
    if library.join then library.join() end
    return all
end

-- The sums of the numbers at each place of the reports.
function soak.sums(reports)
    local sums = {}
    for _, words in ipairs(reports) do
        for at, word in ipairs(words) do
            if type(word) == "number" then sums[at] = (sums[at] or 0) + word end
        end
    end
    return sums
end

return soak
