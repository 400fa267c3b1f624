// A library in C++, and with PROGRAM defined a program that has it, and Lua, linked into it. ticker.start(last, f): a thread
// calls f(1) to f(last). ticker.stop() unregisters.
#include <pthread.h>

#include <cstdio>

extern "C" {
#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"
}

#include "darksidesync_aux.h"

namespace {

struct Ticks {
  void *utilid;
  long last;
};

int decode(lua_State *L, void *data, void *) {
  long *tick = static_cast<long *>(data);
  const long n = *tick;
  delete tick;
  if (L == NULL) return 0;
  lua_getfield(L, LUA_REGISTRYINDEX, "ticker.f");
  lua_pushinteger(L, static_cast<lua_Integer>(n));
  return 2;
}

void *run(void *data) {
  Ticks *ticks = static_cast<Ticks *>(data);
  for (long n = 1; n <= ticks->last; n++) {
    long *tick = new long(n);
    if (DSS_deliver(ticks->utilid, decode, NULL, tick) < DSS_SUCCESS) {
      delete tick;
      break;
    }
  }
  delete ticks;
  return NULL;
}

void cancel(void *utilid) { DSS_unregister(utilid); }

int start(lua_State *L) {
  const long last = static_cast<long>(luaL_checkinteger(L, 1));
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_setfield(L, LUA_REGISTRYINDEX, "ticker.f");
  void *utilid = DSS_initialize(L, cancel, NULL);
  if (utilid == NULL) return lua_error(L);
  Ticks *ticks = new Ticks;
  ticks->utilid = utilid;
  ticks->last = last;
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, ticks) != 0) {
    delete ticks;
    return luaL_error(L, "no thread");
  }
  pthread_detach(thread);
  return 0;
}

int stop(lua_State *L) {
  DSS_shutdown(L);
  return 0;
}

} // namespace

extern "C" int luaopen_ticker(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, start);
  lua_setfield(L, -2, "start");
  lua_pushcfunction(L, stop);
  lua_setfield(L, -2, "stop");
  return 1;
}

#ifdef PROGRAM
// program CPATH SCRIPT
int main(int, char **arguments) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_pushstring(L, arguments[1]);
  lua_setfield(L, -2, "cpath");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_ticker);
  lua_setfield(L, -2, "ticker");
  const bool failed = luaL_loadstring(L, arguments[2]) != 0 || lua_pcall(L, 0, 0, 0) != 0;
  if (failed) std::fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return failed ? 1 : 0;
}
#endif
