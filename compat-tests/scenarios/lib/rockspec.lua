-- The rockspec's command for Windows, as LuaRocks runs it: `lua-host rockspec.lua ROCKSPEC LUA MODULE`, in an empty folder. LUA is the
-- path that LuaRocks puts for `$(LUA)`, and has a space in it. In place of cargo, a script notes its arguments and makes of MODULE
-- what cargo would build.

local path, lua, module = ...
local spec = {}
assert(loadfile(path, "t", spec))()
local build = spec.build.platforms.windows
local command = build.build_command:gsub("%$%(LUA%)", function() return lua end)

local function write(name, text)
    local file = assert(io.open(name, "w"))
    file:write(text)
    file:close()
end

local function run()
    -- What LuaRocks puts before it.
    return os.execute('type NUL && SET "CC=cl" & ' .. command)
end

-- Cargo fails, and so does the command.
write("cargo.bat", "@exit /b 101\n")
assert(not run(), "the command succeeds although cargo fails")

write("cargo.bat", "@echo %*> arguments\n@mkdir target\\release\n@copy /y \"" .. module .. "\" target\\release\\darksidesync.dll > NUL\n")
assert(run(), "the command fails")
local arguments = assert(io.open "arguments"):read "l"
assert(arguments:find "^build %-%-release %-%-package dss%-lua .* %-%-features lua54 *$", arguments)
package.cpath = ".\\?.dll"
print(require "darksidesync"._VERSION)
