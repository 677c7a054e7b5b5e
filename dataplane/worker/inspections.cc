// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/inspections.h"

#include <algorithm>
#include <cstring>

namespace sluice {

using channel::RejectReason;

static_assert(channel::kMaxInspections == 8, "a set of inspections is a byte");

bool same_prefix(const Address& a, const Address& b, uint32_t bits) noexcept {
  const uint32_t whole = bits / 8;
  if (std::memcmp(a.bytes.data(), b.bytes.data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  return ((a.bytes[whole] ^ b.bytes[whole]) >> (8 - bits % 8)) == 0;
}

std::optional<RejectReason> Inspections::put(const channel::StartInspection& message, uint64_t now_ms) noexcept {
  constexpr uint8_t kFlags = channel::kInspectForTrace | channel::kInspectForCapture;
  const uint16_t id = message.header.id;
  if (id >= channel::kMaxInspections) return RejectReason::kIdOutOfRange;
  if (message.key == 0 || message.prefix_bits > 128 || (message.flags & kFlags) == 0 ||
      (message.flags & ~kFlags) != 0 || message.packets == 0 || message.deadline_ms <= now_ms ||
      message.deadline_ms - now_ms > channel::kMaxInspectionMs) {
    return RejectReason::kBadInspection;
  }
  const bool traces = (message.flags & channel::kInspectForTrace) != 0;
  const uint32_t per_second = traces ? kTracesPerSecond : kCopiesPerSecond;
  inspections_[id] = {message, message.packets, TokenBucket(per_second, per_second / 4, now_ms)};
  stats_[id] = {message.key, 1, 0, 0, 0, {}};
  const auto bit = static_cast<uint8_t>(1U << id);
  active_ |= bit;
  for (uint32_t i = 0; i < with_flag_.size(); i++) {
    const bool has = (message.flags >> i & 1) != 0;
    with_flag_[i] = static_cast<uint8_t>(has ? with_flag_[i] | bit : with_flag_[i] & ~bit);
  }
  return std::nullopt;
}

std::optional<RejectReason> Inspections::drop(uint16_t id) noexcept {
  if (id >= channel::kMaxInspections) return RejectReason::kIdOutOfRange;
  end(id);
  return std::nullopt;
}

void Inspections::drop_all() noexcept {
  for (uint32_t id = 0; id < channel::kMaxInspections; id++) end(id);
}

void Inspections::end(uint32_t id) noexcept {
  active_ &= static_cast<uint8_t>(~(1U << id));
  // Pairs with control's acquire load: the figures beside it are the last.
  __atomic_store_n(&stats_[id].active, 0, __ATOMIC_RELEASE);
}

void Inspections::expire(uint64_t now_ms) noexcept {
  for (uint32_t id = 0; id < channel::kMaxInspections; id++) {
    const bool over = inspections_[id].wanted.deadline_ms <= now_ms || inspections_[id].left == 0;
    if ((active_ >> id & 1) != 0 && over) end(id);
  }
}

uint8_t Inspections::match(const Endpoint& client, channel::ServiceId service, channel::BackendId backend,
                           bool maybe) const noexcept {
  uint8_t out = 0;
  for (uint32_t id = 0; id < channel::kMaxInspections; id++) {
    if ((active_ >> id & 1) == 0) continue;
    const channel::StartInspection& wanted = inspections_[id].wanted;
    if (!same_prefix(client.address, wanted.client, wanted.prefix_bits)) continue;
    if (wanted.client_port.raw != 0 && wanted.client_port != client.port) continue;
    if (wanted.service != channel::kNoService && wanted.service != service &&
        !(maybe && service == channel::kNoService)) {
      continue;
    }
    if (wanted.backend != channel::kNoBackend && wanted.backend != backend &&
        !(maybe && backend == channel::kNoBackend)) {
      continue;
    }
    out |= static_cast<uint8_t>(1U << id);
  }
  return out;
}

uint8_t Inspections::admit(uint8_t inspections, uint64_t now_ms) noexcept {
  uint8_t out = 0;
  for (uint32_t id = 0; id < channel::kMaxInspections; id++) {
    if ((inspections & active_ & (1U << id)) == 0) continue;
    Inspection& inspection = inspections_[id];
    if (inspection.left == 0) {
      end(id);
      continue;
    }
    if (!inspection.bucket.take(now_ms)) {
      stats_[id].skipped++;
      continue;
    }
    inspection.left--;
    stats_[id].packets++;
    out |= static_cast<uint8_t>(1U << id);
  }
  return out;
}

void Inspections::give_back(uint8_t inspections) noexcept {
  for (uint32_t id = 0; id < channel::kMaxInspections; id++) {
    if ((inspections >> id & 1) == 0) continue;
    inspections_[id].left++;
    stats_[id].packets--;
  }
}

void Inspections::count_lost(uint8_t inspections) noexcept {
  for (uint32_t id = 0; id < channel::kMaxInspections; id++) {
    if ((inspections >> id & 1) != 0) stats_[id].lost++;
  }
}

uint32_t Inspections::snap_bytes(uint8_t inspections) const noexcept {
  uint32_t most = 0;
  for (uint32_t id = 0; id < channel::kMaxInspections; id++) {
    if ((inspections >> id & 1) != 0) most = std::max(most, inspections_[id].wanted.snap_bytes);
  }
  return most;
}

}  // namespace sluice
