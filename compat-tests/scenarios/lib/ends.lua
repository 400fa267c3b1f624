-- Checks that a delivery lets its function go, once, however it ends.
--
-- `ends` has a function of each way to end, which gets the function that is delivered to and a value; DSS keeps the values that it is
-- called with in different ways. `library.hold(f)` makes the library hold `f` itself, `library.deliver_held()` delivers 1 to that, and
-- `library.let_go()` lets it go. `last` is a way to end after which the library can deliver no more.
return function(dss, library, ends, last)
    dss.seterrorhandler(nothing)

    -- Whether nothing has a function any more, when one was delivered to and that has ended as `finish` does it. If the library itself
    -- holds it meanwhile, it must be there until the library lets it go.
    local function is_collected(what, finish, value, held)
        local weak, got = setmetatable({}, { __mode = "k" }), nil
        local function collect()
            dss.dispatch()
            collectgarbage()
            collectgarbage()
        end
        -- In a function of its own, so that no local still has it.
        local function begin()
            local function f(with)
                got = with or weak
                if with == "raise" then error "as the test wants" end
            end
            weak[f] = true
            if held then library.hold(f) end
            finish(f, value)
        end
        begin()
        collect()
        if held then
            -- The second finds out whether the first let go of more than its own.
            for _ = 1, 2 do
                ok(library.deliver_held(), what)
                got = nil
                eq(dss.dispatch(), 1, what)
                eq(got, 1, what)
                collect()
            end
        end
        if finish ~= last then
            library.let_go()
            collect()
        end
        ok(next(weak) == nil, what)
    end

    for name, finish in pairs(ends) do
        for _, value in ipairs { 7, "text" } do
            is_collected(("%s with %s"):format(name, value), finish, value, false)
            is_collected(("%s with %s, and held"):format(name, value), finish, value, true)
        end
    end
    is_collected("the last", last, 7, false)
end
