/* Put before a library's source: the calls in it that may raise a Lua error raise one when it is their turn, and what it
 * allocates is counted. */

#ifndef FAULTS_H
#define FAULTS_H

#include <stdlib.h>

#include "lua.h"
#include "lauxlib.h"

#include "darksidesync_aux.h"

/* Raises at the call that is chosen. */
void fault(lua_State *L);
void *counted_malloc(size_t size);
void counted_free(void *block);

#ifndef FAULTS_C
#define lua_getfield(L, index, key) (fault(L), lua_getfield(L, index, key))
#define lua_setfield(L, index, key) (fault(L), lua_setfield(L, index, key))
#define lua_pushinteger(L, n) (fault(L), lua_pushinteger(L, n))
#define DSS_initialize(L, cancel, err) (fault(L), DSS_initialize(L, cancel, err))
#define malloc counted_malloc
#define free counted_free
#endif

#endif
