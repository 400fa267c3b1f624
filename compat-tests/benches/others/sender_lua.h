/* What the contenders in a Lua module have in common. */
#ifndef SENDER_LUA_H
#define SENDER_LUA_H

#include <lauxlib.h>
#include <lua.h>

#include "sender.h"

/* start(..., count, asks): starts the thread. `at` is the index of `count`. */
static int sender_start_lua(lua_State *L, const struct way *way, int at) {
  if (sender_start(way, (int64_t)luaL_checknumber(L, at), lua_toboolean(L, at + 1)) != 0)
    return luaL_error(L, "the thread cannot be started");
  return 0;
}

/* report(): what the thread says at its end, or "". */
static int l_report(lua_State *L) {
  char report[sizeof sender.report];
  sender_report(report);
  lua_pushstring(L, report);
  return 1;
}

/* Pushes a table of the functions. */
static int push_functions(lua_State *L, const luaL_Reg *function) {
  lua_newtable(L);
  for (; function->name; function++) {
    lua_pushcfunction(L, function->func);
    lua_setfield(L, -2, function->name);
  }
  return 1;
}

#endif
