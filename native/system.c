/* The other system calls that have no opcode. */
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "napi.h"

/* readClock(): void — what clockReader returns. No number to make: it is read within turns. */
static napi_value read_clock(napi_env env, napi_callback_info info) {
  void *target;
  OK(napi_get_cb_info(env, info, NULL, NULL, NULL, &target));
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  *(double *)target = (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
  return NULL;
}

/**
 * clockReader(target: Float64Array): () => void
 *
 * Returns a function that writes the nanoseconds of CLOCK_MONOTONIC into `target`, which must be kept.
 */
static napi_value clock_reader(napi_env env, napi_callback_info info) {
  ARGS(1);
  napi_value reader = NULL; /* it stays so in a worker being terminated */
  napi_create_function(env, "readClock", NAPI_AUTO_LENGTH, read_clock, arg_view(env, argv[0], NULL), &reader);
  return reader;
}

/** fdClose(fd): number — close(2); 0 or -errno. */
static napi_value fd_close(napi_env env, napi_callback_info info) {
  ARGS(1);
  return result_syscall(env, close(arg_i32(env, argv[0])));
}

/** fdControl(fd, command, argument): number — fcntl(2) with an integer argument. */
static napi_value fd_control(napi_env env, napi_callback_info info) {
  ARGS(3);
  return result_syscall(env, fcntl(arg_i32(env, argv[0]), arg_i32(env, argv[1]),
                                   arg_i32(env, argv[2])));
}

/** fdFileSystem(fd): number — the magic number of its file system, fstatfs(2), or -errno. */
static napi_value fd_file_system(napi_env env, napi_callback_info info) {
  ARGS(1);
  struct statfs status;
  if (fstatfs(arg_i32(env, argv[0]), &status) < 0) return result_i32(env, -errno);
  return result_i64(env, (uint32_t)status.f_type);
}

/** fdSeek(fd, positionBytes): number — lseek(2) from the beginning; the position now, or -errno. */
static napi_value fd_seek(napi_env env, napi_callback_info info) {
  ARGS(2);
  off_t position = lseek(arg_i32(env, argv[0]), (off_t)arg_f64(env, argv[1]), SEEK_SET);
  return position < 0 ? result_i32(env, -errno) : result_i64(env, position);
}

/** processLimit(resource, which: 0 soft | 1 hard): number — getrlimit(2); Infinity when unlimited. */
static napi_value process_limit(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct rlimit limit;
  if (getrlimit((__rlimit_resource_t)arg_i32(env, argv[0]), &limit) < 0)
    return result_i32(env, -errno);
  rlim_t value = arg_i32(env, argv[1]) ? limit.rlim_max : limit.rlim_cur;
  return result_f64(env, value == RLIM_INFINITY ? __builtin_inf() : (double)value);
}

/** processSetLimit(resource, soft): number — setrlimit(2) of the soft limit; 0 or -errno. */
static napi_value process_set_limit(napi_env env, napi_callback_info info) {
  ARGS(2);
  __rlimit_resource_t resource = (__rlimit_resource_t)arg_i32(env, argv[0]);
  struct rlimit limit;
  if (getrlimit(resource, &limit) < 0) return result_i32(env, -errno);
  double soft = arg_f64(env, argv[1]);
  limit.rlim_cur = soft >= 9e15 ? RLIM_INFINITY : (rlim_t)soft;
  return result_syscall(env, setrlimit(resource, &limit));
}

const struct export system_exports[] = {
    {"clockReader", clock_reader},
    {"fdClose", fd_close},
    {"fdControl", fd_control},
    {"fdFileSystem", fd_file_system},
    {"fdSeek", fd_seek},
    {"processLimit", process_limit},
    {"processSetLimit", process_set_limit},
    {NULL, NULL},
};
