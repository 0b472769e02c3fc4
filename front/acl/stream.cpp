// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "acl/acl_rt.h"
#include "front/acl/runtime.h"

namespace front = tandem::front;
using front::acl_call;
using front::wrong_argument;

namespace tandem::front {
namespace {

aclError create_stream(void** handle) {
  if (handle == nullptr) return wrong_argument("aclrtCreateStream: stream is null, a place for the handle wanted");
  const auto context = current_context();
  if (!context) return no_context("aclrtCreateStream");
  auto stream = make_stream(context->device);
  if (!stream) return report(ACL_ERROR_RT_NO_STREAM_RESOURCE, "EE1005", stream.error().message);
  *handle = runtime().streams.insert(std::move(*stream));
  return ACL_SUCCESS;
}

aclError destroy_stream(void* handle, bool drop) {
  if (handle == nullptr) return wrong_argument("aclrtDestroyStream: stream is null, a stream wanted");
  auto stream = stream_of(handle);
  if (!stream) return wrong_stream(stream.error());
  runtime().streams.take(handle);
  if (drop) (*stream)->queue->abandon();
  if (!drop) (void)(*stream)->queue->synchronize();  // its error was for those who synchronised
  return ACL_SUCCESS;
}

aclError synchronize_stream(void* handle, int timeout) {
  const auto stream = stream_of(handle);
  if (!stream) return wrong_stream(stream.error());
  if (timeout < 0) return report_acl((*stream)->queue->synchronize());
  const auto status = (*stream)->queue->synchronize_for(timeout);
  if (status) return report_acl(*status);
  return report(
      ACL_ERROR_RT_STREAM_SYNC_TIMEOUT, "EE1003",
      fmt::format("aclrtSynchronizeStreamWithTimeout: {} ms passed, the stream still works: wait again or give more",
                  timeout));
}

}  // namespace
}  // namespace tandem::front

extern "C" {

aclError aclrtCreateStream(aclrtStream* stream) {
  return acl_call([&] { return front::create_stream(stream); });
}

aclError aclrtCreateStreamWithConfig(aclrtStream* stream, uint32_t /*priority*/, uint32_t /*flag*/) {
  return acl_call([&] { return front::create_stream(stream); });
}

aclError aclrtDestroyStream(aclrtStream stream) {
  return acl_call([&] { return front::destroy_stream(stream, false); });
}

aclError aclrtDestroyStreamForce(aclrtStream stream) {
  return acl_call([&] { return front::destroy_stream(stream, true); });
}

aclError aclrtSynchronizeStream(aclrtStream stream) {
  return acl_call([&] { return front::synchronize_stream(stream, -1); });
}

aclError aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t timeout) {
  if (timeout < -1)
    return wrong_argument("aclrtSynchronizeStreamWithTimeout: timeout below -1, -1 or milliseconds wanted");
  return acl_call([&] { return front::synchronize_stream(stream, timeout); });
}

aclError aclrtStreamQuery(aclrtStream stream, aclrtStreamStatus* status) {
  if (status == nullptr) return wrong_argument("aclrtStreamQuery: status is null, a place for it wanted");
  return acl_call([&] {
    const auto found = front::stream_of(stream);
    if (!found) return front::wrong_stream(found.error());
    *status = (*found)->queue->idle() ? ACL_STREAM_STATUS_COMPLETE : ACL_STREAM_STATUS_NOT_READY;
    return ACL_SUCCESS;
  });
}

aclError aclrtSetStreamFailureMode(aclrtStream stream, uint64_t mode) {
  return acl_call([&] {
    const auto found = front::stream_of(stream);
    if (!found) return front::wrong_stream(found.error());
    if (mode <= ACL_STOP_ON_FAILURE) return ACL_SUCCESS;
    return wrong_argument(fmt::format("aclrtSetStreamFailureMode: mode {}, 0 or 1 wanted", mode));
  });
}

aclError aclrtStreamAbort(aclrtStream stream) {
  return acl_call([&] {
    const auto found = front::stream_of(stream);
    if (!found) return front::wrong_stream(found.error());
    (*found)->queue->drop_pending();
    return ACL_SUCCESS;
  });
}

aclError aclrtStreamGetId(aclrtStream stream, int32_t* streamId) {
  if (streamId == nullptr) return wrong_argument("aclrtStreamGetId: streamId is null, a place for it wanted");
  return acl_call([&] {
    const auto found = front::stream_of(stream);
    if (!found) return front::wrong_stream(found.error());
    *streamId = (*found)->id;
    return ACL_SUCCESS;
  });
}

}  // extern "C"
