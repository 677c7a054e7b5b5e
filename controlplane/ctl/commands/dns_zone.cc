// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/schema/text_rules.h"
#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/dns_zone.h"

namespace sluice::ctl {

namespace {

std::unexpected<Failure> wrong_usage(std::string text) {
  return std::unexpected(Failure{Exit::kUsage, std::move(text)});
}

/// A DNS name without its last dot.
std::expected<std::string, Failure> name_of(const Invocation& invocation) {
  std::string name = invocation.text("NAME");
  if (name.ends_with('.')) name.pop_back();
  const std::string wrong = name.empty() ? "is empty" : config::host_rule().wrong(name);
  if (!wrong.empty()) return wrong_usage(fmt::format("NAME \"{}\" {}; allowed: a host name", name, wrong));
  return name;
}

bool is_label(const std::string& text) {
  return !text.empty() && text.size() <= 63 && text.find('.') == std::string::npos &&
         config::host_rule().wrong(text).empty();
}

/// "SITE.json=WEIGHT".
std::expected<DnsSite, Failure> site_of(const std::string& given) {
  const size_t equals = given.rfind('=');
  const std::string path = given.substr(0, equals);
  const std::string weight = equals == std::string::npos ? "" : given.substr(equals + 1);
  const bool number =
      !weight.empty() && weight.size() <= 5 && weight.find_first_not_of("0123456789") == std::string::npos;
  if (!number || std::stoul(weight) > 65535)
    return wrong_usage(fmt::format("--merge \"{}\": allowed: FILE=WEIGHT with a weight from 0 to 65535", given));
  const std::string name = std::filesystem::path(path).stem();
  if (!is_label(name))
    return wrong_usage(
        fmt::format("--merge \"{}\": the file's name is that of the site; allowed: letters, digits and '-'", given));
  std::ifstream file(path);
  const nlohmann::json status = nlohmann::json::parse(file, nullptr, false);
  if (!file.is_open() || status.is_discarded()) return wrong_usage(fmt::format("{}: cannot be read as JSON", path));
  auto site = read_site(status);
  if (!site) return wrong_usage(fmt::format("{}: {}", path, site.error()));
  site->name = name;
  site->weight = static_cast<uint16_t>(std::stoul(weight));
  return *site;
}

std::expected<std::vector<DnsSite>, Failure> merged_sites(const std::vector<std::string>& given) {
  std::vector<DnsSite> out;
  std::set<std::string> names;
  for (const std::string& each : given) {
    auto site = site_of(each);
    if (!site) return std::unexpected(site.error());
    if (!names.insert(site->name).second)
      return wrong_usage(fmt::format("--merge: two files of the site \"{}\"", site->name));
    out.push_back(*std::move(site));
  }
  return out;
}

/// The instance that runs here.
std::expected<std::vector<DnsSite>, Failure> own_site(const Invocation& invocation) {
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const auto status = client->get("/api/v1/status");
  if (!status) return std::unexpected(status.error());
  const auto site = read_site(*status);
  if (!site) return std::unexpected(Failure{Exit::kFailed, "control's answer is " + site.error()});
  return std::vector{*site};
}

Outcome run_dns_zone(const Invocation& invocation) {
  const auto name = name_of(invocation);
  if (!name) return std::unexpected(name.error());
  const auto ttl = invocation.seconds("ttl", 60, 2147483647);
  if (!ttl) return std::unexpected(ttl.error());
  const auto age = invocation.seconds("max-age", 300, 86400 * 365);
  if (!age) return std::unexpected(age.error());
  const auto port = invocation.number("port", 0, 1, 65535);
  if (!port) return std::unexpected(port.error());
  const auto sites = invocation.has("merge") ? merged_sites(invocation.texts("merge")) : own_site(invocation);
  if (!sites) return std::unexpected(sites.error());
  const auto text = write_zone({.name = *name,
                                .ttl_s = static_cast<uint32_t>(*ttl),
                                .port = static_cast<uint16_t>(*port),
                                .nsupdate = invocation.has("nsupdate"),
                                .now_s = std::time(nullptr),
                                .age_max_s = static_cast<int64_t>(*age)},
                               *sites);
  if (!text) return std::unexpected(Failure{Exit::kFailed, text.error()});
  return show_answer(invocation, {{"zone", *text}}, [&](const nlohmann::json&) { return *text; });
}

}  // namespace

Command dns_zone_command() {
  return {
      .name = "dns-zone",
      .help =
          "DNS records for the VIPs that are in service. Addresses (A, AAAA) carry no weights, nor do MX and SVCB: "
          "every one is "
          "as likely as any other; weights are in the SRV records for submission alone, which --merge adds",
      .arguments = {{.name = "NAME", .help = "the name that has the records"}},
      .options =
          {{.name = "ttl", .value = "SECONDS", .help = "time to live (default 60)"},
           {.name = "nsupdate",
            .help = "a script for nsupdate in place of a zone's lines: the name's addresses are replaced "
                    "in one transaction"},
           {.name = "port",
            .value = "PORT",
            .help = "look at the services of this port alone; otherwise a VIP is in service "
                    "while all of its services are"},
           {.name = "merge",
            .value = "SITE.json=WEIGHT",
            .help = "records for several sites from their `sluicectl status --json`; the file's name is the site's. "
                    "Weight 0 leaves a site out",
            .many = true},
           {.name = "max-age", .value = "SECONDS", .help = "with --merge: older statuses do not count (default 300)"}},
      .run = run_dns_zone};
}

}  // namespace sluice::ctl
