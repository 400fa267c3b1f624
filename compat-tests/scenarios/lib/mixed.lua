-- Libraries of every revision in one state: `lua-host mixed.lua LIBRARIES`. Each line of the argument is
-- `kind<TAB>name<TAB>file`. Each library registers, delivers from its own threads and, if its revision has requests, makes one.
-- Then half of the libraries unregister, and the state closes while the rest are registered.

local dss = require "darksidesync"
local HALF = 100
local ITEMS = 2 * HALF

local libraries = {}
for kind, name, file in arg[1]:gmatch "([^\t\n]+)\t([^\t\n]+)\t([^\t\n]+)\n" do
    libraries[#libraries + 1] = { kind = kind, name = name, file = file, got = 0, answers = 0 }
end
assert(#libraries > 0, "no libraries were given")

local function opened(library)
    local open, message = package.loadlib(library.file, "luaopen_" .. library.kind)
    if not open then error(("%s: %s"):format(library.name, message)) end
    return open(library.kind) or package.loaded[library.kind]
end

-- How each kind of library is loaded, started with a callback for its items, and unregistered.
local kinds = {}

kinds.probe = {
    load = opened,
    begin = function(library, take)
        assert(library.module.register())
        library.module.start(2, HALF, take)
    end,
    leave = function(library) library.module.unregister() end,
}

kinds.plain_v1 = {
    load = opened,
    begin = function(library, take)
        library.module.register()
        library.module.start(2, take, HALF)
        library.module.ask(function(reply, n) library.answers = library.answers + 1 reply(n) end, 1)
        library.asks = true
    end,
    leave = function(library) library.module.unregister() end,
}

kinds.probe_v1 = kinds.plain_v1

kinds.probe_v2 = {
    load = function(library) return dss.load(library.file) end,
    begin = function(library, take)
        for n = 1, ITEMS do library.module.deliver(take, n) end
        library.module.request(function(n) library.answers = library.answers + 1 return n end, 1)
        library.asks = true
    end,
    leave = function(library) library.module.unregister() end,
}

kinds.probe_c2v0 = {
    load = function(library) return dss.load(library.file) end,
    begin = function(library, take)
        library.module.start(take, ITEMS)
        library.module.request(function(n) library.answers = library.answers + 1 return n end, 0, 0, 1)
        library.asks = true
    end,
    leave = function(library) library.module.unregister() end,
}

for _, library in ipairs(libraries) do
    library.does = assert(kinds[library.kind], library.kind)
    library.module = library.does.load(library)
end
for _, library in ipairs(libraries) do
    library.does.begin(library, function() library.got = library.got + 1 end)
end

local registered = #dss.libraries()
assert(registered == #libraries, ("%d are registered of %d"):format(registered, #libraries))

local function all_served()
    for _, library in ipairs(libraries) do
        if library.got < ITEMS or library.asks and library.answers < 1 then return false end
    end
    return true
end

-- The limit only ends a run that has failed.
local limit = host.now() + 120
while not all_served() do
    dss.dispatch()
    if host.now() > limit then
        for _, library in ipairs(libraries) do
            print(("%s: %d of %d items, %d answers"):format(library.name, library.got, ITEMS, library.answers))
        end
        error "not all were served"
    end
    host.sleep(0.001)
end
dss.dispatch()
for _, library in ipairs(libraries) do
    assert(library.got == ITEMS, ("%s: %d items, and %d were delivered"):format(library.name, library.got, ITEMS))
end

for index, library in ipairs(libraries) do
    if index % 2 == 0 then library.does.leave(library) end
end
local left = #dss.libraries()
assert(left == math.ceil(#libraries / 2), ("%d are registered after half of %d left"):format(left, #libraries))
