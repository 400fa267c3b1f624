-- A library in a module that is older than its revision: `lua-host refused.lua NAME FILE`. It cannot be loaded, by none of the
-- ways that this module and this Lua have, and nothing changes by the attempt. Prints what was said.

local name, file = arg[1], arg[2]
local dss = require "darksidesync"
local said = {}

local function refused(what, fine, message)
    if fine then error(what .. ": wanted a refusal, and it was loaded") end
    said[#said + 1] = ("%s: %s"):format(what, tostring(message))
end

refused("require", pcall(require, name))
refused("loadlib", package.loadlib(file, "luaopen_" .. name))
if dss.load then
    refused("load", pcall(dss.load, file))
    refused("load", pcall(dss.load, name))
end
assert(package.loaded[name] == nil, "something is left of it in package.loaded")
assert(#dss.libraries() == 0, "something is left of it in DSS")

-- The module serves on.
local probe = require "probe"
assert(probe.register())
local got
probe.deliver(function(n) got = n end, 7)
assert(dss.dispatch() == 1 and got == 7, "the module serves no more")
print(table.concat(said, "\n"))
