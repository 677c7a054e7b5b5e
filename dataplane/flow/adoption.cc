// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/adoption.h"

#include <algorithm>
#include <cstring>

#include "dataplane/flow/local_ports.h"
#include "dataplane/packet/window_scale.h"

namespace sluice {
namespace {

/// The byte of a member that a damaged memory may have filled with what its type has no value for.
template <typename T>
uint8_t raw_byte(const T& member) {
  static_assert(sizeof(T) == 1);
  uint8_t byte;
  std::memcpy(&byte, &member, 1);
  return byte;
}

template <typename T>
bool holds(const T& member, T last) {
  return raw_byte(member) <= static_cast<uint8_t>(last);
}

/// Reads a flag as true only if it is, and makes it one.
bool tidy_flag(bool& flag) {
  const bool is_set = raw_byte(flag) == 1;
  flag = is_set;
  return is_set;
}

void tidy_service(Service& service) {
  if (!tidy_flag(service.in_use)) return;
  service.in_use =
      holds(service.forwarding, channel::Forwarding::kGue) && holds(service.scheduler, channel::Scheduler::kSource) &&
      holds(service.hash_on, channel::HashOn::kClientPrefix) && holds(service.proxy, channel::ProxyHeader::kV2) &&
      holds(service.on_backend_down, channel::OnBackendDown::kKeep) &&
      holds(service.on_no_backend, channel::OnNoBackend::k421) && holds(service.syn_proxy, channel::SynProxy::kAlways);
  if (!service.in_use) service = Service{};
  service.sums = endpoint_sums(service.vip);
}

void tidy_backend(Backend& backend, const PortMap& ports) {
  if (!tidy_flag(backend.in_use)) backend.flags = 0;
  const uint8_t port = ports[backend.port_index];
  if (port == PortMap::kGone) backend.flags &= static_cast<uint8_t>(~channel::kBackendReachable);
  backend.port_index = port == PortMap::kGone ? 0 : port;
  backend.flags &= channel::kBackendReachable | channel::kBackendDown | channel::kBackendCut | channel::kBackendLeaving;
  backend.vlan &= 0x0fff;
  if (backend.sole_service >= channel::kMaxServices) backend.sole_service = channel::kNoService;
  backend.sums = endpoint_sums(backend.endpoint);
}

void tidy_local(Local& local, const PortMap& ports) {
  tidy_flag(local.in_use);
  tidy_flag(local.of_peer);
  const uint8_t port = ports[local.port_index];
  if (port == PortMap::kGone) local.in_use = false;
  local.port_index = port == PortMap::kGone ? 0 : port;
  local.address_sum = address_sum(local.address);
}

/// Two services at one endpoint: the first stays.
void drop_doubles(Service* services) {
  for (uint32_t id = 1; id < channel::kMaxServices; id++) {
    if (!services[id].in_use) continue;
    services[id].in_use = std::none_of(
        services, services + id, [&](const Service& other) { return other.in_use && other.vip == services[id].vip; });
  }
}

void tidy_smtp(Flow& flow) {
  const auto phase = static_cast<SmtpPhase>(flow.smtp_phase);
  const bool commands = phase == SmtpPhase::kCommands || phase == SmtpPhase::kCommandsLost;
  const bool fits = phase <= SmtpPhase::kOff &&
                    (!commands || (flow.smtp_detail & kSmtpLow) <= static_cast<uint8_t>(kLastSmtpCommand));
  if (!fits) flow.smtp_phase = static_cast<uint8_t>(SmtpPhase::kOff);
}

bool is_known(const MacAddress& mac) {
  return mac != MacAddress{};
}

bool same_name(const PortIdentity& a, const PortIdentity& b) {
  return a.name_hash != 0 && a.name_hash == b.name_hash;
}

bool same_mac(const PortIdentity& a, const PortIdentity& b) {
  return is_known(a.mac) && a.mac == b.mac;
}

}  // namespace

const char* describe(KeptFlaw flaw) noexcept {
  switch (flaw) {
    case KeptFlaw::kNone:
      return "none";
    case KeptFlaw::kEmpty:
      return "there were none";
    case KeptFlaw::kDamaged:
      return "its header is damaged";
    case KeptFlaw::kVersion:
      return "it is of another version of the layout";
    case KeptFlaw::kBoot:
      return "the machine has started anew since";
    case KeptFlaw::kShortRuns:
      return "runs that used them ended at once, several times in a row";
    case KeptFlaw::kCapacity:
      return "flow_capacity was another";
    case KeptFlaw::kWorkers:
      return "the number of workers was another";
    case KeptFlaw::kDealing:
      return "flows were dealt to the workers in another way";
  }
  return "";
}

KeptFlaw flaw_of(const FlowMemoryHeader& header, size_t bytes, uint64_t boot_id) noexcept {
  if (bytes < sizeof header || header.magic == 0) return KeptFlaw::kEmpty;
  if (header.magic != kFlowMemoryMagic) return KeptFlaw::kDamaged;
  if (header.version != kFlowMemoryVersion && header.version != kFlowMemoryVersionWithoutClasses)
    return KeptFlaw::kVersion;
  const uint32_t capacity = header.flow_capacity;
  const bool whole = capacity != 0 && capacity < (1U << 31) && flow_memory_bytes(capacity) <= bytes &&
                     header.bucket_count == bucket_count(capacity) && header.flows_offset == flows_offset(capacity) &&
                     header.notes_offset == notes_offset(capacity) && header.workers != 0 &&
                     header.workers <= channel::kMaxWorkers && header.ports <= channel::kMaxPorts;
  if (!whole) return KeptFlaw::kDamaged;
  if (header.boot_id != boot_id) return KeptFlaw::kBoot;
  return header.short_runs >= kMaxShortRuns ? KeptFlaw::kShortRuns : KeptFlaw::kNone;
}

KeptFlaw flaw_of(const FlowMemoryHeader& header, uint32_t flow_capacity, Dealing dealing, uint64_t boot_id) noexcept {
  // A header of another capacity has to speak of a whole memory of that, which cannot be seen from here.
  const KeptFlaw flaw = flaw_of(header, SIZE_MAX, boot_id);
  if (flaw != KeptFlaw::kNone) return flaw;
  if (header.flow_capacity != flow_capacity) return KeptFlaw::kCapacity;
  if (header.workers != dealing.workers) return KeptFlaw::kWorkers;
  // A worker that is alone has all of them, whatever the classes.
  const bool same = header.version == kFlowMemoryVersion && header.classes == dealing.classes;
  return dealing.workers == 1 || same ? KeptFlaw::kNone : KeptFlaw::kDealing;
}

uint64_t hash_port_name(std::string_view name) noexcept {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash == 0 ? 1 : hash;
}

std::span<const PortIdentity> ports_of(const FlowMemoryHeader& header) noexcept {
  return {header.port, std::min<size_t>(header.ports, channel::kMaxPorts)};
}

void name_ports(FlowMemoryHeader& header, std::span<const PortIdentity> ports) noexcept {
  header.ports = static_cast<uint32_t>(std::min<size_t>(ports.size(), channel::kMaxPorts));
  std::copy_n(ports.begin(), header.ports, header.port);
}

void take_up(std::byte* memory, std::span<const PortIdentity> ports) noexcept {
  auto& header = *reinterpret_cast<FlowMemoryHeader*>(memory);
  const PortMap map(ports_of(header), ports);
  __atomic_store_n(&header.magic, 0, __ATOMIC_SEQ_CST);  // it is neither of these ports nor of those
  tidy(reinterpret_cast<Service*>(memory + kServicesOffset), reinterpret_cast<Backend*>(memory + kBackendsOffset),
       reinterpret_cast<Local*>(memory + kLocalsOffset), map);
  auto* flows = reinterpret_cast<Flow*>(memory + header.flows_offset);
  for (uint32_t i = 0; i < header.flow_capacity; i++) {
    if (!tidy(flows[i], map)) flows[i].state = TcpState::kFree;
  }
  name_ports(header, ports);
  __atomic_store_n(&header.magic, kFlowMemoryMagic, __ATOMIC_SEQ_CST);
}

PortMap::PortMap(uint32_t ports) noexcept {
  now_.fill(kGone);
  for (uint8_t i = 0; i < std::min<uint32_t>(ports, channel::kMaxPorts); i++) now_[i] = i;
}

PortMap::PortMap(std::span<const PortIdentity> before, std::span<const PortIdentity> now) noexcept {
  now_.fill(kGone);
  std::array<bool, channel::kMaxPorts> taken{};
  // The surest first. The card comes before the name: it is what the cable is in.
  const auto match = [&](auto same) {
    for (size_t i = 0; i < before.size(); i++) {
      for (size_t j = 0; j < now.size() && now_[i] == kGone; j++) {
        if (taken[j] || !same(before[i], now[j])) continue;
        now_[i] = static_cast<uint8_t>(j);
        taken[j] = true;
      }
    }
  };
  match([](const auto& a, const auto& b) { return same_mac(a, b) && same_name(a, b); });
  match(same_mac);
  match(same_name);
}

void tidy(Service* services, Backend* backends, Local* locals, const PortMap& ports) noexcept {
  for (uint32_t id = 0; id < channel::kMaxServices; id++) tidy_service(services[id]);
  drop_doubles(services);
  for (uint32_t id = 0; id < channel::kMaxBackends; id++) tidy_backend(backends[id], ports);
  for (uint32_t id = 0; id < channel::kMaxLocals; id++) tidy_local(locals[id], ports);
}

bool tidy(Flow& flow, const PortMap& ports) noexcept {
  const uint8_t state = raw_byte(flow.state);
  const bool valid = state != static_cast<uint8_t>(TcpState::kFree) &&
                     state <= static_cast<uint8_t>(TcpState::kReset) && flow.service < channel::kMaxServices &&
                     flow.backend < channel::kMaxBackends && flow.forwarding() <= channel::Forwarding::kGue;
  if (!valid) return false;
  const uint8_t port = ports[flow.vlan_and_port >> 12];
  if (port == PortMap::kGone) return false;
  flow.vlan_and_port = static_cast<uint16_t>((flow.vlan_and_port & 0x0fff) | port << 12);
  const bool is_fullnat = flow.forwarding() == channel::Forwarding::kFullnat;
  if (is_fullnat && !is_local_port(flow.local_port)) return false;
  flow.flags &= kFlowCut | kFlowCounted | kFlowSpecial | kFlowProxyPending | kFlowWindow;
  if (flow.flags >> 4 > kLargestWindowScale) flow.flags &= static_cast<uint8_t>(~kFlowWindow);
  // A flow that is over was taken from the counts, and has nothing under way.
  const auto tcp = static_cast<TcpState>(state);
  const bool over = tcp == TcpState::kClosed || tcp == TcpState::kReset;
  if (over) flow.flags &= static_cast<uint8_t>(~kFlowCounted);
  // A header is only ever pending where its connection stands.
  if ((over || is_embryonic(tcp)) && (flow.flags & kFlowProxyPending) != 0) {
    flow.flags &= static_cast<uint8_t>(~kFlowProxyPending);
    flow.bytes_up = 0;
  }
  const bool special = flow.forwarding() != channel::Forwarding::kNat || flow.proxy_bytes != 0 || flow.spliced ||
                       (flow.flags & kFlowProxyPending) != 0;
  if (special) flow.flags |= kFlowSpecial;
  tidy_smtp(flow);
  return true;
}

}  // namespace sluice
