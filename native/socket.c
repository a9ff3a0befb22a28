/* What sockets need and no opcode gives on every kernel: quick calls that never block. */
#include <sys/socket.h>
#include <unistd.h>

#include "napi.h"

/** socketOpen(domain, type, protocol): number — socket(2); the descriptor or -errno. */
static napi_value socket_open(napi_env env, napi_callback_info info) {
  ARGS(3);
  return result_syscall(env, socket(arg_i32(env, argv[0]), arg_i32(env, argv[1]) | SOCK_CLOEXEC,
                                    arg_i32(env, argv[2])));
}

/** socketOpenPair(domain, type, fds: Int32Array): number — socketpair(2); 0 or -errno. */
static napi_value socket_open_pair(napi_env env, napi_callback_info info) {
  ARGS(3);
  return result_syscall(env, socketpair(arg_i32(env, argv[0]), arg_i32(env, argv[1]) | SOCK_CLOEXEC, 0,
                                        arg_view(env, argv[2], NULL)));
}

/** socketBind(fd, address: Uint8Array): number — bind(2) to a raw `sockaddr`; 0 or -errno. */
static napi_value socket_bind(napi_env env, napi_callback_info info) {
  ARGS(2);
  size_t length;
  void *address = arg_view(env, argv[1], &length);
  return result_syscall(env, bind(arg_i32(env, argv[0]), address, (socklen_t)length));
}

/** socketListen(fd, backlog): number — listen(2); 0 or -errno. */
static napi_value socket_listen(napi_env env, napi_callback_info info) {
  ARGS(2);
  return result_syscall(env, listen(arg_i32(env, argv[0]), arg_i32(env, argv[1])));
}

/** socketSetOption(fd, level, name, value: Uint8Array): number — setsockopt(2); 0 or -errno. */
static napi_value socket_set_option(napi_env env, napi_callback_info info) {
  ARGS(4);
  size_t length;
  void *value = arg_view(env, argv[3], &length);
  return result_syscall(env, setsockopt(arg_i32(env, argv[0]), arg_i32(env, argv[1]),
                                        arg_i32(env, argv[2]), value, (socklen_t)length));
}

/** socketGetOption(fd, level, name, value: Uint8Array): number — its length or -errno. */
static napi_value socket_get_option(napi_env env, napi_callback_info info) {
  ARGS(4);
  size_t capacity;
  void *value = arg_view(env, argv[3], &capacity);
  socklen_t length = (socklen_t)capacity;
  int status = getsockopt(arg_i32(env, argv[0]), arg_i32(env, argv[1]), arg_i32(env, argv[2]),
                          value, &length);
  return result_syscall(env, status < 0 ? status : (long)length);
}

/** socketName(fd, peer: 0 | 1, address: Uint8Array): number — the address' length or -errno. */
static napi_value socket_name(napi_env env, napi_callback_info info) {
  ARGS(3);
  size_t capacity;
  struct sockaddr *address = arg_view(env, argv[2], &capacity);
  socklen_t length = (socklen_t)capacity;
  int fd = arg_i32(env, argv[0]);
  int status = arg_i32(env, argv[1]) ? getpeername(fd, address, &length)
                                     : getsockname(fd, address, &length);
  return result_syscall(env, status < 0 ? status : (long)length);
}

const struct export socket_exports[] = {
    {"socketOpen", socket_open},
    {"socketOpenPair", socket_open_pair},
    {"socketBind", socket_bind},
    {"socketListen", socket_listen},
    {"socketSetOption", socket_set_option},
    {"socketGetOption", socket_get_option},
    {"socketName", socket_name},
    {NULL, NULL},
};
