// SPDX-License-Identifier: Apache-2.0
//
// What stands between an IPv6 header and what it carries, and who may not hide behind it.
#include <gtest/gtest.h>

#include <vector>

#include "dataplane/packet/encapsulate.h"
#include "dataplane/packet/packet.h"

#include "tests/dataplane/support/server_router_fixture.h"

namespace sluice::testing {
namespace {

/// An IPv6 datagram with these extension headers of 8 bytes, each with the number of its kind, before `upper`.
Bytes extended(const Endpoint& from, const Endpoint& to, uint32_t port, const std::vector<uint8_t>& headers,
               uint8_t upper, uint16_t fragment = 0) {
  Bytes out = sound_udp(from, to, port);
  size_t at = 14 + 40;
  for (const uint8_t header : headers) {
    const uint8_t low = static_cast<uint8_t>(fragment), high = static_cast<uint8_t>(fragment >> 8);
    const Bytes bytes = header == kFragmentHeader ? Bytes{0, 0, high, low, 0, 0, 0, 7} : Bytes{0, 0, 1, 4, 0, 0, 0, 0};
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin(), bytes.end());
    at += 8;
  }
  out[14 + 6] = headers.front();
  out[14 + 5] = static_cast<uint8_t>(out.size() - 54);
  for (size_t i = 0; i < headers.size(); i++) out[54 + 8 * i] = i + 1 < headers.size() ? headers[i + 1] : upper;
  return out;
}

using ServerRouterHeaders = ServerRouterTest;

TEST_F(ServerRouterHeaders, WhatHidesBehindExtensionHeadersIsTheKernels) {
  const std::vector<uint8_t> many(kMaxExtensionHeaders + 1, kDestinationOptions);
  expect_kernels(bench_, kFront, extended(kFar6, backend6(3), kFront, many, kProtocolTcp));
  expect_kernels(bench_, kFront, extended(kFar6, backend6(3), kFront, {kDestinationOptions}, kProtocolUdp));
  expect_kernels(bench_, kFront, extended(kFar6, backend6(3), kFront, {kRouting}, kProtocolUdp));
  const std::vector<uint8_t> twice{kFragmentHeader, kFragmentHeader};
  expect_kernels(bench_, kFront, extended(kFar6, backend6(3), kFront, twice, kProtocolTcp));
  // Of a later part, the first bytes are no header, whatever they look like.
  const std::vector<uint8_t> hidden{kFragmentHeader, kDestinationOptions};
  expect_kernels(bench_, kFront, extended(kFar6, backend6(3), kFront, hidden, kProtocolTcp, 8 << 3));
  expect_kernels(bench_, kFront, extended(kFar6, backend6(3), kFront, {kFragmentHeader}, kProtocolUdp, 8 << 3));
}

TEST_F(ServerRouterHeaders, PartsOfDatagramsAreRoutedOverIpv6) {
  for (const uint16_t fragment : {0, 1, 8 << 3}) {
    const Bytes part = extended(kServerOwn6, kFar6, kBack, {kFragmentHeader}, kProtocolUdp, fragment);
    EXPECT_EQ(routed(bench_, kBack, part, kFront).size(), 1u) << fragment;
  }
}

}  // namespace
}  // namespace sluice::testing
