-- sqlite for v2: statements that are answered by callback, and functions of SQL that Lua answers.

local dss = require "darksidesync"
local sqlite = dss.load "sqlite"

local ENDLESS = "with recursive c(n) as (select 1 union all select n + 1 from c) select count(*) from c"

-- Calls a method that ends in a callback, and waits for what that gets.
local function await(db, method, ...)
    local got
    local given, count = { ... }, select("#", ...)
    given[count + 1] = function(...) got = { ... } end
    db[method](db, unpack(given, 1, count + 1))
    eventually(function() dss.dispatch() return got end, "the callback of " .. method)
    return unpack(got, 1, 3)
end

local function exec(db, ...)
    local err, changes, rowid = await(db, "exec", ...)
    eq(err, nil)
    return changes, rowid
end

local function query(db, ...)
    local err, rows = await(db, "query", ...)
    eq(err, nil)
    return rows
end

local function fails(pattern, db, method, ...)
    local err, more = await(db, method, ...)
    matches(err, pattern)
    eq(more, nil)
end

scenario("sqlite answers queries by callback", function()
    local db = sqlite.open ":memory:"
    eq(tostring(db), "sqlite database :memory:")
    eq((exec(db, "create table people (name text, age integer); create index ages on people (age)")), 0)
    local changes, rowid = exec(db, "insert into people values (?, ?), (?, ?)", { "Ada", 36, "Alan", 41 })
    eq(changes, 2)
    eq(rowid, 2)
    local rows = query(db, "select * from people order by age")
    eq(#rows, 2)
    eq(rows[1].name, "Ada")
    eq(rows[2].age, 41)
    rows = query(db, "select name from people where age > :least", { [":least"] = 40 })
    eq(#rows, 1)
    eq(rows[1].name, "Alan")
    eq(#query(db, "select * from people where age > 100"), 0)
    eq((exec(db, "update people set age = age + 1")), 2)
    -- One after the other, however many are given at once.
    local order = {}
    for n = 1, 50 do db:query("select ? as n", { n }, function(_, found) order[#order + 1] = found[1].n end) end
    eventually(function() dss.dispatch() return #order == 50 end, "all of them")
    for n = 1, 50 do eq(order[n], n) end
    db:close()
end)

scenario("sqlite takes and gives each kind of value", function()
    local db = sqlite.open ":memory:"
    local function back(value)
        local row = query(db, "select ? as value, typeof(?) as type", { value, value })[1]
        return row.value, row.type
    end
    local function is(value, kind)
        local found, type = back(value)
        eq(found, value)
        eq(type, kind)
    end
    is(1, "integer")
    is(2 ^ 53, math.type and "real" or "integer")
    is(0.5, "real")
    is("text", "text")
    is("", "text")
    is("zero \0 byte", "text")
    is("\255\254", "blob")
    local value, kind = back(true)
    eq(value, 1)
    eq(kind, "integer")
    value, kind = back { blob = "text" }
    eq(value, "text")
    eq(kind, "blob")
    local row = query(db, "select ?1 is null as first, ?2 as second, ?3 is null as third", { nil, 2 })[1]
    eq(row.first, 1)
    eq(row.second, 2)
    eq(row.third, 1)
    eq(query(db, "select null as gone")[1].gone, nil)
    local long = ("x"):rep(1000000)
    is(long, "text")
    db:close()
end)

scenario("sqlite says which argument is wrong", function()
    raises("bad argument #1 to 'sqlite%.open': wanted a path, found nothing", sqlite.open)
    raises("bad argument #2 to 'sqlite%.open': field 'busy': wanted a number of seconds", sqlite.open, ":memory:", { busy = "x" })
    raises("sqlite cannot open /there/is/no/such/folder/file", sqlite.open, "/there/is/no/such/folder/file")
    local db = sqlite.open ":memory:"
    local function wrong(pattern, method, ...) raises(pattern, db[method], db, ...) end
    wrong("bad argument #1 to 'database:query': wanted a string, found nothing", "query")
    wrong("bad argument #1 to 'database:query': wanted a string in UTF%-8", "query", "select '\255'", nothing)
    wrong("bad argument #2 to 'database:query': wanted a table of parameters, or a function, found a number", "query", "", 5)
    wrong("bad argument #2 to 'database:exec': parameter 2: wanted a value of SQL, found a function", "exec", "", { 1, nothing })
    wrong("bad argument #3 to 'database:query': wanted a function, found nothing", "query", "select 1", {})
    wrong("bad argument #3 to 'database:exec': wanted a function, found a string", "exec", "", {}, "f")
    wrong("bad argument #3 to 'database:func': wanted a function, found nothing", "func", "f", 1)
    wrong("sqlite has no function 'f' of 1000 arguments", "func", "f", 1000, nothing)
    raises("", db.query, io.stdout, "select 1", nothing)
    -- What SQL is wrong with is the callback's affair.
    fails("no such table: people", db, "query", "select * from people")
    fails("syntax error", db, "exec", "insert what")
    fails("parameter number 2, and the statement has 1", db, "query", "select ?", { 1, 2 })
    fails("no parameter named :no", db, "query", "select :yes", { [":no"] = 1 })
    eq(query(db, "select 1 as one")[1].one, 1)
    db:close()
end)

scenario("sqlite calls functions that are written in Lua", function()
    local db = sqlite.open ":memory:"
    db:func("twice", 1, function(value) return value * 2 end)
    db:func("how_many", -1, function(...) return select("#", ...) end)
    db:func("glue", 2, function(a, b) return a .. "\255" .. b end)
    db:func("none", 0, function() end)
    local row = query(db, "select twice(21) as a, how_many(1, 2, 3) as b, glue('x', 'y') as c, none() is null as d")[1]
    eq(row.a, 42)
    eq(row.b, 3)
    eq(row.c, "x\255y")
    eq(row.d, 1)
    -- Such a function may use the database; what it gives to do comes after.
    local inner
    db:func("nested", 0, function()
        db:query("select 5 as five", function(_, rows) inner = rows[1].five end)
        return 1
    end)
    query(db, "select nested() as one")
    eventually(function() dss.dispatch() return inner end, "the query inside")
    eq(inner, 5)
    -- Its error is the statement's, without a traceback.
    db:func("fails", 0, function() error("on purpose") end)
    local err = await(db, "query", "select fails()")
    matches(err, "on purpose")
    eq(err:find("traceback", 1, true), nil)
    db:func("wrong", 0, function() return {} end)
    fails("Lua's answer does not fit", db, "query", "select wrong()")
    eq(query(db, "select twice(1) as two")[1].two, 2)
    db:close()
end)

scenario("sqlite gives up on a function that takes too long", function()
    local db = sqlite.open(":memory:", { answer = 0.1 })
    local late
    db:func("late", 0, function() late = dss.defer() end)
    local start = host.now()
    fails("did not answer the request in time", db, "query", "select late()")
    ok(late, "it was called")
    pcall(late, 1)
    ok(host.now() - start < 5, "it took too long")
    eq(query(db, "select 1 as one")[1].one, 1)
    db:close()
end)

scenario("sqlite refuses what is too much", function()
    local db = sqlite.open(":memory:", { queue = 3, rows = 10 })
    local ended = 0
    local function done() ended = ended + 1 end
    db:query(ENDLESS, done)
    local started = pcall(function() for _ = 1, 5 do db:query("select 1", done) end end)
    eq(started, false)
    raises("3 statements wait, as many as may", function() for _ = 1, 5 do db:query("select 1", done) end end)
    db:close()
    eventually(function() dss.dispatch() return ended >= 3 end, "the callbacks")
    db = sqlite.open(":memory:", { rows = 10 })
    local series = "with recursive c(n) as (select 1 union all select n + 1 from c limit %d) select n from c"
    eq(#query(db, series:format(10)), 10)
    fails("more than 10 rows", db, "query", series:format(11))
    -- More than the library may have queued.
    fails("Lua cannot be given the result", db, "query", "select zeroblob(100000000) as zeros")
    db:close()
end)

scenario("sqlite waits for a Lua that takes too little, and loses nothing", function()
    local db = sqlite.open ":memory:"
    local bytes = 0
    -- More than the library's bound together: the database waits for room.
    for _ = 1, 20 do
        db:query("select zeroblob(10000000) as zeros", function(err, rows)
            eq(err, nil)
            bytes = bytes + #rows[1].zeros
        end)
    end
    host.sleep(1.5)
    eventually(function() dss.dispatch(1) return bytes == 20 * 10000000 end, "all the bytes")
    db:close()
end)

scenario("sqlite interrupts what runs when it is closed", function()
    local db = sqlite.open ":memory:"
    local errors = {}
    for n = 1, 3 do db:query(ENDLESS, function(err) errors[n] = err end) end
    host.sleep(0.05)
    db:close()
    db:close()
    matches(tostring(db), " %(closed%)$")
    raises("the database is closed", db.query, db, "select 1", nothing)
    raises("the database is closed", db.exec, db, "select 1", nothing)
    raises("the database is closed", db.func, db, "f", 0, nothing)
    eventually(function() dss.dispatch() return #errors == 3 end, "the callbacks")
    for n = 1, 3 do eq(errors[n], "the database is closed") end
    -- At whatever moment.
    for round = 1, 50 do
        local other, err = sqlite.open ":memory:", nil
        other:query(ENDLESS, function(text) err = text end)
        if round % 2 == 0 then host.sleep(round / 20000) end
        other:close()
        eventually(function() dss.dispatch() return err end, "the callback")
        eq(err, "the database is closed")
    end
end)

scenario("sqlite does what it was given for a database that is collected", function()
    local place = host.newfolder()
    local name = place .. package.config:sub(1, 1) .. "database"
    local done = 0
    local function count(err) eq(err, nil) done = done + 1 end
    do
        local db = sqlite.open(name)
        db:exec("create table t (n)", count)
        for n = 1, 100 do db:exec("insert into t values (?)", { n }, count) end
    end
    collectgarbage() collectgarbage()
    eventually(function() dss.dispatch() return done == 101 end, "the callbacks")
    local db = sqlite.open(name, { readonly = true })
    eq(query(db, "select count(*) as n from t")[1].n, 100)
    fails("readonly", db, "exec", "insert into t values (1)")
    db:close()
    eventually(function() return os.remove(name) end, "the end of the database")
    host.removefolder(place)
end)

scenario("sqlite closes a database at the end of its block", function()
    local load = loadstring or load
    local code = load "local sqlite = ... do local db <close> = sqlite.open ':memory:' end"
    if code then code(sqlite) end -- a Lua without `<close>` has none
    eventually(function() dss.run(1) return true end)
end)

scenario("sqlite keeps run going until it is closed", function()
    local db = sqlite.open ":memory:"
    local sum = 0
    for n = 1, 10 do
        db:query("select ? as n", { n }, function(_, rows)
            sum = sum + rows[1].n
            if n == 10 then db:close() end
        end)
    end
    eq(dss.run(30), 10)
    eq(sum, 55)
end)

scenario("a state closes under statements, functions and results", function()
    local place = host.newfolder()
    local name = place .. package.config:sub(1, 1) .. "database"
    for round = 1, 10 do
        local state = host.newstate()
        inside(state, [[
            local name, endless = ...
            dss = require "darksidesync"
            sqlite = dss.load "sqlite"
            local function nothing() end
            databases = {}
            for n = 1, 4 do
                local db = sqlite.open(n == 1 and name or ":memory:")
                databases[n] = db
                db:func("ask", 1, function(n) return n end)
                for k = 1, 20 do db:query("select ask(?)", { k }, nothing) end
                if n == 2 then for k = 1, 20 do db:query("select zeroblob(10000000) as zeros", nothing) end end
                if n ~= 3 then db:query(endless, nothing) end
                db:exec("create table if not exists t (n)", nothing)
            end
            databases[5] = sqlite.open ":memory:"
            databases[5]:query(endless, nothing)
            databases[6] = sqlite.open ":memory:"
            for k = 1, 20 do databases[6]:query("select zeroblob(10000000) as zeros", nothing) end
        ]], name, ENDLESS)
        host.sleep(0.01 * round)
        inside(state, "for n = 1, ... do dss.poll() end", round)
        local start = host.now()
        state:close()
        ok(host.now() - start < 5, "the close took too long")
    end
    -- Nobody has the file open any more.
    local db = sqlite.open(name, { busy = 0 })
    exec(db, "create table if not exists u (n); insert into u values (1)")
    db:close()
    eventually(function() return os.remove(name) end, "the end of the database")
    host.removefolder(place)
end)
