/* DSS's library in C, of c2v0, for `dss.lua`. The thread is that of the other contenders in C. */
#include "dss.h"
#include "sender.h"

static const dss_api *dss;
static dss_library library;
static dss_callback callback;

static dss_delivery delivery(dss_value values[2], int64_t at, const char *text, size_t size) {
  values[0] = dss_integer(at);
  values[1] = dss_bytes(text, size);
  return dss_to(callback, values, 2);
}

static int64_t put(int64_t at, const char *text, size_t size) {
  dss_value values[2];
  dss_delivery item = delivery(values, at, text, size);
  return dss->deliver(library, &item, NULL) == DSS_OK ? 0 : -1;
}

/* The integer that Lua answered, or -1. */
static void answered(void *context, const dss_answer *answer) {
  if (answer->ended == DSS_ANSWERED && answer->count == 1 && answer->values[0].kind == DSS_INTEGER) {
    *(int64_t *)context = answer->values[0].as.integer;
  }
}

static int64_t ask(int64_t at, const char *text, size_t size) {
  dss_value values[2];
  dss_delivery item = delivery(values, at, text, size);
  int64_t answer = -1;
  dss->wait(library, &item, 0, 0, answered, &answer);
  return answer;
}

static const struct way way = { put, ask };

/* The callback of the last thread is kept until the next one begins: there is one at a time. */
static int begin(dss_call call, const dss_value *arguments, size_t count, int asks) {
  int code;
  if (count != 2 || arguments[0].kind != DSS_CALLBACK || arguments[1].kind != DSS_INTEGER) {
    return dss_fail(dss, call, "wanted a function and how many items");
  }
  code = dss->retain(arguments[0].as.callback);
  if (code != DSS_OK) return code;
  if (callback) dss->release(callback);
  callback = arguments[0].as.callback;
  library = dss->library(call);
  return sender_start(&way, arguments[1].as.integer, asks) == 0 ? DSS_OK : dss_fail(dss, call, "there is no thread");
}

static int items(dss_call call, void *self, const dss_value *arguments, size_t count) {
  (void)self;
  return begin(call, arguments, count, 0);
}

static int round_trips(dss_call call, void *self, const dss_value *arguments, size_t count) {
  (void)self;
  return begin(call, arguments, count, 1);
}

/* What the thread says at its end; "" before. */
static int report(dss_call call, void *self, const dss_value *arguments, size_t count) {
  char text[sizeof sender.report];
  dss_value value;
  (void)self, (void)arguments, (void)count;
  sender_report(text);
  value = dss_string(text);
  return dss->result(call, &value);
}

static int opened(const dss_api *api, dss_call call, void **data) {
  (void)call, (void)data;
  dss = api;
  return DSS_OK;
}

static const dss_method functions[] = {
  { "items", items, NULL }, { "round_trips", round_trips, NULL }, { "report", report, NULL }, { NULL, NULL, NULL }
};
static const dss_limits limits = { sizeof limits, DSS_REFUSE, 2000000, 1u << 30, 0 };
/* luv's loop waits for nothing that does not keep it going. */
static const dss_definition definition = { sizeof definition, DSS_KEEPS_ALIVE, functions, NULL, &limits, opened, NULL, NULL };
DSS_LIBRARY("dss_sender", "1.0.0", "^2.1", definition);
