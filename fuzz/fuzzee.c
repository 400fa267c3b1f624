/* The library whose calls are made up: it hands out what DSS handed it. */
#include "dss.h"

const dss_api *fuzzee_api;
dss_library fuzzee_library;
long fuzzee_made, fuzzee_dropped;

static void drop(void *data) {
  (void)data;
  __atomic_add_fetch(&fuzzee_dropped, 1, __ATOMIC_RELAXED);
}

const dss_class fuzzee_class = { sizeof fuzzee_class, 0, "thing", NULL, NULL, NULL, drop };
static const dss_class *const classes[] = { &fuzzee_class, NULL };

const dss_api *fuzzee_table(void) { return fuzzee_api; }
dss_library fuzzee_handle(void) { return fuzzee_library; }
const dss_class *fuzzee_thing(void) { return &fuzzee_class; }

static int open_library(const dss_api *api, dss_call call, void **state) {
  (void)state;
  fuzzee_api = api;
  fuzzee_library = api->library(call);
  return DSS_OK;
}

static const dss_definition definition = { sizeof definition, 0, NULL, classes, NULL, open_library, NULL, NULL };
DSS_LIBRARY("fuzzee", "1.0.0", "^2.1", definition);
