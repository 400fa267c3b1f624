/* What must lie in C: Go reads no unions and calls no function pointers, and its tables may move. */
#include "_cgo_export.h"

static const dss_api *_Atomic dss; /* atomic, because two states may load the library at the same time */

static void answered(void *reader, const dss_answer *answer) {
  dss_value value = answer->count > 0 ? answer->values[0] : dss_nil();
  const char *error = answer->ended == DSS_ANSWERED ? NULL : answer->error;
  if (!error && value.kind != DSS_STRING && value.kind != DSS_NIL) error = "wanted a string or nil";
  goAnswer((uintptr_t)reader, (char *)error, value.kind == DSS_STRING ? (char *)value.as.string : NULL, value.size);
}

const char *ask(dss_library library, dss_callback read, uintptr_t reader) {
  dss_delivery delivery = dss_to(read, NULL, 0);
  int code = dss->request(library, &delivery, 0, 0, answered, (void *)reader, NULL);
  return code == DSS_OK ? NULL : dss->strerror(code);
}

void finish(dss_library library, dss_callback read, dss_callback done, int failed, const void *bytes, size_t size) {
  dss_value values[2] = { dss_nil(), dss_bytes(bytes, size) };
  dss_delivery delivery = failed ? dss_to(done, values + 1, 1) : dss_to(done, values, 2);
  int code = dss->deliver(library, &delivery, NULL);
  if (code != DSS_OK) {
    values[1] = dss_string(dss->strerror(code));
    delivery = dss_to(done, values + 1, 1);
    dss->deliver(library, &delivery, NULL); /* if this is refused too, the state closes, and nobody is left to tell */
  }
  dss->release(read), dss->release(done), dss->let_go(library);
}

static int start(dss_call call, void *self, const dss_value *arguments, size_t count) {
  dss_library library = dss->library(call);
  size_t n;
  int code;
  (void)self;
  for (n = 0; n < 2; n++)
    if (n >= count || arguments[n].kind != DSS_CALLBACK) return dss->bad_argument(call, n + 1, "a function");
  if ((code = dss->hold(library)) != DSS_OK) return code;
  for (n = 0; n < 2; n++)
    if ((code = dss->retain(arguments[n].as.callback)) != DSS_OK) goto refused;
  goStart(library, arguments[0].as.callback, arguments[1].as.callback);
  return DSS_OK;
refused:
  while (n > 0) dss->release(arguments[--n].as.callback);
  dss->let_go(library);
  return code;
}

static int open_library(const dss_api *api, dss_call call, void **state) { (void)call, (void)state, dss = api; return DSS_OK; }

static const dss_method functions[] = { { "gzip", start, NULL }, { NULL, NULL, NULL } };
static const dss_limits limits = { sizeof limits, DSS_REFUSE, UINT64_MAX, UINT64_MAX, 0 }; /* a call has one thing queued */
static const dss_definition definition = { sizeof definition, 0, functions, NULL, &limits, open_library, goClosing, NULL };
DSS_LIBRARY("gozip", "1.0.0", "^2.1", definition);
