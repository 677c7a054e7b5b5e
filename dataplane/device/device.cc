// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/device.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "dataplane/base/log.h"
#include "dataplane/base/setup_error.h"
#include "dataplane/device/busy_queue.h"
#include "dataplane/device/device_string.h"
#include "dataplane/device/kernel_interface.h"

namespace sluice {
namespace {

rte_eth_fc_mode mode_of(FlowControl wish) {
  switch (wish) {
    case FlowControl::kReceive:
      return RTE_ETH_FC_RX_PAUSE;
    case FlowControl::kSend:
      return RTE_ETH_FC_TX_PAUSE;
    case FlowControl::kBoth:
      return RTE_ETH_FC_FULL;
    case FlowControl::kLeave:
    case FlowControl::kOff:
      break;
  }
  return RTE_ETH_FC_NONE;
}

constexpr std::chrono::milliseconds kUntilFree{300};

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
  if (options.bond) {
    bond_ = std::make_unique<Bond>(options.name, *options.bond);
    id_ = bond_->id();
  } else {
    const OpenedDevice opened = open_device(options.name, options.device);
    id_ = opened.id;
    interface_ = opened.interface;
    events_ = std::make_unique<CardEvents>(id_);
  }
  const rte_eth_dev_info info = device_info(id_);
  driver_ = info.driver_name == nullptr ? "?" : info.driver_name;
  rte_ether_addr address{};
  rte_eth_macaddr_get(id_, &address);
  std::memcpy(mac_.bytes.data(), address.addr_bytes, mac_.bytes.size());
  choose_mtu(info.max_mtu);
  const auto descriptors = [](uint16_t wanted, uint16_t usual) {
    return wanted != 0 ? wanted : std::max(kDescriptors, usual);
  };
  receive_descriptors_ = descriptors(options.receive_descriptors, info.default_rxportconf.ring_size);
  transmit_descriptors_ = descriptors(options.transmit_descriptors, info.default_txportconf.ring_size);
}

void Device::choose_mtu(uint16_t most) {
  if (options_.mtu != 0) {
    if (most != 0 && options_.mtu > most) {
      throw SetupError(fmt::format("port {}: mtu = {} is more than {} can carry; allowed: up to {}", options_.name,
                                   options_.mtu, driver_, most));
    }
    mtu_ = options_.mtu;
    return;
  }
  rte_eth_dev_get_mtu(id_, &mtu_);
  if (!interface_.empty()) mtu_ = interface_mtu(interface_).value_or(mtu_);
  if (most == 0 || mtu_ <= most) return;
  spdlog::warn("port {}: MTU {} is more than {} can carry; {} it is", options_.name, mtu_, driver_, most);
  mtu_ = most;
}

Device::~Device() {
  events_.reset();
  if (started_) rte_eth_dev_stop(id_);
  if (bond_ == nullptr) rte_eth_dev_close(id_);
}

DeviceCapabilities Device::capabilities() const {
  const rte_eth_dev_info info = device_info(id_);
  return {.receive_queues_max = info.max_rx_queues,
          .transmit_queues_max = info.max_tx_queues,
          .rss = {.driver = driver_,
                  .types = info.flow_type_rss_offloads,
                  .table_entries = info.reta_size,
                  .key_bytes = info.hash_key_size},
          .receive_offloads = info.rx_offload_capa,
          .transmit_offloads = info.tx_offload_capa,
          .queues_in_pairs = driver_ == "net_af_xdp" || driver_ == "net_tap"};
}

LinkState Device::link() const {
  // Of a bond the others may still carry.
  if (bond_ != nullptr) return bond_->link();
  if (const std::string trouble = events_->trouble(); !trouble.empty()) return {.trouble = trouble};
  return link_of(id_, interface_);
}

QueueDemand Device::queue_demand() const {
  if (bond_ == nullptr) {
    return {.receive_descriptors = receive_descriptors_,
            .transmit_descriptors = transmit_descriptors_,
            .driver_extra = driver_extra_mbufs(driver_.c_str())};
  }
  QueueDemand out;
  for (const Bond::Member& member : bond_->members()) {
    if (!member.is_there()) continue;
    out.receive_descriptors += receive_descriptors_;
    out.transmit_descriptors += transmit_descriptors_;
    out.driver_extra += driver_extra_mbufs(member.opened.driver.c_str());
  }
  return out;
}

int Device::try_configure(const PortPlan& plan, bool steers) {
  rte_eth_conf conf{};
  conf.rxmode.mtu = mtu_;
  // No other offloads: VLAN tags stay in the packet, where the worker reads them.
  conf.rxmode.offloads = steers ? plan.receive_offloads : 0;
  conf.rxmode.mq_mode = plan.rss_types == 0 ? RTE_ETH_MQ_RX_NONE : RTE_ETH_MQ_RX_RSS;
  conf.rx_adv_conf.rss_conf.rss_hf = steers ? plan.rss_types : plan.rss_types & kRssTcp;
  if (steers) {
    conf.rx_adv_conf.rss_conf.rss_key = owner_key();
    conf.rx_adv_conf.rss_conf.rss_key_len = plan.steering.key_bytes;
  }
  conf.txmode.offloads = plan.transmit_offloads;
  return rte_eth_dev_configure(id_, plan.receive_queues, plan.transmit_queues, &conf);
}

void Device::configure(const PortPlan& plan) {
  int error = try_configure(plan, is_to_steer(plan));
  if (error != 0 && is_to_steer(plan)) {
    refused_ = fmt::format("RSS by one side under a key of ours: {}", rte_strerror(-error));
    error = try_configure(plan, false);
  }
  if (error != 0) fail("could not be configured", error);
  const uint16_t receive = receive_descriptors_;
  const uint16_t transmit = transmit_descriptors_;
  error = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &receive_descriptors_, &transmit_descriptors_);
  if (error != 0) fail("refused the number of descriptors", error);
  if ((options_.receive_descriptors != 0 && receive != receive_descriptors_) ||
      (options_.transmit_descriptors != 0 && transmit != transmit_descriptors_)) {
    spdlog::warn("port {}: {} takes {} receive and {} transmit descriptors instead of {} and {}", options_.name,
                 driver_, receive_descriptors_, transmit_descriptors_, receive, transmit);
  }
}

void Device::set_mtu() {
  if (options_.mtu == 0) return;
  const int error = rte_eth_dev_set_mtu(id_, mtu_);  // of the kernel's interface too, where there is one
  if (error != 0 && error != -ENOTSUP) fail(fmt::format("refused mtu = {}", mtu_), error);
}

void Device::prepare(const PortPlan& plan, std::span<rte_mempool* const> pools) {
  configure(plan);
  set_mtu();
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
}

void Device::start_or_fail(const PortPlan& plan, std::span<rte_mempool* const> pools) {
  int error = rte_eth_dev_start(id_);
  if (error != 0 && plan.steering.steers) {
    // Some drivers look at RSS only now.
    if (refused_.empty()) refused_ = fmt::format("to start with RSS by one side: {}", rte_strerror(-error));
    prepare(plan, pools);
    error = rte_eth_dev_start(id_);
  }
  if (error != 0) {
    fail(bond_ == nullptr ? "could not be started"
                          : "could not be started; each member has to take the bond's MAC address, which net_af_xdp, "
                            "net_memif and net_ring do not (let the kernel bond what is under AF_XDP)",
         error);
  }
  started_ = true;
}

void Device::start(const PortPlan& plan, std::span<rte_mempool* const> pools) {
  prepare(plan, pools);
  start_or_fail(plan, pools);
  accept_multicast();
  set_manners();
}

std::string Device::steer(const PortPlan& plan, std::span<rte_mempool* const> pools, std::span<const uint16_t> queues) {
  if (!refused_.empty()) return refused_;
  refused_ = sluice::steer(id_, plan.steering, options_.faces, queues);
  // Some drivers stop a device to write its table, and leave it so if they cannot. Of one that runs nothing is changed.
  if (!refused_.empty()) start_or_fail(plan, pools);
  return refused_;
}

void Device::set_up_receive_queue(uint16_t queue, unsigned socket, const PortPlan& plan, rte_mempool* pool) {
  rte_eth_rxconf receive = device_info(id_).default_rxconf;
  const auto set_up = [&] { return rte_eth_rx_queue_setup(id_, queue, receive_descriptors_, socket, &receive, pool); };
  receive.rx_drop_en |= plan.drop_when_full ? 1 : 0;
  int error = driver_ == "net_af_xdp" ? set_up_once_free(set_up, kUntilFree) : set_up();
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

void Device::set_manners() {
  if (options_.promiscuous) {
    const int error = rte_eth_promiscuous_enable(id_);
    if (error != 0) fail("has no promiscuous mode; leave `promiscuous` out", error);
  }
  for (const MacAddress& mac : options_.extra_macs) {
    rte_ether_addr address{};
    std::memcpy(address.addr_bytes, mac.bytes.data(), mac.bytes.size());
    const int error = rte_eth_dev_mac_addr_add(id_, &address, 0);
    if (error != 0 && rte_eth_promiscuous_get(id_) != 1)
      fail(fmt::format("takes in no frames to {}; `promiscuous = true` may help", to_string(mac)), error);
  }
  set_flow_control();
}

void Device::set_flow_control() {
  if (options_.flow_control == FlowControl::kLeave) return;
  constexpr const char* kRefused = "has no flow control that could be set; leave `flow_control` out";
  rte_eth_fc_conf conf{};
  int error = rte_eth_dev_flow_ctrl_get(id_, &conf);
  if (error != 0) fail(kRefused, error);
  conf.mode = mode_of(options_.flow_control);
  error = rte_eth_dev_flow_ctrl_set(id_, &conf);
  if (error != 0) fail(kRefused, error);
}

std::string Device::describe() const {
  std::string device = split_device(options_.device).name;
  if (bond_ != nullptr) {
    device = bond_->is_lacp() ? "LACP bond of" : "active-backup bond of";
    for (const Bond::Member& member : bond_->members()) device += " " + split_device(member.opened.device).name;
  }
  return fmt::format("{} ({}), MAC {}, MTU {}", device, driver_, to_string(mac_), mtu_);
}

void Device::fail(const std::string& what, int error) const {
  const std::string device = bond_ == nullptr ? fmt::format("device \"{}\"", options_.device) : "its bond";
  throw SetupError(fmt::format("port {}: {} {}: {}{}", options_.name, device, what, rte_strerror(-error),
                               last_dpdk_error().empty() ? "" : " (" + last_dpdk_error() + ")"));
}

}  // namespace sluice
