// SPDX-License-Identifier: Apache-2.0
//
// Whether what an earlier process left in flow memory can be used, entry by entry. Nothing in there is trusted: it may
// be torn by a crash, damaged, or of a data plane with other ports. What passes tidy() may be used without a further
// check of any index, offset or enumeration in it; what does not is dropped, and never costs more than itself.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/flow/flow_memory.h"
#include "dataplane/flow/owner_table.h"

namespace sluice {

/// What stands in the way of using a flow memory as it lies.
enum class KeptFlaw : uint8_t { kNone, kEmpty, kDamaged, kVersion, kBoot, kShortRuns, kCapacity, kWorkers, kDealing };

/// For the log: "another version of its layout".
const char* describe(KeptFlaw flaw) noexcept;

/// Runs in a row with one flow memory that ended within kShortRunMs and not in order, after which it is not used again:
/// whatever is in there shall not keep the process from running.
inline constexpr uint32_t kMaxShortRuns = 4;
inline constexpr uint64_t kShortRunMs = 5000;

/// What its header says against a flow memory of `bytes`: of whatever geometry (kCapacity, kWorkers and kDealing are
/// not found).
KeptFlaw flaw_of(const FlowMemoryHeader& header, size_t bytes, uint64_t boot_id) noexcept;
/// Likewise, for use as it lies by one of the workers between whom flows are dealt.
KeptFlaw flaw_of(const FlowMemoryHeader& header, uint32_t flow_capacity, Dealing dealing, uint64_t boot_id) noexcept;

/// The name's part of a port's identity; never 0.
uint64_t hash_port_name(std::string_view name) noexcept;

/// Which port an index of an earlier run means now. A port is known by its MAC address and its name; one of them is
/// enough, as cards are replaced and ports renamed.
class PortMap {
 public:
  static constexpr uint8_t kGone = 0xff;

  PortMap(std::span<const PortIdentity> before, std::span<const PortIdentity> now) noexcept;
  /// Every index below `ports` stays what it is.
  explicit PortMap(uint32_t ports) noexcept;

  uint8_t operator[](uint32_t before) const noexcept { return before < now_.size() ? now_[before] : kGone; }

 private:
  std::array<uint8_t, channel::kMaxPorts> now_;
};

/// The ports that a header speaks of.
std::span<const PortIdentity> ports_of(const FlowMemoryHeader& header) noexcept;

/// Writes down which ports a flow memory is used with.
void name_ports(FlowMemoryHeader& header, std::span<const PortIdentity> ports) noexcept;

/// Brings a whole flow memory, whose header has no flaw, over to the ports of this run, entry by entry. A process that
/// dies on the way leaves memory that nobody uses again.
void take_up(std::byte* memory, std::span<const PortIdentity> ports) noexcept;

/// Brings services, backends and own addresses into order: kMaxServices, kMaxBackends and kMaxLocals of them. A backend
/// whose port is gone is not reachable until control says how; an address whose port is gone is gone.
void tidy(Service* services, Backend* backends, Local* locals, const PortMap& ports) noexcept;

/// Whether a flow can be used; if so, its port is that of `ports`, and all else in it within bounds. A flow whose
/// client came in by a port that is gone cannot: there is no way back.
bool tidy(Flow& flow, const PortMap& ports) noexcept;

}  // namespace sluice
