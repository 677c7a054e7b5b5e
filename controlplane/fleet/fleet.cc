// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/fleet.h"

#include <chrono>
#include <utility>

namespace sluice::control {

namespace {

/// The words of a fault may change with every try: no event a second for that.
constexpr std::chrono::seconds kWordsStay{10};

std::string wishes_prefix(const config::Etcd& etcd) {
  return etcd.prefix + "/wishes/";
}

}  // namespace

Fleet::Fleet(boost::asio::io_context& io, Journal& journal, const std::string& directory, Hooks hooks)
    : io_(io), journal_(journal), hooks_(std::move(hooks)), identity_(journal, directory + "/etcd.json") {}

void Fleet::start(const config::Fleet& config) {
  if (config.etcd) identity_.restore();
  follow(config);
}

void Fleet::follow(const config::Fleet& config) {
  if (config.etcd == etcd_) return;
  stop();
  etcd_ = config.etcd;
  if (!etcd_) return;
  backends_ = std::make_unique<EtcdFollower>(
      io_, *etcd_, etcd_->prefix + "/backends/",
      [this](const std::expected<etcd::Listing, std::string>& listing) { hear_backends(listing); });
  const std::string nodes = etcd_->prefix + "/nodes/";
  node_ = hooks_.report().node;
  nodes_ = std::make_unique<EtcdFollower>(
      io_, *etcd_, nodes, [this](const std::expected<etcd::Listing, std::string>& listing) { hear_nodes(listing); });
  wishes_ = std::make_unique<EtcdFollower>(io_, *etcd_, wishes_prefix(*etcd_),
                                           [this](const std::expected<etcd::Listing, std::string>& listing) {
                                             if (listing) hear_wishes(*listing);
                                           });
  presence_ = std::make_unique<NodePresence>(io_, *etcd_, nodes + node_, [this] { return to_text(hooks_.report()); });
}

void Fleet::stop() {
  backends_.reset();
  nodes_.reset();
  wishes_.reset();
  presence_.reset();
  reports_.clear();
  etcd_.reset();
  told_.reset();
  fault_.clear();
}

Fleet::Done Fleet::accept() {
  return identity_.accept();
}

void Fleet::hear_backends(const std::expected<etcd::Listing, std::string>& listing) {
  const std::string fault = listing ? identity_.judge(listing->at) : listing.error();
  const bool is_news = set_fault(fault);
  if (!fault.empty()) {
    told_.reset();
    if (is_news) hooks_.on_backends(std::unexpected(fault));
    return;
  }
  if (told_ == listing->records) return;
  told_ = listing->records;
  hooks_.on_backends(documents_from(*told_, etcd_->prefix + "/backends/"));
}

void Fleet::hear_nodes(const std::expected<etcd::Listing, std::string>& listing) {
  if (!listing) return;  // that of the backends is told, and nothing is done by what nodes say
  reports_.clear();
  for (const etcd::Record& record : listing->records) {
    if (auto report = report_from(record, etcd_->prefix + "/nodes/")) reports_.push_back(std::move(*report));
  }
}

/// By the cluster that backends are heard from, or not at all: whether that is to be believed is judged there.
void Fleet::hear_wishes(const etcd::Listing& listing) {
  if (!etcd_ || !fault_.empty() || !identity_.known() || identity_.known()->cluster != listing.at.cluster) return;
  WishListing said = wishes_in(listing.records, wishes_prefix(*etcd_));
  if (said.faults != wish_faults_) {
    for (const std::string& fault : said.faults)
      journal_.record(Severity::kWarning, "fleet", "wishes", "not understood: " + fault);
    wish_faults_ = std::move(said.faults);
  }
  hooks_.on_wishes(std::move(said.wishes));
}

void Fleet::change(std::vector<WishChange> changes, std::function<void(std::string)> done) {
  if (!fault_.empty()) return done("etcd is not to be had: " + fault_);
  change_wishes(
      io_, *etcd_, wishes_prefix(*etcd_), std::move(changes),
      [this, alive = std::weak_ptr(alive_)](const etcd::Listing& listing) {
        if (!alive.expired()) hear_wishes(listing);
      },
      [done = std::move(done)](const std::expected<void, std::string>& made) { done(made ? "" : made.error()); });
}

bool Fleet::set_fault(const std::string& fault) {
  const bool was_good = fault_.empty();
  const SystemTime now = journal_.now();
  const bool is_early = now >= fault_since_ && now - fault_since_ < kWordsStay;
  if (fault == fault_ || (!was_good && !fault.empty() && is_early)) return false;
  fault_ = fault;
  fault_since_ = now;
  if (fault.empty()) {
    journal_.record(Severity::kInfo, "fleet", "etcd", "answers again");
  } else if (was_good) {
    journal_.record(Severity::kError, "fleet", "etcd", "what is known stays: " + fault);
  }
  return true;
}

}  // namespace sluice::control
