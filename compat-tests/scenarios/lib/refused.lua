-- A library in a module that is older than its revision: `lua-host refused.lua NAME FILE`. Checks that every way to load it in
-- this module and this Lua fails, and that the attempts change nothing. Prints the error messages.

local name, file = arg[1], arg[2]
local dss = require "darksidesync"
local said = {}

local function refused(what, fine, message)
    if fine then error(what .. ": the library was loaded, but should have been refused") end
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

-- The module still works.
local probe = require "probe"
assert(probe.register())
local got
probe.deliver(function(n) got = n end, 7)
assert(dss.dispatch() == 1 and got == 7, "the module no longer works")
print(table.concat(said, "\n"))
