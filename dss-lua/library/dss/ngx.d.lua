---@meta dss.ngx

-- DarkSideSync in the workers of nginx. With it, every handler may call `task.await` and similar functions.

---@class dss.ngx
local ngx = {}

---Makes this worker handle queued items from now on. For `init_worker_by_lua`, or later.
function ngx.install() end

---Undoes `install`.
function ngx.remove() end

return ngx
