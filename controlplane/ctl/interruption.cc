// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/interruption.h"

#include <poll.h>

namespace sluice::ctl {

namespace {

volatile std::sig_atomic_t flag = 0;

}  // namespace

Interruption::Interruption() {
  flag = 0;
  struct sigaction raise{};
  raise.sa_handler = [](int) { flag = 1; };
  sigaction(SIGINT, &raise, &old_int_);
  sigaction(SIGTERM, &raise, &old_term_);
}

Interruption::~Interruption() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
}

bool Interruption::raised() const {
  return flag != 0;
}

void Interruption::wait(int ms) const {
  if (flag == 0) poll(nullptr, 0, ms);  // a signal ends it
}

void Interruption::pause(int ms) {
  poll(nullptr, 0, ms);
}

}  // namespace sluice::ctl
