-- re2, a library of c2v0 in C++: regular expressions that search on threads of their own.

local dss = require "darksidesync"
local re2 = dss.load "re2"
local types = dss.load "cpptypes"

local lib = shared "receiver"
local collect, dispatch, receiver = lib.collect, lib.dispatch, lib.new

scenario("re2 compiles, matches and replaces", { needs = "re2", with = "re2" }, function()
    local mail = re2.compile "(?P<user>\\w+)@(\\w+)(!)?"
    eq(tostring(mail), "re2 (?P<user>\\w+)@(\\w+)(!)?")
    eq(mail:groups(), 3)
    eq(mail:names().user, 1)
    eq(select("#", mail:match "to me@home"), 3)
    local user, host, bang = mail:match "to me@home"
    ok(user == "me" and host == "home" and bang == nil)
    eq(mail:match "nobody", nil)
    eq(re2.compile("b+"):match "abbc", "bb")
    local text, count = mail:replace("me@home, you@work", "\\2:\\1")
    eq(text, "home:me, work:you")
    eq(count, 2)
    eq(re2.compile("A", { case_sensitive = false }):match "a", "a")
    eq(re2.compile(re2.escape "a.b"):match "axb a.b", "a.b")
    raises("re2 cannot compile '%(': missing %)", re2.compile, "(")
    raises("re2 has no option 'fast'", re2.compile, "x", { fast = true })
    raises("re2 cannot replace by '\\7'", mail.replace, mail, "x", "\\7")
    raises("bad argument #1 to 're2.compile': wanted a string, found nothing", re2.compile)
    raises("bad argument #1 to 'pattern:match': wanted a string, found a table", mail.match, mail, {})
    raises("bad argument #1 to 'pattern:search': wanted a list whose item 2 is a string", mail.search, mail, { "x", 2 }, nothing, nothing)
    raises("bad argument #2 to 'pattern:search'", function() re2.compile("x"):search({}, "found") end)
end)

scenario("re2 searches many texts and ends after all matches", { needs = "re2", with = "re2" }, function()
    local word = re2.compile "\\w+"
    local texts, wanted, found, ended = {}, 0, 0, nil
    for n = 1, 200 do
        texts[n] = ("word "):rep(n)
        wanted = wanted + n
    end
    local searched, calls = 0, 0
    local task = word:search(texts, function(index, all)
        ok(not ended, "a match after the end")
        for _, match in ipairs(all) do eq(texts[index]:sub(match.first, match.last), match.text) end
        found = found + #all
    end, function(err, count)
        eq(err, nil)
        ended = count
    end, function(done, of)
        eq(of, 200)
        searched, calls = math.max(searched, done), calls + 1
    end)
    matches(tostring(task), "^re2 job %d+ %(")
    dss.run(30)
    eq(ended, wanted)
    eq(found, wanted)
    eq(searched, 200)
    ok(calls <= 200)
    eq(task:state(), "ended")
    task:cancel()
    eq(task:state(), "ended")
    -- Nothing to search, nothing to find, and empty matches.
    local take, taken = receiver()
    word:search({}, nothing, take)
    eq(select(2, taken()), 0)
    take, taken = receiver()
    word:search({ "", "--" }, nothing, take)
    eq(select(2, taken()), 0)
    take, taken = receiver()
    re2.compile("a*"):search({ "b\195\164aa" }, nothing, take)
    eq(select(2, taken()), 3)
    -- One that is collected goes on.
    take, taken = receiver()
    do word:search(texts, nothing, take) end
    collect()
    eq(select(2, taken()), wanted)
end)

scenario("re2 waits for a Lua that takes its time, and loses nothing", { needs = "re2", with = "re2" }, function()
    local text = ("x "):rep(100000)
    local most, found, count = 0, 0, nil
    re2.compile("x"):search({ text, text }, function(_, all) found = found + #all end, function(_, all) count = all end)
    host.sleep(1.3) -- longer than one wait for room
    while not count do
        most = math.max(most, dss.queuesize())
        dss.dispatch(1)
    end
    eq(count, 200000)
    eq(found, 200000)
    ok(most <= 20, "the queue grew to " .. most)
end)

scenario("re2 cancels at once", { needs = "re2", with = "re2" }, function()
    local word = re2.compile "\\w"
    local text = ("x "):rep(1000000)
    for round = 0, 10 do
        local calls, err, task, cancelled = 0, nil, nil, false
        task = word:search({ text, text, text }, function()
            ok(not cancelled, "a match after it was cancelled")
            calls = calls + 1
            if calls == round then
                task:cancel()
                cancelled = true
            end
        end, function(why) err = why end)
        if round == 0 then
            task:close()
            cancelled = true
        end
        local start = host.now()
        dispatch(function() return err end, "the end")
        eq(err, "cancelled")
        eq(task:state(), "cancelled")
        eq(calls, round)
        ok(host.now() - start < 5, "it took too long")
    end
    eq(dss.dispatch(), 0)
end)

scenario("re2 asks Lua what to replace a match with", { needs = "re2", with = "re2" }, function()
    local mail = re2.compile "(\\w+)@(\\w+)"
    local take, taken = receiver()
    mail:gsub_async("a@b, c@d; e@f", function(match, user, host_)
        eq(match, user .. "@" .. host_)
        if user == "c" then return nil end
        return host_:upper()
    end, take)
    local err, text, count = taken()
    eq(err, nil)
    eq(text, "B, c@d; F")
    eq(count, 3)
    -- Later.
    take, taken = receiver()
    local answers = {}
    mail:gsub_async("a@b c@d", function() answers[#answers + 1] = dss.defer() end, take)
    for n = 1, 2 do
        dispatch(function() return answers[n] end, "the question")
        answers[n]("<" .. n .. ">")
    end
    eq(select(2, taken()), "<1> <2>")
    -- Many, one by one.
    take, taken = receiver()
    re2.compile("."):gsub_async(("x"):rep(1000), function(match) return match .. match end, take)
    eq(select(2, taken()), ("x"):rep(2000))
    -- What is wrong ends it.
    take, taken = receiver()
    mail:gsub_async("a@b", function() error "on purpose" end, take)
    matches((taken()), "on purpose")
    take, taken = receiver()
    local task = mail:gsub_async("a@b", function() return {} end, take)
    eq((taken()), "wanted a string or nil as result #1 of the Lua function")
    eq(task:state(), "wanted a string or nil as result #1 of the Lua function")
    -- Nobody asks any more.
    take, taken = receiver()
    task = mail:gsub_async("a@b c@d", function() task:cancel() return "x" end, take)
    eq((taken()), "cancelled")
end)

scenario("a state closes under searches, questions and objects of C++", { needs = "re2 cpptypes", with = "re2 cpptypes" }, function()
    for round = 0, 11 do
        local state = host.newstate()
        inside(state, [[
            local round = ...
            dss = require "darksidesync"
            local re2, types = dss.load "re2", dss.load "cpptypes"
            local function nothing() end
            local text = ("a@b "):rep(100000)
            local mail = re2.compile "(\\w+)@(\\w+)"
            keep = { re2.compile "a" }
            for n = 1, 4 do
                keep[#keep + 1] = mail:search({ text, text, text }, nothing, nothing, nothing)
                if n <= round % 4 then keep[#keep + 1] = mail:gsub_async(text, function() return "x" end, nothing) end
            end
            mail:gsub_async(text, function() keep[#keep + 1] = dss.defer() end, nothing)
            types.keep(nothing)
            for n = 1, 3 do
                types.deliver_thing(nothing, n)
                types.request(nothing, nothing)
                types.wait(nothing, nothing, 60)
                types.wait(function() keep[#keep + 1] = dss.defer() end, nothing, 60)
            end
            keep[#keep + 1] = types.thing(1)
            if round % 3 == 1 then keep = nil collectgarbage() end
            keep = keep or {}
        ]], round)
        host.sleep(0.005 * round)
        inside(state, "for n = 1, ... do dss.poll() end", round * 3)
        state:close()
        eq(types.alive(), 0)
    end
end)
