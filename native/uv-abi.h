/*
 * The part of libuv 1.x that the loop hook uses. Node exports these from its own binary; their
 * ABI is stable for all of 1.x, and declaring them here spares users libuv's headers.
 */
#ifndef PERCORE_UV_ABI_H
#define PERCORE_UV_ABI_H

#include <stddef.h>

typedef struct uv_loop_s uv_loop_t;
typedef struct uv_handle_s uv_handle_t;
typedef void (*uv_callback)(uv_handle_t *handle);

enum { UV_ASYNC = 1, UV_CHECK = 2, UV_IDLE = 6, UV_PREPARE = 9 };

size_t uv_handle_size(int type);
void uv_handle_set_data(uv_handle_t *handle, void *data);
void *uv_handle_get_data(const uv_handle_t *handle);
int uv_async_init(uv_loop_t *loop, uv_handle_t *handle, uv_callback callback);
int uv_async_send(uv_handle_t *handle);
int uv_prepare_init(uv_loop_t *loop, uv_handle_t *handle);
int uv_prepare_start(uv_handle_t *handle, uv_callback callback);
int uv_prepare_stop(uv_handle_t *handle);
int uv_check_init(uv_loop_t *loop, uv_handle_t *handle);
int uv_check_start(uv_handle_t *handle, uv_callback callback);
int uv_check_stop(uv_handle_t *handle);
int uv_idle_init(uv_loop_t *loop, uv_handle_t *handle);
int uv_idle_start(uv_handle_t *handle, uv_callback callback);
int uv_idle_stop(uv_handle_t *handle);
void uv_close(uv_handle_t *handle, uv_callback callback);
void uv_ref(uv_handle_t *handle);
void uv_unref(uv_handle_t *handle);
int uv_backend_fd(const uv_loop_t *loop);
int uv_backend_timeout(const uv_loop_t *loop);
void uv_update_time(uv_loop_t *loop);

#endif
