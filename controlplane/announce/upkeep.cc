// SPDX-License-Identifier: Apache-2.0
#include "controlplane/announce/upkeep.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace sluice::control {

using boost::asio::posix::stream_descriptor;
using boost::system::error_code;

namespace {

constexpr std::chrono::seconds kPause{1};

}  // namespace

Upkeep::Upkeep(boost::asio::io_context& io, Journal& journal, uint32_t groups, std::string subject, Hooks hooks)
    : journal_(journal),
      subject_(std::move(subject)),
      hooks_(std::move(hooks)),
      notifications_(groups),
      waiter_(io, dup(notifications_.fd())) {}

void Upkeep::start() {
  wait_for_notifications();
}

void Upkeep::stop() {
  error_code ignored;
  waiter_.close(ignored);
}

void Upkeep::settle() {
  auto fault = hooks_.settle();
  if (!fault) return;
  looked_ = Clock::now();
  if (*fault == fault_) return;
  fault_ = std::move(*fault);
  journal_.record(fault_.empty() ? Severity::kInfo : Severity::kError, "announce", subject_,
                  fault_.empty() ? "as they should be again" : fault_);
}

void Upkeep::tick() {
  if (!fault_.empty() || Clock::now() - looked_ >= kLookEvery) settle();
}

void Upkeep::count_remade(size_t remade) {
  if (remade == 0) return;
  remade_ += remade;
  last_remade_ = Clock::now();
  journal_.record(Severity::kWarning, "announce", subject_,
                  fmt::format("{} made again: somebody else had removed {}", remade, remade == 1 ? "it" : "them"));
}

void Upkeep::wait_for_notifications() {
  waiter_.async_wait(stream_descriptor::wait_read, [this](error_code error) {
    if (error) return;
    read_notifications();
    wait_for_notifications();
  });
}

void Upkeep::read_notifications() {
  const auto messages = notifications_.poll();
  // Where some were lost, look.
  if (messages && std::ranges::none_of(*messages, hooks_.concerns_us)) return;
  // Whoever removes what is ours as fast as we make it shall not keep us busy: then each second will do.
  if (Clock::now() - last_remade_ >= kPause) return settle();
  looked_ = {};
}

}  // namespace sluice::control
