// SPDX-License-Identifier: Apache-2.0
//
// The sizes to which a configuration is held. Those that the channel contract fixes are repeated here,
// because config/ depends on nothing; tests/config/bounds_test.cc holds the two together.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::config {

inline constexpr size_t kMaxServices = 1024;
inline constexpr size_t kMaxBackends = 16384;  // distinct member, port and check over all services
inline constexpr size_t kMaxPorts = 16;
inline constexpr int64_t kMaxWorkers = 64;
inline constexpr int64_t kMaxBurst = 64;
inline constexpr size_t kMaxPeers = 16;
inline constexpr size_t kMaxPeerAddresses = 16;

inline constexpr size_t kMaxPools = 4096;
inline constexpr size_t kMaxChecks = 1024;
inline constexpr unsigned kMaxLcore = 127;  // RTE_MAX_LCORE of Debian's DPDK, less one
inline constexpr size_t kMaxNameBytes = 63;
inline constexpr size_t kMaxInterfaceNameBytes = 15;  // IFNAMSIZ less the terminating NUL
inline constexpr size_t kMaxSocketPathBytes = 107;    // sun_path less the terminating NUL
inline constexpr size_t kMaxPatternBytes = 512;
inline constexpr size_t kMaxTextBytes = 16UL << 20;  // a file with all it includes
inline constexpr unsigned kMaxIncludeDepth = 10;
inline constexpr size_t kMaxNesting = 64;  // brackets within brackets
inline constexpr int64_t kMinMtu = 1280;   // what IPv6 asks of every link (RFC 8200 section 5)
inline constexpr int64_t kMaxMtu = 16110;
inline constexpr size_t kMaxBondMembers = 8;
inline constexpr size_t kMaxExtraMacs = 4;
inline constexpr int64_t kMinTableSize = 3;
inline constexpr int64_t kMaxTableSize = 5'000'011;
inline constexpr int64_t kMinMss = 536;                  // what every IPv4 host takes (RFC 9293 section 3.7.1)
inline constexpr int64_t kMaxMss = 65495;                // the longest IPv4 packet less its headers
inline constexpr uint32_t kMinEstablishedSeconds = 660;  // RFC 5321 section 4.5.3.2.6: 10 minutes, and a margin
inline constexpr size_t kMaxWarmUpDays = 366;
inline constexpr size_t kMaxDnsServers = 8;
inline constexpr size_t kMaxEndpoints = 16;        // of etcd
inline constexpr size_t kMaxKeyPrefixBytes = 255;  // of etcd
inline constexpr size_t kMaxDomainBytes = 253;     // as text, without the dot at its end (RFC 1035 section 2.3.4)
inline constexpr size_t kMaxHttpNames = 32;
inline constexpr size_t kMaxGroupNameBytes = 32;  // useradd(8)
inline constexpr int64_t kMaxTier = 7;
inline constexpr size_t kMaxAllowedPrefixes = 4096;
inline constexpr size_t kMaxLimits = 8;            // rules of sources.limits
inline constexpr size_t kMaxRoutes = 16;           // of sources.routes
inline constexpr size_t kMaxRoutePrefixes = 4096;  // of one of them
inline constexpr size_t kMaxRefusalBytes = 55;     // of text_421
inline constexpr uint16_t kImplicitTlsPort = 465;  // clients speak first (RFC 8314 section 7.3)
inline constexpr size_t kMaxKeywords = 32;         // that a check requires

}  // namespace sluice::config
