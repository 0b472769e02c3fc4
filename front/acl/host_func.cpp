// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>

#include "acl/acl_rt.h"
#include "front/acl/runtime.h"

namespace front = tandem::front;
using front::acl_call;
using front::wrong_argument;

namespace tandem::front {
namespace {

// A call waiting for the thread that processes reports.
struct Report {
  aclrtCallback function;
  void* argument;
  std::shared_ptr<bool> done;
};

struct Inbox {
  std::deque<Report> reports;
  int streams = 0;  // subscribed
};

// The threads that subscribed, by pthread_t. One condition serves both directions.
struct Reports {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<uint64_t, Inbox> inboxes;

  static Reports& instance() {
    static Reports& reports = *new Reports;
    return reports;
  }
};

// Lets the stream go on, also when the call throws.
struct Finish {
  Reports& reports;
  const Report& report;
  ~Finish() {
    const std::lock_guard lock(reports.mutex);
    *report.done = true;
    reports.changed.notify_all();
  }
};

// On the stream's worker: hands the call over, and waits for it where the caller wants that.
Status deliver(uint64_t thread, aclrtCallback function, void* argument, bool wait) {
  Reports& reports = Reports::instance();
  std::unique_lock lock(reports.mutex);
  const auto inbox = reports.inboxes.find(thread);
  if (inbox == reports.inboxes.end()) return {};  // unsubscribed meanwhile
  const auto done = std::make_shared<bool>(false);
  inbox->second.reports.push_back({function, argument, done});
  reports.changed.notify_all();
  if (wait) reports.changed.wait(lock, [&] { return *done || reports.inboxes.count(thread) == 0; });
  return {};
}

aclError launch_callback(aclrtCallback function, void* argument, bool wait, void* stream) {
  const auto found = stream_of(stream);
  if (!found) return wrong_stream(found.error());
  const uint64_t thread = (*found)->subscriber;
  if (thread == 0) {
    return report(ACL_ERROR_RT_STREAM_NO_CB_REG, "EE1001",
                  "aclrtLaunchCallback: no thread subscribed to the stream, aclrtSubscribeReport before it wanted");
  }
  const auto task = [=](Lane&) { return deliver(thread, function, argument, wait); };
  return report_acl((*found)->queue->submit(task));
}

aclError subscribe(uint64_t thread, void* stream) {
  const auto found = stream_of(stream);
  if (!found) return wrong_stream(found.error());
  if (thread == 0) return wrong_argument("aclrtSubscribeReport: threadId 0, a thread wanted");
  uint64_t nobody = 0;
  if (!(*found)->subscriber.compare_exchange_strong(nobody, thread)) {
    return report(ACL_ERROR_RT_STREAM_SUBSCRIBE, "EE1001",
                  "aclrtSubscribeReport: the stream has a thread already, aclrtUnSubscribeReport before it wanted");
  }
  Reports& reports = Reports::instance();
  const std::lock_guard lock(reports.mutex);
  ++reports.inboxes[thread].streams;
  return ACL_SUCCESS;
}

aclError unsubscribe(uint64_t thread, void* stream) {
  const auto found = stream_of(stream);
  if (!found) return wrong_stream(found.error());
  uint64_t expected = thread;
  if (!(*found)->subscriber.compare_exchange_strong(expected, 0)) {
    return report(ACL_ERROR_RT_THREAD_SUBSCRIBE, "EE1001",
                  "aclrtUnSubscribeReport: that thread is not subscribed to the stream, the subscribed one wanted");
  }
  Reports& reports = Reports::instance();
  const std::lock_guard lock(reports.mutex);
  const auto inbox = reports.inboxes.find(thread);
  if (inbox != reports.inboxes.end() && --inbox->second.streams == 0) reports.inboxes.erase(inbox);
  reports.changed.notify_all();
  return ACL_SUCCESS;
}

aclError process_report(int timeout) {
  const auto thread = static_cast<uint64_t>(pthread_self());
  Reports& reports = Reports::instance();
  std::unique_lock lock(reports.mutex);
  if (reports.inboxes.count(thread) == 0) {
    return report(ACL_ERROR_THREAD_NOT_SUBSCRIBE, "EE1001",
                  "aclrtProcessReport: this thread is not subscribed, aclrtSubscribeReport before it wanted");
  }
  const auto arrived = [&] {
    const auto inbox = reports.inboxes.find(thread);
    return inbox == reports.inboxes.end() || !inbox->second.reports.empty();
  };
  const auto late = [&] { return !reports.changed.wait_for(lock, std::chrono::milliseconds(timeout), arrived); };
  if (timeout < 0) reports.changed.wait(lock, arrived);
  if (timeout >= 0 && late()) {
    return report(ACL_ERROR_WAIT_CALLBACK_TIMEOUT, "EE1003", "aclrtProcessReport: no callback came in that time");
  }
  const auto inbox = reports.inboxes.find(thread);
  if (inbox == reports.inboxes.end()) return ACL_SUCCESS;
  const Report next = inbox->second.reports.front();
  inbox->second.reports.pop_front();
  lock.unlock();
  const Finish finish{reports, next};
  next.function(next.argument);
  return ACL_SUCCESS;
}

}  // namespace
}  // namespace tandem::front

extern "C" {

aclError aclrtLaunchCallback(aclrtCallback fn, void* userData, aclrtCallbackBlockType blockType, aclrtStream stream) {
  if (fn == nullptr) return wrong_argument("aclrtLaunchCallback: fn is null, a function wanted");
  return acl_call([&] { return front::launch_callback(fn, userData, blockType == ACL_CALLBACK_BLOCK, stream); });
}

aclError aclrtSubscribeReport(uint64_t threadId, aclrtStream stream) {
  return acl_call([&] { return front::subscribe(threadId, stream); });
}

aclError aclrtUnSubscribeReport(uint64_t threadId, aclrtStream stream) {
  return acl_call([&] { return front::unsubscribe(threadId, stream); });
}

aclError aclrtProcessReport(int32_t timeout) {
  if (timeout < -1) return wrong_argument("aclrtProcessReport: timeout below -1, -1 or milliseconds wanted");
  return acl_call([&] { return front::process_report(timeout); });
}

aclError aclrtLaunchHostFunc(aclrtStream stream, aclrtHostFunc fn, void* args) {
  if (fn == nullptr) return wrong_argument("aclrtLaunchHostFunc: fn is null, a function wanted");
  return acl_call([&] {
    const auto found = front::stream_of(stream);
    if (!found) return front::wrong_stream(found.error());
    const auto task = [=](tandem::Lane&) -> tandem::Status {
      fn(args);
      return {};
    };
    return front::report_acl((*found)->queue->submit(task));
  });
}

}  // extern "C"
