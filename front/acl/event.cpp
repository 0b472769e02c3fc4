// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "acl/acl_rt.h"
#include "front/acl/runtime.h"

namespace front = tandem::front;
using front::acl_call;
using front::wrong_argument;

namespace tandem::front {
namespace {

aclError create_event(void** handle) {
  if (handle == nullptr) return wrong_argument("aclrtCreateEvent: event is null, a place for the handle wanted");
  *handle = runtime().events.insert(std::make_shared<EventHandle>());
  return ACL_SUCCESS;
}

// Runs `body(event)` or reports the unknown handle.
template <class Body>
aclError with_event(void* handle, Body&& body) {
  const auto event = runtime().events.find(handle);
  if (event) return body(*event);
  return report(ACL_ERROR_RT_INVALID_HANDLE, "EE1001",
                "event: unknown handle, one of an event that was not destroyed wanted");
}

aclError record(EventHandle& event, void* stream) {
  const auto found = stream_of(stream);
  if (!found) return wrong_stream(found.error());
  (*found)->queue->record(event.event);
  event.recorded = true;
  return ACL_SUCCESS;
}

// `timeout` in milliseconds, negative for ever.
aclError wait_in_stream(void* stream, EventHandle& event, int timeout) {
  const auto found = stream_of(stream);
  if (!found) return wrong_stream(found.error());
  if (const auto status = (*found)->queue->wait(event.event, timeout); !status) return report_acl(status);
  // Alive until the stream has passed or dropped the wait.
  const auto passed = [mark = event.waits](Lane&) -> Status { return {}; };
  (void)(*found)->queue->submit(passed);  // refused when the wait has failed already, which those who synchronise learn
  return ACL_SUCCESS;
}

aclError synchronize_event(EventHandle& event, int timeout) {
  const Event now = event.event.snapshot();
  if (now.synchronize(timeout)) return report_acl(now.fault());
  return report(ACL_ERROR_RT_EVENT_SYNC_TIMEOUT, "EE1003",
                fmt::format("aclrtSynchronizeEventWithTimeout: {} ms passed, the event was not reached", timeout));
}

aclError elapsed(float* ms, EventHandle& start, EventHandle& end) {
  const int64_t from = start.event.reached_ns();
  const int64_t to = end.event.reached_ns();
  if (from == 0 || to == 0) {
    return report(ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID, "EE1001",
                  "aclrtEventElapsedTime: an event was not reached yet, two recorded and reached events wanted");
  }
  if (to < from) {
    return report(ACL_ERROR_RT_EVENT_TIMESTAMP_REVERSAL, "EE1001",
                  "aclrtEventElapsedTime: the end lies before the start, the other order wanted");
  }
  constexpr double kNanosecondsPerMillisecond = 1e6;
  *ms = static_cast<float>(static_cast<double>(to - from) / kNanosecondsPerMillisecond);
  return ACL_SUCCESS;
}

}  // namespace
}  // namespace tandem::front

extern "C" {

aclError aclrtCreateEvent(aclrtEvent* event) {
  return acl_call([&] { return front::create_event(event); });
}

aclError aclrtCreateEventWithFlag(aclrtEvent* event, uint32_t /*flag*/) { return aclrtCreateEvent(event); }

aclError aclrtCreateEventExWithFlag(aclrtEvent* event, uint32_t /*flag*/) { return aclrtCreateEvent(event); }

aclError aclrtDestroyEvent(aclrtEvent event) {
  return acl_call([&] {
    return front::with_event(event, [&](front::EventHandle&) {
      front::runtime().events.take(event);
      return ACL_SUCCESS;
    });
  });
}

aclError aclrtRecordEvent(aclrtEvent event, aclrtStream stream) {
  return acl_call([&] {
    return front::with_event(event, [&](front::EventHandle& found) { return front::record(found, stream); });
  });
}

aclError aclrtResetEvent(aclrtEvent event, aclrtStream /*stream*/) {
  return acl_call([&] {
    return front::with_event(event, [](front::EventHandle& found) {
      found.event.reset();
      found.recorded = false;
      return ACL_SUCCESS;
    });
  });
}

aclError aclrtQueryEvent(aclrtEvent event, aclrtEventStatus* status) {
  if (status == nullptr) return wrong_argument("aclrtQueryEvent: status is null, a place for it wanted");
  return acl_call([&] {
    return front::with_event(event, [&](front::EventHandle& found) {
      *status = found.event.complete() ? ACL_EVENT_STATUS_COMPLETE : ACL_EVENT_STATUS_NOT_READY;
      return ACL_SUCCESS;
    });
  });
}

aclError aclrtQueryEventStatus(aclrtEvent event, aclrtEventRecordedStatus* status) {
  if (status == nullptr) return wrong_argument("aclrtQueryEventStatus: status is null, a place for it wanted");
  return acl_call([&] {
    return front::with_event(event, [&](front::EventHandle& found) {
      const bool reached = found.recorded && found.event.complete();
      *status = reached ? ACL_EVENT_RECORDED_STATUS_COMPLETE : ACL_EVENT_RECORDED_STATUS_NOT_READY;
      return ACL_SUCCESS;
    });
  });
}

aclError aclrtQueryEventWaitStatus(aclrtEvent event, aclrtEventWaitStatus* status) {
  if (status == nullptr) return wrong_argument("aclrtQueryEventWaitStatus: status is null, a place for it wanted");
  return acl_call([&] {
    return front::with_event(event, [&](front::EventHandle& found) {
      *status = found.waits.use_count() == 1 ? ACL_EVENT_WAIT_STATUS_COMPLETE : ACL_EVENT_WAIT_STATUS_NOT_READY;
      return ACL_SUCCESS;
    });
  });
}

aclError aclrtSynchronizeEvent(aclrtEvent event) {
  return acl_call([&] {
    return front::with_event(event, [](front::EventHandle& found) { return front::synchronize_event(found, -1); });
  });
}

aclError aclrtSynchronizeEventWithTimeout(aclrtEvent event, int32_t timeout) {
  if (timeout < -1)
    return wrong_argument("aclrtSynchronizeEventWithTimeout: timeout below -1, -1 or milliseconds wanted");
  return acl_call([&] {
    return front::with_event(event,
                             [&](front::EventHandle& found) { return front::synchronize_event(found, timeout); });
  });
}

aclError aclrtEventElapsedTime(float* ms, aclrtEvent startEvent, aclrtEvent endEvent) {
  if (ms == nullptr) return wrong_argument("aclrtEventElapsedTime: ms is null, a place for the time wanted");
  return acl_call([&] {
    return front::with_event(startEvent, [&](front::EventHandle& start) {
      return front::with_event(endEvent, [&](front::EventHandle& end) { return front::elapsed(ms, start, end); });
    });
  });
}

aclError aclrtStreamWaitEvent(aclrtStream stream, aclrtEvent event) {
  return acl_call([&] {
    return front::with_event(event,
                             [&](front::EventHandle& found) { return front::wait_in_stream(stream, found, -1); });
  });
}

aclError aclrtStreamWaitEventWithTimeout(aclrtStream stream, aclrtEvent event, int32_t timeout) {
  if (timeout <= 0) return aclrtStreamWaitEvent(stream, event);
  return acl_call([&] {
    return front::with_event(event,
                             [&](front::EventHandle& found) { return front::wait_in_stream(stream, found, timeout); });
  });
}

}  // extern "C"
