-- Builds with cargo, for the Lua that LuaRocks is set to: `luarocks make` in a checkout.
rockspec_format = "3.0"
package = "darksidesync"
version = "2.1.0-1"

source = {
   url = "git+https://github.com/Tieske/DarkSideSync.git",
   tag = "v2.1.0",
}

description = {
   summary = "Background libraries deliver to Lua from threads of their own",
   detailed = [[
      A Lua state runs on one thread at a time. DarkSideSync lets libraries that work on threads of their own hand items
      to it, and wait for its answer, whichever revision of the interface each of them was compiled for.
   ]],
   homepage = "https://github.com/Tieske/DarkSideSync",
   license = "MIT",
}

supported_platforms = { "unix" }

-- LuaSocket is wanted by `dss.getsocket` alone.
dependencies = { "lua >= 5.1, < 5.6" }

build = {
   type = "command",
   -- The Lua itself says which feature it needs: lua51 to lua55, or luajit.
   build_command = [[cargo build --release --package dss-lua --no-default-features --target-dir target --features `"$(LUA)" -e "io.write(jit and 'luajit' or (_VERSION:lower():gsub('[ .]', '')))"` && cp target/release/libdarksidesync.so darksidesync.so]],
   install = {
      lib = { darksidesync = "darksidesync.so" },
      lua = { dss = "dss-lua/lua/dss.lua" },
   },
   platforms = {
      macosx = {
         build_command = [[cargo build --release --package dss-lua --no-default-features --target-dir target --features `"$(LUA)" -e "io.write(jit and 'luajit' or (_VERSION:lower():gsub('[ .]', '')))"` && cp target/release/libdarksidesync.dylib darksidesync.so]],
      },
   },
}
