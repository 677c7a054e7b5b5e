// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/dns_zone.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "config/model.h"

namespace sluice::ctl {

namespace {

using nlohmann::json;

/// "2026-11-21T14:56:32.419Z" in seconds since 1970.
std::optional<int64_t> parse_rfc3339(const std::string& text) {
  std::tm parts{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr || text.back() != 'Z') return std::nullopt;
  return timegm(&parts);
}

/// Text that stands in a comment: one line.
std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return text;
}

DnsSite taken_apart(const json& status) {
  DnsSite out;
  out.time_s = parse_rfc3339(status.at("time").get<std::string>()).value_or(0);
  out.connected = status.at("dataplane").at("connected").get<bool>();
  for (const json& service : status.at("services")) {
    const auto address = config::IpAddress::parse(service.at("vip").get<std::string>());
    if (!address) throw std::invalid_argument("a vip is no address");
    DnsSite::Vip& vip = out.vips[address->to_string()];
    vip.v4 = address->is_v4();
    const auto port = service.at("port").get<uint16_t>();
    vip.ports.insert(port);
    // One that is "starting" takes sessions by what control published before it was restarted.
    if (service.at("state").get<std::string>() == "out of service")
      vip.out.push_back(fmt::format("{}:{}: {}", service.at("name").get<std::string>(), port,
                                    service.at("reason").get<std::string>()));
  }
  return out;
}

struct Record {
  std::string owner;
  std::string type;
  std::string data;
  friend auto operator<=>(const Record&, const Record&) = default;
};

/// What is going to be written.
class Zone {
 public:
  explicit Zone(const DnsPlan& plan) : plan_(plan) {}

  void add(const DnsSite& site) {
    const std::string own = site.name.empty() ? "" : site.name + "." + plan_.name;
    if (!own.empty()) owners_[own] = {"A", "AAAA"};
    if (const std::string why = why_absent(site); !why.empty())
      return leave_out(site.name.empty() ? "" : site.name, why);
    for (const auto& [address, vip] : site.vips) {
      if (plan_.port != 0 && !vip.ports.contains(plan_.port)) continue;
      if (const std::string why = why_out(vip); !why.empty()) {
        leave_out(address, why);
        continue;
      }
      add_address(plan_.name, address, vip);
      if (own.empty()) continue;
      add_address(own, address, vip);
      add_service(site, own, vip);
    }
  }

  bool empty() const { return records_.empty(); }
  const std::string& left_out() const { return left_out_; }

  std::string snippet() const {
    std::string out = left_out_;
    for (const auto& [owner, type, data] : records_)
      out += fmt::format("{}. {} IN {} {}\n", owner, plan_.ttl_s, type, data);
    return out;
  }

  /// One transaction: what was there goes, what is in service comes.
  std::string script() const {
    std::string out = left_out_;
    for (const auto& [owner, types] : owners_)
      for (const std::string& type : types) out += fmt::format("update delete {}. {}\n", owner, type);
    for (const auto& [owner, type, data] : records_)
      out += fmt::format("update add {}. {} {} {}\n", owner, plan_.ttl_s, type, data);
    return out + "send\n";
  }

  void own(const std::string& owner, std::set<std::string> types) { owners_[owner] = std::move(types); }

 private:
  std::string why_absent(const DnsSite& site) const {
    if (!site.connected) return "its control process has no data plane";
    const int64_t age_s = plan_.now_s - site.time_s;
    if (age_s > plan_.age_max_s) return fmt::format("what it said is {} s old, allowed are {}", age_s, plan_.age_max_s);
    if (!site.name.empty() && site.weight == 0) return "its weight is 0";
    return "";
  }

  std::string why_out(const DnsSite::Vip& vip) const {
    const std::string suffix = fmt::format(":{}: ", plan_.port);
    for (const std::string& out : vip.out)
      if (plan_.port == 0 || out.find(suffix) != std::string::npos) return out;
    return "";
  }

  void leave_out(const std::string& what, const std::string& why) {
    left_out_ += fmt::format("; left out{}{}: {}\n", what.empty() ? "" : " ", what, one_line(why));
  }

  void add_address(const std::string& owner, const std::string& address, const DnsSite::Vip& vip) {
    records_.insert({owner, vip.v4 ? "A" : "AAAA", address});
  }

  void add_service(const DnsSite& site, const std::string& own, const DnsSite::Vip& vip) {
    for (const auto& [port, label] : {std::pair<uint16_t, const char*>{587, "_submission"}, {465, "_submissions"}}) {
      if (!vip.ports.contains(port) || (plan_.port != 0 && plan_.port != port)) continue;
      records_.insert(
          {fmt::format("{}._tcp.{}", label, plan_.name), "SRV", fmt::format("0 {} {} {}.", site.weight, port, own)});
    }
  }

  const DnsPlan& plan_;
  std::set<Record> records_;
  std::map<std::string, std::set<std::string>> owners_;  // name -> types that are ours to replace
  std::string left_out_;
};

}  // namespace

std::expected<DnsSite, std::string> read_site(const json& status) {
  try {
    return taken_apart(status);
  } catch (const std::exception&) {
    return std::unexpected("not what `sluicectl status --json` prints");
  }
}

std::expected<std::string, std::string> write_zone(const DnsPlan& plan, const std::vector<DnsSite>& sites) {
  Zone zone(plan);
  zone.own(plan.name, {"A", "AAAA"});
  for (const DnsSite& site : sites) {
    if (!site.name.empty())
      for (const char* label : {"_submission", "_submissions"})
        zone.own(fmt::format("{}._tcp.{}", label, plan.name), {"SRV"});
    zone.add(site);
  }
  if (zone.empty())
    return std::unexpected("no VIP is in service: no record is written, so that the zone keeps what it has\n" +
                           zone.left_out());
  return plan.nsupdate ? zone.script() : zone.snippet();
}

}  // namespace sluice::ctl
