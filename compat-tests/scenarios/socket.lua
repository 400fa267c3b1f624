-- The module `dss`, on the LuaSocket and the copas that the machine has.

scenario("getsocket gives one bound socket and sets the port", { needs = "socket" }, function()
    local dss, darksidesync = require "dss", require "darksidesync"
    local socket, port = dss.getsocket()
    ok(socket, port)
    eq(type(port), "number")
    ok(port >= 50000 and port <= 50200)
    eq(darksidesync.getport(), port)
    local again, same = dss.getsocket()
    eq(again, socket)
    eq(same, port)
    eq(dss.queuesize(), 0)
end)

scenario("the handler reads one, polls one and protects the callback", { needs = "socket" }, function()
    local dss, probe, luasocket = require "dss", require "probe", require "socket"
    probe.register()
    local socket = dss.getsocket()
    local handler = dss.gethandler()
    local got, errors = 0, {}
    dss.seterrorhandler(function(err) errors[#errors + 1] = tostring(err) end)
    probe.start(2, 500, function(_, n)
        got = got + 1
        if n == 500 then error("on purpose") end
    end)
    while got < 1000 do
        local readable = luasocket.select({ socket }, nil, 30)
        ok(readable[1], "a notification")
        handler(socket)
    end
    ok(probe.join(30))
    eq(#errors, 2)
    matches(errors[1], "on purpose")
    eq(dss.queuesize(), 0)
end)

scenario("two states in one process take two ports", { needs = "socket" }, function()
    local _, port = require("dss").getsocket()
    local state = host.newstate()
    local other = state:dostring "return select(2, require('dss').getsocket())"
    ok(other and other ~= port, tostring(other))
    state:close()
end)

scenario("it works under copas", { needs = "socket copas" }, function()
    local copas, dss, probe = require "copas", require "dss", require "probe"
    probe.register()
    local socket = dss.getsocket()
    local got, replies = 0, 0
    copas.addthread(function()
        local wrapped, handler = copas.wrap(socket), dss.gethandler()
        while got < 100 or replies < 5 do handler(wrapped) end
    end)
    probe.start(1, 100, function() got = got + 1 end, { pause = 100 })
    probe.start(1, 5, function(reply) replies = replies + 1 reply(replies) end, { ret = "values" })
    -- Not `copas.loop`: up to 1.2 that never ends.
    eventually(function() copas.step(0.1) return got == 100 and replies == 5 end, "the callbacks")
    ok(probe.join(30))
    eq(got, 100)
    eq(replies, 5)
    eq(probe.results().returned, 5)
end)

scenario("without LuaSocket there is a message", function()
    local dss = require "dss"
    package.loaded.socket = nil
    package.preload.socket = function() error("not here") end
    local socket, message = dss.getsocket()
    eq(socket, nil)
    matches(message, "LuaSocket")
end)
