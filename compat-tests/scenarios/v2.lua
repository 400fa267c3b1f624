-- Revision v2: libraries that know nothing of Lua, the same file for each: how they are found, loaded and called.

local v2 = shared "v2"
local load_probe = v2.load_probe

scenario("a library is loaded by its name, once in a state", function()
    local dss, probe = load_probe()
    eq(type(probe.echo), "function")
    eq(probe._NAME, "probe_v2")
    eq(probe._VERSION, "1.4.2")
    matches(probe._FILE, "probe_v2%." .. so .. "$")
    eq(dss.load "probe_v2", probe)
    eq(dss.load(probe._FILE), probe)
    local library = dss.libraries()[1]
    eq(library.name, "probe_v2")
    eq(library.revision, "v2")
    eq(library.version, "1.4.2")
    eq(library.file, probe._FILE)
    local openings, closings = probe.closings()
    eq(openings, 1)
    eq(closings, 0)
end)

scenario("what is wanted of a library is compared with what it is", function()
    local dss = require "darksidesync"
    ok(dss.load("probe_v2", "^1.2"))
    raises("probe_v2 .*%^2.*1%.4%.2", dss.load, "probe_v2", "^2")
    raises("bad argument #2 to 'load'.*version requirement", dss.load, "probe_v2", "newest")
    raises("bad argument #2 to 'load'", dss.load, "probe_v2", {})
    raises("bad argument #1 to 'load'.*a number", dss.load, 12)
    raises("bad argument #1 to 'load'.*nothing", dss.load)
    raises("no file '[^\n]*nowhere", dss.load, "nowhere")
    raises("probe/v2", dss.load, "probe/v2")
    raises("at least one character", dss.load, "")
    raises("probe v2", dss.load, "probe v2")
    raises("%.%./probe_v2", dss.load, "../probe_v2")
end)

scenario("what does not fit is refused by name and reason, and none of its code runs", function()
    local dss = require "darksidesync"
    local folder = os.getenv "DSS_TEST_FOLDER"
    local trace = os.getenv "DSS_TEST_TRACE"
    local function ran()
        local file = io.open(trace)
        if file then file:close() end
        return file ~= nil
    end
    local function refused(name, ...)
        local message = raises("misfit 3%.1%.4", dss.load, ("%s/%s.%s"):format(folder, name, so))
        for _, pattern in ipairs { ... } do matches(message, pattern) end
        eq(ran(), false, name)
    end
    local version = dss._VERSION:match "%d+%.%d+%.%d+":gsub("%.", "%%.")
    refused("misfit_minor", "%^2%.99", version, "upgrade DSS")
    refused("misfit_major", "%^3", version, "upgrade DSS")
    refused("misfit_revision", "v9", "v2 %(1%.0%.0%)", "upgrade DSS")
    refused("misfit_abort", "panic = \"abort\"", "unwind")
    -- A file that is no library of v2 at all.
    raises("Lua module", dss.load, folder .. "/probe." .. so)
    raises("text file", dss.load, folder .. "/dss.lua")
    raises("folder", dss.load, folder)
    -- One that fits by what it declares is mapped: then it has nothing to be opened by, and its trace is there.
    raises("misfit 3%.1%.4.*could not be loaded", dss.load, folder .. "/misfit_fits." .. so)
    eq(ran(), true)
    os.remove(trace)
end)

scenario("two libraries of one name are told apart by their files", function()
    local dss, probe = load_probe()
    local copy = os.getenv "DSS_TEST_TRACE" .. "." .. so
    local from, to = assert(io.open(probe._FILE, "rb")), assert(io.open(copy, "wb"))
    to:write(from:read "*a")
    from:close()
    to:close()
    local message = raises("two libraries named probe_v2", dss.load, copy)
    os.remove(copy)
    ok(message:find(probe._FILE, 1, true) and message:find(copy, 1, true), message)
    eq(probe.echo(1), 1)
    eq(#dss.libraries(), 1)
end)

scenario("require finds a library through the searcher", function()
    local dss = require "darksidesync"
    dss.searcher()
    dss.searcher()
    local probe = require "probe_v2"
    eq(probe.echo(5), 5)
    eq(dss.load "probe_v2", probe)
    -- A C module beside it is Lua's own affair.
    ok(require "probe")
    local fine, message = pcall(require, "no_such_module")
    eq(fine, false)
    matches(tostring(message), "no_such_module")
end)

scenario("a delivery calls its function with its values", function()
    local dss, probe = load_probe()
    local got = {}
    local function take(...) got[#got + 1] = { n = select("#", ...), ... } end
    probe.deliver(take, 1, "two", { 3 }, nil)
    probe.deliver(take)
    eq(dss.queuesize(), 2)
    eq(dss.dispatch(), 2)
    eq(got[1].n, 4)
    eq(got[1][2], "two")
    eq(got[1][3][1], 3)
    eq(got[2].n, 0)
    -- And by 1.0's own call.
    probe.deliver(take, "polled")
    local count, f, arguments = dss.poll()
    eq(count, 0)
    eq(f, take)
    eq(arguments[1], "polled")
    eq(dss.poll(), -1)
end)

scenario("first in, first out, whichever revision", { with = "probe_v2 probe_v1 probe" }, function()
    local dss, probe = load_probe()
    local one, zero = require "probe_v1", require "probe"
    zero.register()
    local order = {}
    local function add(name) return function() order[#order + 1] = name end end
    zero.deliver(add "c1v0", 1)
    probe.deliver(add "v2")
    zero.deliver(add "c1v0", 2)
    probe.deliver(add "v2")
    eq(dss.dispatch(), 4)
    eq(table.concat(order, " "), "c1v0 v2 c1v0 v2")
    ok(one)
end)

scenario("what is counted can be read as a table and as metrics", function()
    local dss, probe = load_probe()
    for _ = 1, 10 do probe.deliver(nothing, "x") end
    local stats = dss.stats()[1]
    eq(stats.name, "probe_v2")
    eq(stats.queued, 10)
    ok(stats.bytes >= 10)
    dss.dispatch()
    stats = dss.stats()[1]
    eq(stats.delivered, 10)
    eq(stats.bytes, 0)
    eq(stats.wait.count, 10)
    ok(stats.wait.sum > 0)
    local last = stats.wait.buckets[#stats.wait.buckets]
    eq(last.le, 1 / 0)
    eq(last.count, 10)
    local text = dss.metrics()
    matches(text, 'darksidesync_delivered_total{library="probe_v2",revision="v2"} 10\n')
    matches(text, "# EOF\n$")
end)
