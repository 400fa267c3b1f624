-- Callbacks that the scenarios of C++ libraries wait for.

local dss = require "darksidesync"
local receiver = {}

function receiver.collect() for _ = 1, 3 do collectgarbage() end end

-- Runs what a library delivers until `f` returns a true value.
function receiver.dispatch(f, what)
    return eventually(function() dss.dispatch() return f() end, what)
end

-- A function that keeps what it is called with, and one that waits for that and returns it.
function receiver.new(what)
    local got
    return function(...) got = { n = select("#", ...), ... } end, function()
        receiver.dispatch(function() return got end, what or "the callback")
        return unpack(got, 1, got.n)
    end
end

return receiver
