-- What every contender in Lua does: it gets ITEMS items, then answers TRIPS requests. Does all twice and prints the second, which is warm:
-- the nanoseconds an item, and the median and the 99th percentile of a round trip.
--
-- A contender is a table of functions:
--   items(callback, count)    starts a thread that hands over `count` items, without a pause
--   trips(callback, count)    starts a thread that hands over an item and waits for what the callback returns, `count` times
--   go(state)                 lets the callback be called until `state.count` is `state.wanted`
--   report()                  what the thread says at its end, or "" before that

local wanted_bytes = { [0] = 4, 5, 5, 8, 4, 11, 5, 3 }

local function measure(contender, what, number)
    local state = { count = 0, wanted = number }
    local sum, bytes = 0, 0
    local function callback(at, text)
        local count = state.count + 1
        if at ~= count then error("item " .. at .. " came as number " .. count) end
        state.count = count
        sum = sum + at
        bytes = bytes + #text
        return at
    end
    collectgarbage()
    collectgarbage()
    local start = host.now()
    contender[what](callback, number)
    contender.go(state)
    local took = (host.now() - start) * 1e9
    local report = contender.report()
    while report == "" do
        host.sleep(0.001)
        report = contender.report()
    end
    local expected = 0
    for at = 1, number do expected = expected + wanted_bytes[at % 8] end
    assert(state.count == number and sum == number * (number + 1) / 2 and bytes == expected, "items are missing")
    return took, report
end

return function(contender, items, trips)
    for round = 1, 2 do
        local took, taken = measure(contender, "items", items)
        assert(taken == "taken", taken)
        local _, report = measure(contender, "trips", trips)
        local half, slow = report:match "^(%d+) (%d+)$"
        assert(half, report)
        if round == 2 then print(("item|%.3f\np50|%s\np99|%s"):format(took / items, half, slow)) end
    end
end
