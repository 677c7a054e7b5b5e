// SPDX-License-Identifier: Apache-2.0
#include "tests/dataplane/support/bench_ports.h"

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace sluice::testing {
namespace {

constexpr unsigned kRingEntries = 1024;

template <typename T>
T* must(T* pointer, const char* what) {
  if (pointer == nullptr) {
    fprintf(stderr, "%s failed\n", what);
    abort();
  }
  return pointer;
}

std::string unique_name(const char* prefix) {
  static int next = 0;
  return prefix + std::to_string(next++);
}

}  // namespace

void start_eal() {
  static const bool kStarted = [] {
    std::array<std::string, 9> words{"tests", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m",
                                     "256",   "-l",        "0"};
    std::array<char*, 9> arguments{};
    for (size_t i = 0; i < words.size(); i++) arguments[i] = words[i].data();
    if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) abort();
    return true;
  }();
  (void)kStarted;
}

rte_mempool* make_pool(unsigned count) {
  return must(
      rte_pktmbuf_pool_create(unique_name("pool").c_str(), count, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY),
      "rte_pktmbuf_pool_create");
}

RingPort::RingPort(rte_mempool* pool, uint32_t queues) : pool_(pool) {
  const auto ring = [](const char* prefix) {
    return must(rte_ring_create(unique_name(prefix).c_str(), kRingEntries, SOCKET_ID_ANY, 0), "rte_ring_create");
  };
  for (uint32_t i = 0; i < queues; i++) {
    receive_.push_back(ring("rx"));
    transmit_.push_back(ring("tx"));
  }
  const int device =
      rte_eth_from_rings(unique_name("net").c_str(), receive_.data(), queues, transmit_.data(), queues, SOCKET_ID_ANY);
  if (device < 0) abort();
  device_ = static_cast<uint16_t>(device);
  const rte_eth_conf configuration{};
  const auto count = static_cast<uint16_t>(queues);
  if (rte_eth_dev_configure(device_, count, count, &configuration) != 0) abort();
  for (uint16_t i = 0; i < count; i++) {
    if (rte_eth_rx_queue_setup(device_, i, kRingEntries, SOCKET_ID_ANY, nullptr, pool) != 0 ||
        rte_eth_tx_queue_setup(device_, i, kRingEntries, SOCKET_ID_ANY, nullptr) != 0) {
      abort();
    }
  }
  if (rte_eth_dev_start(device_) != 0) abort();
}

RingPort::~RingPort() {
  for (const auto& rings : {receive_, transmit_}) {
    for (rte_ring* ring : rings) drain(ring);
  }
  rte_eth_dev_stop(device_);
  rte_eth_dev_close(device_);
  for (const auto& rings : {receive_, transmit_}) {
    for (rte_ring* ring : rings) rte_ring_free(ring);
  }
}

rte_mbuf* make_mbuf(rte_mempool* pool, const Bytes& frame) {
  rte_mbuf* mbuf = must(rte_pktmbuf_alloc(pool), "rte_pktmbuf_alloc");
  auto* data = reinterpret_cast<uint8_t*>(
      must(rte_pktmbuf_append(mbuf, static_cast<uint16_t>(frame.size())), "rte_pktmbuf_append"));
  std::copy(frame.begin(), frame.end(), data);
  return mbuf;
}

void RingPort::arrive(uint32_t queue, rte_mbuf* mbuf) {
  if (rte_ring_enqueue(receive_[queue], mbuf) != 0) abort();
}

std::vector<Bytes> RingPort::take() {
  std::vector<Bytes> out;
  for (rte_ring* ring : transmit_) {
    for (Bytes& frame : drain(ring)) out.push_back(std::move(frame));
  }
  return out;
}

std::vector<Bytes> drain(rte_ring* ring) {
  std::vector<Bytes> out;
  void* item = nullptr;
  while (rte_ring_dequeue(ring, &item) == 0) {
    auto* mbuf = static_cast<rte_mbuf*>(item);
    const auto* data = rte_pktmbuf_mtod(mbuf, const uint8_t*);
    out.emplace_back(data, data + rte_pktmbuf_data_len(mbuf));
    rte_pktmbuf_free(mbuf);
  }
  return out;
}

}  // namespace sluice::testing
