-- Checks that no, one, two and three values of each kind arrive as `deliver(callback, ...)` handed them over.
return function(dss, deliver)
    local plain = { true, false, 0, -1, 42, 2 ^ 53, -2 ^ 53, 0.5, -0.0, 1e300, 1 / 0, -1 / 0, 0 / 0 }
    if math.type then
        plain[#plain + 1] = math.maxinteger
        plain[#plain + 1] = math.mininteger
    end
    -- A string is not plain, and is among them to change how the others are kept.
    local all = { "text", "", unpack(plain) }
    local function same(a, b)
        if a ~= a then return b ~= b end
        return a == b and (a ~= 0 or 1 / a == 1 / b) and (not math.type or math.type(a) == math.type(b))
    end
    local wanted, count
    local function callback(...)
        eq(select("#", ...), count)
        for at = 1, count do
            local got = select(at, ...)
            ok(same(wanted[at], got), ("%s of %d: wanted %s, found %s"):format(at, count, tostring(wanted[at]), tostring(got)))
        end
        wanted = nil
    end
    local function arrives(...)
        wanted, count = { ... }, select("#", ...)
        ok(deliver(callback, ...))
        eq(dss.dispatch(), 1)
        eq(wanted, nil)
    end
    arrives()
    arrives(nil)
    arrives(nil, nil)
    arrives(nil, nil, nil)
    for _, first in ipairs(all) do
        arrives(first)
        arrives(nil, first)
        arrives(first, nil)
        for _, second in ipairs(all) do
            arrives(first, second)
            arrives(first, second, first)
        end
    end
end
