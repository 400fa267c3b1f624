-- What does not fit gets a sentence, and loses nothing.

scenario("a revision that this DSS has not", { with = "probe_v1" }, function()
    local v1 = require "probe_v1"
    require "darksidesync"
    eq(v1.request(1, "^1.0"), "granted")
    local sentence = v1.request(7, "^7.0")
    matches(sentence, "misfit wants revision v7 %(%^7%.0%)")
    matches(sentence, "this DSS 2%.%d+%.%d+ offers c1v0 %(1%.0%.0%), v1 %(1%.0%.0%)")
    matches(sentence, "upgrade DSS")
    sentence = v1.request(1, "^1.4")
    matches(sentence, "misfit wants v1 %^1%.4")
    matches(sentence, "upgrade DSS")
    matches(v1.request(1, "what"), "is not .*semver")
    matches(v1.request(0, "^1.0"), "build the library for one of these revisions")
end)

scenario("types that differ", { with = "probe_v1" }, function()
    require "darksidesync"
    local v1 = require "probe_v1"
    matches(v1.request(1, "^1.0", "layout"), "its types of revision v1 .+ those of this DSS")
    matches(v1.request(1, "^1.0", "none"), "without the layout")
    eq(v1.request(1, "^1.0"), "granted")
end)

scenario("a library that cannot unwind", { with = "probe_v1" }, function()
    require "darksidesync"
    matches(require("probe_v1").request(1, "^1.0", "abort"), 'built with panic = "abort"')
end)

scenario("a rendezvous of the wrong magic, too short, or not there", { with = "probe_v1" }, function()
    require "darksidesync"
    local v1 = require "probe_v1"
    matches(v1.damaged("magic"), "wrong magic: wanted")
    matches(v1.damaged("size"), "too short: this library reads %d+ bytes, the loaded DSS has 40; upgrade DSS")
    matches(v1.nothing(), "require \"darksidesync\"")
end)

scenario("a callback that is no function", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local message
    dss.seterrorhandler(function(err) message = tostring(err) end)
    probe.deliver(nil, 1)
    eq(dss.dispatch(), 1)
    matches(message, "attempt to call")
    probe.deliver(nil, 2)
    local count, callback, args = dss.poll()
    eq(count, 0)
    eq(callback, nil)
    eq(args[1], 2)
end)

scenario("a decode that claims more results than it has", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    probe.deliver(nothing, 1, { decode = "toomany" })
    local count, callback, args = dss.poll()
    eq(count, 0)
    probe.deliver(nothing, 1, { decode = "toomany" })
    eq(dss.dispatch(), 1)
end)

scenario("what a decode leaves on the stack is not the next one's", function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local got = {}
    local function take(value) got[#got + 1] = value end
    for _, decode in ipairs { "below", "left", "negative" } do
        for at = 1, 3 do
            probe.deliver(take, at, { decode = decode })
            probe.deliver(take, decode)
        end
        eq(dss.dispatch(), 6)
    end
    eq(table.concat(got, " "), "1 below 2 below 3 below left left left negative negative negative")
    -- The decode counts this, and the end of each scenario asks for it, too.
    eq(probe.results().unclean_stack, 0)
end)

scenario("a closed receiver", function()
    local dss, probe = require "darksidesync", require "probe"
    local socket = host.udp()
    local port = socket:port()
    probe.register()
    dss.setport(port)
    socket:close()
    eq(probe.deliver(nothing, 1), -99)
    eq(probe.deliver(nothing, 2), -99)
    eq(dss.queuesize(), 2)
    eq(dss.getport(), port)
    eq(dss.poll(), 1)
    eq(dss.poll(), 0)
end)

scenario("no descriptor is left for the notifier", { on = "unix: descriptors are limited" }, function()
    local dss, probe = require "darksidesync", require "probe"
    local socket = host.udp()
    probe.register()
    probe.deliver(nothing, 1)
    dss.setport(socket:port())
    eq(socket:receive(10), "1")
    local before = host.setrlimit("nofile", 0)
    local fine, message = pcall(dss.setport, 50001)
    local code = probe.deliver(nothing, 2)
    host.setrlimit("nofile", before)
    eq(fine, false)
    matches(message, "no socket could be opened for notifications to port 50001")
    matches(message, "the port is unchanged")
    eq(dss.getport(), socket:port())
    eq(code, -100)
    eq(dss.dispatch(), 2)
    eq(dss.setport(50001), 1)
end)

scenario("out of memory in deliver", { on = "unix: memory is limited", long = "true" }, function()
    local dss, probe = require "darksidesync", require "probe"
    probe.register()
    local got = 0
    probe.setcallback(function() got = got + 1 end)
    probe.fast(1000)
    dss.dispatch()
    eq(got, 1000)
    local before = host.setrlimit("as", host.rss() + 300 * 1024 * 1024)
    local _, worst = probe.fast(12000000)
    host.setrlimit("as", before)
    eq(worst, -104)
    local queued = dss.queuesize()
    ok(queued > 10000 and queued < 12000000, queued .. " items were taken")
    eq(dss.libraries()[1].refused, 12000000 - queued)
    eq(dss.dispatch(), queued)
    eq(got, 1000 + queued)
    eq(probe.fast(10) ~= nil, true)
    eq(dss.dispatch(), 10)
end)

scenario("a second DSS in the same state is refused", function()
    local dss = require "darksidesync"
    local entry = debug.getregistry()["DSS.DarkSideSync"]
    local state = host.newstate()
    local loaded, message = state:dostring [[
        debug.getregistry()["DSS.DarkSideSync"] = { Version = "9.9" }
        local fine, message = pcall(require, "darksidesync")
        return fine, tostring(message)
    ]]
    eq(loaded, false)
    matches(message, "another DSS already.*%(version 9%.9%)")
    debug.getregistry = nil
    state:close()
end)
