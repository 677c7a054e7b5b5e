// SPDX-License-Identifier: Apache-2.0
//
// Whether something in the kernel has a say in packets that it passes on: chains of nftables (those of iptables-nft
// among them) and tables of the older iptables. What it would do is not asked: that it is there is enough.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace sluice::control {

/// A request for all chains of nftables (NFT_MSG_GETCHAIN), as bytes for a socket of NETLINK_NETFILTER.
std::vector<uint8_t> dump_chains(uint32_t sequence);

/// What was answered, so far.
struct Chains {
  std::string on_the_way;  // the first that sees packets that are passed on, in words; "" = none did
  bool done = false;
  bool interrupted = false;  // they changed meanwhile: some may be missing (NLM_F_DUMP_INTR)
  int error = 0;             // errno that the kernel answered with
};

/// Adds what `bytes` say. Chains of input and output, and those without a hook, see no packet that is passed on; nor do
/// chains of interfaces that are none of `twins`.
void read_chains(std::span<const uint8_t> bytes, const std::set<std::string>& twins, Chains& out);

/// The first of what there is, in words: "nftables: chain forward of table inet filter (hook forward)"; "" = there is
/// nothing. Empty: they changed while they were listed. The error says why that is not known. `proc`: where /proc is.
std::expected<std::optional<std::string>, std::string> packet_rules(const std::set<std::string>& twins,
                                                                    const std::string& proc = "/proc");

}  // namespace sluice::control
