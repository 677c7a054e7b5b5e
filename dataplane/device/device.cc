// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/device.h"

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>

#include "dataplane/base/log.h"
#include "dataplane/base/setup_error.h"
#include "dataplane/device/device_string.h"
#include "dataplane/device/kernel_interface.h"

namespace sluice {
namespace {

constexpr std::string_view kAllowed =
    "write a PCI address bound to vfio-pci (\"0000:3b:00.0\") or a DPDK virtual device (\"net_af_xdp0,iface=eth1\", "
    "\"net_af_packet0,iface=eth1\", \"net_memif0,...\")";

/// The port id of `device`, which EAL has probed (PCI) or which is added here (virtual).
uint16_t open_port(const PortOptions& options) {
  const bool pci = is_pci_device(options.device);
  const DeviceString parts = split_device(options.device);
  const std::string name = pci ? pci_port_name(options.device) : parts.name;
  if (!pci) {
    uint16_t taken = 0;
    if (rte_eth_dev_get_port_by_name(name.c_str(), &taken) == 0) {  // adding it again would succeed, and do nothing
      throw SetupError(
          fmt::format("port {}: device name {} is taken; number devices of one kind: net_af_xdp0, net_af_xdp1",
                      options.name, name));
    }
    const int error = rte_eal_hotplug_add("vdev", name.c_str(), parts.arguments.c_str());
    if (error != 0) {
      throw SetupError(fmt::format("port {}: device \"{}\" could not be opened: {}; {}", options.name, options.device,
                                   rte_strerror(-error), kAllowed));
    }
  }
  uint16_t id = 0;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0) {
    throw SetupError(fmt::format("port {}: device \"{}\" was not found; {}; see `dpdk-devbind.py --status`",
                                 options.name, options.device, kAllowed));
  }
  return id;
}

/// RTE_ETH_EVENT_INTR_RESET and _RMV. `flag`: the std::atomic<bool> to be set.
int note_event(uint16_t, rte_eth_event_type, void* flag, void*) {
  static_cast<std::atomic<bool>*>(flag)->store(true, std::memory_order_relaxed);
  return 0;
}

rte_eth_dev_info device_info(uint16_t id) {
  rte_eth_dev_info info{};
  rte_eth_dev_info_get(id, &info);
  return info;
}

}  // namespace

std::string to_string(const MacAddress& mac) {
  const auto& b = mac.bytes;
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4], b[5]);
}

Device::Device(const PortOptions& options) : options_(options) {
  const auto interface = device_argument(options.device, "iface");
  const bool behind_kernel = interface && !split_device(options.device).name.starts_with("net_tap");
  if (behind_kernel) check_interface(options.name, *interface);
  if (behind_kernel) interface_ = *interface;
  if (split_device(options.device).name.starts_with("net_af_packet")) {
    spdlog::warn(
        "port {}: with AF_PACKET the kernel sees every packet too, and answers for what the twins own; let nftables "
        "drop at the ingress hook of {}, or use net_af_xdp",
        options.name, interface.value_or("the interface"));
  }
  id_ = open_port(options);
  const rte_eth_dev_info info = device_info(id_);
  driver_ = info.driver_name == nullptr ? "?" : info.driver_name;
  rte_ether_addr address{};
  rte_eth_macaddr_get(id_, &address);
  std::memcpy(mac_.bytes.data(), address.addr_bytes, mac_.bytes.size());
  rte_eth_dev_get_mtu(id_, &mtu_);
  if (behind_kernel) mtu_ = interface_mtu(*interface).value_or(mtu_);
  if (info.max_mtu != 0 && mtu_ > info.max_mtu) {
    spdlog::warn("port {}: MTU {} is more than {} can carry; {} it is", options.name, mtu_, driver_, info.max_mtu);
    mtu_ = info.max_mtu;
  }
  receive_descriptors_ = std::max(kDescriptors, info.default_rxportconf.ring_size);
  transmit_descriptors_ = std::max(kDescriptors, info.default_txportconf.ring_size);
}

Device::~Device() {
  rte_eth_dev_callback_unregister(id_, RTE_ETH_EVENT_INTR_RESET, note_event, &needs_reset_);
  rte_eth_dev_callback_unregister(id_, RTE_ETH_EVENT_INTR_RMV, note_event, &removed_);
  if (started_) rte_eth_dev_stop(id_);
  rte_eth_dev_close(id_);
}

DeviceCapabilities Device::capabilities() const {
  const rte_eth_dev_info info = device_info(id_);
  return {.receive_queues_max = info.max_rx_queues,
          .transmit_queues_max = info.max_tx_queues,
          .rss_types = info.flow_type_rss_offloads,
          .transmit_offloads = info.tx_offload_capa,
          .queues_in_pairs = driver_ == "net_af_xdp" || driver_ == "net_tap"};
}

LinkState Device::link() const {
  if (removed_.load(std::memory_order_relaxed)) return {.trouble = "the card is gone"};
  if (needs_reset_.load(std::memory_order_relaxed)) {
    return {.trouble = "the card has to be reset, as its host tells; restart sluice-dataplane"};
  }
  if (interface_.empty()) return driver_link();
  const auto link = interface_link(interface_);
  if (!link) return {.trouble = "there is no interface " + interface_ + " any more; restart sluice-dataplane"};
  LinkState out{.up = link->up, .speed_mbps = link->speed_mbps};
  if (link->full_duplex) out.duplex = channel::Duplex::kFull;
  if (link->half_duplex) out.duplex = channel::Duplex::kHalf;
  return out;
}

LinkState Device::driver_link() const {
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(id_, &link) != 0) return {.up = true};  // the driver does not tell
  LinkState out{.up = link.link_status == RTE_ETH_LINK_UP};
  if (!out.up) return out;
  if (link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN) out.speed_mbps = link.link_speed;
  out.duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX ? channel::Duplex::kFull : channel::Duplex::kHalf;
  return out;
}

void Device::listen_for_trouble() {
  rte_eth_dev_callback_register(id_, RTE_ETH_EVENT_INTR_RESET, note_event, &needs_reset_);
  rte_eth_dev_callback_register(id_, RTE_ETH_EVENT_INTR_RMV, note_event, &removed_);
}

QueueDemand Device::queue_demand() const {
  return {.receive_descriptors = receive_descriptors_,
          .transmit_descriptors = transmit_descriptors_,
          .driver_extra = driver_extra_mbufs(driver_.c_str())};
}

void Device::configure(const PortPlan& plan) {
  rte_eth_conf conf{};
  conf.rxmode.mtu = mtu_;  // no receive offloads: VLAN tags stay in the packet, where the worker reads them
  conf.rxmode.mq_mode = plan.rss_types == 0 ? RTE_ETH_MQ_RX_NONE : RTE_ETH_MQ_RX_RSS;
  conf.rx_adv_conf.rss_conf.rss_hf = plan.rss_types;
  conf.txmode.offloads = plan.transmit_offloads;
  int error = rte_eth_dev_configure(id_, plan.receive_queues, plan.transmit_queues, &conf);
  if (error != 0) fail("could not be configured", error);
  error = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &receive_descriptors_, &transmit_descriptors_);
  if (error != 0) fail("refused the number of descriptors", error);
}

void Device::start(const PortPlan& plan, std::span<rte_mempool* const> pools) {
  configure(plan);
  const rte_eth_dev_info info = device_info(id_);
  // The driver takes a pool's first piece of memory for the whole.
  const bool in_pieces = std::ranges::any_of(pools, [](const rte_mempool* pool) { return pool->nb_mem_chunks > 1; });
  if (driver_ == "net_af_xdp" && in_pieces) {
    fail("needs packet buffers in one piece of memory; use no PCI device beside it, or larger huge pages", -ENOMEM);
  }
  const auto socket = static_cast<unsigned>(std::max(0, rte_eth_dev_socket_id(id_)));
  for (uint16_t queue = 0; queue < plan.receive_queues; queue++) {
    set_up_receive_queue(queue, socket, plan, pools[queue]);
  }
  rte_eth_txconf transmit = info.default_txconf;
  transmit.offloads = plan.transmit_offloads & info.tx_queue_offload_capa;
  for (uint16_t queue = 0; queue < plan.transmit_queues; queue++) {
    const int error = rte_eth_tx_queue_setup(id_, queue, transmit_descriptors_, socket, &transmit);
    if (error != 0) fail(fmt::format("transmit queue {} could not be set up", queue), error);
  }
  const int error = rte_eth_dev_start(id_);
  if (error != 0) fail("could not be started", error);
  started_ = true;
  accept_multicast();
  listen_for_trouble();
}

void Device::set_up_receive_queue(uint16_t queue, unsigned socket, const PortPlan& plan, rte_mempool* pool) {
  rte_eth_rxconf receive = device_info(id_).default_rxconf;
  const auto set_up = [&] { return rte_eth_rx_queue_setup(id_, queue, receive_descriptors_, socket, &receive, pool); };
  receive.rx_drop_en |= plan.drop_when_full ? 1 : 0;
  int error = set_up();
  if (error == -EINVAL && plan.drop_when_full) {  // some drivers take no such wish
    receive.rx_drop_en = 0;
    error = set_up();
  }
  if (error != 0) fail(fmt::format("receive queue {} could not be set up", queue), error);
}

void Device::accept_multicast() {
  if (rte_eth_allmulticast_enable(id_) == 0 || rte_eth_promiscuous_enable(id_) == 0) return;
  spdlog::debug("port {}: {} has neither an all-multicast nor a promiscuous mode", options_.name, driver_);
}

std::string Device::describe() const {
  return fmt::format("{} ({}), MAC {}, MTU {}", split_device(options_.device).name, driver_, to_string(mac_), mtu_);
}

void Device::fail(const std::string& what, int error) const {
  throw SetupError(fmt::format("port {}: device \"{}\" {}: {}{}", options_.name, options_.device, what,
                               rte_strerror(-error), last_dpdk_error().empty() ? "" : " (" + last_dpdk_error() + ")"));
}

}  // namespace sluice
