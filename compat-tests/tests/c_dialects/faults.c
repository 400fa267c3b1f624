/* Runs steps.c, the library of the documents, again and again: in each run another call of it raises, as it may where Lua is
 * out of memory. Prints how many calls there are, and fails where one of them leaks. */
#define FAULTS_C
#include "faults.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "lualib.h"

int luaopen_steps(lua_State *L);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int blocks;
static int calls, chosen; /* on the Lua thread alone */

static int count(int change) {
  int now;
  pthread_mutex_lock(&lock);
  now = blocks += change;
  pthread_mutex_unlock(&lock);
  return now;
}

void *counted_malloc(size_t size) {
  void *block = malloc(size);
  if (block != NULL) count(1);
  return block;
}

void counted_free(void *block) {
  if (block != NULL) count(-1);
  free(block);
}

void fault(lua_State *L) {
  if (++calls == chosen) luaL_error(L, "not enough memory");
}

/* What is done in each run: two steps, a question that asks for one more, and one that ends it. A decode's error comes out of
 * poll. */
static const char script[] =
    "local dss = require 'darksidesync'\n"
    "local asked = 0\n"
    "local started = pcall(steps.start, 2, function() end, function(reply)\n"
    "  asked = asked + 1\n"
    "  reply(asked == 1 and 1 or nil)\n"
    "end)\n"
    "if not started and #dss.libraries() ~= 0 then error 'start raised, and the library is registered' end\n"
    "while asked < 2 and dss.wait(0.2) do\n"
    "  local well, remaining, callback, arguments = pcall(dss.poll)\n"
    "  if well and callback then pcall(callback, arguments[1]) end\n"
    "end\n";

int main(int argc, char **arguments) {
  int turn = 0;
  (void)argc;
  do {
    int patience = 5000; /* milliseconds */
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushstring(L, arguments[1]);
    lua_setfield(L, -2, "cpath");
    chosen = 0;
    lua_pushcfunction(L, luaopen_steps);
    lua_call(L, 0, 1);
    lua_setglobal(L, "steps");
    calls = 0;
    chosen = ++turn;
    if (luaL_loadstring(L, script) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
      fprintf(stderr, "call %d: %s\n", chosen, lua_tostring(L, -1));
      return 1;
    }
    lua_close(L);
    /* Its thread ends by itself. */
    while (count(0) != 0 && patience-- > 0) usleep(1000);
    if (count(0) != 0) {
      fprintf(stderr, "call %d raised, and %d blocks were not freed\n", chosen, count(0));
      return 1;
    }
  } while (calls >= chosen);
  printf("%d calls\n", chosen - 1);
  return 0;
}
