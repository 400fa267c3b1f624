---@meta dss.task

-- Straight-line code over callbacks.

---@class dss.task
---@field CANCELLED table the error that a cancelled task gets
local task = {}

---@class dss.Task
local Task = {}

---@return "running"|"done"|"failed"
function Task:status() end

---Raises `task.CANCELLED` where the task waits.
---@return boolean cancelled false if the task had ended already
function Task:cancel() end

---Runs `f(...)` as a task.
---@param f function
---@param ... any
---@return dss.Task
function task.spawn(f, ...) end

---Waits for a task, or calls `f(..., callback)` and waits for the callback, whose first value is an error or nil.
---@param f function|dss.Task
---@param ... any
---@return any ...
function task.await(f, ...) end

---Like `await`, for a callback whose first value is not an error.
---@param f function
---@param ... any
---@return any ...
function task.values(f, ...) end

---@param seconds number
function task.sleep(seconds) end

---Runs `f(...)`, and cancels it if it has not ended in time.
---@param seconds number
---@param f function
---@param ... any
---@return any ...
function task.timeout(seconds, f, ...) end

---Waits for all tasks, and returns their first results. The first error cancels the others.
---@param all dss.Task[]
---@return any[]
function task.all(all) end

---Waits until the first task ends, and cancels the others.
---@param all dss.Task[]
---@return any ...
function task.race(all) end

---Makes a callback for requests that may await.
---@param f function
---@return function
function task.handler(f) end

---Like `pcall`, for functions that await.
---@param f function
---@param ... any
---@return boolean succeeded
---@return any ...
function task.pcall(f, ...) end

---Like `darksidesync.run`, but also goes on while a task sleeps.
---@param seconds? number
---@return integer handled
function task.run(seconds) end

---Ends the innermost `task.run` that is running.
function task.stop() end

return task
