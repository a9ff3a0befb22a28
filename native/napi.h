/* The few helpers that every file of the native layer uses. */
#ifndef PERCORE_NAPI_H
#define PERCORE_NAPI_H

#include <errno.h>
#include <node_api.h>
#include <stdint.h>

/*
 * A failing Node-API call here is a bug of this layer: stop at once. Not for calls that run JavaScript
 * or make objects with hooks: those fail too when a worker is being terminated.
 */
#define OK(call)                                                                             \
  do {                                                                                       \
    if ((call) != napi_ok) napi_fatal_error(__func__, NAPI_AUTO_LENGTH, #call, NAPI_AUTO_LENGTH); \
  } while (0)

/* Reads the arguments of a function into `argv`; missing ones are undefined. */
#define ARGS(count)                                                                          \
  napi_value argv[count];                                                                    \
  size_t argc = count;                                                                       \
  OK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL))

static inline int32_t arg_i32(napi_env env, napi_value value) {
  int32_t result;
  OK(napi_get_value_int32(env, value, &result));
  return result;
}

static inline uint32_t arg_u32(napi_env env, napi_value value) {
  uint32_t result;
  OK(napi_get_value_uint32(env, value, &result));
  return result;
}

/* Whole numbers beyond 32 bits cross as doubles: exact below 2^53, and no BigInt. */
static inline double arg_f64(napi_env env, napi_value value) {
  double result;
  OK(napi_get_value_double(env, value, &result));
  return result;
}

/* The memory under a typed array, or NULL for null and undefined. */
static inline void *arg_view(napi_env env, napi_value value, size_t *length_bytes) {
  napi_valuetype type;
  OK(napi_typeof(env, value, &type));
  if (length_bytes) *length_bytes = 0;
  if (type != napi_object) return NULL;
  napi_typedarray_type kind;
  size_t length;
  void *data;
  OK(napi_get_typedarray_info(env, value, &kind, &length, &data, NULL, NULL));
  static const uint8_t widths[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
  if (length_bytes) *length_bytes = length * (kind < sizeof widths ? widths[kind] : 1);
  return data;
}

static inline napi_value result_i32(napi_env env, int32_t value) {
  napi_value result;
  OK(napi_create_int32(env, value, &result));
  return result;
}

static inline napi_value result_i64(napi_env env, int64_t value) {
  napi_value result;
  OK(napi_create_int64(env, value, &result));
  return result;
}

static inline napi_value result_f64(napi_env env, double value) {
  napi_value result;
  OK(napi_create_double(env, value, &result));
  return result;
}

/* What a system call returned, with failure as -errno, like the kernel itself. */
static inline napi_value result_syscall(napi_env env, long value) {
  return result_i64(env, value < 0 ? -errno : value);
}

/* One exported function. */
struct export {
  const char *name;
  napi_callback function;
};

extern const struct export ring_exports[];
extern const struct export memory_exports[];
extern const struct export share_exports[];
extern const struct export socket_exports[];
extern const struct export system_exports[];
extern const struct export placement_exports[];
extern const struct export directory_exports[];
extern const struct export waker_exports[];
extern const struct export loop_exports[];
extern const struct export loop_descriptor_exports[];
extern const struct export transit_exports[];
extern const struct export loan_exports[];
extern const struct export aside_exports[];

#endif
