// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/dns_watch.h"

#include <algorithm>
#include <set>
#include <utility>

namespace sluice::control {

namespace {

std::chrono::seconds least_ttl(const DnsRecords& records, std::chrono::seconds least = DnsWatch::kLongest) {
  for (const DnsRecord& record : records) least = std::min(least, record.ttl);
  return std::max(least, DnsWatch::kShortest);
}

}  // namespace

DnsWatch::DnsWatch(boost::asio::io_context& io, config::Discover discover, Told told)
    : discover_(std::move(discover)), told_(std::move(told)), resolver_(io, discover_.servers), timer_(io) {
  ask();
}

void DnsWatch::ask() {
  resolver_.ask(discover_.dns, discover_.type, [this](Resolver::Answer answer) {
    if (!answer) return finish(std::unexpected(std::move(answer.error())), kAfterFailure);
    if (discover_.type == config::DnsType::kSrv) return on_services(std::move(answer));
    finish(document_of(*answer), least_ttl(*answer));
  });
}

void DnsWatch::on_services(Resolver::Answer answer) {
  services_ = std::move(*answer);
  addresses_.clear();
  fault_.clear();
  std::set<std::string> targets;
  for (const DnsRecord& service : services_) {
    if (!service.target.empty()) targets.insert(service.target);
  }
  missing_ = targets.size();
  if (missing_ == 0) return finish(document_of(services_, addresses_), least_ttl(services_));
  const bool is_v4 = discover_.family == config::Family::kIpv4;
  for (const std::string& target : targets) {
    resolver_.ask(target, is_v4 ? config::DnsType::kA : config::DnsType::kAaaa,
                  [this, target](Resolver::Answer found) { on_addresses(target, std::move(found)); });
  }
}

void DnsWatch::on_addresses(const std::string& target, Resolver::Answer answer) {
  if (answer) {
    addresses_[target] = std::move(*answer);
  } else if (fault_.empty()) {
    fault_ = std::move(answer.error());
  }
  if (--missing_ != 0) return;
  // A target without an address says nothing of the others, and yet: to leave it out would be to say that it has left.
  if (!fault_.empty()) return finish(std::unexpected(fault_), kAfterFailure);
  std::chrono::seconds ttl = least_ttl(services_);
  for (const auto& [name, records] : addresses_) ttl = least_ttl(records, ttl);
  finish(document_of(services_, addresses_), ttl);
}

void DnsWatch::finish(const std::expected<std::string, std::string>& document, std::chrono::seconds pause) {
  timer_.expires_after(pause);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& cancelled) {
    if (!cancelled && !alive.expired()) ask();
  });
  told_(document);
}

}  // namespace sluice::control
