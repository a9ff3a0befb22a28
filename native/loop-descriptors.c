/*
 * The descriptors that a loop closes with its environment.
 *
 * A thread may be terminated between any two calls, so that what makes or closes a descriptor and what
 * tracks it are one.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

/** loopTrackFd(loop, fd, tracked: 0 | 1): void — whether to close `fd` with the environment. */
static napi_value loop_track_fd(napi_env env, napi_callback_info info) {
  ARGS(3);
  struct loop *loop = arg_loop(env, argv[0]);
  if (loop) descriptors_set(&loop->tracked, arg_u32(env, argv[1]), arg_i32(env, argv[2]) != 0);
  return NULL;
}

/**
 * loopSetupRing(loop, entryCount, params: Uint32Array): number
 *
 * ringSetup and loopTrackFd in one, since a thread may be terminated between two calls; loopAddRing takes
 * the descriptor over. The descriptor or -errno.
 */
static napi_value loop_setup_ring(napi_env env, napi_callback_info info) {
  ARGS(3);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  long fd = syscall(__NR_io_uring_setup, arg_u32(env, argv[1]), arg_view(env, argv[2], NULL));
  int status = errno;
  if (fd < 0) return result_i32(env, -status);
  descriptors_set(&loop->tracked, (uint32_t)fd, true);
  return result_i32(env, (int32_t)fd);
}

/**
 * loopOpenSocket(loop, domain, type, protocol): number
 *
 * socket(2) and loopTrackFd in one, for the same reason. The descriptor or -errno.
 */
static napi_value loop_open_socket(napi_env env, napi_callback_info info) {
  ARGS(4);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  int fd = socket(arg_i32(env, argv[1]), arg_i32(env, argv[2]) | SOCK_CLOEXEC, arg_i32(env, argv[3]));
  int status = errno;
  if (fd < 0) return result_i32(env, -status);
  descriptors_set(&loop->tracked, (uint32_t)fd, true);
  return result_i32(env, fd);
}

/**
 * loopOpenSocketPair(loop, domain, type, fds: Int32Array): number
 *
 * socketpair(2) and loopTrackFd of both in one, for the same reason. 0 or -errno.
 */
static napi_value loop_open_socket_pair(napi_env env, napi_callback_info info) {
  ARGS(4);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  int *fds = arg_view(env, argv[3], NULL);
  int pair[2];
  if (socketpair(arg_i32(env, argv[1]), arg_i32(env, argv[2]) | SOCK_CLOEXEC, 0, pair) < 0)
    return result_i32(env, -errno);
  for (int end = 0; end < 2; end++) {
    descriptors_set(&loop->tracked, (uint32_t)pair[end], true);
    fds[end] = pair[end];
  }
  return result_i32(env, 0);
}

/** loopCloseFd(loop, fd): number — untracks and close(2), in one for the same reason; 0 or -errno. */
static napi_value loop_close_fd(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct loop *loop = arg_loop(env, argv[0]);
  int fd = arg_i32(env, argv[1]);
  if (!loop) return result_i32(env, -ECANCELED);
  descriptors_set(&loop->tracked, (uint32_t)fd, false);
  return result_syscall(env, close(fd));
}

const struct export loop_descriptor_exports[] = {
    {"loopTrackFd", loop_track_fd},
    {"loopSetupRing", loop_setup_ring},
    {"loopOpenSocket", loop_open_socket},
    {"loopOpenSocketPair", loop_open_socket_pair},
    {"loopCloseFd", loop_close_fd},
    {NULL, NULL},
};
