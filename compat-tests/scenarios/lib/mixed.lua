-- Libraries of every revision in one state: `lua-host mixed.lua GUESTS`, of which each line is `kind<TAB>name<TAB>file`. Each
-- registers, delivers from threads of its own and, where it can, asks; then half of them leave, and the state closes on the rest.

local dss = require "darksidesync"
local HALF = 100
local ITEMS = 2 * HALF

local guests = {}
for kind, name, file in arg[1]:gmatch "([^\t\n]+)\t([^\t\n]+)\t([^\t\n]+)\n" do
    guests[#guests + 1] = { kind = kind, name = name, file = file, got = 0, answers = 0 }
end
assert(#guests > 0, "nobody came")

local function opened(guest)
    local open, message = package.loadlib(guest.file, "luaopen_" .. guest.kind)
    if not open then error(("%s: %s"):format(guest.name, message)) end
    return open(guest.kind) or package.loaded[guest.kind]
end

-- What each kind does: to begin, with a callback for items; whether its threads are done; to leave.
local kinds = {}

kinds.probe = {
    load = opened,
    begin = function(guest, take)
        assert(guest.library.register())
        guest.library.start(2, HALF, take)
    end,
    leave = function(guest) guest.library.unregister() end,
}

kinds.plain_v1 = {
    load = opened,
    begin = function(guest, take)
        guest.library.register()
        guest.library.start(2, take, HALF)
        guest.library.ask(function(reply, n) guest.answers = guest.answers + 1 reply(n) end, 1)
        guest.asks = true
    end,
    leave = function(guest) guest.library.unregister() end,
}

kinds.probe_v1 = kinds.plain_v1

kinds.probe_v2 = {
    load = function(guest) return dss.load(guest.file) end,
    begin = function(guest, take)
        for n = 1, ITEMS do guest.library.deliver(take, n) end
        guest.library.request(function(n) guest.answers = guest.answers + 1 return n end, 1)
        guest.asks = true
    end,
    leave = function(guest) guest.library.unregister() end,
}

for _, guest in ipairs(guests) do
    guest.does = assert(kinds[guest.kind], guest.kind)
    guest.library = guest.does.load(guest)
end
for _, guest in ipairs(guests) do
    guest.does.begin(guest, function() guest.got = guest.got + 1 end)
end

local libraries = dss.libraries()
assert(#libraries == #guests, ("%d are registered of %d"):format(#libraries, #guests))

local function all_served()
    for _, guest in ipairs(guests) do
        if guest.got < ITEMS or guest.asks and guest.answers < 1 then return false end
    end
    return true
end

-- The limit only ends a run that has failed.
local limit = host.now() + 120
while not all_served() do
    dss.dispatch()
    if host.now() > limit then
        for _, guest in ipairs(guests) do
            print(("%s: %d of %d items, %d answers"):format(guest.name, guest.got, ITEMS, guest.answers))
        end
        error "not all were served"
    end
    host.sleep(0.001)
end
dss.dispatch()
for _, guest in ipairs(guests) do
    assert(guest.got == ITEMS, ("%s: %d items, and %d were delivered"):format(guest.name, guest.got, ITEMS))
end

for index, guest in ipairs(guests) do
    if index % 2 == 0 then guest.does.leave(guest) end
end
local left = #dss.libraries()
assert(left == math.ceil(#guests / 2), ("%d are registered after half of %d left"):format(left, #guests))
