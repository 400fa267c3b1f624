//! The Lua programs that the documents name. A program runs before an example or prints a text.

/// The program with this name.
///
/// # Panics
/// There is no program with this name.
pub(crate) fn called(name: &str) -> &'static str {
    match name {
        "visit" => VISIT,
        "sigterm" => SIGTERM,
        "copas" => COPAS,
        "posix" => POSIX,
        "too-new" => "require 'darksidesync'  print(require('probe_v1').request(7, '^7.0'))",
        "other-layout" => "require 'darksidesync'  print(require('probe_v1').request(1, '^1.0', 'layout'))",
        "unwanted" => UNWANTED,
        "nothing-there" => "print(require('probe_v1').nothing())",
        "forked" => FORKED,
        other => panic!("there is no program called {other}"),
    }
}

/// Asks for a version of a library that is not there, and prints the error with another name and folder.
const UNWANTED: &str = r#"
    local _, sentence = pcall(require("darksidesync").load, "probe_v2", "^2")
    print((sentence:gsub("%(/.-%)", "(/usr/local/lib/dss/misfit.so)"):gsub("probe_v2", "misfit")))
"#;

/// Forks after a library was opened, and prints the error that the child gets.
const FORKED: &str = r#"
    local darksidesync = require "darksidesync"
    darksidesync.load "fswatch"
    local child = host.fork()
    if child == 0 then
        print((select(2, pcall(darksidesync.load, "sqlite"))))
        io.stdout:flush()
        os.exit(0)
    end
    assert(host.waitpid(child, 60) == "exited")
"#;

/// Makes a request to the server that the example starts, prints the answer, and ends `run`.
const VISIT: &str = r#"
    local darksidesync, timer = require "darksidesync", require "timer"
    local function visited(httpd)
        local serve = httpd.serve
        httpd.serve = function(options)
            local server, message = serve(options)
            local request = host.http(server:port(), "GET /moon", 30)
            timer.every(0.01, function()
                if request:done() then
                    print(request:wait())
                    darksidesync.stop()
                end
            end)
            return server, message
        end
        return httpd
    end
    visited(require "httpd")
    local load = darksidesync.load
    function darksidesync.load(name) return name == "httpd" and visited(load(name)) or load(name) end
"#;

/// Sends SIGTERM to this process a little later.
const SIGTERM: &str = r#"
    require("timer").after(0.05, function() host.kill(host.pid(), 15) end)
"#;

/// Replaces luaposix with the part that the example uses.
const POSIX: &str = r#"
    package.preload["posix.poll"] = function()
        return { poll = function(fds, milliseconds)
            assert(milliseconds == -1)
            return host.readable(assert(next(fds)), 60) and 1 or 0
        end }
    end
"#;

/// Replaces LuaSocket and copas with the parts that the example uses: a UDP socket, and a loop of threads that yield while their
/// socket is not readable. `compat-tests/scenarios/socket.lua` uses the real ones.
const COPAS: &str = r#"
    local darksidesync = require "darksidesync"
    local setport = darksidesync.setport
    package.preload.socket = function()
        return { udp = function()
            local socket = host.udp()
            -- The host's sockets are bound already: the notifications go there.
            darksidesync.setport = function() return setport(socket:port()) end
            return {
                settimeout = function(_, seconds) assert(seconds == 0) end,
                setsockname = function(_, address, port)
                    assert(address == "127.0.0.1" and port >= 50000 and port <= 50200)
                    return 1
                end,
                receive = function(_, size)
                    assert(size == nil or size > 0)
                    return socket:receive(0.005)
                end,
            }
        end }
    end
    package.preload.copas = function()
        local copas, threads = {}, {}
        function copas.addthread(f) threads[#threads + 1] = coroutine.create(f) end
        function copas.wrap(socket)
            return { receive = function(_, size)
                while true do
                    local datagram = socket:receive(size)
                    if datagram then return datagram end
                    coroutine.yield()
                end
            end }
        end
        function copas.loop()
            while threads[1] do
                for index = #threads, 1, -1 do
                    assert(coroutine.resume(threads[index]))
                    if coroutine.status(threads[index]) == "dead" then table.remove(threads, index) end
                end
            end
        end
        return copas
    end
"#;
