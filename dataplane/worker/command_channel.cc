// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/command_channel.h"

#include <array>
#include <span>

namespace sluice {

bool CommandChannel::poll() noexcept {
  // Pairs with main's release store: the segment is laid out before its attachment is seen.
  const ChannelAttachment* attachment = setup_.attachment->load(std::memory_order_acquire);
  if (attachment == nullptr) return false;
  if (attachment->epoch != epoch_) attach(*attachment);
  // Nobody reads what is written from here on. Relaxed, as with inspections: a moment later is soon enough.
  if (__atomic_load_n(&attachment->ended, __ATOMIC_RELAXED)) records_.attach(nullptr);
  std::array<channel::Command, kCommandsPerPoll> commands;
  const uint32_t n = channel::take_some(commands_, std::span<channel::Command>(commands));
  if (n == 0) return false;
  for (uint32_t i = 0; i < n; i++) {
    const auto refused = apply(commands[i]);
    counters_.count(refused ? Counter::kCommandsRejected : Counter::kCommandsApplied);
    if (refused) reject(commands[i], *refused);
  }
  // Pairs with control's acquire load: what these commands replaced is no longer read.
  setup_.oldest_epoch_in_use->store(state_.oldest_epoch_in_use(), std::memory_order_release);
  __atomic_store_n(&setup_.stats->applied_sequence, commands[n - 1].header.sequence, __ATOMIC_RELEASE);
  return true;
}

void CommandChannel::attach(const ChannelAttachment& attachment) noexcept {
  epoch_ = attachment.epoch;
  commands_ = channel::command_ring(attachment.base, setup_.index);
  events_ = channel::event_ring(attachment.base, setup_.index);
  inspector_.attach(channel::trace_ring(attachment.base, setup_.index));
  observer_.attach(channel::hello_ring(attachment.base, setup_.workers, setup_.index));
  records_.attach(channel::session_ring(attachment.base, setup_.workers, setup_.index));
  state_.attach(attachment);
  __atomic_store_n(&setup_.stats->applied_sequence, 0, __ATOMIC_RELAXED);
  // Pairs with control's acquire load of segment_epoch: the sequence above counts this connection's commands.
  __atomic_store_n(&setup_.stats->segment_epoch, epoch_, __ATOMIC_RELEASE);
  setup_.oldest_epoch_in_use->store(state_.oldest_epoch_in_use(), std::memory_order_release);
}

std::optional<channel::RejectReason> CommandChannel::apply(const channel::Command& command) noexcept {
  switch (command.header.type) {
    case channel::CommandType::kStartInspection:
      return inspector_.start(command.start_inspection);
    case channel::CommandType::kStopInspection:
      return inspector_.stop(command.header.id);
    case channel::CommandType::kMoveRouter:
      return router_moves_.add(command.move_router);
    default:
      return state_.apply(command);
  }
}

void CommandChannel::reject(const channel::Command& command, channel::RejectReason reason) noexcept {
  channel::Event event{};
  event.type = channel::EventType::kCommandRejected;
  event.command = command.header.type;
  event.id = command.header.id;
  event.sequence = command.header.sequence;
  event.time_ms = clock_.now_ms();
  event.detail = static_cast<uint32_t>(reason);
  if (!channel::put_all(events_, std::span<const channel::Event>(&event, 1))) {
    counters_.count(Counter::kEventsLost);
  }
}

}  // namespace sluice
