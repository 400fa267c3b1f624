-- The annotations in `dss-lua/library` name the functions that are there, and all of them.

local folder = arg[1]:gsub("compat%-tests[/\\].*", "dss-lua/library/")

-- The functions of a file of annotations, by what they are functions of.
local function annotated(name)
    local file = assert(io.open(folder .. name .. ".d.lua"))
    local text = file:read "*a"
    file:close()
    local of = {}
    for kind, separator, method in text:gmatch "\nfunction ([%w_]+)([.:])([%w_]+)%(" do
        of[kind] = of[kind] or {}
        of[kind][method] = separator
    end
    return of, text
end

local function names(functions)
    local sorted = {}
    for name, f in pairs(functions) do
        if type(f) == "function" or type(f) == "string" and #f == 1 then sorted[#sorted + 1] = name end
    end
    table.sort(sorted)
    return table.concat(sorted, " ")
end

scenario("the annotations of the modules", function()
    for _, name in ipairs { "darksidesync", "dss", "dss/task" } do
        local module = require((name:gsub("/", ".")))
        local own = name:match "[%w]+$"
        local of, text = annotated(name)
        eq(names(of[own]), names(module), name)
        ok(text:find("---@meta " .. name:gsub("/", "."), 1, true) == 1, name)
    end
end)

scenario("the annotations of the modules for loops", function()
    -- With what each wants of its host in place: only what it offers is looked at.
    package.preload["luv"] = function() return {} end
    package.preload["cqueues"] = function() return {} end
    package.preload["cqueues.condition"] = function() return {} end
    package.preload["luaevent.core"] = function() return {} end
    package.preload["lgi"] = function() return { GLib = {} } end
    package.preload["copas"] = function() return {} end
    package.preload["posix.poll"] = function() return {} end
    package.preload["ngx.semaphore"] = function() return {} end
    package.preload["ffi"] = package.preload["ffi"] or function() return { new = function() end, gc = function() return true end } end
    package.preload["mp"] = function() return {} end
    for _, name in ipairs { "luv", "cqueues", "event", "glib", "copas", "posix", "ngx", "kresd", "mpv", "poll" } do
        eq(names(annotated("dss/" .. name)[name]), names(require("dss." .. name)), name)
    end
end)
