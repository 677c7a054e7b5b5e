// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/packet_rules.h"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>

#include "controlplane/base/descriptor.h"
#include "controlplane/kernel/netlink_walk.h"

namespace sluice::control {

namespace {

constexpr uint16_t kGetChain = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN;
constexpr uint16_t kNewChain = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN;
constexpr size_t kBufferBytes = 64 * 1024;
constexpr timeval kTimeout{1, 0};
// Kernels without nftables: no such protocol, or nobody who answers to these requests.
constexpr std::array kNoNftables = {EPROTONOSUPPORT, EAFNOSUPPORT, EINVAL, EOPNOTSUPP, ENOENT};

std::string_view family_name(uint8_t family) {
  switch (family) {
    case NFPROTO_INET:
      return "inet";
    case NFPROTO_IPV4:
      return "ip";
    case NFPROTO_IPV6:
      return "ip6";
    case NFPROTO_NETDEV:
      return "netdev";
    default:
      return "";
  }
}

/// The name of a hook on the way of packets that are passed on; "" of others.
std::string_view hook_name(uint8_t family, uint32_t hook) {
  if (family == NFPROTO_NETDEV) return hook == NF_NETDEV_INGRESS ? "ingress" : "egress";
  if (family != NFPROTO_INET && family != NFPROTO_IPV4 && family != NFPROTO_IPV6) return "";
  switch (hook) {
    case NF_INET_PRE_ROUTING:
      return "prerouting";
    case NF_INET_FORWARD:
      return "forward";
    case NF_INET_POST_ROUTING:
      return "postrouting";
    case NF_INET_INGRESS:
      return "ingress";
    default:
      return "";
  }
}

std::string text_in(const nlattr* attribute) {
  return mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0 ? "?" : mnl_attr_get_str(attribute);
}

/// Where a chain is hooked in.
struct Hook {
  std::optional<uint32_t> number;
  std::vector<std::string> devices;  // a chain of some interfaces alone

  /// A name with a star behind it is that of all that begin so.
  bool is_of(const std::set<std::string>& twins) const {
    if (devices.empty()) return true;
    return std::ranges::any_of(devices, [&](const std::string& device) {
      if (!device.ends_with('*')) return twins.contains(device);
      const std::string_view begin = std::string_view(device).substr(0, device.size() - 1);
      return std::ranges::any_of(twins, [&](const std::string& twin) { return twin.starts_with(begin); });
    });
  }
};

constexpr uint16_t kDevicePrefix = 2;  // NFTA_DEVICE_PREFIX, of newer headers

Hook hook_in(const nlattr* nested) {
  Hook out;
  netlink::each_attribute_in(nested, [&](const nlattr* part, uint16_t type) {
    if (type == NFTA_HOOK_HOOKNUM && mnl_attr_validate(part, MNL_TYPE_U32) >= 0)
      out.number = __builtin_bswap32(mnl_attr_get_u32(part));
    if (type == NFTA_HOOK_DEV) out.devices.push_back(text_in(part));
    if (type != NFTA_HOOK_DEVS) return;
    netlink::each_attribute_in(part, [&](const nlattr* device, uint16_t device_type) {
      out.devices.push_back(text_in(device) + (device_type == kDevicePrefix ? "*" : ""));
    });
  });
  return out;
}

/// In words; "" if it sees no packet that is passed on.
std::string chain_in(const nlmsghdr* header, const std::set<std::string>& twins) {
  const auto* info = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(header));
  std::string table, name;
  Hook hook;
  netlink::each_attribute(header, sizeof *info, [&](const nlattr* attribute, uint16_t type) {
    if (type == NFTA_CHAIN_TABLE) table = text_in(attribute);
    if (type == NFTA_CHAIN_NAME) name = text_in(attribute);
    if (type == NFTA_CHAIN_HOOK) hook = hook_in(attribute);
  });
  const std::string_view where = hook.number ? hook_name(info->nfgen_family, *hook.number) : "";
  if (where.empty() || !hook.is_of(twins)) return "";
  return fmt::format("nftables: chain {} of table {} {} (hook {})", name, family_name(info->nfgen_family), table,
                     where);
}

/// In words, a table of the older iptables; "" = there is none. The list of them is root's: to others the modules tell
/// that there may be some.
std::string older_table(const std::string& proc, bool v4) {
  std::string line;
  std::ifstream names(fmt::format("{}/net/ip{}_tables_names", proc, v4 ? "" : "6"));
  const std::string_view tool = v4 ? "iptables" : "ip6tables";
  if (names.is_open()) return std::getline(names, line) && !line.empty() ? fmt::format("{}: table {}", tool, line) : "";
  std::ifstream modules(proc + "/modules");
  while (std::getline(modules, line)) {
    if (line.starts_with(v4 ? "iptable_" : "ip6table_"))
      return fmt::format("{}: module {}", tool, line.substr(0, line.find(' ')));
  }
  return "";
}

std::expected<std::optional<std::string>, std::string> nftables(const std::set<std::string>& twins) {
  const Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  const auto failed = [](int error) -> std::expected<std::optional<std::string>, std::string> {
    if (std::ranges::find(kNoNftables, error) != kNoNftables.end()) return "";
    return std::unexpected(fmt::format("the kernel does not list its nftables: {}", std::strerror(error)));
  };
  if (!socket) return failed(errno);
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof kTimeout);
  const std::vector<uint8_t> request = dump_chains(1);
  if (send(socket.get(), request.data(), request.size(), 0) < 0) return failed(errno);
  Chains chains;
  std::vector<uint8_t> buffer(kBufferBytes);
  while (!chains.done && chains.on_the_way.empty()) {
    const ssize_t n = recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(errno);
    read_chains({buffer.data(), static_cast<size_t>(n)}, twins, chains);
  }
  if (chains.error != 0) return failed(chains.error);
  if (chains.interrupted && chains.on_the_way.empty()) return std::nullopt;
  return chains.on_the_way;
}

}  // namespace

std::vector<uint8_t> dump_chains(uint32_t sequence) {
  std::vector<uint8_t> out(MNL_NLMSG_HDRLEN + sizeof(nfgenmsg));
  nlmsghdr* header = mnl_nlmsg_put_header(out.data());
  header->nlmsg_type = kGetChain;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = sequence;
  const nfgenmsg all{.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0, .res_id = 0};
  std::memcpy(mnl_nlmsg_put_extra_header(header, sizeof all), &all, sizeof all);
  return out;
}

void read_chains(std::span<const uint8_t> bytes, const std::set<std::string>& twins, Chains& out) {
  netlink::each_message(bytes, [&](const nlmsghdr* header) {
    const size_t payload = header->nlmsg_len - sizeof(nlmsghdr);
    if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) out.interrupted = true;
    if (header->nlmsg_type == NLMSG_DONE) {
      out.error = netlink::error_of_done(header);
      out.done = true;
    }
    if (header->nlmsg_type == NLMSG_ERROR && payload >= sizeof(nlmsgerr)) {
      out.error = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header))->error;
      out.done = true;
    }
    if (header->nlmsg_type == kNewChain && payload >= sizeof(nfgenmsg) && out.on_the_way.empty())
      out.on_the_way = chain_in(header, twins);
  });
}

std::expected<std::optional<std::string>, std::string> packet_rules(const std::set<std::string>& twins,
                                                                    const std::string& proc) {
  for (const bool v4 : {true, false}) {
    const std::string table = older_table(proc, v4);
    if (!table.empty()) return table;
  }
  return nftables(twins);
}

}  // namespace sluice::control
