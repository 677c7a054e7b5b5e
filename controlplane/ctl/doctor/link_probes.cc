// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/link_probes.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <bit>
#include <boost/asio/ip/udp.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "controlplane/base/descriptor.h"
#include "controlplane/base/mac_address.h"
#include "controlplane/ctl/doctor/probe_messages.h"

namespace sluice::ctl {

namespace {

using config::IpAddress;
using control::Descriptor;
using Clock = std::chrono::steady_clock;
using Sent = std::expected<void, std::string>;

constexpr size_t kAtOnce = 16;  // sent without a breath: the twin's queue is short
constexpr std::chrono::milliseconds kBreath{2};
constexpr uint16_t kGuePort = 6080;
constexpr uint16_t kFirstPort = 49152;  // of those that nobody has for his own (RFC 6335, 6)
constexpr size_t kPorts = 16384;

std::unexpected<std::string> fault(const std::string& what) {
  return std::unexpected(what + ": " + std::strerror(errno));
}

IpAddress address_in(const sockaddr& socket_address) {
  IpAddress out;
  if (socket_address.sa_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(socket_address);
    std::memcpy(out.bytes.data(), &v6.sin6_addr, out.bytes.size());
  } else {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(socket_address);
    out.bytes[10] = out.bytes[11] = 0xff;
    std::memcpy(&out.bytes[12], &v4.sin_addr, 4);
  }
  return out;
}

/// Ones of a netmask, of the 128 that IpPrefix has.
uint8_t bits_of(const sockaddr& netmask, bool v4) {
  const IpAddress mask = address_in(netmask);
  int out = 0;
  for (size_t i = v4 ? 12 : 0; i < mask.bytes.size(); i++) out += std::popcount(mask.bytes[i]);
  return static_cast<uint8_t>(out + (v4 ? 96 : 0));
}

using Interfaces = std::unique_ptr<ifaddrs, decltype([](ifaddrs* list) { freeifaddrs(list); })>;

Interfaces interfaces() {
  ifaddrs* list = nullptr;
  return Interfaces(getifaddrs(&list) == 0 ? list : nullptr);
}

std::optional<MacAddress> mac_of(const std::string& interface) {
  const Interfaces list = interfaces();
  for (const ifaddrs* each = list.get(); each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_PACKET || interface != each->ifa_name) continue;
    MacAddress out;
    std::memcpy(out.bytes.data(), reinterpret_cast<const sockaddr_ll*>(each->ifa_addr)->sll_addr, out.bytes.size());
    return out;
  }
  return std::nullopt;
}

/// A socket for whole messages of several links.
class Links {
 public:
  static std::expected<Links, std::string> open(const std::set<std::string>& twins) {
    Links out;
    for (const std::string& twin : twins) {
      out.indices_[twin] = static_cast<int>(if_nametoindex(twin.c_str()));
      if (out.indices_[twin] == 0) return fault(twin);
    }
    out.socket_ = Descriptor(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)));
    if (!out.socket_) return fault("a packet socket");
    return out;
  }

  Sent send(const std::string& twin, const LinkMessage& message) {
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(message.ethertype);
    to.sll_ifindex = indices_.at(twin);
    to.sll_halen = static_cast<unsigned char>(message.to.bytes.size());
    std::memcpy(to.sll_addr, message.to.bytes.data(), message.to.bytes.size());
    const auto* target = reinterpret_cast<const sockaddr*>(&to);
    const ssize_t sent = sendto(socket_.get(), message.bytes.data(), message.bytes.size(), 0, target, sizeof to);
    if (sent < 0 && errno != ENOBUFS) return fault(twin);  // its queue is full: lost, and sent again
    return {};
  }

  /// Hands on what is heard by `hear(twin, Heard)` until that returns true, or for so long.
  template <class Hear>
  void listen(std::chrono::milliseconds time, const Hear& hear) {
    const auto end = Clock::now() + time;
    for (auto now = Clock::now(); now < end; now = Clock::now()) {
      pollfd readable{socket_.get(), POLLIN, 0};
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - now);
      if (::poll(&readable, 1, static_cast<int>(left.count())) <= 0) continue;
      sockaddr_ll from{};
      socklen_t size = sizeof from;
      const ssize_t length =
          recvfrom(socket_.get(), buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      const auto twin = std::ranges::find(indices_, from.sll_ifindex, [](const auto& each) { return each.second; });
      if (length <= 0 || from.sll_pkttype == PACKET_OUTGOING || twin == indices_.end()) continue;
      MacAddress station;
      std::memcpy(station.bytes.data(), from.sll_addr, station.bytes.size());
      const auto packet = std::span(buffer_).first(static_cast<size_t>(length));
      if (hear(twin->first, heard_in(ntohs(from.sll_protocol), packet, station))) return;
    }
  }

 private:
  Links() = default;

  Descriptor socket_;
  std::map<std::string, int> indices_;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(2048);  // the rest of what is longer is of no use
};

/// Sends what `send(i)` sends for those of `count` that are `open(i)`, `tries` times, each time listening for `time` or
/// until `hear` says that all is known.
template <class Open, class Send, class Hear>
Sent ask(Links& links, size_t count, int tries, std::chrono::milliseconds time, const Open& open, const Send& send,
         const Hear& hear) {
  for (int i = 0; i < tries; i++) {
    size_t sent = 0;
    for (size_t each = 0; each < count; each++) {
      if (!open(each)) continue;
      if (const Sent done = send(each); !done) return done;
      if (++sent % kAtOnce == 0) links.listen(kBreath, hear);
    }
    if (sent != 0) links.listen(time, hear);
  }
  return {};
}

/// By a socket whose kernel puts the outer headers around it.
Sent send_in_tunnel(const SynProbe& probe, const control::PacketBytes& inner) {
  const int family = probe.server.is_v4() ? AF_INET : AF_INET6;
  const bool gue = probe.forwarding == config::Forwarding::kGue;
  const int protocol = probe.source.is_v4() ? IPPROTO_IPIP : IPPROTO_IPV6;
  const Descriptor out(socket(family, (gue ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC, gue ? 0 : protocol));
  if (!out) return fault("a socket for tunnels");
  const auto length = static_cast<socklen_t>(probe.twin.size());
  if (setsockopt(out.get(), SOL_SOCKET, SO_BINDTODEVICE, probe.twin.c_str(), length) != 0) return fault(probe.twin);
  const std::string server = probe.server.to_string();
  const boost::asio::ip::udp::endpoint to(boost::asio::ip::make_address(server), gue ? kGuePort : uint16_t{0});
  const auto size = static_cast<socklen_t>(to.size());
  if (sendto(out.get(), inner.data(), inner.size(), 0, to.data(), size) < 0) return fault(server);
  return {};
}

Sent send_segment(Links& links, const SynProbe& probe, const Segment& segment) {
  control::PacketBytes packet = bytes_of(segment, probe.hops);
  if (probe.forwarding == config::Forwarding::kIpip || probe.forwarding == config::Forwarding::kGue)
    return send_in_tunnel(probe, packet);
  const auto mac = control::parse_mac(probe.mac);
  if (!mac) return std::unexpected(probe.mac + " is no MAC address");
  const uint16_t ethertype = probe.source.is_v4() ? control::kEthertypeIpv4 : control::kEthertypeIpv6;
  return links.send(probe.twin, {*mac, ethertype, std::move(packet)});
}

/// The SYNs of all probes, each of a port of its own, by which its answer is known.
class Syns {
 public:
  explicit Syns(const std::vector<SynProbe>& probes) : probes_(probes), answers_(probes.size()) {
    std::random_device random;
    sequence_ = random();
    first_ = random() % kPorts;
  }

  Segment syn(size_t i) const {
    const auto port = static_cast<uint16_t>(kFirstPort + (first_ + i) % kPorts);
    return {{probes_[i].source, port}, probes_[i].to, sequence_, 0, Segment::kSyn};
  }
  bool is_open(size_t i) const { return answers_[i].what == SynAnswer::What::kNone; }
  std::vector<SynAnswer> take() { return std::move(answers_); }

  /// Notes the answer, and sends a reset to who has one begun. Returns whether all have answered.
  bool hear(Links& links, const std::string& twin, const Segment& heard) {
    const size_t i = (heard.to.port + 2 * kPorts - kFirstPort - first_) % kPorts;
    if (i >= probes_.size() || !is_open(i)) return false;
    const Segment sent = syn(i);
    const bool is_answer = heard.from == sent.to && heard.to == sent.from && heard.acknowledgement == sequence_ + 1 &&
                           (heard.flags & Segment::kAck) != 0;
    if (!is_answer) return false;
    if ((heard.flags & Segment::kRst) != 0) {
      answers_[i] = {SynAnswer::What::kRefused, twin};
    } else if ((heard.flags & Segment::kSyn) != 0) {
      answers_[i] = {SynAnswer::What::kOpen, twin};
      (void)send_segment(links, probes_[i], {sent.from, sent.to, sequence_ + 1, 0, Segment::kRst});
    }
    return std::ranges::none_of(answers_,
                                [](const SynAnswer& answer) { return answer.what == SynAnswer::What::kNone; });
  }

 private:
  const std::vector<SynProbe>& probes_;
  std::vector<SynAnswer> answers_;
  uint32_t sequence_ = 0;
  size_t first_ = 0;
};

}  // namespace

std::vector<OwnAddress> own_addresses() {
  std::vector<OwnAddress> out;
  const Interfaces list = interfaces();
  for (const ifaddrs* each = list.get(); each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_netmask == nullptr) continue;
    const bool v4 = each->ifa_addr->sa_family == AF_INET;
    if (!v4 && each->ifa_addr->sa_family != AF_INET6) continue;
    out.push_back({each->ifa_name, address_in(*each->ifa_addr), bits_of(*each->ifa_netmask, v4)});
  }
  return out;
}

std::expected<std::vector<std::set<std::string>>, std::string> probe_addresses(
    const std::vector<AddressProbe>& probes) {
  constexpr int kTries = 2;
  constexpr std::chrono::milliseconds kTime{500};
  std::map<std::string, MacAddress> macs;
  std::set<std::string> twins;
  for (const AddressProbe& probe : probes) {
    if (!twins.insert(probe.twin).second) continue;
    macs[probe.twin] = mac_of(probe.twin).value_or(MacAddress{});
  }
  auto links = Links::open(twins);
  if (!links) return std::unexpected(links.error());
  std::vector<std::set<std::string>> out(probes.size());
  const auto send = [&](size_t i) {
    const AddressProbe& probe = probes[i];
    return links->send(probe.twin, address_probe(macs.at(probe.twin), probe.source, probe.address));
  };
  const auto hear = [&](const std::string& twin, const Heard& heard) {
    const auto* claim = std::get_if<Claim>(&heard);
    if (claim == nullptr) return false;
    for (size_t i = 0; i < probes.size(); i++)
      if (probes[i].twin == twin && probes[i].address == claim->address) out[i].insert(control::to_string(claim->mac));
    return false;
  };
  const auto always = [](size_t) { return true; };
  if (const Sent done = ask(*links, probes.size(), kTries, kTime, always, send, hear); !done)
    return std::unexpected(done.error());
  return out;
}

std::expected<std::vector<SynAnswer>, std::string> probe_syns(const std::vector<SynProbe>& probes,
                                                              const std::vector<std::string>& twins) {
  constexpr int kTries = 3;
  constexpr std::chrono::milliseconds kTime{1000};
  auto links = Links::open({twins.begin(), twins.end()});
  if (!links) return std::unexpected(links.error());
  Syns syns(probes);
  const auto is_open = [&](size_t i) { return syns.is_open(i); };
  const auto send = [&](size_t i) { return send_segment(*links, probes[i], syns.syn(i)); };
  const auto hear = [&](const std::string& twin, const Heard& heard) {
    const auto* segment = std::get_if<Segment>(&heard);
    return segment != nullptr && syns.hear(*links, twin, *segment);
  };
  if (const Sent done = ask(*links, probes.size(), kTries, kTime, is_open, send, hear); !done)
    return std::unexpected(done.error());
  return syns.take();
}

}  // namespace sluice::ctl
