/* Where JavaScript's memory is, and what the kernel is told about it. */
#include <sys/mman.h>

#include "napi.h"

/**
 * memoryAddress(view: TypedArray): number
 *
 * The address of a view's first byte; exact, since addresses stay below 2^53 on Linux.
 */
static napi_value memory_address(napi_env env, napi_callback_info info) {
  ARGS(1);
  return result_f64(env, (double)(uintptr_t)arg_view(env, argv[0], NULL));
}

/**
 * memoryAdvise(view: TypedArray, advice: number): number
 *
 * madvise(2). Returns 0 or -errno.
 */
static napi_value memory_advise(napi_env env, napi_callback_info info) {
  ARGS(2);
  size_t length;
  void *data = arg_view(env, argv[0], &length);
  return result_syscall(env, madvise(data, length, arg_i32(env, argv[1])));
}

const struct export memory_exports[] = {
    {"memoryAddress", memory_address},
    {"memoryAdvise", memory_advise},
    {NULL, NULL},
};
