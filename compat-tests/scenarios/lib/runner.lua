-- Runs one scenario of one file: `lua-host runner.lua FILE NAME`.
-- Defines the functions that scenarios use. Works in every Lua from 5.1 on.

local file, wanted = arg[1], arg[2]
local found

function scenario(name, options, body)
    if name == wanted then found = body or options end
end

unpack = table.unpack or unpack

local function show(value)
    if type(value) == "string" then return ("%q"):format(value) end
    return tostring(value)
end

function eq(actual, expected, what)
    if actual ~= expected then
        error(("%swanted %s, found %s"):format(what and what .. ": " or "", show(expected), show(actual)), 2)
    end
end

function ok(value, what)
    if not value then error(what or "wanted a true value, found " .. show(value), 2) end
    return value
end

-- Calls `f`, which must raise a message that matches `pattern`. Returns the message.
function raises(pattern, f, ...)
    local succeeded, message = pcall(f, ...)
    if succeeded then error("wanted an error like " .. show(pattern) .. ", and there was none", 2) end
    message = tostring(message)
    if not message:find(pattern) then
        error("wanted an error like " .. show(pattern) .. ", found " .. show(message), 2)
    end
    return message
end

function matches(text, pattern)
    if type(text) ~= "string" or not text:find(pattern) then
        error("wanted a text like " .. show(pattern) .. ", found " .. show(text), 2)
    end
    return text
end

-- Waits until `f` returns a true value. The time limit only ends a test that has failed. If `moves` is given, the limit starts
-- again whenever it returns true.
function eventually(f, what, moves)
    local limit = host.now() + 30
    repeat
        local value = f()
        if value then return value end
        if moves and moves() then limit = host.now() + 30 end
        host.sleep(0.002)
    until host.now() > limit
    error((what or "what was waited for") .. " did not come", 2)
end

-- Waits until `probe` has no items left. The threads of closed states end by themselves.
function all_ended(probe)
    eventually(function() return probe.live() == 0 end, "the end of all items")
end

-- Runs code in another state.
function inside(state, code, ...)
    local done, message = state:dostring(code .. "\nreturn true", ...)
    if not done then error(message or "the code returned early", 2) end
end

-- Loads a file of this folder, for code that several scenario files share.
function shared(name)
    return dofile((arg[0]:gsub("[^/\\]+$", name .. ".lua")))
end

function nothing() end

-- The file extension of modules and libraries.
so = package.config:sub(1, 1) == "\\" and "dll" or "so"

dofile(file)
assert(found, "no scenario of that name: " .. wanted)
found()

-- Check the faults that the probes count, in every scenario.
for _, name in ipairs { "probe", "probe2", "probe3" } do
    local probe = package.loaded[name]
    if probe then
        local results = probe.results()
        for _, fault in ipairs { "ended_twice", "wrong_utilid", "unclean_stack", "inside_after_unregister" } do
            eq(results[fault], 0, name .. ", " .. fault)
        end
    end
end
