/* What must lie in C: the declaration, in its section, and tables that do not move. */
#include "_cgo_export.h"

const dss_api *dss;

static int open_state(const dss_api *api, dss_call call, void **state) {
  (void)call;
  dss = api;
  *state = (void *)goOpen();
  return DSS_OK;
}
static void closing(void *state, dss_library library) {
  (void)library;
  goClosing((uintptr_t)state);
}
static void release_state(void *state) { goRelease((uintptr_t)state); }

static const dss_method functions[] = {
  { "gzip", goCall, (void *)GZIP },
  { "gunzip", goCall, (void *)GUNZIP },
  { "zip", goCall, (void *)ZIP },
  { NULL, NULL, NULL }
};
/* A goroutine waits for room until the state closes. */
static const dss_limits limits = { sizeof limits, DSS_WAIT, 256, 0, UINT64_MAX };
static const dss_definition definition = { sizeof definition, 0, functions, NULL, &limits, open_state, closing, release_state };

DSS_LIBRARY("gozip", "1.0.0", "^2.1", definition);

DSS_DESCRIBE(gzip, "gzip", "fun(data: string, done: fun(err?: string, packed?: string))", "Compresses data.");
DSS_DESCRIBE(gunzip, "gunzip", "fun(packed: string, done: fun(err?: string, data?: string))", "Gives back what gzip compressed.");
DSS_DESCRIBE(zip, "zip", "fun(names: string[], content: fun(name: string): string?, done: fun(err?: string, archive?: string))",
             "Makes a ZIP archive. Asks for the content of one file after the other; nil leaves a file out.");
