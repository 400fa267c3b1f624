-- A module of Prosody's that runs the program, beside the module of DSS's.
module:set_global()
local running = true
dofile(os.getenv "DSS_HOSTS_PROGRAM")(function(seconds, f)
    module:add_timer(seconds, function()
        f()
        return running and seconds or nil
    end)
end, function()
    running = false
    prosody.shutdown "the program is over"
end)
