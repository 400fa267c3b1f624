/* A queue as in Lua Lanes: what is under way lies in a Lua state of its own, the keeper, under a lock. Values are copied into the keeper and
 * out of it, by key, and who receives waits on a condition. This one is written for the comparison; it has what the comparison needs, and
 * the thread that hands over items is in C and has no Lua state, so it does less than a lane. */
#include "sender_lua.h"

static struct {
  pthread_mutex_t lock;
  pthread_cond_t written;
  lua_State *state;
} keeper = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL };

/* A first-in, first-out of a keeper: a table of it, at its index of the registry, and the numbers of its first value and of the next one. */
struct fifo {
  int table;
  lua_Integer first, next;
};
static struct fifo items, answers;

/* [with the lock] Appends the value on top of the keeper's stack. */
static void append(struct fifo *fifo) {
  lua_State *K = keeper.state;
  lua_rawgeti(K, LUA_REGISTRYINDEX, fifo->table);
  lua_insert(K, -2);
  lua_rawseti(K, -2, (int)fifo->next++);
  lua_pop(K, 1);
}

/* [with the lock] Moves the first value to the top of the keeper's stack, after the table, which the caller pops as well. */
static void take(struct fifo *fifo) {
  lua_State *K = keeper.state;
  lua_rawgeti(K, LUA_REGISTRYINDEX, fifo->table);
  lua_rawgeti(K, -1, (int)fifo->first);
  lua_pushnil(K);
  lua_rawseti(K, -3, (int)fifo->first++);
  if (fifo->first == fifo->next) fifo->first = fifo->next = 1;
}

/* [with the lock] Waits until something is there. */
static void wait_for(const struct fifo *fifo) {
  while (fifo->first == fifo->next) pthread_cond_wait(&keeper.written, &keeper.lock);
}

static int64_t put(int64_t at, const char *text, size_t size) {
  pthread_mutex_lock(&keeper.lock);
  lua_pushinteger(keeper.state, (lua_Integer)at);
  append(&items);
  lua_pushlstring(keeper.state, text, size);
  append(&items);
  pthread_cond_broadcast(&keeper.written);
  pthread_mutex_unlock(&keeper.lock);
  return 0;
}

static int64_t ask(int64_t at, const char *text, size_t size) {
  int64_t answer;
  put(at, text, size);
  pthread_mutex_lock(&keeper.lock);
  wait_for(&answers);
  take(&answers);
  answer = (int64_t)lua_tonumber(keeper.state, -1);
  lua_pop(keeper.state, 2);
  pthread_mutex_unlock(&keeper.lock);
  return answer;
}

static const struct way way = { put, ask };

/* start(count, asks): starts the thread. */
static int l_start(lua_State *L) { return sender_start_lua(L, &way, 1); }

/* receive(): waits for an item and returns it. */
static int l_receive(lua_State *L) {
  size_t size;
  const char *text;
  pthread_mutex_lock(&keeper.lock);
  wait_for(&items);
  take(&items);
  lua_pushinteger(L, lua_tointeger(keeper.state, -1));
  take(&items);
  text = lua_tolstring(keeper.state, -1, &size);
  lua_pushlstring(L, text, size);
  lua_pop(keeper.state, 4);
  pthread_mutex_unlock(&keeper.lock);
  return 2;
}

/* answer(integer): sends it to the thread. */
static int l_answer(lua_State *L) {
  lua_Integer answer = luaL_checkinteger(L, 1);
  pthread_mutex_lock(&keeper.lock);
  lua_pushinteger(keeper.state, answer);
  append(&answers);
  pthread_cond_broadcast(&keeper.written);
  pthread_mutex_unlock(&keeper.lock);
  return 0;
}

static void prepare(struct fifo *fifo) {
  lua_newtable(keeper.state);
  fifo->first = fifo->next = 1;
  fifo->table = luaL_ref(keeper.state, LUA_REGISTRYINDEX);
}

int luaopen_keeper(lua_State *L) {
  static const luaL_Reg functions[] = { { "start", l_start }, { "report", l_report }, { "receive", l_receive },
                                        { "answer", l_answer }, { NULL, NULL } };
  keeper.state = luaL_newstate();
  if (!keeper.state) return luaL_error(L, "there is no memory for a keeper");
  prepare(&items);
  prepare(&answers);
  return push_functions(L, functions);
}
