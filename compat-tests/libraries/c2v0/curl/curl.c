/* curl: HTTP transfers, made on a thread of their own.
 *
 *   local curl = require("darksidesync").load "curl"
 *   local transfer = curl.fetch(url, { timeout = 10 }, function(err, status, body, headers) ... end)
 *
 * This file is what Lua sees. `engine.c` has the thread, `transfer.c` and `redirect.c` what it does. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdlib.h>

#include "transfer.h"

const dss_api *dss;

/* One lock for all states, taken while one loads the library or numbers a transfer. */
static pthread_mutex_t process = PTHREAD_MUTEX_INITIALIZER;

/* The object that Lua has. */

static int transfer_cancel(dss_call call, void *self, const dss_value *arguments, size_t count) {
  struct transfer *transfer = (struct transfer *)self;
  (void)call, (void)arguments, (void)count;
  engine_post(transfer->engine, transfer, CANCELLED);
  /* At once, so that the next dispatch does not ask. */
  redirect_cancel(transfer);
  return DSS_OK;
}

static int transfer_text(dss_call call, void *self, const dss_value *arguments, size_t count) {
  static const char before[] = "curl transfer of ";
  const struct transfer *transfer = (const struct transfer *)self;
  struct buffer text = { NULL, 0, 0 };
  dss_value value;
  int code = DSS_OUT_OF_MEMORY;
  (void)arguments, (void)count;
  if (buffer_add(&text, before, sizeof before - 1) && buffer_add(&text, transfer->url, strlen(transfer->url))) {
    value = dss_bytes(text.bytes, text.size);
    code = dss->result(call, &value);
  }
  free(text.bytes);
  return code;
}

static void transfer_drop(void *data) { transfer_release((struct transfer *)data); }

static const dss_method transfer_methods[] = { { "cancel", transfer_cancel, NULL }, { NULL, NULL, NULL } };
static const dss_class transfer_class = { sizeof transfer_class, 0,             "transfer",   transfer_methods,
                                          transfer_cancel,       transfer_text, transfer_drop };
static const dss_class *const classes[] = { &transfer_class, NULL };

DSS_DESCRIBE(transfer, "Transfer", "transfer", "A transfer. It goes on if it is collected.");
DSS_DESCRIBE(cancel, "Transfer:cancel", "fun()", "Ends the transfer: `done` gets \"cancelled\", unless it has ended by itself.");
DSS_DESCRIBE(close, "Transfer:close", "fun()", "The same, for Lua's <close>.");

/* The table of options. */

/* A string without a 0 in it, as libcurl takes it. */
static int is_text(const dss_value *value) {
  return value->kind == DSS_STRING && strlen(value->as.string) == value->size;
}

/* Readers of one option each: DSS_MALFORMED if the value is not what is wanted. */

static int read_body(struct transfer *transfer, const dss_value *value) {
  if (value->kind != DSS_STRING) return DSS_MALFORMED;
  transfer->has_body = 1;
  return buffer_add(&transfer->body, value->as.string, value->size) ? DSS_OK : DSS_OUT_OF_MEMORY;
}

static int read_headers(struct transfer *transfer, const dss_value *value) {
  uint32_t at;
  if (value->kind != DSS_LIST) return DSS_MALFORMED;
  for (at = 0; at < value->count; at++) {
    const dss_value *line = &value->as.items[at];
    struct curl_slist *longer;
    /* A line end would begin another header, or the body. */
    if (!is_text(line) || strpbrk(line->as.string, "\r\n") != NULL) return DSS_MALFORMED;
    longer = curl_slist_append(transfer->headers, line->as.string);
    if (longer == NULL) return DSS_OUT_OF_MEMORY;
    transfer->headers = longer;
  }
  return DSS_OK;
}

static int read_method(struct transfer *transfer, const dss_value *value) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  if (!is_text(value) || value->size == 0 || strspn(value->as.string, letters) != value->size) return DSS_MALFORMED;
  transfer->method = copy_text(value->as.string, value->size);
  return transfer->method != NULL ? DSS_OK : DSS_OUT_OF_MEMORY;
}

static int read_function(const dss_value *value, dss_callback *to) {
  int code;
  if (value->kind != DSS_CALLBACK) return DSS_MALFORMED;
  code = dss->retain(value->as.callback);
  if (code == DSS_OK) *to = value->as.callback;
  return code;
}

static int read_progress(struct transfer *transfer, const dss_value *value) {
  return read_function(value, &transfer->progress);
}

static int read_redirect(struct transfer *transfer, const dss_value *value) {
  return read_function(value, &transfer->redirect);
}

static int read_timeout(struct transfer *transfer, const dss_value *value) {
  double seconds = value->kind == DSS_INTEGER ? (double)value->as.integer : value->kind == DSS_NUMBER ? value->as.number : 0;
  if (!(seconds > 0 && seconds <= 1e6)) return DSS_MALFORMED;
  transfer->deadline = now_ns() + (uint64_t)(seconds * 1e9);
  return DSS_OK;
}

static const struct {
  const char *name, *wanted;
  int (*read)(struct transfer *transfer, const dss_value *value);
} all[] = {
  { "body", "a string", read_body },
  { "headers", "a list of strings without line ends", read_headers },
  { "method", "a name of letters", read_method },
  { "progress", "a function", read_progress },
  { "redirect", "a function", read_redirect },
  { "timeout", "a number of seconds that is more than 0, and at most 1000000", read_timeout },
};

/* Stores the options in a transfer. */
static int read_options(dss_call call, const dss_value *options, struct transfer *transfer) {
  uint32_t pair;
  size_t at;
  /* An empty table is a list. */
  if (options->kind == DSS_LIST && options->count > 0)
    return dss_fail(dss, call, "bad argument #2 to 'curl.fetch': wanted a table of options, found a list");
  for (pair = 0; options->kind == DSS_MAP && pair < options->count; pair++) {
    const dss_value *name = &options->as.items[2 * pair], *value = name + 1;
    int code;
    if (name->kind != DSS_STRING) return dss_fail(dss, call, "bad argument #2 to 'curl.fetch': an option without a name");
    for (at = 0; at < sizeof all / sizeof *all && strcmp(name->as.string, all[at].name) != 0; at++) continue;
    if (at == sizeof all / sizeof *all)
      return dss_fail(dss, call, "bad argument #2 to 'curl.fetch': no option '%s'", name->as.string);
    code = all[at].read(transfer, value);
    if (code == DSS_MALFORMED)
      return dss_fail(dss, call, "bad argument #2 to 'curl.fetch': field '%s': wanted %s", all[at].name, all[at].wanted);
    if (code != DSS_OK) return code;
  }
  return DSS_OK;
}

/* fetch(url, [options,] done) */

static uint64_t next_number(void) {
  static uint64_t last;
  uint64_t number;
  pthread_mutex_lock(&process);
  number = ++last;
  pthread_mutex_unlock(&process);
  return number;
}

static int start(dss_call call, const dss_value *url, const dss_value *options, dss_callback done, struct transfer *transfer) {
  dss_object object;
  dss_value value;
  int code;
  transfer->url = copy_text(url->as.string, url->size);
  transfer->at = copy_text(url->as.string, url->size);
  if (transfer->url == NULL || transfer->at == NULL) return DSS_OUT_OF_MEMORY;
  if (options != NULL && (code = read_options(call, options, transfer)) != DSS_OK) return code;
  if ((code = dss->retain(done)) != DSS_OK) return code;
  transfer->done = done;
  object.cls = &transfer_class;
  object.data = transfer;
  value = dss_object_value(&object);
  /* `run` goes on until the transfer has ended. */
  if ((code = dss->hold(engine_library(transfer->engine))) != DSS_OK) return code;
  code = dss->result(call, &value);
  if (code != DSS_OK) dss->let_go(engine_library(transfer->engine));
  return code;
}

static int fetch(dss_call call, void *self, const dss_value *arguments, size_t count) {
  const dss_value *options = count > 1 && arguments[1].kind != DSS_CALLBACK ? &arguments[1] : NULL;
  size_t last = options == NULL ? 1 : 2;
  struct transfer *transfer;
  int code;
  (void)self;
  if (count < 1 || arguments[0].kind != DSS_STRING || strlen(arguments[0].as.string) != arguments[0].size)
    return dss->bad_argument(call, 1, "a URL");
  if (count < 2 || (options != NULL && options->kind != DSS_MAP && options->kind != DSS_LIST && options->kind != DSS_NIL))
    return dss->bad_argument(call, 2, "a table of options, or a function");
  if (count <= last || arguments[last].kind != DSS_CALLBACK) return dss->bad_argument(call, last + 1, "a function");
  transfer = (struct transfer *)calloc(1, sizeof *transfer);
  if (transfer == NULL) return DSS_OUT_OF_MEMORY;
  transfer->engine = (struct engine *)dss->state(call);
  transfer->number = next_number();
  transfer->references = 2; /* the object's and the engine's */
  code = start(call, &arguments[0], options, arguments[last].as.callback, transfer);
  if (code == DSS_OK) {
    engine_post(transfer->engine, transfer, ARRIVED);
  } else {
    /* The object was not taken, so both are this function's. */
    transfer_release(transfer);
    transfer_release(transfer);
  }
  return code;
}

DSS_DESCRIBE(fetch, "fetch",
             "fun(url: string, options?: {headers?: string[], method?: string, body?: string, timeout?: number, "
             "progress?: fun(received: integer, expected?: integer), "
             "redirect?: fun(from: string, to: string): boolean|string|nil}, "
             "done: fun(err?: string, status?: integer, body?: string, headers?: string[])): Transfer",
             "Makes a request, and calls `done` once, however it ends. `redirect` is asked whether to follow a redirect: "
             "true, another URL, or false; without it none is followed. `timeout` is in seconds, for the whole transfer.");

/* The library. */

static int open_library(const dss_api *api, dss_call call, void **state) {
  struct engine *engine = NULL;
  CURLcode initialised;
  int code;
  pthread_mutex_lock(&process);
  /* libcurl counts these, and one is enough. */
  initialised = dss == NULL ? curl_global_init(CURL_GLOBAL_DEFAULT) : CURLE_OK;
  if (initialised == CURLE_OK && dss == NULL) dss = api;
  pthread_mutex_unlock(&process);
  if (initialised != CURLE_OK) return dss_fail(api, call, "libcurl does not start: %s", curl_easy_strerror(initialised));
  code = engine_start(api->library(call), &engine);
  if (code == DSS_OK) *state = engine;
  return code;
}

static void closing(void *state, dss_library library) {
  (void)library;
  engine_stop((struct engine *)state);
}

static void release(void *state) { engine_free((struct engine *)state); }

static const dss_method functions[] = { { "fetch", fetch, NULL }, { NULL, NULL, NULL } };
/* Each `done` belongs to a `fetch` of Lua's, so Lua itself bounds them; and there is always room for one. */
static const dss_limits limits = { sizeof limits, DSS_REFUSE, UINT64_MAX, UINT64_MAX, 0 };
static const dss_definition definition = { sizeof definition, 0,       functions, classes, &limits,
                                           open_library,      closing, release };
DSS_LIBRARY("curl", "1.0.0", "^2.1", definition);
