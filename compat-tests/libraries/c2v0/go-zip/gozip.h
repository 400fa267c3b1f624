/* dss.h for Go: cgo calls no function pointers, reads no unions, and hands over no Go memory that refers to other Go memory. */
#ifndef GOZIP_H
#define GOZIP_H

#include "dss.h"

/* cgo drops `const`, but keeps a name: with this one, goCall is a dss_function. */
typedef const dss_value *arguments;
typedef const dss_answer *answer;

/* The functions, by their `data`. */
enum { GZIP, GUNZIP, ZIP };

extern const dss_api *dss;
void goAnswer(void *asked, answer found);

static inline const char *string_of(arguments value) { return value->as.string; }
static inline dss_callback callback_of(arguments value) { return value->as.callback; }
static inline arguments items_of(arguments value) { return value->as.items; }

static inline dss_library library(dss_call call) { return dss->library(call); }
static inline uintptr_t state(dss_call call) { return (uintptr_t)dss->state(call); }
static inline uintptr_t number(dss_call call) { return (uintptr_t)dss->data(call); }
static inline int retain(dss_callback callback) { return dss->retain(callback); }
static inline void release(dss_callback callback) { dss->release(callback); }
static inline int hold(dss_library library) { return dss->hold(library); }
static inline void let_go(dss_library library) { dss->let_go(library); }
static inline const char *sentence(int code) { return dss->strerror(code); }

static inline int wanted(dss_call call, size_t index, int kind) {
  const char *text = kind == DSS_CALLBACK ? "a function" : kind == DSS_STRING ? "a string" : "a list";
  return dss->bad_argument(call, index + 1, text);
}
static inline int fail(dss_call call, const void *bytes, size_t size) {
  dss_value error = dss_bytes(bytes, size);
  return dss->raise(call, &error);
}
/* Calls `done(nil, bytes)`, or `done(bytes)` with an error. */
static inline int deliver(dss_library library, dss_callback done, int failed, const void *bytes, size_t size) {
  dss_value values[2] = { dss_nil(), dss_nil() };
  dss_delivery delivery = dss_to(done, values, failed ? 1 : 2);
  values[failed ? 0 : 1] = dss_bytes(bytes, size);
  return dss->deliver(library, &delivery, NULL);
}
static inline int ask(dss_library library, dss_callback content, const void *name, size_t size, uintptr_t asked) {
  dss_value value = dss_bytes(name, size);
  dss_delivery delivery = dss_to(content, &value, 1);
  return dss->request(library, &delivery, 0, 0, goAnswer, (void *)asked, NULL);
}

#endif
