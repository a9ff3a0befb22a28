/* io_uring's system calls, and the mapping of a ring's memory into JavaScript. */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "napi.h"
#include "uring.h"

/**
 * ringSetup(entryCount: number, params: Uint32Array): number
 *
 * io_uring_setup(2), Linux 5.1. `params` holds a `struct io_uring_params` (120 bytes), in and out.
 * Returns the ring's descriptor or -errno.
 */
static napi_value ring_setup(napi_env env, napi_callback_info info) {
  ARGS(2);
  void *params = arg_view(env, argv[1], NULL);
  return result_syscall(env, syscall(__NR_io_uring_setup, arg_u32(env, argv[0]), params));
}

/**
 * ringEnter(fd, submitCount, waitCount, flags, timeoutNs): number
 *
 * io_uring_enter(2) with IORING_ENTER_EXT_ARG (Linux 5.11). `timeoutNs` below 0 means no timeout.
 * Returns the number of entries consumed, or -errno; -ETIME when the timeout expired first.
 */
static napi_value ring_enter(napi_env env, napi_callback_info info) {
  ARGS(5);
  return result_i32(env, (int32_t)uring_enter(arg_i32(env, argv[0]), arg_u32(env, argv[1]),
                                              arg_u32(env, argv[2]), arg_u32(env, argv[3]),
                                              arg_f64(env, argv[4])));
}

/**
 * ringRegister(fd, opcode, argument: TypedArray | null, count): number
 *
 * io_uring_register(2), Linux 5.1. Returns what the call returns, or -errno.
 */
static napi_value ring_register(napi_env env, napi_callback_info info) {
  ARGS(4);
  void *argument = arg_view(env, argv[2], NULL);
  return result_syscall(env, syscall(__NR_io_uring_register, arg_i32(env, argv[0]),
                                     arg_u32(env, argv[1]), argument, arg_u32(env, argv[3])));
}

static void unmap(napi_env env, void *data, void *hint) {
  (void)env;
  munmap(data, (size_t)(uintptr_t)hint);
}

/**
 * ringMap(fd, offset, lengthBytes): ArrayBuffer | number
 *
 * mmap(2) of a part of a ring (`IORING_OFF_…`). Unmapped when the buffer is collected.
 * Returns the memory, or -errno.
 */
static napi_value ring_map(napi_env env, napi_callback_info info) {
  ARGS(3);
  size_t length = (size_t)arg_f64(env, argv[2]);
  void *data = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                    arg_i32(env, argv[0]), (off_t)arg_f64(env, argv[1]));
  if (data == MAP_FAILED) return result_i32(env, -errno);
  napi_value buffer;
  napi_status status = napi_create_external_arraybuffer(env, data, length, unmap,
                                                        (void *)(uintptr_t)length, &buffer);
  if (status == napi_ok) return buffer;
  /* Hosts with V8's sandbox (Electron) refuse memory from outside of it. */
  munmap(data, length);
  return result_i32(env, -EOPNOTSUPP);
}

const struct export ring_exports[] = {
    {"ringSetup", ring_setup},
    {"ringEnter", ring_enter},
    {"ringRegister", ring_register},
    {"ringMap", ring_map},
    {NULL, NULL},
};
