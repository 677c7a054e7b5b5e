// SPDX-License-Identifier: Apache-2.0
#include "controlplane/channel/in_use.h"

#include <algorithm>
#include <unordered_set>

#include "controlplane/channel/published_ports.h"
#include "dataplane/contract/targets.h"

namespace sluice::control {

namespace {

/// The targets of one worker, by id.
struct Targets {
  std::span<const sluice::Service> services;
  std::span<const sluice::Backend> backends;
  std::span<const sluice::Local> locals;
};

template <typename T>
std::span<const T> targets_at(std::span<const std::byte> memory, size_t offset, size_t count) {
  return {reinterpret_cast<const T*>(memory.data() + offset), count};
}

/// None while the memory is not laid out, or not as we know it.
Targets targets_in(std::span<const std::byte> memory) {
  if (memory.size() < kTargetsEnd) return {};
  const auto& header = *reinterpret_cast<const FlowMemoryHeader*>(memory.data());
  // Pairs with the worker's release store when it has laid the memory out.
  if (__atomic_load_n(&header.magic, __ATOMIC_ACQUIRE) != kFlowMemoryMagic) return {};
  if (header.flows_offset < kTargetsEnd) return {};
  return {targets_at<sluice::Service>(memory, kServicesOffset, channel::kMaxServices),
          targets_at<sluice::Backend>(memory, kBackendsOffset, channel::kMaxBackends),
          targets_at<sluice::Local>(memory, kLocalsOffset, channel::kMaxLocals)};
}

template <typename E>
bool is_one_of(E value, E last) {
  return static_cast<uint8_t>(value) <= static_cast<uint8_t>(last);
}

bool makes_sense(const sluice::Service& service) {
  return service.key != 0 && is_one_of(service.forwarding, channel::Forwarding::kGue) &&
         is_one_of(service.proxy, channel::ProxyHeader::kV2) &&
         is_one_of(service.on_backend_down, channel::OnBackendDown::kKeep) &&
         is_one_of(service.on_no_backend, channel::OnNoBackend::k421) &&
         is_one_of(service.syn_proxy, channel::SynProxy::kAlways) &&
         service.idle_timeout_ms <= channel::kMaxIdleTimeoutMs;
}

InUse::Service service_of(const sluice::Service& service) {
  InUse::Service out;
  out.key = service.key;
  config::Service& config = out.config;
  config.vip.bytes = service.vip.address.bytes;
  config.port = service.vip.port.host();
  config.name = config::SocketAddress{config.vip, config.port}.to_string();
  // The channel's enumerations have the order of the configuration's; model_test holds them together.
  config.forwarding = static_cast<config::Forwarding>(service.forwarding);
  config.proxy = static_cast<config::Proxy>(service.proxy);
  config.on_backend_down = static_cast<config::OnBackendDown>(service.on_backend_down);
  config.on_no_backend = static_cast<config::OnNoBackend>(service.on_no_backend);
  config.syn_proxy = static_cast<config::SynProxy>(service.syn_proxy);
  config.mss = service.mss;
  config.idle_timeout = (service.idle_timeout_ms + 999) / 1000;
  return out;
}

InUse::Backend backend_of(const sluice::Backend& backend, std::span<const sluice::Service> services,
                          const std::vector<PublishedPort>& ports) {
  InUse::Backend out;
  out.key = backend.key;
  out.address.bytes = backend.endpoint.address.bytes;
  out.port = backend.endpoint.port.host();
  if ((backend.flags & channel::kBackendReachable) != 0 && backend.port_index < ports.size())
    out.next_hop = NextHop{.mac = backend.next_hop, .twin = ports[backend.port_index].twin};
  if (backend.sole_service < services.size() && services[backend.sole_service].in_use)
    out.sole_service = services[backend.sole_service].key;
  return out;
}

}  // namespace

InUse in_use(const ChannelMapping& mapping) {
  InUse out;
  const std::vector<PublishedPort> ports = published_ports(mapping);
  std::unordered_set<uint64_t> seen;  // workers differ by the last commands of an earlier control process, if at all
  const auto is_new = [&seen](const auto& target) {
    return target.in_use && target.key != 0 && seen.insert(target.key).second;
  };
  for (uint32_t worker = 0; worker < mapping.workers(); worker++) {
    const Targets targets = targets_in(mapping.flow_memory(worker));
    for (const sluice::Service& service : targets.services) {
      if (makes_sense(service) && is_new(service)) out.services.push_back(service_of(service));
    }
    for (const sluice::Backend& backend : targets.backends) {
      if (is_new(backend)) out.backends.push_back(backend_of(backend, targets.services, ports));
    }
    for (const sluice::Local& local : targets.locals) {
      if (local.of_peer || local.port_index >= ports.size() || !is_new(local)) continue;
      LocalAddress ours{ports[local.port_index].twin, {}};
      ours.address.bytes = local.address.bytes;
      if (!ours.is_of_peer()) out.local_addresses.push_back(std::move(ours));
    }
  }
  return out;
}

}  // namespace sluice::control
