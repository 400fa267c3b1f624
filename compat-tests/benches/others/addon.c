/* A Node addon with a thread-safe function: a thread of C hands items to a JavaScript callback. An item is one allocation, which the call
 * into JavaScript frees; the queue has no limit. Where the thread waits for an answer, nothing is allocated, and the call signals a
 * condition. */
#include <node_api.h>

#include "sender.h"

struct item {
  int64_t at;
  int asks;
  size_t size;
  char text[24];
};

static napi_threadsafe_function function;

/* [JavaScript's thread] Calls the callback with an item. */
static void call_js(napi_env env, napi_value callback, void *context, void *data) {
  struct item *item = data;
  napi_value arguments[2], undefined, result = NULL;
  int64_t answer = -1;
  (void)context;
  if (env && napi_create_int64(env, item->at, &arguments[0]) == napi_ok &&
      napi_create_string_utf8(env, item->text, item->size, &arguments[1]) == napi_ok &&
      napi_get_undefined(env, &undefined) == napi_ok &&
      napi_call_function(env, undefined, callback, 2, arguments, &result) == napi_ok && item->asks)
    napi_get_value_int64(env, result, &answer);
  if (!item->asks) {
    free(item);
    return;
  }
  reply_give(answer);
}

static void fill(struct item *item, int64_t at, int asks, const char *text, size_t size) {
  item->at = at, item->asks = asks, item->size = size;
  memcpy(item->text, text, size);
}

static int64_t put(int64_t at, const char *text, size_t size) {
  struct item *item = malloc(sizeof *item);
  if (!item) return -1;
  fill(item, at, 0, text, size);
  return napi_call_threadsafe_function(function, item, napi_tsfn_blocking) == napi_ok ? 0 : -1;
}

static int64_t ask(int64_t at, const char *text, size_t size) {
  struct item item;
  fill(&item, at, 1, text, size);
  if (napi_call_threadsafe_function(function, &item, napi_tsfn_blocking) != napi_ok) return -1;
  return reply_wait();
}

static const struct way way = { put, ask };

/* start(callback, count, asks): makes the thread-safe function and starts the thread. */
static napi_value start(napi_env env, napi_callback_info info) {
  napi_value arguments[3], name;
  size_t given = 3;
  int64_t count;
  bool asks;
  if (napi_get_cb_info(env, info, &given, arguments, NULL, NULL) != napi_ok || given != 3 ||
      napi_get_value_int64(env, arguments[1], &count) != napi_ok ||
      napi_get_value_bool(env, arguments[2], &asks) != napi_ok ||
      napi_create_string_utf8(env, "others", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, arguments[0], NULL, name, 0, 1, NULL, NULL, NULL, call_js, &function) != napi_ok ||
      sender_start(&way, count, asks) != 0)
    napi_throw_error(env, NULL, "start wants a function, a count and a boolean");
  return NULL;
}

/* finish(): the report of the thread, or "". Releases the thread-safe function when there is one. */
static napi_value finish(napi_env env, napi_callback_info info) {
  char report[sizeof sender.report];
  napi_value text;
  (void)info;
  sender_report(report);
  if (report[0]) napi_release_threadsafe_function(function, napi_tsfn_release);
  return napi_create_string_utf8(env, report, NAPI_AUTO_LENGTH, &text) == napi_ok ? text : NULL;
}

NAPI_MODULE_INIT() {
  napi_value functions[2];
  if (napi_create_function(env, "start", NAPI_AUTO_LENGTH, start, NULL, &functions[0]) != napi_ok ||
      napi_create_function(env, "finish", NAPI_AUTO_LENGTH, finish, NULL, &functions[1]) != napi_ok ||
      napi_set_named_property(env, exports, "start", functions[0]) != napi_ok ||
      napi_set_named_property(env, exports, "finish", functions[1]) != napi_ok)
    napi_throw_error(env, NULL, "the addon cannot be made");
  return exports;
}
