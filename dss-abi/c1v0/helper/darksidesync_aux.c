/* See darksidesync_aux.h. It compiles as C, from C89 on, and as C++, from C++98 on.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The DarkSideSync authors */

#include <stddef.h>
#include <string.h>

/* Lua's own headers do not tell C++ that its functions are C's. */
#ifdef __cplusplus
extern "C" {
#endif
#include "lua.h"
#include "lauxlib.h"
#ifdef __cplusplus
} /* extern "C" */
#endif

#include "darksidesync_aux.h"

/* The address is this library's id, and the registry key of its guard. */
static char libid;

/* The interface, for the threads that have no state to look it up in. Set before the first utilid exists and never
 * changed after that; atomic, because two states on two threads may both be first. */
static const dss_api_1v0_t *published;

#if defined(__GNUC__)
#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
/* True where `place` was NULL and is `value` now, or was `value` before. */
static int set_once(const dss_api_1v0_t **place, const dss_api_1v0_t *value) {
  const dss_api_1v0_t *before = NULL;
  return __atomic_compare_exchange_n(place, &before, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) || before == value;
}
#elif defined(_WIN32)
#include <windows.h>
#define LOAD(place) ((const dss_api_1v0_t *)InterlockedCompareExchangePointer((PVOID volatile *)&(place), NULL, NULL))
static int set_once(const dss_api_1v0_t **place, const dss_api_1v0_t *value) {
  PVOID before = InterlockedCompareExchangePointer((PVOID volatile *)place, (PVOID)value, NULL);
  return before == NULL || before == (PVOID)value;
}
#else
#error "darksidesync_aux.c: give LOAD and set_once for this compiler"
#endif

/* Kept in the registry while the library is registered, so that closing the state unregisters it. Lua owns it. */
struct guard {
  void *utilid;            /* NULL: nothing is registered any more */
  DSS_cancel_1v0_t cancel; /* the library's */
};

static void give(int *err, int code) {
  if (err != NULL) *err = code;
}

/* registry[&libid] = the value on top, which is popped */
static void set_guard(lua_State *L) {
  lua_pushlightuserdata(L, &libid);
  lua_insert(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

static struct guard *get_guard(lua_State *L) {
  struct guard *guard;
  lua_pushlightuserdata(L, &libid);
  lua_rawget(L, LUA_REGISTRYINDEX);
  guard = (struct guard *)lua_touserdata(L, -1);
  lua_pop(L, 1); /* the registry keeps it alive */
  return guard;
}

const dss_api_1v0_t *DSS_getapi(lua_State *L, int *err) {
  const dss_api_1v0_t *api = NULL;
  int top = lua_gettop(L);
  luaL_checkstack(L, 2, "DarkSideSync");
  lua_pushliteral(L, DSS_REGISTRY_NAME);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (lua_istable(L, -1)) {
    lua_pushliteral(L, DSS_API_1V0_KEY);
    lua_rawget(L, -2);
    if (lua_islightuserdata(L, -1)) api = (const dss_api_1v0_t *)lua_touserdata(L, -1);
    if (api != NULL && (api->version == NULL || strcmp(api->version, DSS_API_1V0_KEY) != 0)) api = NULL;
  }
  lua_settop(L, top);
  give(err, api != NULL ? DSS_SUCCESS : DSS_ERR_NO_GLOBALS);
  return api;
}

/* Runs protected: `require` may be missing, replaced, or fail. */
static int require_dss(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "darksidesync");
  lua_call(L, 1, 0);
  return 0;
}

/* The guard's __gc. DarkSideSync may have stopped in this state by now: it has cancelled the library then, and is not
 * to be found. So `cancel` is called once, by it or by this. */
static int guard_gc(lua_State *L) {
  struct guard *guard = (struct guard *)lua_touserdata(L, 1);
  const dss_api_1v0_t *api;
  void *utilid;
  if (guard == NULL || guard->utilid == NULL) return 0;
  utilid = guard->utilid;
  guard->utilid = NULL;
  api = DSS_getapi(L, NULL);
  if (api == NULL || api->getutilid(L, &libid, NULL) != utilid) return 0;
  guard->cancel(utilid);
  api->unreg(utilid); /* refused, and harmless, where cancel did it */
  return 0;
}

void *DSS_initialize(lua_State *L, DSS_cancel_1v0_t cancel, int *err) {
  const dss_api_1v0_t *api;
  struct guard *guard;
  void *utilid;
  int code;

  luaL_checkstack(L, 5, "DarkSideSync");
  api = DSS_getapi(L, &code);
  if (api == NULL) {
    lua_pushcfunction(L, require_dss);
    if (lua_pcall(L, 0, 0, 0) != 0) {
      const char *reason = lua_tostring(L, -1);
      lua_pushfstring(L, "DarkSideSync is needed and could not be loaded: %s", reason != NULL ? reason : "(no message)");
      lua_remove(L, -2);
      give(err, code);
      return NULL;
    }
    api = DSS_getapi(L, &code);
  }
  if (api == NULL) {
    lua_pushstring(L, DSS_strerror(code));
    give(err, code);
    return NULL;
  }
  if (!set_once(&published, api)) {
    lua_pushliteral(L, "two copies of the darksidesync module are loaded in this process, and this library serves the "
                       "other one: let package.cpath find the same file in every state");
    give(err, DSS_ERR_NO_GLOBALS);
    return NULL;
  }

  utilid = api->getutilid(L, &libid, NULL);
  if (utilid != NULL) {
    give(err, DSS_ERR_ALREADY_REGISTERED);
    return utilid;
  }

  /* A guard left from before answers for nothing now; its utilid could even be the next one, where those are reused. */
  guard = get_guard(L);
  if (guard != NULL) guard->utilid = NULL;

  /* The guard comes first: from the registration on, nothing may fail. */
  guard = (struct guard *)lua_newuserdata(L, sizeof *guard);
  guard->utilid = NULL;
  guard->cancel = cancel;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, guard_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  set_guard(L);

  code = DSS_SUCCESS;
  utilid = api->reg(L, &libid, cancel, &code);
  give(err, code);
  if (utilid == NULL) {
    lua_pushnil(L);
    set_guard(L);
    lua_pushstring(L, DSS_strerror(code));
    return NULL;
  }
  guard->utilid = utilid;
  return utilid;
}

void *DSS_getutilid(lua_State *L, int *err) {
  const dss_api_1v0_t *api = DSS_getapi(L, err);
  return api != NULL ? api->getutilid(L, &libid, err) : NULL;
}

int DSS_deliver(void *utilid, DSS_decoder_1v0_t decode, DSS_return_1v0_t ret, void *data) {
  const dss_api_1v0_t *api = LOAD(published);
  return api != NULL ? api->deliver(utilid, decode, ret, data) : DSS_ERR_NOT_STARTED;
}

int DSS_unregister(void *utilid) {
  const dss_api_1v0_t *api = LOAD(published);
  return api != NULL ? api->unreg(utilid) : DSS_ERR_NOT_STARTED;
}

int DSS_shutdown(lua_State *L) {
  int code;
  struct guard *guard;
  void *utilid;
  luaL_checkstack(L, 2, "DarkSideSync");
  utilid = DSS_getutilid(L, &code);
  if (utilid == NULL) return code;
  code = DSS_unregister(utilid);
  guard = get_guard(L);
  if (guard != NULL && guard->utilid == utilid) {
    guard->utilid = NULL;
    lua_pushnil(L);
    set_guard(L);
  }
  return code;
}

const char *DSS_strerror(int code) {
  switch (code) {
    case DSS_SUCCESS:
      return "success";
    case DSS_ERR_UDP_SEND_FAILED:
      return "the item was taken, but Lua could not be notified: it arrives at the next poll; check that the port given "
             "to setport is being listened to";
    case DSS_ERR_INVALID_UTILID:
      return "the utilid is not valid: the library has unregistered or the Lua state was closed, so stop delivering and "
             "register again if needed";
    case DSS_ERR_NOT_STARTED:
      return "DarkSideSync is not running in this Lua state, or is stopping: require 'darksidesync' before the library "
             "is used, and stop delivering when the state closes";
    case DSS_ERR_NO_CANCEL_PROVIDED:
      return "no cancel function was given: a library has to pass one when it registers";
    case DSS_ERR_OUT_OF_MEMORY:
      return "out of memory: nothing was taken, try again later";
    case DSS_ERR_NO_DECODE_PROVIDED:
      return "no decode function was given: a library has to pass one with every item";
    case DSS_ERR_NO_GLOBALS:
      return "DarkSideSync, or the version of it that this library needs, is not loaded in this Lua state: require "
             "'darksidesync' first, and upgrade it if that does not help";
    case DSS_ERR_UNKNOWN_LIB:
      return "the library is not registered in this Lua state: register it first";
    case DSS_ERR_ALREADY_REGISTERED:
      return "the library is registered in this Lua state already: go on with the utilid that was returned";
    case DSS_ERR_WOULD_DEADLOCK:
      return "the call would wait for the very thread it was made on: deliver with a return function from another "
             "thread, or without one";
    default:
      if (code > DSS_SUCCESS)
        return "the item was taken, with a warning that this library does not know: see the documentation of the "
               "darksidesync that is installed";
      return "nothing was taken, for a reason that this library does not know: see the documentation of the darksidesync "
             "that is installed";
  }
}
