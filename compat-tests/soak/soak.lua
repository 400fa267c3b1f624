-- One phase of the soak, as a process of its own: `lua-host soak.lua PHASE SECONDS STOP`. Runs rounds of the phase until the time is
-- over, or a file named STOP exists. A round begins and ends with nothing queued, and checks its own account.
--
-- Prints lines whose fields are separated by tabs; `compat-tests/src/bin/soak/account.rs` reads them:
--     progress ROUNDS ITEMS         once a second
--     memory WHEN USED RESIDENT TRIMMED   bytes; WHEN is "first" (after a tenth of the time) or "last"
--     count NAME NUMBER             at the end
--     fault SENTENCE                what is not as it must be
--     over                          the last line, if the phase came to its end

local phase, seconds, stop = arg[1], tonumber(arg[2]), arg[3]
local folder = arg[0]:gsub("[^/\\]+$", "")
package.path = folder .. "?.lua;" .. package.path
local soak = require "lib.account"

local function say(...)
    io.stdout:write(table.concat({ ... }, "\t"), "\n")
    io.stdout:flush()
end

local function bytes(number) return number and ("%d"):format(number) or "?" end

-- What is in use when everything that nobody needs is gone, and what remains after `malloc` has given back what it can.
local function memory(when)
    require("lib.libraries").fill()
    for _ = 1, 4 do collectgarbage() end
    local used, resident = host.heap(), host.rss()
    host.trim()
    say("memory", when, bytes(used), bytes(resident), bytes(host.rss()))
end

local function stopped()
    local file = io.open(stop)
    if file then file:close() end
    return file ~= nil
end

local function run()
    local round = require("phases." .. phase)
    local start, rounds, sampled, said = host.now(), 0, false, 0
    repeat
        rounds = rounds + 1
        round(rounds)
        soak.checked()
        soak.sabotage()
        local now = host.now() - start
        if not sampled and now >= seconds / 10 then
            sampled = true
            memory "first"
        end
        if now - said >= 1 then
            said = now
            say("progress", rounds, soak.items())
        end
    until now >= seconds or stopped()
    memory "last"
    soak.count("rounds", rounds)
end

local fine, message = xpcall(run, function(err) return debug.traceback(tostring(err), 2) end)
if not fine then say("fault", (message:gsub("%s*\n%s*", " | "))) end
for _, one in ipairs(soak.counted()) do say("count", one.name, ("%d"):format(one.number)) end
if fine then say "over" end
os.exit(fine and 0 or 1, true)
