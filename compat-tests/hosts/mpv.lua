-- A script of mpv's. A client of its socket asks with a message, and what it is told first is the script's own.
local dss = require "dss.mpv"
dss.install()
mp.register_script_message("ask", function() mp.commandv("script-message", "here") end)
dofile(os.getenv "DSS_HOSTS_PROGRAM")(mp.add_periodic_timer, function()
    dss.remove()
    mp.command "quit"
end)
