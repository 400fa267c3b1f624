/* What a user of luv's `uv_async` needs beside it, because its sends coalesce: a queue that all Lua states of the process share. A push says
 * whether the queue was empty, so that only the first of several items is followed by a send. `drain` calls a function with each item.
 * There is one queue, one loop and one thread at a time.
 *
 * `start` is for a thread in C, which calls libuv's `uv_async_send` itself. A thread in Lua pushes, and calls `async:send()`. */
#include <dlfcn.h>

#include "sender_lua.h"

struct item {
  struct item *next;
  int64_t at;
  int asks;
  size_t size;
  char text[24];
};

static struct {
  pthread_mutex_t lock;
  struct item *first, **end;
} queue = { PTHREAD_MUTEX_INITIALIZER, NULL, &queue.first };

/* libuv's, and the handle that wakes the loop. */
static int (*async_send)(void *handle);
static void *async;

/* Appends an item. 1 if the queue was empty, 0 if it was not, and -1 without memory. */
static int append(int64_t at, int asks, const char *text, size_t size) {
  struct item *item = size <= sizeof item->text ? malloc(sizeof *item) : NULL;
  int was_empty;
  if (!item) return -1;
  item->next = NULL, item->at = at, item->asks = asks, item->size = size;
  memcpy(item->text, text, size);
  pthread_mutex_lock(&queue.lock);
  was_empty = !queue.first;
  *queue.end = item;
  queue.end = &item->next;
  pthread_mutex_unlock(&queue.lock);
  return was_empty;
}

static int64_t hand_over(int64_t at, int asks, const char *text, size_t size) {
  int was_empty = append(at, asks, text, size);
  return was_empty > 0 ? async_send(async) : was_empty;
}

static int64_t put(int64_t at, const char *text, size_t size) { return hand_over(at, 0, text, size); }

static int64_t ask(int64_t at, const char *text, size_t size) {
  return hand_over(at, 1, text, size) < 0 ? -1 : reply_wait();
}

static const struct way way = { put, ask };

/* start(async, count, asks): a thread in C hands over `count` items. */
static int l_start(lua_State *L) {
  void *uv = dlopen("libuv.so.1", RTLD_NOW);
  *(void **)&async_send = uv ? dlsym(uv, "uv_async_send") : NULL;
  if (!async_send) return luaL_error(L, "libuv.so.1 cannot be loaded: %s", dlerror());
  /* luv's userdata holds a pointer to the handle. */
  async = *(void **)luaL_checkudata(L, 1, "uv_async");
  return sender_start_lua(L, &way, 2);
}

/* now(): nanoseconds of a clock that only goes on. Also for Lanes, whose own clock counts milliseconds. */
static int l_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)sender_clock());
  return 1;
}

/* push(at, text, asks): whether the queue was empty. */
static int l_push(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 2, &size);
  int was_empty = append((int64_t)luaL_checknumber(L, 1), lua_toboolean(L, 3), text, size);
  if (was_empty < 0) return luaL_error(L, "the item does not fit");
  lua_pushboolean(L, was_empty);
  return 1;
}

/* wait(): the answer to the item that was pushed last. Blocks. */
static int l_wait(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)reply_wait());
  return 1;
}

/* drain(callback): calls it with each item, and gives its result to the thread that waits for it. */
static int l_drain(lua_State *L) {
  struct item *item;
  lua_settop(L, 1);
  pthread_mutex_lock(&queue.lock);
  item = queue.first;
  queue.first = NULL;
  queue.end = &queue.first;
  pthread_mutex_unlock(&queue.lock);
  /* An error of the callback ends the measurement, so what it leaves behind does not matter. */
  while (item) {
    struct item *next = item->next;
    int asks = item->asks;
    lua_pushvalue(L, 1);
    lua_pushinteger(L, (lua_Integer)item->at);
    lua_pushlstring(L, item->text, item->size);
    free(item);
    lua_call(L, 2, asks);
    if (asks) {
      reply_give((int64_t)lua_tonumber(L, -1));
      lua_settop(L, 1);
    }
    item = next;
  }
  return 0;
}

int luaopen_queue(lua_State *L) {
  static const luaL_Reg functions[] = { { "start", l_start }, { "report", l_report }, { "push", l_push },
                                        { "wait", l_wait },   { "drain", l_drain },   { "now", l_now },
                                        { NULL, NULL } };
  return push_functions(L, functions);
}
