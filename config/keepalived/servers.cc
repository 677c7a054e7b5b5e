// SPDX-License-Identifier: Apache-2.0
#include "config/keepalived/servers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "config/imports/numbers.h"
#include "config/schema/text_rules.h"

namespace sluice::config::keepalived {

namespace {

using imports::parse_number;

constexpr uint32_t kMostWeight = 65535;

/// What says nothing of where packets go: scripts, mails, names for SNMP, how keepalived starts and ends.
constexpr std::array<std::string_view, 22> kWithoutMeaning{
    "alpha",      "omega",       "quorum_up",   "quorum_down",       "notify_up", "notify_down",
    "smtp_alert", "snmp_name",   "virtualhost", "ha_suspend",        "warmup",    "log_all_failures",
    "hysteresis", "ip_family",   "hashed",      "bind_if",           "bind_port", "bindto",
    "fwmark",     "sh-fallback", "mh-fallback", "persistence_engine"};

bool is_without_meaning(const std::string& name) {
  return std::ranges::find(kWithoutMeaning, name) != kWithoutMeaning.end();
}

/// A time in seconds, "3" or "0.5", as long as ours may be.
std::optional<Milliseconds> parse_timer(const std::string& text, Milliseconds least, Milliseconds most) {
  const size_t dot = text.find('.');
  const auto seconds = parse_number(text.substr(0, dot), 0, 1'000'000);
  uint32_t thousandths = 0;
  if (dot != std::string::npos) {
    std::string fraction = text.substr(dot + 1, 3);
    const size_t given = fraction.size();
    fraction.resize(3, '0');
    const auto parsed = parse_number(fraction, 0, 999);
    if (!parsed || given == 0) return std::nullopt;
    thousandths = *parsed;
  }
  if (!seconds) return std::nullopt;
  return std::clamp(Milliseconds{uint64_t{*seconds} * 1000 + thousandths}, least, most);
}

class Reader {
 public:
  explicit Reader(Remarks& remarks) : remarks_(remarks) {}

  std::vector<VirtualServer> read(const std::vector<Block>& blocks) {
    for (const Block& block : blocks) {
      if (block.word(0) == "virtual_server_group") read_group(block);
    }
    for (const Block& block : blocks) take_block(block);
    return std::move(servers_);
  }

 private:
  void take_block(const Block& block) {
    const std::string& kind = block.word(0);
    if (kind == "virtual_server_group") return;
    if (kind == "virtual_server") return take_virtual_server(block);
    if (kind == "vrrp_instance" || kind == "vrrp_sync_group") {
      remarks_.leave_out(block.line,
                         fmt::format("{} {}: keepalived may go on doing that, or `announce` tells the network "
                                     "which VIPs are served (docs/anycast.md)",
                                     kind, block.word(1)));
    } else if (kind.starts_with("vrrp_") || kind.starts_with("static_") || kind == "bfd_instance") {
      remarks_.leave_out(block.line, fmt::format("{}: not about virtual servers", kind));
    } else if (kind == "global_defs" || is_without_meaning(kind)) {
      remarks_.pass_over();
    } else {
      remarks_.leave_out(block.line, fmt::format("{}: not known", kind));
    }
  }

  // --- Where it listens ---

  std::optional<Listener> listener_of(const std::string& address, const std::string& port, unsigned line) {
    const auto vip = IpAddress::parse(address);
    const auto number = parse_number(port, 1, 65535);
    if (!vip) {
      remarks_.leave_out(line, fmt::format("\"{}\" is no address, or a range of them: write each", address));
    } else if (!number) {
      remarks_.leave_out(line, fmt::format("\"{}\" is no port from 1 to 65535: a service has one port", port));
    }
    if (!vip || !number) return std::nullopt;
    return Listener{*vip, static_cast<uint16_t>(*number)};
  }

  void read_group(const Block& group) {
    std::vector<Listener>& into = groups_[group.word(1)];
    for (const Block& line : group.inner) {
      if (line.word(0) == "fwmark") {
        remarks_.leave_out(line.line, "fwmark: no marks of packets are looked at: write VIP and port");
      } else if (const auto found = listener_of(line.word(0), line.word(1), line.line)) {
        into.push_back(*found);
      }
    }
  }

  std::vector<Listener> listeners_of(const Block& block) {
    if (block.word(1) == "fwmark") {
      remarks_.leave_out(block.line, "virtual_server fwmark: no marks of packets are looked at: write VIP and port");
      return {};
    }
    if (block.word(1) == "group") {
      if (const auto found = groups_.find(block.word(2)); found != groups_.end()) return found->second;
      remarks_.leave_out(block.line, fmt::format("there is no virtual_server_group \"{}\"", block.word(2)));
      return {};
    }
    const auto found = listener_of(block.word(1), block.word(2), block.line);
    return found ? std::vector{*found} : std::vector<Listener>{};
  }

  // --- What stands in a virtual server ---

  void take_virtual_server(const Block& block) {
    VirtualServer out;
    out.line = block.line;
    out.listeners = listeners_of(block);
    out.name = block.word(1) == "group" ? block.word(2) : fmt::format("{}-{}", block.word(1), block.word(2));
    for (const Block& line : block.inner) take_setting(line, out);
    if (!out.is_tcp || out.listeners.empty()) return;
    if (std::ranges::none_of(block.inner, [](const Block& line) { return line.word(0) == "protocol"; }))
      remarks_.warn(block.line, "no protocol: keepalived takes UDP then, which no mail server speaks; TCP is taken");
    if (out.servers.empty()) return remarks_.leave_out(block.line, "virtual_server without a real_server");
    servers_.push_back(std::move(out));
  }

  void take_setting(const Block& line, VirtualServer& out) {
    const std::string& name = line.word(0);
    if (out.timing.take(line, remarks_)) return;
    if (name == "real_server") {
      if (const auto server = read_real_server(line, out)) out.servers.push_back(*server);
    } else if (name == "sorry_server") {
      if (auto server = address_of(line)) out.sorry = std::move(*server);
    } else if (name == "lb_algo" || name == "lvs_sched") {
      out.scheduler = line.word(1);
    } else if (name == "lb_kind" || name == "lvs_method") {
      out.forwarding = method_of(line).value_or(out.forwarding);
    } else if (name == "protocol") {
      out.is_tcp = line.word(1) == "TCP";
      if (!out.is_tcp) remarks_.leave_out(line.line, fmt::format("protocol {}: mail goes over TCP", line.word(1)));
    } else if (name == "persistence_timeout") {
      out.persistent = line.line;
    } else if (name == "persistence_granularity") {
      out.persists_prefix = true;
      if (line.word(1) != "255.255.255.0" && line.word(1) != "64")
        remarks_.warn(line.line,
                      fmt::format("persistence_granularity {}: prefixes here are /24 and /64", line.word(1)));
    } else if (name == "inhibit_on_failure") {
      out.keeps_sessions = true;
    } else if (name == "sh-port" || name == "mh-port") {
      out.flags.insert(name);
    } else if (name == "ops") {
      remarks_.leave_out(line.line, "ops: each TCP connection has a server of its own in any case");
    } else if (name == "quorum") {
      if (line.word(1) != "1")
        remarks_.leave_out(line.line, "quorum counts weight; min_healthy of a pool counts backends");
    } else if (name.starts_with("sorry_server_")) {
      remarks_.leave_out(line.line, fmt::format("{}: it is reached as the others are", name));
    } else if (is_without_meaning(name) || name.starts_with("flag-")) {
      remarks_.pass_over();
    } else {
      remarks_.leave_out(line.line, fmt::format("{}: not known", name));
    }
  }

  std::optional<Forwarding> method_of(const Block& line) {
    const std::string& kind = line.word(1);
    if (kind == "NAT") return Forwarding::kNat;
    if (kind == "DR") return Forwarding::kDsr;
    if (kind == "TUN") {
      const std::string& type = line.word(2) == "type" ? line.word(3) : "ipip";
      if (type == "ipip") return Forwarding::kIpip;
      if (type == "gue") return Forwarding::kGue;
      remarks_.warn(line.line,
                    fmt::format("{} {}: there are tunnels by IPIP and GUE; IPIP is taken", line.word(0), type));
      return Forwarding::kIpip;
    }
    remarks_.leave_out(line.line, fmt::format("{}: \"{}\" is none of NAT, DR and TUN", line.word(0), kind));
    return std::nullopt;
  }

  std::optional<RealServer> address_of(const Block& line) {
    const auto address = IpAddress::parse(line.word(1));
    if (!address) {
      remarks_.leave_out(line.line, fmt::format("{}: \"{}\" is no address", line.word(0), line.word(1)));
      return std::nullopt;
    }
    RealServer out;
    out.line = line.line;
    out.address = *address;
    if (line.words.size() < 3) return out;
    const auto port = parse_number(line.word(2), 1, 65535);
    if (port) out.port = static_cast<uint16_t>(*port);
    if (!port && line.word(2) != "0")
      remarks_.leave_out(line.line, fmt::format("\"{}\" is no port from 1 to 65535", line.word(2)));
    return out;
  }

  std::optional<RealServer> read_real_server(const Block& block, const VirtualServer& of) {
    auto out = address_of(block);
    if (!out) return std::nullopt;
    Timing timing;
    for (const Block& line : block.inner) {
      const std::string& name = line.word(0);
      if (timing.take(line, remarks_)) continue;
      if (name == "weight") {
        out->weight = parse_number(line.word(1), 0, kMostWeight).value_or(1);
      } else if (name == "uthreshold") {
        out->most = parse_number(line.word(1), 1, 10'000'000);
      } else if (name == "lthreshold") {
        remarks_.leave_out(line.line, "lthreshold: a backend takes new sessions again as soon as one ends");
      } else if (name == "inhibit_on_failure") {
        out->keeps_sessions = line.word(1) != "no" && line.word(1) != "off" && line.word(1) != "false";
      } else if (name == "lvs_method") {
        if (const auto own = method_of(line); own && *own != of.forwarding)
          remarks_.warn(line.line, "lvs_method of a single server: all of a service are reached in the same way");
      } else if (name.ends_with("_CHECK") || name.ends_with("_GET")) {
        if (auto checker = read_checker(line)) out->checkers.push_back(std::move(*checker));
      } else if (is_without_meaning(name)) {
        remarks_.pass_over();
      } else {
        remarks_.leave_out(line.line, fmt::format("{}: not known", name));
      }
    }
    for (Checker& checker : out->checkers) {  // what stands on the server holds for its checkers that say nothing
      Timing& own = checker.timing;
      if (!own.delay_loop) own.delay_loop = timing.delay_loop;
      if (!own.connect_timeout) own.connect_timeout = timing.connect_timeout;
      if (!own.before_retry) own.before_retry = timing.before_retry;
      if (!own.retry) own.retry = timing.retry;
    }
    return out;
  }

  std::optional<Checker> read_checker(const Block& block) {
    const std::string& kind = block.word(0);
    Checker out;
    out.line = block.line;
    if (kind == "SMTP_CHECK") {
      out.type = CheckType::kEhlo;
    } else if (kind != "TCP_CHECK") {
      remarks_.leave_out(block.line, fmt::format("{}: checks here ask mail servers themselves", kind));
      return std::nullopt;
    }
    for (const Block& line : block.inner) take_of_checker(line, out);
    return out;
  }

  void take_of_checker(const Block& line, Checker& out) {
    const std::string& name = line.word(0);
    if (out.timing.take(line, remarks_)) return;
    if (name == "host") {  // of older files: connect_ip, connect_port and bindto within
      for (const Block& each : line.inner) take_of_checker(each, out);
    } else if (name == "connect_port") {
      const auto port = parse_number(line.word(1), 1, 65535);
      if (port) out.port = static_cast<uint16_t>(*port);
    } else if (name == "connect_ip") {
      remarks_.leave_out(line.line, "connect_ip: a server is checked where it is reached");
    } else if (name == "helo_name") {
      out.helo = line.word(1);
      if (const std::string fault = host_rule().wrong(out.helo); !fault.empty()) {
        remarks_.leave_out(line.line, fmt::format("helo_name \"{}\" {}", out.helo, fault));
        out.helo.clear();
      }
    } else if (is_without_meaning(name)) {
      remarks_.pass_over();
    } else {
      remarks_.leave_out(line.line, fmt::format("{}: not known", name));
    }
  }

  Remarks& remarks_;
  std::vector<VirtualServer> servers_;
  std::map<std::string, std::vector<Listener>> groups_;
};

}  // namespace

bool Timing::take(const Block& block, Remarks& remarks) {
  const auto timer = [&](std::optional<Milliseconds>& into, Milliseconds most) {
    into = parse_timer(block.word(1), Milliseconds{100}, most);
    if (!into) remarks.leave_out(block.line, fmt::format("{}: \"{}\" is no time", block.word(0), block.word(1)));
    return true;
  };
  if (block.word(0) == "delay_loop") return timer(delay_loop, Milliseconds{3'600'000});
  if (block.word(0) == "connect_timeout") return timer(connect_timeout, Milliseconds{300'000});
  if (block.word(0) == "delay_before_retry") return timer(before_retry, Milliseconds{3'600'000});
  if (block.word(0) != "retry") return false;
  retry = parse_number(block.word(1), 0, 100);
  if (!retry) remarks.leave_out(block.line, fmt::format("retry: \"{}\" is no number up to 100", block.word(1)));
  return true;
}

std::vector<VirtualServer> read_virtual_servers(const std::vector<Block>& blocks, Remarks& remarks) {
  return Reader(remarks).read(blocks);
}

}  // namespace sluice::config::keepalived
