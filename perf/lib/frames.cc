// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/frames.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "dataplane/packet/checksum.h"
#include "perf/lib/synthetic.h"

namespace sluice::perf {
namespace {

rte_mempool* frame_pool() {
  static rte_mempool* pool = rte_pktmbuf_pool_create("frames", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  return pool;
}

}  // namespace

Frames::Frames(uint32_t frame_bytes, bool v6) {
  service.vip = v6 ? Endpoint{Address{{0x20, 0x01, 0x0d, 0xb8, 0, 0x25}}, Be16::of(25)}
                   : Endpoint{Address::v4(Be32::of(0xc0000219)), Be16::of(25)};
  backend.endpoint = v6 ? Endpoint{Address{{0xfd, 0, 0, 1}}, Be16::of(10025)}
                        : Endpoint{Address::v4(Be32::of(0x0a00010a)), Be16::of(10025)};
  service.sums = endpoint_sums(service.vip);
  backend.sums = endpoint_sums(backend.endpoint);
  for (uint32_t i = 0; i < kCount; i++) {
    mbuf[i] = frame_pool() == nullptr ? nullptr : rte_pktmbuf_alloc(frame_pool());
    if (mbuf[i] == nullptr) {
      fprintf(stderr, "no packet buffers for frames\n");
      exit(1);
    }
    const FrameTemplate frame(kFramesMac, client_endpoint(i, v6), service.vip, frame_bytes);
    auto* data = rte_pktmbuf_mtod(mbuf[i], uint8_t*);
    frame.write(data, client_endpoint(i, v6), service.vip, kTcpAck, 0, 0);
    mbuf[i]->data_len = static_cast<uint16_t>(frame.frame_bytes());
    mbuf[i]->pkt_len = frame.frame_bytes();
    if (parse_any(*mbuf[i], kFramesMac, packet[i]) != ParseVerdict::kTcp) {
      fprintf(stderr, "a frame was not understood\n");
      exit(1);
    }
  }
}

Frames::~Frames() {
  rte_pktmbuf_free_bulk(mbuf.data(), kCount);
}

}  // namespace sluice::perf
