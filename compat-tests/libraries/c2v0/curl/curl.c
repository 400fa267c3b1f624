/* curl: HTTP transfers, made on a thread of their own.
 *
 *   local curl = require("darksidesync").load("curl")
 *   local transfer = curl.fetch(url, { timeout = 10 }, function(err, status, body, headers) ... end)
 *
 * This file is Lua's side; `engine.c` has the thread. */
#include "engine.h"

#include <pthread.h>
#include <stdlib.h>

const dss_api *dss;

/* The entry of a table of options; NULL if it is not there. */
static const dss_value *option(const dss_value *options, const char *name) {
  uint32_t at;
  if (options->kind != DSS_MAP) return NULL;
  for (at = 0; at < options->count; at++) {
    const dss_value *key = &options->as.items[2 * at];
    if (key->kind == DSS_STRING && strcmp(key->as.string, name) == 0) return key + 1;
  }
  return NULL;
}

/* A copy of a string; NULL if there is no memory. */
static char *copy(const dss_value *value) {
  char *text = (char *)malloc(value->size + 1);
  if (text != NULL) memcpy(text, value->as.string, value->size + 1);
  return text;
}

static int wrong_option(dss_call call, const char *name, const char *wanted) {
  return dss_fail(dss, call, "bad argument #2 to 'curl.fetch': the option `%s` is to be %s", name, wanted);
}

/* Keeps an option that is a function. */
static int function_option(dss_call call, const dss_value *options, const char *name, dss_callback *to) {
  const dss_value *value = option(options, name);
  int code;
  if (value == NULL) return DSS_OK;
  if (value->kind != DSS_CALLBACK) return wrong_option(call, name, "a function");
  code = dss->retain(value->as.callback);
  if (code == DSS_OK) *to = value->as.callback;
  return code;
}

/* Reads the options into a transfer. */
static int read_options(dss_call call, const dss_value *options, struct transfer *transfer) {
  static const char *const known[] = { "headers", "method", "body", "progress", "redirect", "timeout" };
  const dss_value *value;
  uint32_t at, name;
  int code;
  for (at = 0; options->kind == DSS_MAP && at < options->count; at++) {
    const dss_value *key = &options->as.items[2 * at];
    for (name = 0; name < 6; name++) if (key->kind == DSS_STRING && strcmp(key->as.string, known[name]) == 0) break;
    if (name == 6) return wrong_option(call, key->kind == DSS_STRING ? key->as.string : "?", "one that is known");
  }
  if ((value = option(options, "method")) != NULL) {
    if (value->kind != DSS_STRING) return wrong_option(call, "method", "a string");
    if ((transfer->method = copy(value)) == NULL) return DSS_OUT_OF_MEMORY;
  }
  if ((value = option(options, "body")) != NULL) {
    if (value->kind != DSS_STRING) return wrong_option(call, "body", "a string");
    if (!buffer_add(&transfer->body, value->as.string, value->size + 1)) return DSS_OUT_OF_MEMORY;
    transfer->body.size = value->size;
  }
  if ((value = option(options, "timeout")) != NULL) {
    if (value->kind == DSS_INTEGER) transfer->timeout = (double)value->as.integer;
    else if (value->kind == DSS_NUMBER) transfer->timeout = value->as.number;
    if (!(transfer->timeout > 0 && transfer->timeout < 1e6)) return wrong_option(call, "timeout", "a number of seconds");
  }
  if ((value = option(options, "headers")) != NULL) {
    if (value->kind != DSS_LIST) return wrong_option(call, "headers", "a list of strings");
    for (at = 0; at < value->count; at++) {
      struct curl_slist *more;
      if (value->as.items[at].kind != DSS_STRING) return wrong_option(call, "headers", "a list of strings");
      more = curl_slist_append(transfer->headers, value->as.items[at].as.string);
      if (more == NULL) return DSS_OUT_OF_MEMORY;
      transfer->headers = more;
    }
  }
  code = function_option(call, options, "progress", &transfer->progress);
  return code != DSS_OK ? code : function_option(call, options, "redirect", &transfer->redirect);
}

/* A transfer as Lua has it. */

static int transfer_cancel(dss_call call, void *self, const dss_value *arguments, size_t count) {
  struct transfer *transfer = (struct transfer *)self;
  (void)arguments, (void)count;
  atomic_store(&transfer->cancelled, 1);
  engine_wake((struct engine *)dss->state(call));
  return DSS_OK;
}

static int transfer_text(dss_call call, void *self, const dss_value *arguments, size_t count) {
  char text[300];
  dss_value value;
  (void)arguments, (void)count;
  snprintf(text, sizeof text, "curl transfer of %s", ((struct transfer *)self)->url);
  value = dss_string(text);
  return dss->result(call, &value);
}

static void transfer_drop(void *data) { transfer_release((struct transfer *)data); }

static const dss_method transfer_methods[] = { { "cancel", transfer_cancel, NULL }, { NULL, NULL, NULL } };
static const dss_class transfer_class = { sizeof transfer_class, 0,             "transfer",   transfer_methods,
                                          transfer_cancel,       transfer_text, transfer_drop };
static const dss_class *const classes[] = { &transfer_class, NULL };

/* fetch(url [, options], done) */
static int fetch(dss_call call, void *self, const dss_value *arguments, size_t count) {
  struct engine *engine = (struct engine *)dss->state(call);
  const dss_value *done = count > 0 ? &arguments[count - 1] : NULL;
  struct transfer *transfer;
  dss_object object;
  dss_value value;
  int code = DSS_OK;
  (void)self;
  if (count < 1 || arguments[0].kind != DSS_STRING) return dss->bad_argument(call, 1, "a URL");
  if (count > 2 && arguments[1].kind != DSS_MAP && arguments[1].kind != DSS_LIST && arguments[1].kind != DSS_NIL)
    return dss->bad_argument(call, 2, "a table of options");
  if (count < 2 || count > 3 || done->kind != DSS_CALLBACK) return dss->bad_argument(call, count < 3 ? 2 : 3, "a function");
  transfer = (struct transfer *)calloc(1, sizeof *transfer);
  if (transfer == NULL) return DSS_OUT_OF_MEMORY;
  atomic_init(&transfer->references, 1);
  atomic_init(&transfer->cancelled, 0);
  transfer->engine = engine;
  transfer->url = copy(&arguments[0]);
  if (transfer->url == NULL) code = DSS_OUT_OF_MEMORY;
  if (code == DSS_OK && count > 2) code = read_options(call, &arguments[1], transfer);
  if (code == DSS_OK && (code = dss->retain(done->as.callback)) == DSS_OK) transfer->done = done->as.callback;
  if (code == DSS_OK) {
    object.cls = &transfer_class;
    object.data = transfer;
    value = dss_object_value(&object);
    code = dss->result(call, &value);
  }
  if (code != DSS_OK) {
    transfer_release(transfer);
    return code;
  }
  /* The object has the first reference. `run` goes on until the transfer has ended. */
  atomic_fetch_add(&transfer->references, 1);
  dss->hold(dss->library(call));
  engine_add(engine, transfer);
  return DSS_OK;
}

/* The library. */

static void initialise(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

static int open_library(const dss_api *api, dss_call call, void **state) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  dss = api;
  pthread_once(&once, initialise);
  *state = engine_start(dss->library(call));
  return *state != NULL ? DSS_OK : dss_fail(dss, call, "curl cannot start: there is no memory, or no thread");
}

static void closing(void *state, dss_library library) {
  (void)library;
  engine_stop((struct engine *)state);
}

static void release(void *state) { engine_free((struct engine *)state); }

static const dss_method functions[] = { { "fetch", fetch, NULL }, { NULL, NULL, NULL } };
static const dss_limits limits = { sizeof limits, DSS_REFUSE, 0, 1u << 30, 0 };
static const dss_definition definition = { sizeof definition, 0,       functions, classes, &limits,
                                           open_library,      closing, release };

DSS_DESCRIBE(fetch, "fetch",
             "fun(url: string, options?: {headers?: string[], method?: string, body?: string, timeout?: number, "
             "progress?: fun(received: integer, expected?: integer), redirect?: fun(from: string, to: string): boolean|string|nil}, "
             "done: fun(err?: string, status?: integer, body?: string, headers?: string[])): transfer",
             "Makes a request. `done` is called once, whatever happens.");
DSS_DESCRIBE(cancel, "transfer:cancel", "fun()", "Ends the transfer: `done` gets \"cancelled\", unless it has ended by itself.");
DSS_LIBRARY("curl", "1.0.0", "^2.1", definition);
