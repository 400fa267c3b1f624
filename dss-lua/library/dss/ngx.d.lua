---@meta dss.ngx

-- DarkSideSync in the workers of nginx. With it `task.await` and its like may be called in every handler.

---@class dss.ngx
local ngx = {}

---Has this worker handle what is queued, from now on. For `init_worker_by_lua`, or later.
function ngx.install() end

---Takes that back.
function ngx.remove() end

return ngx
