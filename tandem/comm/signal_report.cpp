// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/signal_report.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <mutex>
#include <string>

#include "tandem/base/env.h"
#include "tandem/base/log.h"
#include "tandem/comm/inspect.h"

namespace tandem {
namespace {

sem_t wanted;  // made by install(); a handler may post it and do nothing else

void on_signal(int) {
  const int saved = errno;
  sem_post(&wanted);
  errno = saved;
}

void print(const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t part = write(STDERR_FILENO, text.data() + done, text.size() - done);
    if (part <= 0) return;
    done += static_cast<size_t>(part);
  }
}

void* report_for_ever(void*) {
  while (true) {
    if (sem_wait(&wanted) != 0) continue;
    const auto text = inspect_process(getpid());
    print(text ? *text : text.error().message + "\n");
  }
}

void install() {
  struct sigaction before {};
  sigaction(SIGUSR1, nullptr, &before);
  if ((before.sa_flags & SA_SIGINFO) != 0 || before.sa_handler != SIG_DFL) {
    log_warn("environment: TANDEM_SIGUSR1=1 ignored, the program has a handler of its own");
    return;
  }
  sem_init(&wanted, 0, 0);
  sigset_t all, mask;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask);
  pthread_t thread{};
  const bool started = pthread_create(&thread, nullptr, &report_for_ever, nullptr) == 0;
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  if (!started) return;
  pthread_detach(thread);
  struct sigaction ours {};
  ours.sa_handler = on_signal;
  ours.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &ours, nullptr);
}

}  // namespace

void offer_report_on_signal() {
  if (env_integer("TANDEM_SIGUSR1", 0, 1).value_or(0) == 0) return;
  static std::once_flag once;
  std::call_once(once, install);
}

}  // namespace tandem
