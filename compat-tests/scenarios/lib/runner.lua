-- Runs one scenario of one file: `lua-host runner.lua FILE NAME`.
-- Defines the functions that scenarios use. Works in every Lua from 5.1 on.
--
-- DSS tells an error handler what a callback raises, and goes on: without more, an assertion that fails in a callback would not
-- fail its scenario. So this sets an error handler in each state that requires DSS. At the end it fails the scenario for the
-- first error that came to that handler, and for the first assertion that failed, whoever caught it. A scenario that wants errors
-- in its callbacks names them with `expects`, or sets its own error handler.

local file, wanted = arg[1], arg[2]
local found

-- Runs first in each state. Without upvalues, so that `string.dump` can take it to other states.
local function watch()
    -- Scenarios change globals.
    local find, pcall, tostring, traceback, stderr = string.find, pcall, tostring, debug.traceback, io.stderr
    local real_require = require
    local wanted, came, watched, first = {}, {}, {}, nil

    -- Callbacks in this state raise errors like these, and that is no fault. In the scenario's own state each must come.
    function expects(...)
        for _, pattern in ipairs { ... } do wanted[#wanted + 1] = pattern end
    end

    local function handle(err)
        local has_text, text = pcall(tostring, err)
        if not has_text then text = "(an error object without a text)" end
        for at = 1, #wanted do
            if find(text, wanted[at]) then
                came[at] = true
                return
            end
        end
        text = traceback(text, 2)
        first = first or text
        -- At once, as the default handler does: the scenario may hang now.
        stderr:write("in a callback: ", text, "\n")
    end

    local function required(name, module, ...)
        if (name == "darksidesync" or name == "dss") and not watched[name] then
            watched[name] = true
            module.seterrorhandler(handle)
        end
        return module, ...
    end

    function require(name) return required(name, real_require(name)) end

    -- The first fault, with a traceback.
    function host.first_fault() return first end

    function host.add_fault(text) first = first or text end

    -- The first pattern of `expects` that no error matched.
    function host.missing_error()
        for at = 1, #wanted do
            if not came[at] then return wanted[at] end
        end
    end
end

watch()

-- Takes over the first fault of another state.
local function ask(state)
    local fault = state:dostring "return host.first_fault()"
    if fault then host.add_fault("in another state: " .. fault) end
end

local newstate, thread = host.newstate, host.thread
local states = setmetatable({}, { __mode = "k" })

function host.newstate(kind)
    local state = newstate(kind)
    -- A bare state lacks what `watch` needs, and one whose memory fails must ask for no more than its code does.
    if not kind then
        assert(select("#", state:dostring(string.dump(watch))) == 0)
        states[state] = true
    end
    return state
end

local methods = debug.getregistry()["dss.host.state"].__index
local close = methods.close

function methods.close(state)
    if states[state] then
        ask(state)
        states[state] = nil
    end
    return close(state)
end

function host.thread(code, ...)
    return thread("(loadstring or load)((...))() local function ended(...) " ..
        "if host.first_fault() then error(host.first_fault(), 0) end return ... end " ..
        "return ended((function(...) " .. code .. "\nend)(select(2, ...)))", string.dump(watch), ...)
end

function scenario(name, options, body)
    if name == wanted then found = body or options end
end

unpack = table.unpack or unpack

local function show(value)
    if type(value) == "string" then return ("%q"):format(value) end
    return tostring(value)
end

-- Raises an error in the caller of the assertion that failed. Noted, for whoever calls a callback may catch it.
local function fail(message)
    host.add_fault(debug.traceback(tostring(message), 3))
    error(message, 3)
end

function eq(actual, expected, what)
    if actual ~= expected then
        fail(("%swanted %s, found %s"):format(what and what .. ": " or "", show(expected), show(actual)))
    end
end

function ok(value, what)
    if not value then fail(what or "wanted a true value, found " .. show(value)) end
    return value
end

-- Calls `f`, which must raise a message that matches `pattern`. Returns the message.
function raises(pattern, f, ...)
    local succeeded, message = pcall(f, ...)
    if succeeded then fail("wanted an error like " .. show(pattern) .. ", and there was none") end
    message = tostring(message)
    if not message:find(pattern) then
        fail("wanted an error like " .. show(pattern) .. ", found " .. show(message))
    end
    return message
end

function matches(text, pattern)
    if type(text) ~= "string" or not text:find(pattern) then
        fail("wanted a text like " .. show(pattern) .. ", found " .. show(text))
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
    fail((what or "what was waited for") .. " did not come")
end

-- Waits until `probe` has no items left. The threads of closed states end by themselves.
function all_ended(probe)
    eventually(function() return probe.live() == 0 end, "the end of all items")
end

-- Runs code in another state.
function inside(state, code, ...)
    local done, message = state:dostring(code .. "\nreturn true", ...)
    if not done then fail(message or "the code returned early") end
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
local passed, message = xpcall(found, function(err) return debug.traceback(tostring(err), 2) end)
for state in pairs(states) do ask(state) end
local fault = host.first_fault()
if not passed then
    -- It may be what came first that made it fail.
    local known = not fault or message:find(fault:match "^[^\n]*", 1, true)
    error(known and message or message .. "\nbefore that: " .. fault, 0)
end
if fault then error("the scenario does not expect this error: " .. fault, 0) end
local missing = host.missing_error()
if missing then error("wanted an error like " .. show(missing) .. " in a callback, and there was none", 0) end

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
