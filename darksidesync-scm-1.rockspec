-- Of the tree: `luarocks make` in a checkout builds with cargo, for the Lua that LuaRocks is set to. Those of releases are in `rockspecs`.
rockspec_format = "3.0"
package = "darksidesync"
version = "scm-1"

source = {
   url = "git+https://github.com/Tieske/DarkSideSync.git",
}

description = {
   summary = "Connects libraries with threads of their own to Lua",
   detailed = [[
      Only one thread may use a Lua state at a time. DarkSideSync lets libraries with their own threads hand items to Lua and wait for its
      answer. One loaded module serves libraries of every revision of its interface.
   ]],
   labels = { "threads", "async" },
   homepage = "https://github.com/Tieske/DarkSideSync",
   license = "MIT",
}

supported_platforms = { "unix", "windows" }

-- LuaSocket is wanted by `dss.getsocket` alone.
dependencies = { "lua >= 5.1, < 5.6" }

build = {
   type = "command",
   -- The Lua itself says which feature it needs: lua51 to lua55, or luajit.
   build_command = [[cargo build --release --package dss-lua --no-default-features --target-dir target --features `"$(LUA)" -e "io.write(jit and 'luajit' or (_VERSION:lower():gsub('[ .]', '')))"` && cp target/release/libdarksidesync.so darksidesync.so]],
   install = {
      lib = { darksidesync = "darksidesync.so" },
      lua = {
         dss = "dss-lua/lua/dss.lua",
         ["dss.copas"] = "dss-lua/lua/dss/copas.lua",
         ["dss.cqueues"] = "dss-lua/lua/dss/cqueues.lua",
         ["dss.event"] = "dss-lua/lua/dss/event.lua",
         ["dss.glib"] = "dss-lua/lua/dss/glib.lua",
         ["dss.kresd"] = "dss-lua/lua/dss/kresd.lua",
         ["dss.luv"] = "dss-lua/lua/dss/luv.lua",
         ["dss.mpv"] = "dss-lua/lua/dss/mpv.lua",
         ["dss.ngx"] = "dss-lua/lua/dss/ngx.lua",
         ["dss.poll"] = "dss-lua/lua/dss/poll.lua",
         ["dss.posix"] = "dss-lua/lua/dss/posix.lua",
         ["dss.prosody"] = "dss-lua/lua/dss/prosody.lua",
         ["dss.scheduler"] = "dss-lua/lua/dss/scheduler.lua",
         ["dss.slice"] = "dss-lua/lua/dss/slice.lua",
         ["dss.task"] = "dss-lua/lua/dss/task.lua",
      },
   },
   platforms = {
      macosx = {
         build_command = [[cargo build --release --package dss-lua --no-default-features --target-dir target --features `"$(LUA)" -e "io.write(jit and 'luajit' or (_VERSION:lower():gsub('[ .]', '')))"` && cp target/release/libdarksidesync.dylib darksidesync.so]],
      },
      windows = {
         -- cmd.exe cannot put the output of a command into another, so this Lua runs cargo itself.
         build_command = [["$(LUA)" -e "local feature = jit and 'luajit' or _VERSION:lower():gsub('[ .]', '') local done = os.execute('cargo build --release --package dss-lua --no-default-features --target-dir target --features ' .. feature) os.exit((done == true or done == 0) and 0 or 1)" && copy /y target\release\darksidesync.dll darksidesync.dll]],
         install = {
            lib = { darksidesync = "darksidesync.dll" },
         },
      },
   },
}
