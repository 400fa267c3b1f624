-- For `init_worker_by_lua_file`.
require("dss.ngx").install()
local over, tick = false
ngx.timer.at(0, function()
    dofile(os.getenv "DSS_HOSTS_PROGRAM")(function(seconds, f) tick = { seconds, f } end, function()
        over = true
        -- As `nginx -s quit` does.
        local ffi = require "ffi"
        ffi.cdef "int kill(int, int);"
        ffi.C.kill(require("ngx.process").get_master_pid(), 3)
    end, true, function()
        require("dss.ngx").remove()
        require("dss.ngx").install()
    end)
    while not over do
        ngx.sleep(tick[1])
        tick[2]()
    end
end)
